//! Vectors in Parquet, as FixedSizeBinary: three to fifteen times as fast as lists of floats.
//!
//! In Python: `np.frombuffer(table["vector"].combine_chunks().buffers()[1], "<f4").reshape(n, dim)`.

mod hashed;
mod pages;
mod read;
mod stored;
mod write;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, FixedSizeBinaryArray, StringArray};
use arrow_buffer::Buffer;
use parquet::basic::Compression;

use super::bytes;
use super::columns::{self, Column, Table};
use crate::DataError;
use read::Vectors;
pub use stored::StoredVectors;

/// Vectors with their ids.
///
/// # Shapes
/// `values`: `[ids.len(), dim]`
#[derive(Debug, Clone, PartialEq)]
pub struct VectorShard {
    /// The id of each row.
    pub ids: Vec<Option<String>>,
    /// The number of values per vector.
    pub dim: usize,
    /// The vectors, one after the other.
    pub values: Vec<f32>,
}

/// Writes vectors with `metadata` in the footer: `dtype`, `dim`, `model`, `pooling`, `normalized`.
///
/// Returns the BLAKE3 digest of the file.
///
/// # Errors
/// When the file cannot be written.
///
/// # Panics
/// When `values` does not have `dim` numbers for each id: a bug of the caller.
pub fn write_vectors(
    path: &Path,
    shard: &VectorShard,
    metadata: &BTreeMap<String, String>,
) -> Result<[u8; 32], DataError> {
    assert_eq!(shard.values.len(), shard.ids.len() * shard.dim, "BUG: a vector of {} numbers for each id", shard.dim);
    // A column without rows has no pages, and a file with more rows than a row group has several.
    if shard.values.is_empty() || shard.ids.len() > columns::ROW_GROUP_ROWS {
        let mut file = Vec::new();
        write_with_arrow(&mut file, path, shard, metadata)?;
        std::fs::write(path, &file).map_err(|source| DataError::Write { path: path.to_owned(), source })?;
        return Ok(*blake3::hash(&file).as_bytes());
    }
    write::write(path, shard, metadata)
}

/// Writes vectors like any other columns.
fn write_with_arrow(
    file: impl Write + Send,
    path: &Path,
    shard: &VectorShard,
    metadata: &BTreeMap<String, String>,
) -> Result<(), DataError> {
    let failed = |error: arrow_schema::ArrowError| DataError::of_parquet(path, error.into());
    let values = Buffer::from_vec(bytes::of(&shard.values).into_owned());
    let vectors = FixedSizeBinaryArray::try_new_with_len((shard.dim * 4) as i32, values, None, shard.ids.len())
        .map_err(failed)?;
    let ids = StringArray::from_iter(shard.ids.iter().map(Option::as_deref));
    let columns = vec![
        Column { name: "id", is_nullable: true, values: Arc::new(ids) },
        Column { name: "vector", is_nullable: false, values: Arc::new(vectors) },
    ];
    columns::write_to(file, path, columns, metadata, Compression::UNCOMPRESSED).map(drop)
}

/// Reads vectors.
///
/// # Errors
/// When the file is not a shard of vectors.
pub fn read_vectors(path: &Path) -> Result<VectorShard, DataError> {
    read_all_vectors(&[path])
}

/// Reads the vectors of several shards, one after the other; `dim` is 0 when there are no shards.
///
/// # Errors
/// When a file is not a shard of vectors, or its vectors have another width than those before it.
pub fn read_all_vectors<P: AsRef<Path>>(paths: &[P]) -> Result<VectorShard, DataError> {
    let mut ids = Vec::new();
    let mut shards = Vec::with_capacity(paths.len());
    for path in paths {
        let (path, table) = (path.as_ref(), Table::read_columns(path.as_ref(), "vectors", &["id"])?);
        let dim = dim_of(&table)?;
        if shards.first().is_some_and(|(_, first, _)| *first != dim) {
            return Err(table.wrong());
        }
        let n_before = ids.len();
        ids_of(&table, &mut ids)?;
        shards.push((path, dim, ids.len() - n_before));
    }
    let dim = shards.first().map_or(0, |(_, dim, _)| *dim);
    let mut values = bytes::zeros(ids.len() * dim);
    let mut rest = values.as_mut_slice();
    for (path, dim, n_rows) in shards {
        let (part, after) = rest.split_at_mut(n_rows * dim);
        match Vectors::find(path, dim)? {
            Some(vectors) if vectors.n_rows() == n_rows => vectors.read_into(path, part)?,
            _ => read_with_arrow(path, dim, part)?,
        }
        rest = after;
    }
    Ok(VectorShard { ids, dim, values })
}

fn dim_of(table: &Table<'_>) -> Result<usize, DataError> {
    table.metadata.get("dim").and_then(|dim| dim.parse().ok()).ok_or_else(|| table.wrong())
}

/// Adds the ids of a shard.
fn ids_of(table: &Table<'_>, ids: &mut Vec<Option<String>>) -> Result<(), DataError> {
    for batch in &table.batches {
        let column = table.texts(batch, "id")?;
        ids.extend((0..column.len()).map(|row_idx| columns::text(column, row_idx)));
    }
    Ok(())
}

/// Reads vectors like any other columns.
///
/// # Shapes
/// `values`: `[n_rows, dim]`
fn read_with_arrow(path: &Path, dim: usize, values: &mut [f32]) -> Result<(), DataError> {
    let table = Table::read_columns(path, "vectors", &["vector"])?;
    let mut rest = values;
    for batch in &table.batches {
        let vectors = table.column(batch, "vector", |array| array.as_fixed_size_binary_opt())?;
        let n_values = vectors.len() * dim;
        if vectors.value_length() as usize != dim * 4 || n_values > rest.len() {
            return Err(table.wrong());
        }
        let (part, after) = rest.split_at_mut(n_values);
        let bytes = vectors.value_data().get(..n_values * 4).ok_or_else(|| table.wrong())?;
        bytes::fill(part, |part| part.copy_from_slice(bytes));
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(table.wrong()) }
}

#[cfg(test)]
mod tests;
