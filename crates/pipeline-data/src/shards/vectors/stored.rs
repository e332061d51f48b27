//! Vectors that stay in their shards: rows are read when they are needed.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pipeline_kernels::RowReader;

use super::read::Vectors;
use super::{dim_of, ids_of, read_with_arrow};
use crate::DataError;
use crate::open_files::OpenFiles;
use crate::scratch_rows::ScratchRows;
use crate::shards::bytes;
use crate::shards::columns::Table;

/// The vectors of several shards, one after the other. In memory are only the places of their pages: some 32 bytes a
/// mebibyte of vectors.
///
/// Vectors in other pages than those of this program's writer are copied into a scratch file first.
///
/// # Shapes
/// `[n_rows, dim]`
#[derive(Debug)]
pub struct StoredVectors {
    n_rows: usize,
    dim: usize,
    /// Ascending by their first row.
    runs: Vec<Run>,
    files: OpenFiles,
    copied: ScratchRows,
}

/// Consecutive rows that lie one after the other.
#[derive(Debug)]
struct Run {
    first_row: usize,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// In a shard, from this offset on.
    Shard { file_idx: usize, offset: u64 },
    /// Among the copied rows, from this one on.
    Copied { first_row: usize },
}

impl StoredVectors {
    /// Finds the vectors of shards, `dim` numbers wide where there are no shards, and reads the ids of all rows.
    /// `scratch` is the folder of the scratch file; without one, copied vectors are held in memory.
    ///
    /// # Errors
    /// When a file is not a shard of vectors, or its vectors have another width than those before it.
    pub fn open(
        paths: Vec<PathBuf>,
        dim: usize,
        scratch: Option<&Path>,
    ) -> Result<(Vec<Option<String>>, Self), DataError> {
        let (mut ids, mut runs, mut width, mut copied) = (Vec::new(), Vec::new(), None, None);
        for (file_idx, path) in paths.iter().enumerate() {
            let table = Table::read_columns(path, "vectors", &["id"])?;
            let dim = dim_of(&table)?;
            if *width.get_or_insert(dim) != dim {
                return Err(table.wrong());
            }
            let mut first_row = ids.len();
            ids_of(&table, &mut ids)?;
            let n_rows = ids.len() - first_row;
            match Vectors::find(path, dim)?.filter(|vectors| vectors.n_rows() == n_rows) {
                Some(vectors) => vectors.pages().for_each(|(offset, page_rows)| {
                    runs.push(Run { first_row, place: Place::Shard { file_idx, offset } });
                    first_row += page_rows;
                }),
                None => {
                    let copied = copied.get_or_insert_with(|| ScratchRows::new(scratch, dim));
                    let mut values = bytes::zeros(n_rows * dim);
                    read_with_arrow(path, dim, &mut values)?;
                    runs.push(Run { first_row, place: Place::Copied { first_row: copied.n_rows() } });
                    copied.append(&values)?;
                }
            }
        }
        let dim = width.unwrap_or(dim);
        let copied = copied.unwrap_or_else(|| ScratchRows::new(None, dim));
        let stored = Self { n_rows: ids.len(), dim, runs, files: OpenFiles::new(paths), copied };
        Ok((ids, stored))
    }

    /// The run of a row, and the rows of it.
    fn run_of(&self, row_idx: usize) -> (&Run, Range<usize>) {
        let after = self.runs.partition_point(|run| run.first_row <= row_idx);
        let end = self.runs.get(after).map_or(self.n_rows, |run| run.first_row);
        let run = &self.runs[after - 1];
        (run, run.first_row..end)
    }

    /// Reads consecutive rows of a run.
    fn read_run(&self, run: &Run, first_row: usize, values: &mut [f32]) -> io::Result<()> {
        let n_before = first_row - run.first_row;
        match run.place {
            Place::Shard { file_idx, offset } => {
                let offset = offset + (n_before * self.dim * 4) as u64;
                bytes::fill(values, |bytes| self.files.read_exact_at(file_idx, bytes, offset))
            }
            Place::Copied { first_row } => {
                let first_row = first_row + n_before;
                let n_rows = values.len() / self.dim.max(1);
                self.copied.read_rows(&(first_row..first_row + n_rows).collect::<Vec<_>>(), values)
            }
        }
    }
}

impl RowReader for StoredVectors {
    fn n_rows(&self) -> usize {
        self.n_rows
    }

    fn n_cols(&self) -> usize {
        self.dim
    }

    fn read_rows(&self, rows: &[usize], values: &mut [f32]) -> io::Result<()> {
        assert_eq!(values.len(), rows.len() * self.dim, "BUG: {} rows of {} numbers", rows.len(), self.dim);
        let (mut rows, mut values) = (rows, values);
        while let Some(&first_row) = rows.first() {
            let (run, of_run) = self.run_of(first_row);
            let follow = |(place, row_idx): (usize, &usize)| *row_idx == first_row + place && *row_idx < of_run.end;
            let n_rows = rows.iter().enumerate().take_while(|row| follow(*row)).count();
            assert!(n_rows > 0, "BUG: row {first_row} of {}", self.n_rows);
            let (part, rest) = values.split_at_mut(n_rows * self.dim);
            self.read_run(run, first_row, part)?;
            (rows, values) = (&rows[n_rows..], rest);
        }
        Ok(())
    }

    fn announce(&self, rows: &[usize]) {
        for row_idx in rows {
            let (run, _) = self.run_of(*row_idx);
            if let Place::Shard { file_idx, offset } = run.place {
                let offset = offset + ((row_idx - run.first_row) * self.dim * 4) as u64;
                self.files.read_ahead(file_idx, offset, self.dim * 4);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{metadata, shard, write_compressed};
    use super::super::{VectorShard, read_all_vectors, write_vectors};
    use super::*;

    /// Shards in this program's pages and in others.
    fn shards(folder: &Path) -> Vec<PathBuf> {
        let paths: Vec<PathBuf> = (0..5).map(|idx| folder.join(format!("part-{idx:05}.parquet"))).collect();
        for (idx, n_rows) in [700, 0, 3, 2500, 41].into_iter().enumerate() {
            let mut shard: VectorShard = shard(n_rows, 200);
            shard.values.iter_mut().for_each(|value| *value += idx as f32);
            match idx {
                2 | 4 => write_compressed(&paths[idx], &shard),
                _ => drop(write_vectors(&paths[idx], &shard, &metadata(200)).unwrap()),
            }
        }
        paths
    }

    #[test]
    fn rows_of_all_shards_are_read_in_any_order_as_if_they_were_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let paths = shards(folder.path());
        let all = read_all_vectors(&paths).unwrap();
        for scratch in [None, Some(folder.path())] {
            let (ids, stored) = StoredVectors::open(paths.clone(), 9, scratch).unwrap();
            assert!(ids == all.ids && stored.n_rows() == ids.len() && stored.n_cols() == 200);
            let n_rows = ids.len();
            let orders = [
                (0..n_rows).collect::<Vec<_>>(),
                (0..n_rows).rev().collect(),
                (0..n_rows).map(|row_idx| row_idx * 1009 % n_rows).collect(),
                vec![699, 700, 701, 702, 703, 704, n_rows - 1, 0, 0, 1],
                vec![],
            ];
            for rows in orders {
                let mut values = vec![0.0; rows.len() * 200];
                stored.announce(&rows);
                stored.read_rows(&rows, &mut values).unwrap();
                let expected: Vec<f32> =
                    rows.iter().flat_map(|row_idx| &all.values[row_idx * 200..][..200]).copied().collect();
                assert!(values == expected);
            }
        }
    }

    #[test]
    fn no_shards_have_the_width_that_is_given() {
        let (ids, stored) = StoredVectors::open(Vec::new(), 9, None).unwrap();
        assert_eq!((ids.len(), stored.n_rows(), stored.n_cols()), (0, 0, 9));
        stored.read_rows(&[], &mut []).unwrap();
    }

    #[test]
    fn a_shard_of_another_width_and_one_that_became_shorter_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let paths = shards(folder.path());
        let (_, stored) = StoredVectors::open(paths.clone(), 200, None).unwrap();
        let file = fs::File::options().write(true).open(&paths[3]).unwrap();
        file.set_len(1000).unwrap();
        let error = stored.read_rows(&[2000], &mut [0.0; 200]).unwrap_err();
        assert!(error.to_string().contains("part-00003.parquet"), "{error}");
        write_vectors(&paths[3], &shard(3, 5), &metadata(5)).unwrap();
        assert!(matches!(StoredVectors::open(paths, 200, None), Err(DataError::Schema { .. })));
    }
}
