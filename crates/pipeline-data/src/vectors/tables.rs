//! Vectors and ids in Parquet tables of other tools, and vectors as lists for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};

use super::{malformed, wrong_row};
use crate::shards::{Column, write_columns};
use crate::{DataError, VectorShard};

/// Rows that are converted at once.
const BATCH_ROWS: usize = 8192;

/// Reads a column of vectors with its ids: lists of any kind of floats, or fixed-size binaries of little-endian `f32`.
///
/// # Errors
/// When the file cannot be read, has no such columns, or they hold something else.
pub fn read_table_vectors(path: &Path, id_column: &str, vector_column: &str) -> Result<VectorShard, DataError> {
    guarded(path, || {
        let mut vectors = VectorShard { ids: Vec::new(), dim: 0, values: Vec::new() };
        for batch in batches(path, &[id_column, vector_column])? {
            let batch = batch?;
            let n_before = vectors.ids.len();
            texts(path, &batch, id_column, &mut vectors.ids)?;
            extend(path, column(&batch, vector_column), n_before, &mut vectors)?;
        }
        Ok(vectors)
    })
}

/// Reads a column of texts or integers.
///
/// # Errors
/// When the file cannot be read, has no such column, or it holds something else.
pub fn read_table_texts(path: &Path, text_column: &str) -> Result<Vec<Option<String>>, DataError> {
    guarded(path, || {
        let mut ids = Vec::new();
        for batch in batches(path, &[text_column])? {
            texts(path, &batch?, text_column, &mut ids)?;
        }
        Ok(ids)
    })
}

/// Writes the columns `id` and `vector`, the latter as lists of `f32`, which every reader of Parquet understands.
///
/// # Errors
/// When the file cannot be written.
pub fn write_list_vectors(path: &Path, vectors: &VectorShard) -> Result<(), DataError> {
    let ids = StringArray::from_iter(vectors.ids.iter().map(Option::as_deref));
    let mut lists = ListBuilder::new(Float32Builder::new());
    for vector in vectors.values.chunks_exact(vectors.dim.max(1)) {
        lists.values().append_slice(vector);
        lists.append(true);
    }
    let columns = vec![
        Column { name: "id", is_nullable: true, values: Arc::new(ids) },
        Column { name: "vector", is_nullable: false, values: Arc::new(lists.finish()) },
    ];
    write_columns(
        path,
        columns,
        &[("dim".to_owned(), vectors.dim.to_string())].into(),
        Compression::ZSTD(ZstdLevel::default()),
    )
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, DataError>>>;

/// The batches of a table with only the named columns, all of which are there.
fn batches(path: &Path, names: &[&str]) -> Result<Batches, DataError> {
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| DataError::Parquet { path: path.to_owned(), source };
    let file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed(error.into()))?;
    let fields = builder.schema().fields();
    for name in names {
        if fields.find(name).is_none() {
            let known: Vec<_> = fields.iter().map(|field| format!("`{}`", field.name())).collect();
            return Err(malformed(path, format!("has no column `{name}`, but {}", known.join(", "))));
        }
    }
    let roots = fields.iter().enumerate().filter(|(_, field)| names.contains(&field.name().as_str()));
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.map(|(idx, _)| idx).collect::<Vec<_>>());
    let reader = builder.with_batch_size(BATCH_ROWS).with_projection(mask).build();
    let reader = reader.map_err(|error| failed(error.into()))?;
    let path = path.to_owned();
    Ok(Box::new(
        reader.map(move |batch| batch.map_err(|error| DataError::Parquet { path: path.clone(), source: error.into() })),
    ))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch.column_by_name(name).expect("the column was found in the schema")
}

/// Runs a reader of a file that nobody has checked: on some damaged files the Parquet library panics.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(malformed(path, "is damaged: its reader broke down")))
}

/// Adds a column of texts or integers to `ids`.
fn texts(path: &Path, batch: &RecordBatch, name: &str, ids: &mut Vec<Option<String>>) -> Result<(), DataError> {
    let array = column(batch, name);
    macro_rules! extend {
        ($array:expr) => {
            ids.extend($array.iter().map(|value| value.map(|value| value.to_string())))
        };
    }
    match array.data_type() {
        DataType::Utf8 => extend!(array.as_string::<i32>()),
        DataType::LargeUtf8 => extend!(array.as_string::<i64>()),
        DataType::Utf8View => extend!(array.as_string_view()),
        DataType::Int32 => extend!(array.as_primitive::<arrow_array::types::Int32Type>()),
        DataType::Int64 => extend!(array.as_primitive::<arrow_array::types::Int64Type>()),
        DataType::UInt32 => extend!(array.as_primitive::<arrow_array::types::UInt32Type>()),
        DataType::UInt64 => extend!(array.as_primitive::<arrow_array::types::UInt64Type>()),
        other => {
            return Err(malformed(path, format!("has a column `{name}` of type {other}, not of texts or integers")));
        }
    }
    Ok(())
}

/// Adds a column of vectors to those of the `n_before` rows before it.
fn extend(path: &Path, array: &ArrayRef, n_before: usize, vectors: &mut VectorShard) -> Result<(), DataError> {
    for row_idx in 0..array.len() {
        let number = (n_before + row_idx) as u64 + 1;
        if array.is_null(row_idx) {
            return Err(wrong_row(path, number, "has no vector"));
        }
        let n_values = vectors.values.len();
        append(array, row_idx, &mut vectors.values)
            .map_err(|what| malformed(path, format!("has vectors of {what}, not lists of floats")))?;
        let width = vectors.values.len() - n_values;
        if number == 1 {
            vectors.dim = width;
        } else if width != vectors.dim {
            let problem = format!("has a vector of {width} numbers, and the rows before have {}", vectors.dim);
            return Err(wrong_row(path, number, problem));
        }
    }
    Ok(())
}

/// Adds the numbers of one row; the error tells the column's type.
fn append(array: &ArrayRef, row_idx: usize, out: &mut Vec<f32>) -> Result<(), String> {
    let list = match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value(row_idx),
        DataType::LargeList(_) => array.as_list::<i64>().value(row_idx),
        DataType::FixedSizeList(..) => array.as_fixed_size_list().value(row_idx),
        DataType::FixedSizeBinary(width) if width % 4 == 0 => {
            let bytes = array.as_fixed_size_binary().value(row_idx);
            out.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            return Ok(());
        }
        other => return Err(format!("type {other}")),
    };
    match list.data_type() {
        DataType::Float16 => numbers::<Float16Type>(&list, out, |value| value.to_f32()),
        DataType::Float32 => numbers::<Float32Type>(&list, out, |value| value),
        DataType::Float64 => numbers::<Float64Type>(&list, out, |value| value as f32),
        other => return Err(format!("lists of type {other}")),
    }
    Ok(())
}

/// Adds a list; what is null becomes NaN, which nobody takes for a number.
fn numbers<T: ArrowPrimitiveType>(list: &ArrayRef, out: &mut Vec<f32>, convert: fn(T::Native) -> f32) {
    out.extend(list.as_primitive::<T>().iter().map(|value| value.map_or(f32::NAN, convert)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shards::write_vectors;

    fn vectors() -> VectorShard {
        VectorShard { ids: vec![Some("a".into()), None], dim: 2, values: vec![1.0, -0.5, f32::MAX, 1e-40] }
    }

    #[test]
    fn lists_and_shards_of_the_store_come_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write_list_vectors(&path, &vectors()).unwrap();
        assert_eq!(read_table_vectors(&path, "id", "vector").unwrap(), vectors());
        write_vectors(&path, &vectors(), &[("dim".to_owned(), "2".to_owned())].into()).unwrap();
        assert_eq!(read_table_vectors(&path, "id", "vector").unwrap(), vectors());
        assert_eq!(read_table_texts(&path, "id").unwrap(), vectors().ids);
    }

    #[test]
    fn a_column_that_is_missing_or_of_another_type_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write_list_vectors(&path, &vectors()).unwrap();
        let refused = |id, vector| {
            read_table_vectors(&path, id, vector).unwrap_err().to_string().replace(path.to_str().unwrap(), "x")
        };
        assert_eq!(refused("image_path", "vector"), "`x` has no column `image_path`, but `id`, `vector`");
        assert!(
            refused("vector", "vector").contains("has a column `vector` of type List"),
            "{}",
            refused("vector", "vector")
        );
        assert_eq!(refused("id", "id"), "`x` has vectors of type Utf8, not lists of floats");
    }

    #[test]
    fn a_damaged_file_is_an_error_or_other_vectors_and_never_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write_list_vectors(&path, &vectors()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_table_vectors(&path, "id", "vector").is_ok()
        };
        let n_refused = (0..bytes.len()).filter(|place| {
            let mut damaged = bytes.clone();
            damaged[*place] ^= 1 << (place % 8);
            !read(&damaged)
        });
        assert!(n_refused.count() > 0);
        assert!((0..bytes.len()).all(|length| !read(&bytes[..length])));
    }
}
