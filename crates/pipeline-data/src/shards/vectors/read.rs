//! Reads vectors from the file directly to their destination, bypassing the parquet crate, which would copy them twice.
//!
//! Only for files in the layout of this program's writer; others take the slow path.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parquet::basic::Type;
use parquet::file::metadata::RowGroupMetaData;
use rayon::prelude::*;

use crate::DataError;
use crate::shards::bytes;
use crate::shards::plain_pages::{PlainFile, PlainPage};

/// The vectors of an open file.
pub(super) struct Vectors {
    file: File,
    n_rows: usize,
    dim: usize,
    pages: Vec<PlainPage>,
}

impl Vectors {
    /// Finds the vectors of `dim` numbers in a file; `None` when it is not laid out as [`super::write_vectors`] does
    /// it.
    pub(super) fn find(path: &Path, dim: usize) -> Result<Option<Self>, DataError> {
        let file = PlainFile::open(path)?;
        let width = dim * 4;
        let pages = match file.metadata.row_groups() {
            [row_group] if holds_vectors(row_group, width) => file.pages(0, 1, &|rows| rows.len().checked_mul(width)),
            _ => None,
        };
        let n_rows = |pages: &[PlainPage]| pages.iter().map(|page| page.n_rows).sum();
        Ok(pages.map(|pages| Self { file: file.file, n_rows: n_rows(&pages), dim, pages }))
    }

    /// The number of vectors.
    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The offset of each page's numbers, and the number of its rows.
    pub(super) fn pages(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.pages.iter().map(|page| (page.offset, page.n_rows))
    }

    /// Reads all vectors on all threads.
    ///
    /// # Shapes
    /// `values`: `[n_rows, dim]`
    pub(super) fn read_into(&self, path: &Path, values: &mut [f32]) -> Result<(), DataError> {
        let (mut parts, mut rest) = (Vec::with_capacity(self.pages.len()), values);
        for page in &self.pages {
            let (part, after) = rest.split_at_mut(page.n_rows * self.dim);
            parts.push((page.offset, part));
            rest = after;
        }
        parts
            .into_par_iter()
            .try_for_each(|(offset, part)| bytes::fill(part, |bytes| self.file.read_exact_at(bytes, offset)))
            .map_err(|source| DataError::Read { path: path.to_owned(), source })
    }
}

/// True if the second column holds values of `width` bytes.
fn holds_vectors(row_group: &RowGroupMetaData, width: usize) -> bool {
    let [_, vectors] = row_group.columns() else { return false };
    let column = vectors.column_descr();
    column.name() == "vector"
        && column.physical_type() == Type::FIXED_LEN_BYTE_ARRAY
        && usize::try_from(column.type_length()).is_ok_and(|found| found == width && width > 0)
}
