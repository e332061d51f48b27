//! Writes vectors directly from memory: the file is assembled from pieces.
//!
//! The bytes are those of the parquet crate's own writer for arrow, which copies every vector three times.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::StringArray;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding, PageType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, OffsetIndexBuilder, PageEncodingStats, ParquetMetaData, ParquetMetaDataBuilder,
    ParquetMetaDataWriter, RowGroupMetaData, page_index::PageIndexBuilder,
};
use parquet::file::writer::TrackedWrite;
use parquet::schema::types::ColumnDescPtr;

use super::VectorShard;
use super::hashed;
use super::pages;
use crate::DataError;
use crate::shards::bytes;
use crate::shards::columns::{self, Column};
use crate::shards::plain_pages;

const MAGIC: &[u8] = b"PAR1";

/// Writes vectors with at least one row and one number each; returns the BLAKE3 digest of the file.
pub(super) fn write(
    path: &Path,
    shard: &VectorShard,
    metadata: &BTreeMap<String, String>,
) -> Result<[u8; 32], DataError> {
    let failed = |source: ParquetError| DataError::of_parquet(path, source.into());
    let values = bytes::of(&shard.values);
    let ids = ids(path, shard)?;
    let layout = Layout::new(shard, ids.start.len());
    let mut pieces: Vec<&[u8]> = vec![&ids.start];
    let mut rest = values.as_ref();
    for page in &layout.pages {
        let (page_values, after) = rest.split_at(page.n_bytes);
        pieces.extend([page.header.as_slice(), page_values]);
        rest = after;
    }
    let metadata = file_metadata(shard, &ids, &layout, metadata).map_err(failed)?;
    let footer = footer(&pieces, &metadata).map_err(failed)?;
    pieces.push(&footer);
    hashed::write(path, &pieces).map_err(|source| DataError::Write { path: path.to_owned(), source })
}

/// The column of ids, as the beginning of a file without other columns.
struct Ids {
    start: Vec<u8>,
    metadata: ParquetMetaData,
}

fn ids(path: &Path, shard: &VectorShard) -> Result<Ids, DataError> {
    let ids = StringArray::from_iter(shard.ids.iter().map(Option::as_deref));
    let column = Column { name: "id", is_nullable: true, values: Arc::new(ids) };
    let mut start = Vec::new();
    let metadata = columns::write_to(&mut start, path, vec![column], &BTreeMap::new(), Compression::UNCOMPRESSED)?;
    start.truncate(MAGIC.len() + metadata.row_group(0).column(0).compressed_size() as usize);
    Ok(Ids { start, metadata })
}

/// The position of the pages of vectors.
struct Layout {
    pages: Vec<Page>,
    /// The offset of the first page in the file.
    offset: usize,
    /// The bytes of all pages with their headers.
    n_bytes: usize,
}

struct Page {
    header: Vec<u8>,
    n_rows: usize,
    n_bytes: usize,
}

impl Layout {
    fn new(shard: &VectorShard, offset: usize) -> Self {
        let width = shard.dim * 4;
        let pages: Vec<Page> = pages::rows_by_page(shard.ids.len(), width)
            .into_iter()
            .map(|n_rows| Page { header: plain_pages::header(n_rows, n_rows * width), n_rows, n_bytes: n_rows * width })
            .collect();
        let n_bytes = pages.iter().map(|page| page.header.len() + page.n_bytes).sum();
        Self { pages, offset, n_bytes }
    }

    fn column(&self, column: ColumnDescPtr, n_rows: usize) -> Result<ColumnChunkMetaData, ParquetError> {
        let plain_pages = PageEncodingStats {
            page_type: PageType::DATA_PAGE,
            encoding: Encoding::PLAIN,
            count: self.pages.len() as i32,
        };
        ColumnChunkMetaData::builder(column)
            .set_compression(Compression::UNCOMPRESSED)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
            .set_page_encoding_stats(vec![plain_pages])
            .set_total_compressed_size(self.n_bytes as i64)
            .set_total_uncompressed_size(self.n_bytes as i64)
            .set_num_values(n_rows as i64)
            .set_data_page_offset(self.offset as i64)
            .build()
    }

    fn index(&self) -> OffsetIndexBuilder {
        let (mut index, mut offset) = (OffsetIndexBuilder::new(), self.offset);
        for page in &self.pages {
            let n_bytes = page.header.len() + page.n_bytes;
            index.append_offset_and_size(offset as i64, n_bytes as i32);
            index.append_row_count(page.n_rows as i64);
            offset += n_bytes;
        }
        index
    }
}

/// The metadata of the file: its columns and their positions.
fn file_metadata(
    shard: &VectorShard,
    ids: &Ids,
    layout: &Layout,
    metadata: &BTreeMap<String, String>,
) -> Result<ParquetMetaData, ParquetError> {
    let n_rows = shard.ids.len();
    let schema = Schema::new(vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("vector", DataType::FixedSizeBinary((shard.dim * 4) as i32), false),
    ]);
    let mut properties = columns::properties(metadata, Compression::UNCOMPRESSED);
    add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
    let columns = Arc::new(ArrowSchemaConverter::new().convert(&schema)?);
    let row_group = RowGroupMetaData::builder(columns.clone())
        .add_column_metadata(ids.metadata.row_group(0).column(0).clone())
        .add_column_metadata(layout.column(columns.column(1), n_rows)?)
        .set_num_rows(n_rows as i64)
        .set_total_byte_size((ids.start.len() - MAGIC.len() + layout.n_bytes) as i64)
        .set_ordinal(0)
        .set_file_offset(MAGIC.len() as i64)
        .build()?;
    let mut index = PageIndexBuilder::new(1, 2);
    let of_ids = ids.metadata.page_index_for_row_group(0);
    of_ids.offset_index(0).into_iter().for_each(|of_ids| index.put_offset_index(of_ids.clone(), 0, 0));
    index.put_offset_index(layout.index().build(), 0, 1);
    let pairs = properties.key_value_metadata().cloned();
    let version = properties.writer_version().as_num();
    let created_by = Some(properties.created_by().to_owned());
    let file = FileMetaData::new(version, n_rows as i64, created_by, pairs, columns, None);
    Ok(ParquetMetaDataBuilder::new(file).add_row_group(row_group).set_page_index(Some(Arc::new(index.build()))).build())
}

/// The footer after the pieces `before`.
fn footer(before: &[&[u8]], metadata: &ParquetMetaData) -> Result<Vec<u8>, ParquetError> {
    let mut footer = Footer { n_before: before.iter().map(|piece| piece.len()).sum(), bytes: Vec::new() };
    let mut file = TrackedWrite::new(&mut footer);
    // The footer contains offsets, so its writer must have seen all bytes before.
    before.iter().try_for_each(|piece| file.write_all(piece))?;
    ParquetMetaDataWriter::new_with_tracked(file, metadata).finish()?;
    Ok(footer.bytes)
}

/// A writer that takes a whole file and keeps its end.
struct Footer {
    /// Bytes that are still to be skipped.
    n_before: usize,
    bytes: Vec<u8>,
}

impl Write for Footer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_before = self.n_before.min(bytes.len());
        self.n_before -= n_before;
        self.bytes.extend_from_slice(&bytes[n_before..]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
