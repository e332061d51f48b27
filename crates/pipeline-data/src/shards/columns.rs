//! Reads and writes columns of record batches in Parquet files; the only module that names arrow's readers and writers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray};
use arrow_schema::{ArrowError, Field, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::FileReader as _;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::SchemaDescriptor;

use crate::DataError;

/// Rows per row group: more than any shard has, so that a shard is one row group.
pub(super) const ROW_GROUP_ROWS: usize = 1 << 20;

/// A column to write.
pub(crate) struct Column {
    pub name: &'static str,
    pub is_nullable: bool,
    pub values: ArrayRef,
}

/// Writes one record batch with `metadata` in the file's footer.
pub(crate) fn write(
    path: &Path,
    columns: Vec<Column>,
    metadata: &BTreeMap<String, String>,
    compression: Compression,
) -> Result<(), DataError> {
    let file = File::create(path).map_err(|source| DataError::Write { path: path.to_owned(), source })?;
    write_to(file, path, columns, metadata, compression).map(drop)
}

/// Writes record batches of the same columns, each as a row group.
pub(crate) struct ColumnsWriter<'a> {
    path: &'a Path,
    properties: WriterProperties,
    /// Begins with the first row group.
    writer: Option<ArrowWriter<File>>,
}

impl<'a> ColumnsWriter<'a> {
    /// A file with `metadata` in its footer, which is created with its first row group.
    pub fn new(path: &'a Path, metadata: &BTreeMap<String, String>, compression: Compression) -> Self {
        Self { path, properties: properties(metadata, compression), writer: None }
    }

    /// Writes a row group, which may be empty.
    pub fn write_group(&mut self, columns: Vec<Column>) -> Result<(), DataError> {
        let batch = batch(columns).map_err(|error| self.failed(error.into()))?;
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let created = File::create(self.path);
                let file = created.map_err(|source| DataError::Write { path: self.path.to_owned(), source })?;
                let properties = Some(self.properties.clone());
                ArrowWriter::try_new(file, batch.schema(), properties).map_err(|error| self.failed(error.into()))?
            }
        };
        writer.write(&batch).and_then(|()| writer.flush()).map_err(|error| self.failed(error.into()))?;
        self.writer = Some(writer);
        Ok(())
    }

    /// Writes the footer.
    ///
    /// # Panics
    /// When there is no row group: a bug of the caller.
    pub fn close(mut self) -> Result<(), DataError> {
        let writer = self.writer.take().expect("BUG: a file has a row group");
        writer.close().map(drop).map_err(|error| self.failed(error.into()))
    }

    fn failed(&self, source: Box<dyn std::error::Error + Send + Sync>) -> DataError {
        DataError::of_parquet(self.path, source)
    }
}

fn batch(columns: Vec<Column>) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|column| Field::new(column.name, column.values.data_type().clone(), column.is_nullable))
        .collect();
    let values = columns.into_iter().map(|column| column.values).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), values)
}

/// Writes one record batch to `file`, named `path` in errors; returns the metadata of the file's footer.
pub(super) fn write_to(
    file: impl Write + Send,
    path: &Path,
    columns: Vec<Column>,
    metadata: &BTreeMap<String, String>,
    compression: Compression,
) -> Result<ParquetMetaData, DataError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| DataError::of_parquet(path, source);
    let batch = batch(columns).map_err(|error| failed(error.into()))?;
    let properties = Some(properties(metadata, compression));
    let mut writer = ArrowWriter::try_new(file, batch.schema(), properties).map_err(|error| failed(error.into()))?;
    writer.write(&batch).map_err(|error| failed(error.into()))?;
    writer.close().map_err(|error| failed(error.into()))
}

/// The writer's settings for every shard.
pub(super) fn properties(metadata: &BTreeMap<String, String>, compression: Compression) -> WriterProperties {
    let pairs = metadata.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone())).collect();
    WriterProperties::builder()
        .set_created_by("pipeline".to_owned())
        .set_compression(compression)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_key_value_metadata(Some(pairs))
        .build()
}

/// The metadata of a shard, from its footer alone.
pub(super) fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>, DataError> {
    let reader = footer(path)?;
    let pairs = reader.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    Ok(pairs.filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?))).collect())
}

/// The number of rows of a shard, from its footer alone.
///
/// # Errors
/// When the file is not Parquet.
pub fn count_rows(path: &Path) -> Result<u64, DataError> {
    Ok(footer(path)?.metadata().file_metadata().num_rows().unsigned_abs())
}

/// The number of row groups of a shard, from its footer alone.
pub(super) fn count_groups(path: &Path) -> Result<usize, DataError> {
    Ok(footer(path)?.metadata().num_row_groups())
}

fn footer(path: &Path) -> Result<SerializedFileReader<File>, DataError> {
    let file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    SerializedFileReader::new(file).map_err(|error| DataError::Parquet { path: path.to_owned(), source: error.into() })
}

/// A Parquet file that has been read.
pub(super) struct Table<'a> {
    path: &'a Path,
    expected: &'static str,
    pub batches: Vec<RecordBatch>,
    pub metadata: BTreeMap<String, String>,
}

impl<'a> Table<'a> {
    /// Reads a whole shard of the kind `expected`.
    pub fn read(path: &'a Path, expected: &'static str) -> Result<Self, DataError> {
        Self::read_some(path, expected, &|_| ProjectionMask::all(), None)
    }

    /// Reads one row group of a shard of the kind `expected`.
    pub fn read_group(path: &'a Path, expected: &'static str, group_idx: usize) -> Result<Self, DataError> {
        Self::read_some(path, expected, &|_| ProjectionMask::all(), Some(group_idx))
    }

    /// Reads the columns with these names, as far as they exist.
    pub fn read_columns(path: &'a Path, expected: &'static str, names: &[&str]) -> Result<Self, DataError> {
        Self::read_some(path, expected, &|schema| ProjectionMask::columns(schema, names.iter().copied()), None)
    }

    fn read_some(
        path: &'a Path,
        expected: &'static str,
        wanted: &dyn Fn(&SchemaDescriptor) -> ProjectionMask,
        group_idx: Option<usize>,
    ) -> Result<Self, DataError> {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| DataError::Parquet { path: path.to_owned(), source };
        let file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed(error.into()))?;
        let pairs = builder.metadata().file_metadata().key_value_metadata();
        let metadata =
            pairs.into_iter().flatten().filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?))).collect();
        let wanted = wanted(builder.parquet_schema());
        let builder = match group_idx {
            Some(group_idx) => builder.with_row_groups(vec![group_idx]),
            None => builder,
        };
        let reader = builder
            .with_projection(wanted)
            .with_batch_size(ROW_GROUP_ROWS)
            .build()
            .map_err(|error| failed(error.into()))?;
        let batches = reader.collect::<Result<_, _>>().map_err(|error| failed(error.into()))?;
        Ok(Self { path, expected, batches, metadata })
    }

    /// A column of a batch, cast to an array by `cast`.
    pub fn column<'b, A>(
        &self,
        batch: &'b RecordBatch,
        name: &str,
        cast: impl Fn(&'b ArrayRef) -> Option<&'b A>,
    ) -> Result<&'b A, DataError> {
        batch.column_by_name(name).and_then(cast).ok_or_else(|| self.wrong())
    }

    /// A column of texts.
    pub fn texts<'b>(&self, batch: &'b RecordBatch, name: &str) -> Result<&'b StringArray, DataError> {
        self.column(batch, name, |array| array.as_string_opt::<i32>())
    }

    /// A column of lists.
    pub fn lists<'b>(&self, batch: &'b RecordBatch, name: &str) -> Result<&'b ListArray, DataError> {
        self.column(batch, name, |array| array.as_list_opt::<i32>())
    }

    /// The texts of one list.
    pub fn list_of_texts(&self, lists: &ListArray, row_idx: usize) -> Result<Vec<String>, DataError> {
        let values = lists.value(row_idx);
        let texts = values.as_string_opt::<i32>().ok_or_else(|| self.wrong())?;
        Ok(texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
    }

    /// The error for a shard of another kind.
    pub fn wrong(&self) -> DataError {
        DataError::Schema { path: self.path.to_owned(), expected: self.expected }
    }
}

/// The text of a row, `None` where it is null.
pub(super) fn text(texts: &StringArray, row_idx: usize) -> Option<String> {
    texts.is_valid(row_idx).then(|| texts.value(row_idx).to_owned())
}

/// Builds a column of lists of texts.
pub(super) fn lists_of_texts<'a>(rows: impl Iterator<Item = Option<&'a [String]>>) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in rows {
        for text in row.into_iter().flatten() {
            builder.values().append_value(text);
        }
        builder.append(row.is_some());
    }
    Arc::new(builder.finish())
}
