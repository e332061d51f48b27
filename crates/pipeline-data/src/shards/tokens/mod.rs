//! The vectors of all tokens of texts or images in Parquet: a row for each text or image, its vectors one binary value.
//!
//! In Python: `np.frombuffer(row["tokens"], "<f4").reshape(row["n_tokens"], dim)`, or `"<f2"` in half precision.

mod stored;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{BinaryArray, StringArray, UInt32Array};
use arrow_buffer::{Buffer, OffsetBuffer};
use parquet::basic::Compression;
use pipeline_kernels::{TokenMatrix, TokenNumbers};

use super::bytes;
use super::columns::{self, Column, ColumnsWriter, Table};
use crate::DataError;
pub use stored::StoredTokens;

/// A row group ends once it has this many bytes of vectors: readers hold one at a time.
const GROUP_BYTES: usize = 16 << 20;

const EXPECTED: &str = "token vectors";

/// Token vectors with the ids of their rows.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenShard {
    /// The id of each row.
    pub ids: Vec<Option<String>>,
    /// The vectors of each row's tokens.
    pub tokens: TokenMatrix,
}

/// Writes token vectors with `metadata` in the footer, beside the number type `dtype` (`f32` or `f16`) and the width
/// `dim`, which it adds.
///
/// # Errors
/// When the file cannot be written.
///
/// # Panics
/// When there is not one id for each row: a bug of the caller.
pub fn write_tokens(path: &Path, shard: &TokenShard, metadata: &BTreeMap<String, String>) -> Result<(), DataError> {
    let TokenShard { ids, tokens } = shard;
    assert_eq!(ids.len(), tokens.n_rows(), "BUG: an id for each row of tokens");
    let mut metadata = metadata.clone();
    let is_half = matches!(tokens.numbers(), TokenNumbers::Half(_));
    metadata.insert("dtype".to_owned(), dtype(is_half).to_owned());
    metadata.insert("dim".to_owned(), tokens.width().to_string());
    let n_bytes = |row_idx: usize| tokens.n_tokens(row_idx) * tokens.width() * number_bytes(is_half);
    let mut first_token = 0;
    let mut writer = ColumnsWriter::new(path, &metadata, Compression::UNCOMPRESSED);
    for rows in groups(tokens.n_rows(), &n_bytes) {
        let n_tokens = rows.clone().map(|row_idx| tokens.n_tokens(row_idx)).sum::<usize>();
        let numbers = first_token * tokens.width()..(first_token + n_tokens) * tokens.width();
        first_token += n_tokens;
        let offsets = OffsetBuffer::from_lengths(rows.clone().map(n_bytes));
        let values = BinaryArray::new(offsets, Buffer::from_vec(to_bytes(tokens.numbers(), numbers)), None);
        let counts = UInt32Array::from_iter_values(rows.clone().map(|row_idx| tokens.n_tokens(row_idx) as u32));
        writer.write_group(vec![
            Column {
                name: "id",
                is_nullable: true,
                values: Arc::new(StringArray::from_iter(ids[rows].iter().map(Option::as_deref))),
            },
            Column { name: "n_tokens", is_nullable: false, values: Arc::new(counts) },
            Column { name: "tokens", is_nullable: false, values: Arc::new(values) },
        ])?;
    }
    writer.close()
}

/// Reads token vectors, a part of the rows at a time.
///
/// `each` receives the parts in order. No more than one of them is in memory: some 16 MiB, or a single row.
///
/// # Errors
/// When the file is not a shard of token vectors, or the first error of `each`.
pub fn read_token_parts<E: From<DataError>>(
    path: &Path,
    mut each: impl FnMut(TokenShard) -> Result<(), E>,
) -> Result<(), E> {
    for group_idx in 0..columns::count_groups(path)? {
        each(read_group(&Table::read_group(path, EXPECTED, group_idx)?)?)?;
    }
    Ok(())
}

/// The width of the vectors of a shard, and whether they are in half precision.
fn width_of(table: &Table<'_>) -> Result<(usize, bool), DataError> {
    let text = |name: &str| table.metadata.get(name).ok_or_else(|| table.wrong());
    let width: usize = text("dim")?.parse().map_err(|_| table.wrong())?;
    match text("dtype")?.as_str() {
        "f32" => Ok((width, false)),
        "f16" => Ok((width, true)),
        _ => Err(table.wrong()),
    }
}

fn read_group(table: &Table<'_>) -> Result<TokenShard, DataError> {
    let (width, is_half) = width_of(table)?;
    let (mut ids, mut n_tokens, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for batch in &table.batches {
        let texts = table.texts(batch, "id")?;
        let counts = table.column(batch, "n_tokens", |array| array.as_primitive_opt::<UInt32Type>())?;
        let values = table.column(batch, "tokens", |array| array.as_binary_opt::<i32>())?;
        for row_idx in 0..batch.num_rows() {
            let (count, value) = (counts.value(row_idx) as usize, values.value(row_idx));
            if value.len() != count * width * number_bytes(is_half) {
                return Err(table.wrong());
            }
            ids.push(columns::text(texts, row_idx));
            n_tokens.push(count);
            bytes.extend_from_slice(value);
        }
    }
    Ok(TokenShard { ids, tokens: TokenMatrix::new(width, n_tokens, of_bytes(&bytes, is_half)) })
}

fn dtype(is_half: bool) -> &'static str {
    if is_half { "f16" } else { "f32" }
}

fn number_bytes(is_half: bool) -> usize {
    if is_half { 2 } else { 4 }
}

/// The rows of each row group.
fn groups(n_rows: usize, n_bytes: &dyn Fn(usize) -> usize) -> Vec<Range<usize>> {
    let (mut groups, mut start, mut bytes) = (Vec::new(), 0, 0);
    for row_idx in 0..n_rows {
        bytes += n_bytes(row_idx);
        if bytes >= GROUP_BYTES {
            groups.push(start..row_idx + 1);
            (start, bytes) = (row_idx + 1, 0);
        }
    }
    if start < n_rows || groups.is_empty() {
        groups.push(start..n_rows);
    }
    groups
}

fn to_bytes(numbers: &TokenNumbers, range: Range<usize>) -> Vec<u8> {
    match numbers {
        TokenNumbers::Single(values) => bytes::of(&values[range]).into_owned(),
        TokenNumbers::Half(bits) => bits[range].iter().flat_map(|bits| bits.to_le_bytes()).collect(),
    }
}

fn of_bytes(bytes: &[u8], is_half: bool) -> TokenNumbers {
    if is_half {
        let bits = bytes.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]]));
        return TokenNumbers::Half(bits.collect());
    }
    let mut values = bytes::zeros(bytes.len() / 4);
    bytes::fill(&mut values, |place| place.copy_from_slice(bytes));
    TokenNumbers::Single(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of any number of tokens, some without any; every third without an id.
    pub(super) fn shard(n_rows: usize, width: usize) -> TokenShard {
        let n_tokens: Vec<usize> = (0..n_rows).map(|row_idx| row_idx * 7 % 5).collect();
        let n_numbers = n_tokens.iter().sum::<usize>() * width;
        let values = (0..n_numbers).map(|idx| (idx as f32 * 0.618_034).fract() - 0.5).collect();
        TokenShard {
            ids: (0..n_rows).map(|row_idx| (row_idx % 3 != 2).then(|| format!("row {row_idx}"))).collect(),
            tokens: TokenMatrix::new(width, n_tokens, TokenNumbers::Single(values)),
        }
    }

    /// Writes a shard and reads it back; returns the number of parts, too.
    fn check(shard: &TokenShard) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part-00000.parquet");
        write_tokens(&path, shard, &BTreeMap::from([("pooling".to_owned(), "tokens".to_owned())])).unwrap();
        assert_eq!(columns::read_metadata(&path).unwrap()["pooling"], "tokens");
        assert_eq!(crate::count_rows(&path).unwrap(), shard.ids.len() as u64);
        let (mut n_parts, mut n_rows) = (0, 0);
        read_token_parts(&path, |part| {
            for (row_idx, id) in part.ids.iter().enumerate() {
                assert_eq!(*id, shard.ids[n_rows + row_idx]);
                let [found, expected] = [(&part.tokens, row_idx), (&shard.tokens, n_rows + row_idx)]
                    .map(|(tokens, row_idx)| tokens.row(row_idx, &mut Vec::new()).to_vec());
                assert_eq!(found, expected);
            }
            (n_parts, n_rows) = (n_parts + 1, n_rows + part.ids.len());
            Ok::<_, DataError>(())
        })
        .unwrap();
        assert_eq!(n_rows, shard.ids.len());
        n_parts
    }

    #[test]
    fn tokens_come_back_bit_for_bit_in_either_precision() {
        for (n_rows, width) in [(1, 3), (2, 1), (100, 48)] {
            let single = shard(n_rows, width);
            let half = TokenShard { tokens: single.tokens.clone().in_halves().unwrap(), ids: single.ids.clone() };
            for shard in [single, half] {
                assert_eq!(check(&shard), 1, "{n_rows} rows of {width}");
            }
        }
    }

    #[test]
    fn a_shard_without_rows_has_no_parts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part-00000.parquet");
        write_tokens(&path, &shard(0, 3), &BTreeMap::new()).unwrap();
        assert_eq!(crate::count_rows(&path).unwrap(), 0);
        read_token_parts(&path, |_| Err(DataError::Stopped { path: path.clone() })).unwrap();
    }

    #[test]
    fn a_large_shard_is_read_in_parts() {
        let large = shard(3000, 1024);
        assert_eq!(check(&large), (3000 * 2 * 1024 * 4_usize).div_ceil(GROUP_BYTES));
        assert_eq!(groups(3, &|_| GROUP_BYTES), [0..1, 1..2, 2..3], "a row of any size has its own");
    }

    #[test]
    fn other_shards_and_damaged_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part-00000.parquet");
        let vectors = crate::VectorShard { ids: vec![None], dim: 2, values: vec![1.0, 2.0] };
        crate::write_vectors(&path, &vectors, &BTreeMap::from([("dim".to_owned(), "2".to_owned())])).unwrap();
        let read = |path: &Path| read_token_parts(path, |_| Ok::<_, DataError>(()));
        assert!(matches!(read(&path), Err(DataError::Schema { expected: EXPECTED, .. })));
        std::fs::write(&path, "not a shard").unwrap();
        assert!(matches!(read(&path), Err(DataError::Parquet { .. })));
    }
}
