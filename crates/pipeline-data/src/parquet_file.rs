//! Parquet files of other tools: their columns by name, and cells of any type that holds texts or numbers.

use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelectionPolicy,
};
use parquet::basic::{Compression, ConvertedType, LogicalType, Type};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use crate::DataError;
use crate::vectors::malformed;

/// The bytes of a batch of rows, as far as their mean size says.
const BATCH_BYTES: u64 = 16 << 20;

/// The most rows of a batch.
const MAX_BATCH_ROWS: u64 = 4096;

/// A file whose footer was read.
#[derive(Debug, Clone)]
pub(crate) struct ParquetFile {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    n_rows: u64,
}

/// A leaf of the schema: the place of its values in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Its index among all leaves.
    index: usize,
    /// The names of the columns and fields to it, without those of lists.
    pub names: Vec<String>,
    /// Whether its values are text; otherwise they are bytes or numbers.
    pub is_text: bool,
    /// Whether its values are bytes, of text or not.
    pub has_bytes: bool,
    /// Whether a row has a list of values.
    pub is_list: bool,
}

impl ParquetFile {
    /// Reads the footer of a file.
    ///
    /// # Errors
    /// When it is no Parquet, or its footer contradicts itself.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        guarded(path, || {
            let file =
                pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
            // The types of the file itself: arrow's types beside them hold the same values.
            let options = ArrowReaderOptions::new()
                .with_skip_arrow_metadata(true)
                .with_offset_index_policy(PageIndexPolicy::Optional);
            let metadata = ArrowReaderMetadata::load(&file, options).map_err(|error| unreadable(path, error))?;
            let n_rows = n_rows(path, metadata.metadata())?;
            Ok(Self { path: path.to_owned(), metadata, n_rows })
        })
    }

    /// All leaves, in the order of the schema.
    pub fn leaves(&self) -> Vec<Leaf> {
        let leaves = self.metadata.parquet_schema().columns().iter().enumerate();
        let leaf = |(index, column): (usize, &parquet::schema::types::ColumnDescPtr)| {
            let is_text = matches!(column.logical_type_ref(), Some(LogicalType::String | LogicalType::Json))
                || matches!(column.converted_type(), ConvertedType::UTF8 | ConvertedType::JSON);
            Leaf {
                index,
                names: without_lists(column.path().parts()),
                is_text,
                has_bytes: matches!(column.physical_type(), Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY),
                is_list: column.max_rep_level() > 0,
            }
        };
        leaves.map(leaf).collect()
    }

    /// The names of the columns, and of the fields of structs as `column.field`.
    pub fn names(&self) -> Vec<String> {
        self.leaves().iter().map(|leaf| leaf.names.join(".")).collect()
    }

    /// The only leaf of a column with this name, or the field `column.field`.
    pub fn leaf(&self, name: &str) -> Option<Leaf> {
        let mut leaves = self.leaves();
        if let Some(exact) = leaves.iter().position(|leaf| leaf.names.join(".") == name) {
            return Some(leaves.swap_remove(exact));
        }
        let mut below = leaves.into_iter().filter(|leaf| leaf.names[0] == name);
        below.next().filter(|_| below.next().is_none())
    }

    /// The ranges of the rows of each row group.
    fn groups(&self) -> Vec<Range<u64>> {
        let mut end = 0;
        let groups = self.metadata.metadata().row_groups().iter();
        let range = |group: &parquet::file::metadata::RowGroupMetaData| {
            let begin = end;
            end += group.num_rows() as u64;
            begin..end
        };
        groups.map(range).collect()
    }

    /// The rows of a batch of these leaves.
    fn batch_rows(&self, leaves: &[&Leaf]) -> usize {
        let groups = self.metadata.metadata().row_groups();
        let bytes =
            groups.iter().flat_map(|group| leaves.iter().map(|leaf| group.column(leaf.index).uncompressed_size()));
        let n_bytes: u64 = bytes.map(|bytes| u64::try_from(bytes).unwrap_or(0)).fold(0, u64::saturating_add);
        let row_bytes = (n_bytes / self.n_rows.max(1)).max(1);
        usize::try_from((BATCH_BYTES / row_bytes).clamp(1, MAX_BATCH_ROWS)).expect("a small number")
    }

    /// Passes all rows to `each`, in batches with a column for each root of the leaves, until it breaks.
    ///
    /// # Errors
    /// When the file is damaged, and those of `each`.
    pub fn scan(
        &self,
        leaves: &[&Leaf],
        each: &mut dyn FnMut(&RecordBatch) -> Result<ControlFlow<()>, DataError>,
    ) -> Result<(), DataError> {
        guarded(&self.path, || {
            let mut n_read = 0;
            for batch in self
                .reader(leaves)?
                .with_batch_size(self.batch_rows(leaves))
                .build()
                .map_err(|error| self.unreadable(error))?
            {
                let batch = batch.map_err(|error| self.unreadable(error))?;
                n_read += batch.num_rows() as u64;
                if each(&batch)?.is_break() {
                    return Ok(());
                }
            }
            if n_read == self.n_rows {
                return Ok(());
            }
            Err(malformed(&self.path, format!("is damaged: {n_read} of {} rows can be read", self.n_rows)))
        })
    }

    /// Passes some rows, ascending and counted from 0, to `each`, in batches.
    ///
    /// # Errors
    /// As [`ParquetFile::scan`].
    pub fn pick(
        &self,
        leaf: &Leaf,
        rows: &[u64],
        each: &mut dyn FnMut(&RecordBatch) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        guarded(&self.path, || {
            let (mut groups, mut picked, mut n_before) = (Vec::new(), Vec::new(), 0);
            for (group, range) in self.groups().into_iter().enumerate() {
                let of_group = rows.iter().filter(|row| range.contains(row));
                let before = picked.len();
                picked.extend(of_group.map(|row| (row - range.start + n_before) as usize));
                if picked.len() > before {
                    groups.push(group);
                    n_before += range.end - range.start;
                }
            }
            let ranges = picked.iter().map(|row| *row..row + 1);
            let selection = RowSelection::from_consecutive_ranges(ranges, n_before as usize);
            let reader = self
                .reader(&[leaf])?
                .with_row_groups(groups)
                .with_row_selection_policy(RowSelectionPolicy::Selectors)
                .with_row_selection(selection)
                .with_batch_size(self.batch_rows(&[leaf]));
            for batch in reader.build().map_err(|error| self.unreadable(error))? {
                each(&batch.map_err(|error| self.unreadable(error))?)?;
            }
            Ok(())
        })
    }

    fn reader(&self, leaves: &[&Leaf]) -> Result<ParquetRecordBatchReaderBuilder<std::fs::File>, DataError> {
        let path = &self.path;
        let file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.clone(), source })?;
        let mask = ProjectionMask::leaves(self.metadata.parquet_schema(), leaves.iter().map(|leaf| leaf.index));
        must_be_unpacked(path, self.metadata.metadata(), &mask)?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        Ok(reader.with_projection(mask))
    }

    fn unreadable(&self, error: impl std::error::Error + Send + Sync + 'static) -> DataError {
        unreadable(&self.path, error)
    }
}

/// The names on the way to a leaf, without the levels that lists add.
fn without_lists(parts: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(part) = parts.get(at) {
        let is_list = at > 0 && matches!(part.as_str(), "list" | "bag" | "array") && parts.get(at + 1).is_some();
        let is_element = is_list && matches!(parts[at + 1].as_str(), "element" | "item" | "array_element");
        if is_element {
            at += 2;
            continue;
        }
        names.push(part.clone());
        at += 1;
    }
    names
}

/// The number of rows of a table, on which its footer and its row groups must agree.
pub(crate) fn n_rows(path: &Path, metadata: &ParquetMetaData) -> Result<u64, DataError> {
    let said = metadata.file_metadata().num_rows();
    let groups = metadata.row_groups().iter().map(|group| group.num_rows());
    let in_groups = groups.clone().try_fold(0_i64, i64::checked_add).filter(|_| groups.clone().all(|n| n >= 0));
    match u64::try_from(said) {
        Ok(n_rows) if in_groups == Some(said) => Ok(n_rows),
        _ => {
            let found = in_groups.map_or("an impossible number".to_owned(), |n_rows| n_rows.to_string());
            Err(malformed(path, format!("is damaged: its footer says {said} rows, its row groups have {found}")))
        }
    }
}

/// Refuses columns with an unsupported compression, and names the codec.
pub(crate) fn must_be_unpacked(
    path: &Path,
    metadata: &ParquetMetaData,
    mask: &ProjectionMask,
) -> Result<(), DataError> {
    let chunks = metadata.row_groups().iter().flat_map(|group| group.columns().iter().enumerate());
    let mut unknown =
        chunks.filter(|(leaf_idx, chunk)| mask.leaf_included(*leaf_idx) && chunk.compression() == Compression::LZO);
    match unknown.next() {
        Some(_) => Err(malformed(path, "is compressed with LZO, which is not read; write it with zstd or snappy")),
        None => Ok(()),
    }
}

/// The error for a file that the Parquet library cannot read.
pub(crate) fn unreadable(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> DataError {
    DataError::Table { path: path.to_owned(), source: Box::new(error) }
}

/// Runs a reader on an unchecked file: the Parquet library panics on some damaged files.
pub(crate) fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(malformed(path, "is damaged: its reader broke down")))
}
