//! Token vectors that stay in their shards: rows are read when they are needed.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use parquet::basic::Type;
use pipeline_kernels::{RowReader, TokenNumbers, TokenReader, half_to_f32};

use super::{EXPECTED, number_bytes, read_token_parts, width_of};
use crate::DataError;
use crate::open_files::OpenFiles;
use crate::scratch_rows::ScratchRows;
use crate::shards::bytes;
use crate::shards::columns::{self, Table};
use crate::shards::plain_pages::PlainFile;

/// The bytes before each value of a page: its length.
const LENGTH_BYTES: usize = 4;

/// The token vectors of several shards, one after the other. In memory are 8 bytes a row, and the places of pages.
///
/// Vectors in other pages than those of this program's writer are copied into a scratch file first.
#[derive(Debug)]
pub struct StoredTokens {
    width: usize,
    /// The number of tokens of all rows up to each, itself included.
    ends: Vec<usize>,
    /// Ascending by their first row.
    runs: Vec<TokenRun>,
    files: OpenFiles,
    copied: ScratchRows,
}

/// Consecutive rows that lie one after the other.
#[derive(Debug)]
struct TokenRun {
    first_row: usize,
    place: TokenPlace,
}

#[derive(Debug, Clone, Copy)]
enum TokenPlace {
    /// In a shard, from this offset on.
    Shard { file_idx: usize, offset: u64, is_half: bool },
    /// Among the copied tokens, from this one on.
    Copied { first_token: usize },
}

impl StoredTokens {
    /// Finds the token vectors of shards, `width` numbers wide where there are no shards, and reads the ids of all
    /// rows. `scratch` is the folder of the scratch file; without one, copied vectors are held in memory.
    ///
    /// # Errors
    /// When a file is not a shard of token vectors, or its vectors have another width than those before it.
    pub fn open(
        paths: Vec<PathBuf>,
        width: usize,
        scratch: Option<&Path>,
    ) -> Result<(Vec<Option<String>>, Self), DataError> {
        let (mut ids, mut found) = (Vec::new(), None);
        let (mut ends, mut runs, mut copied) = (Vec::new(), Vec::new(), None);
        for (file_idx, path) in paths.iter().enumerate() {
            let table = Table::read_columns(path, EXPECTED, &["id", "n_tokens"])?;
            let (width, is_half) = width_of(&table)?;
            if *found.get_or_insert(width) != width {
                return Err(table.wrong());
            }
            let first_row = ids.len();
            let n_tokens = rows_of(&table, &mut ids)?;
            let first_token = ends.last().copied().unwrap_or(0);
            ends.extend(n_tokens.iter().scan(first_token, |end, n_tokens| {
                *end += n_tokens;
                Some(*end)
            }));
            match find(path, &n_tokens, width * number_bytes(is_half))? {
                Some(places) => runs.extend(places.into_iter().map(|(row_idx, offset)| TokenRun {
                    first_row: first_row + row_idx,
                    place: TokenPlace::Shard { file_idx, offset, is_half },
                })),
                None => {
                    let copied = copied.get_or_insert_with(|| ScratchRows::new(scratch, width));
                    runs.push(TokenRun { first_row, place: TokenPlace::Copied { first_token: copied.n_rows() } });
                    copy(path, &n_tokens, copied)?;
                }
            }
        }
        let width = found.unwrap_or(width);
        let copied = copied.unwrap_or_else(|| ScratchRows::new(None, width));
        Ok((ids, Self { width, ends, runs, files: OpenFiles::new(paths), copied }))
    }

    /// The tokens of all rows before a row.
    fn n_before(&self, row_idx: usize) -> usize {
        row_idx.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// The run of a row.
    fn run_of(&self, row_idx: usize) -> &TokenRun {
        &self.runs[self.runs.partition_point(|run| run.first_row <= row_idx) - 1]
    }

    /// The bytes of a row with its length in a file, from the beginning of its run on.
    fn bytes_of(&self, row_idx: usize, run: &TokenRun, is_half: bool) -> Range<usize> {
        let token_bytes = self.width * number_bytes(is_half);
        let n_tokens = self.n_before(row_idx) - self.n_before(run.first_row);
        let start = n_tokens * token_bytes + (row_idx - run.first_row) * LENGTH_BYTES;
        start..start + LENGTH_BYTES + self.n_tokens(row_idx) * token_bytes
    }

    /// Reads a row with its length, and widens it.
    ///
    /// # Shapes
    /// `buffer`: `[1 + n_numbers]`, the first of no meaning
    fn read_shard_row(&self, row_idx: usize, run: &TokenRun, buffer: &mut Vec<f32>) -> io::Result<()> {
        let TokenPlace::Shard { file_idx, offset, is_half } = run.place else { panic!("BUG: a copied row") };
        let place = self.bytes_of(row_idx, run, is_half);
        buffer.resize(1 + self.n_tokens(row_idx) * self.width, 0.0);
        let n_all = 4 * buffer.len();
        let length = bytes::fill(buffer, |bytes| {
            // Numbers of half precision are read to the end, and widened from the front.
            let read = &mut bytes[n_all - place.len()..];
            self.files.read_exact_at(file_idx, read, offset + place.start as u64)?;
            Ok::<_, io::Error>(u32::from_le_bytes([read[0], read[1], read[2], read[3]]))
        })?;
        if length as usize != place.len() - LENGTH_BYTES {
            let path = self.files.path(file_idx).to_owned();
            return Err(io::Error::other(DataError::Schema { path, expected: EXPECTED }));
        }
        if is_half {
            widen(buffer, place.len() - LENGTH_BYTES);
        }
        Ok(())
    }
}

/// Widens numbers of half precision in the last `n_bytes` bytes to all numbers of `buffer` but the first.
fn widen(buffer: &mut [f32], n_bytes: usize) {
    let n_all = 4 * buffer.len();
    let n_before = n_all - n_bytes;
    bytes::fill(buffer, |bytes| {
        for number_idx in 0..n_bytes / 2 {
            let half = n_before + 2 * number_idx;
            let value = half_to_f32(u16::from_le_bytes([bytes[half], bytes[half + 1]]));
            // Each number ends before the next one that is to be read.
            bytes[4 * (1 + number_idx)..][..4].copy_from_slice(&value.to_le_bytes());
        }
    });
}

/// The numbers of the tokens of each row of a shard; adds their ids.
fn rows_of(table: &Table<'_>, ids: &mut Vec<Option<String>>) -> Result<Vec<usize>, DataError> {
    let mut n_tokens = Vec::new();
    for batch in &table.batches {
        let texts = table.texts(batch, "id")?;
        let counts = table.column(batch, "n_tokens", |array| array.as_primitive_opt::<UInt32Type>())?;
        ids.extend((0..batch.num_rows()).map(|row_idx| columns::text(texts, row_idx)));
        n_tokens.extend(counts.values().iter().map(|count| *count as usize));
    }
    Ok(n_tokens)
}

/// The first row and the offset of each page of a file's tokens; `None` where they do not lie as plain bytes.
fn find(path: &Path, n_tokens: &[usize], token_bytes: usize) -> Result<Option<Vec<(usize, u64)>>, DataError> {
    let file = PlainFile::open(path)?;
    let (mut places, mut group_start) = (Vec::new(), 0);
    for (group_idx, group) in file.metadata.row_groups().iter().enumerate() {
        let is_tokens = |column: &parquet::file::metadata::ColumnChunkMetaData| {
            let column = column.column_descr();
            column.name() == "tokens" && column.physical_type() == Type::BYTE_ARRAY
        };
        let Some(column_idx) = group.columns().iter().position(is_tokens) else { return Ok(None) };
        let n_bytes = |rows: Range<usize>| {
            let rows = n_tokens.get(group_start + rows.start..group_start + rows.end)?;
            Some(rows.iter().map(|n_tokens| LENGTH_BYTES + n_tokens * token_bytes).sum())
        };
        let Some(pages) = file.pages(group_idx, column_idx, &n_bytes) else { return Ok(None) };
        for page in pages {
            places.push((group_start, page.offset));
            group_start += page.n_rows;
        }
    }
    Ok((group_start == n_tokens.len()).then_some(places))
}

/// Copies the tokens of a shard.
fn copy(path: &Path, n_tokens: &[usize], copied: &mut ScratchRows) -> Result<(), DataError> {
    let mut n_rows = 0;
    read_token_parts(path, |part| {
        n_rows += part.ids.len();
        match part.tokens.numbers() {
            TokenNumbers::Single(values) => copied.append(values),
            TokenNumbers::Half(bits) => copied.append(&bits.iter().map(|bits| half_to_f32(*bits)).collect::<Vec<_>>()),
        }
    })?;
    let is_whole = n_rows == n_tokens.len();
    is_whole.then_some(()).ok_or_else(|| DataError::Schema { path: path.to_owned(), expected: EXPECTED })
}

impl TokenReader for StoredTokens {
    fn width(&self) -> usize {
        self.width
    }

    fn n_rows(&self) -> usize {
        self.ends.len()
    }

    fn n_tokens(&self, row_idx: usize) -> usize {
        self.ends[row_idx] - self.n_before(row_idx)
    }

    fn read_row<'a>(&'a self, row_idx: usize, buffer: &'a mut Vec<f32>) -> io::Result<&'a [f32]> {
        let run = self.run_of(row_idx);
        match run.place {
            TokenPlace::Shard { .. } => {
                self.read_shard_row(row_idx, run, buffer)?;
                Ok(&buffer[1..])
            }
            TokenPlace::Copied { first_token } => {
                let first_token = first_token + self.n_before(row_idx) - self.n_before(run.first_row);
                let tokens: Vec<usize> = (first_token..first_token + self.n_tokens(row_idx)).collect();
                buffer.resize(tokens.len() * self.width, 0.0);
                self.copied.read_rows(&tokens, buffer)?;
                Ok(buffer)
            }
        }
    }

    fn announce(&self, rows: &[usize]) {
        for row_idx in rows {
            let run = self.run_of(*row_idx);
            if let TokenPlace::Shard { file_idx, offset, is_half } = run.place {
                let place = self.bytes_of(*row_idx, run, is_half);
                self.files.read_ahead(file_idx, offset + place.start as u64, place.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::Arc;

    use arrow_array::{BinaryArray, StringArray, UInt32Array};
    use parquet::basic::Compression;

    use super::super::tests::shard;
    use super::super::{TokenShard, write_tokens};
    use super::*;
    use crate::shards::columns::Column;

    /// Shards in either precision, in this program's pages and in others, of one or several row groups.
    fn shards(folder: &Path) -> (Vec<PathBuf>, Vec<TokenShard>) {
        let made = [700, 0, 3, 7000, 41].into_iter().enumerate().map(|(idx, n_rows)| {
            let shard = shard(n_rows, 700);
            match idx {
                3 | 4 => TokenShard { tokens: shard.tokens.in_halves().unwrap(), ids: shard.ids },
                _ => shard,
            }
        });
        let made: Vec<TokenShard> = made.collect();
        let paths: Vec<PathBuf> = (0..5).map(|idx| folder.join(format!("part-{idx:05}.parquet"))).collect();
        for (idx, (path, shard)) in paths.iter().zip(&made).enumerate() {
            match idx {
                2 | 4 => write_compressed(path, shard),
                _ => write_tokens(path, shard, &BTreeMap::new()).unwrap(),
            }
        }
        (paths, made)
    }

    /// Writes a shard in other pages.
    fn write_compressed(path: &Path, shard: &TokenShard) {
        let tokens = &shard.tokens;
        let is_half = matches!(tokens.numbers(), TokenNumbers::Half(_));
        let mut first = 0;
        let values: Vec<Vec<u8>> = (0..tokens.n_rows())
            .map(|row_idx| {
                let numbers = first..first + tokens.n_tokens(row_idx) * tokens.width();
                first = numbers.end;
                super::super::to_bytes(tokens.numbers(), numbers)
            })
            .collect();
        let counts = (0..tokens.n_rows()).map(|row_idx| tokens.n_tokens(row_idx) as u32);
        let columns = vec![
            Column {
                name: "id",
                is_nullable: true,
                values: Arc::new(StringArray::from_iter(shard.ids.iter().map(Option::as_deref))),
            },
            Column { name: "n_tokens", is_nullable: false, values: Arc::new(UInt32Array::from_iter_values(counts)) },
            Column { name: "tokens", is_nullable: false, values: Arc::new(BinaryArray::from_iter_values(values)) },
        ];
        let dtype = if is_half { "f16" } else { "f32" };
        let metadata = [("dtype", dtype.to_owned()), ("dim", tokens.width().to_string())];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value)).into();
        columns::write(path, columns, &metadata, Compression::ZSTD(Default::default())).unwrap();
    }

    #[test]
    fn rows_of_all_shards_are_read_in_any_order_as_if_they_were_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (paths, made) = shards(folder.path());
        let n_groups = columns::count_groups(&paths[3]).unwrap();
        assert!(n_groups > 1, "a shard has several row groups");
        let expected: Vec<Vec<f32>> = made
            .iter()
            .flat_map(|shard| (0..shard.ids.len()).map(|row| shard.tokens.row(row, &mut Vec::new()).to_vec()))
            .collect();
        let all_ids: Vec<_> = made.iter().flat_map(|shard| shard.ids.clone()).collect();
        for scratch in [None, Some(folder.path())] {
            let (ids, stored) = StoredTokens::open(paths.clone(), 9, scratch).unwrap();
            assert!(ids == all_ids && stored.n_rows() == ids.len() && stored.width() == 700);
            let in_shards = stored.runs.iter().filter(|run| matches!(run.place, TokenPlace::Shard { .. })).count();
            assert!(in_shards > n_groups, "other shards are not copied");
            let n_rows = ids.len();
            let mut buffer = Vec::new();
            stored.announce(&(0..n_rows).collect::<Vec<_>>());
            for row_idx in (0..n_rows).chain((0..n_rows).map(|row_idx| row_idx * 1009 % n_rows)) {
                assert_eq!(stored.n_tokens(row_idx) * 700, expected[row_idx].len());
                assert!(stored.read_row(row_idx, &mut buffer).unwrap() == expected[row_idx], "row {row_idx}");
            }
        }
    }

    #[test]
    fn no_shards_have_the_width_that_is_given() {
        let (ids, stored) = StoredTokens::open(Vec::new(), 9, None).unwrap();
        assert_eq!((ids.len(), stored.n_rows(), stored.width()), (0, 0, 9));
        stored.announce(&[]);
    }

    #[test]
    fn a_shard_that_changed_or_has_another_width_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (paths, _) = shards(folder.path());
        let (_, stored) = StoredTokens::open(paths.clone(), 700, None).unwrap();
        let mut bytes = fs::read(&paths[0]).unwrap();
        let TokenPlace::Shard { offset, .. } = stored.runs[0].place else { panic!("it is not copied") };
        let place = stored.bytes_of(1, &stored.runs[0], false);
        bytes[offset as usize + place.start] ^= 1;
        fs::write(&paths[0], bytes).unwrap();
        let failure = |row_idx| stored.read_row(row_idx, &mut Vec::new()).unwrap_err().to_string();
        assert!(failure(1).contains("part-00000.parquet"), "{}", failure(1));
        fs::File::options().write(true).open(&paths[3]).unwrap().set_len(1000).unwrap();
        assert!(failure(700 + 3 + 6999).contains("part-00003.parquet"));
        write_tokens(&paths[3], &shard(3, 5), &BTreeMap::new()).unwrap();
        assert!(matches!(StoredTokens::open(paths, 700, None), Err(DataError::Schema { .. })));
    }
}
