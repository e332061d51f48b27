//! Finds the pages of a column of plain values in a Parquet file, so that they can be read where they lie.
//!
//! A page is plain bytes after a header of some twenty bytes.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parquet::basic::Compression;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::DataError;

/// An open file with the places of its pages.
pub(super) struct PlainFile {
    pub(super) file: File,
    pub(super) metadata: ParquetMetaData,
}

/// The place of a page's values.
pub(super) struct PlainPage {
    pub(super) offset: u64,
    pub(super) n_rows: usize,
}

impl PlainFile {
    /// Reads the footer of a file.
    ///
    /// # Errors
    /// When it cannot be opened, or is not Parquet.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
        let mut reader = ParquetMetaDataReader::new().with_offset_index_policy(PageIndexPolicy::Optional);
        match reader.try_parse(&file).and_then(|()| reader.finish()) {
            Ok(metadata) => Ok(Self { file, metadata }),
            Err(error) => Err(DataError::Parquet { path: path.to_owned(), source: error.into() }),
        }
    }

    /// The number of rows of a row group.
    pub(super) fn n_rows(&self, group_idx: usize) -> Option<usize> {
        usize::try_from(self.metadata.row_group(group_idx).num_rows()).ok()
    }

    /// The pages of a column of a row group, of whose rows `n_bytes` says how many bytes they take. `None` unless they
    /// are not compressed and without nulls, and each header is exactly the one that this program's writers make.
    pub(super) fn pages(
        &self,
        group_idx: usize,
        column_idx: usize,
        n_bytes: &dyn Fn(Range<usize>) -> Option<usize>,
    ) -> Option<Vec<PlainPage>> {
        let column = self.metadata.row_group(group_idx).columns().get(column_idx)?;
        let descriptor = column.column_descr();
        if descriptor.max_def_level() > 0
            || descriptor.max_rep_level() > 0
            || column.compression() != Compression::UNCOMPRESSED
        {
            return None;
        }
        let n_rows = self.n_rows(group_idx)?;
        let index = self.metadata.page_index_for_row_group(group_idx);
        let places = index.page_locations(column_idx)?;
        let mut pages = Vec::with_capacity(places.len());
        let mut first_row = 0;
        for (page_idx, place) in places.iter().enumerate() {
            let end_row = places.get(page_idx + 1).map_or(Some(n_rows), |next| next.first_row_index.try_into().ok())?;
            if usize::try_from(place.first_row_index) != Ok(first_row) || end_row < first_row {
                return None;
            }
            let n_bytes = n_bytes(first_row..end_row)?;
            let expected = header(end_row - first_row, n_bytes);
            let mut found = vec![0; usize::try_from(place.compressed_page_size).ok()?.checked_sub(n_bytes)?];
            if found.len() != expected.len() {
                return None;
            }
            let offset = u64::try_from(place.offset).ok()?;
            self.file.read_exact_at(&mut found, offset).ok()?;
            if found != expected {
                return None;
            }
            pages.push(PlainPage { offset: offset + expected.len() as u64, n_rows: end_row - first_row });
            first_row = end_row;
        }
        (first_row == n_rows).then_some(pages)
    }
}

/// The header before a page of `n_rows` values in `n_bytes` bytes.
///
/// It is Parquet's `PageHeader` in Thrift's compact protocol. A field is `delta << 4 | type`, and a number is zigzag
/// with seven bits per byte.
pub(super) fn header(n_rows: usize, n_bytes: usize) -> Vec<u8> {
    const NUMBER: u8 = 0x15;
    const DATA_PAGE: usize = 0;
    const PLAIN: usize = 0;
    const RLE: usize = 3;
    // After the lengths comes field 5, the struct of a data page; the checksum field is left out.
    const DATA_PAGE_HEADER: u8 = 0x2c;
    let mut header = Vec::with_capacity(32);
    for value in [DATA_PAGE, n_bytes, n_bytes] {
        header.push(NUMBER);
        push_number(&mut header, value);
    }
    header.push(DATA_PAGE_HEADER);
    for value in [n_rows, PLAIN, RLE, RLE] {
        header.push(NUMBER);
        push_number(&mut header, value);
    }
    header.extend([0, 0]);
    header
}

fn push_number(bytes: &mut Vec<u8>, value: usize) {
    let mut zigzag = value << 1;
    while zigzag >= 0x80 {
        bytes.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    bytes.push(zigzag as u8);
}
