//! Vectors in Parquet, as FixedSizeBinary: three to fifteen times as fast as lists of floats.
//!
//! In Python: `np.frombuffer(table["vector"].combine_chunks().buffers()[1], "<f4").reshape(n, dim)`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, FixedSizeBinaryArray, StringArray};
use arrow_buffer::Buffer;
use parquet::basic::Compression;

use super::columns::{self, Column, Table};
use crate::DataError;

/// Vectors with their ids.
///
/// # Shapes
/// `values`: `[ids.len(), dim]`
#[derive(Debug, Clone, PartialEq)]
pub struct VectorShard {
    /// The id of each row.
    pub ids: Vec<Option<String>>,
    /// Numbers per vector.
    pub dim: usize,
    /// The vectors, one after the other.
    pub values: Vec<f32>,
}

/// Writes vectors with `metadata` in the footer: `dtype`, `dim`, `model`, `pooling`, `normalized`.
///
/// # Errors
/// When the file cannot be written.
///
/// # Panics
/// When there are not `dim` numbers for each id: a bug of the caller.
pub fn write_vectors(path: &Path, shard: &VectorShard, metadata: &BTreeMap<String, String>) -> Result<(), DataError> {
    assert_eq!(shard.values.len(), shard.ids.len() * shard.dim, "BUG: a vector of {} numbers for each id", shard.dim);
    let failed = |error: arrow_schema::ArrowError| DataError::Parquet { path: path.to_owned(), source: error.into() };
    let words: Vec<u32> = shard.values.iter().map(|value| value.to_bits().to_le()).collect();
    let vectors =
        FixedSizeBinaryArray::try_new((shard.dim * 4) as i32, Buffer::from_vec(words), None).map_err(failed)?;
    let ids = StringArray::from_iter(shard.ids.iter().map(Option::as_deref));
    let columns = vec![
        Column { name: "id", is_nullable: true, values: Arc::new(ids) },
        Column { name: "vector", is_nullable: false, values: Arc::new(vectors) },
    ];
    columns::write(path, columns, metadata, Compression::UNCOMPRESSED)
}

/// Reads vectors.
///
/// # Errors
/// When the file is not a shard of vectors.
pub fn read_vectors(path: &Path) -> Result<VectorShard, DataError> {
    let table = Table::read(path, "vectors")?;
    let dim = table.metadata.get("dim").and_then(|dim| dim.parse().ok()).ok_or_else(|| table.wrong())?;
    let mut shard = VectorShard { ids: Vec::new(), dim, values: Vec::new() };
    for batch in &table.batches {
        let ids = table.texts(batch, "id")?;
        let vectors = table.column(batch, "vector", |array| array.as_fixed_size_binary_opt())?;
        if vectors.value_length() as usize != dim * 4 {
            return Err(table.wrong());
        }
        shard.ids.extend((0..ids.len()).map(|row_idx| columns::text(ids, row_idx)));
        let bytes = vectors.value_data().get(..vectors.len() * dim * 4).ok_or_else(|| table.wrong())?;
        shard.values.extend(bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)));
    }
    Ok(shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_back_bit_for_bit() {
        let shard = VectorShard {
            ids: vec![Some("a".into()), None],
            dim: 3,
            values: vec![1.0, -0.0, f32::MIN_POSITIVE, 1.0e-40, 3.5, f32::MAX],
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part-00000.parquet");
        let metadata = BTreeMap::from([("dim".to_owned(), "3".to_owned())]);
        write_vectors(&path, &shard, &metadata).unwrap();
        let read = read_vectors(&path).unwrap();
        assert_eq!(read, shard);
        assert!(read.values[1].is_sign_negative());
    }
}
