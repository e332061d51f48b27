//! The queries of an artifact, one shard at a time, so that memory does not grow with their number.

use std::ops::Range;
use std::path::PathBuf;

use pipeline_core::{InputArtifact, StageError};
use pipeline_data::QueryRow;

use crate::artifact;

/// The shards of a queries artifact, in order.
pub(crate) struct QueryShards {
    shards: Vec<Shard>,
    n_rows: usize,
    /// The shard that was read last, with its index.
    last: Option<(usize, Vec<QueryRow>)>,
}

struct Shard {
    path: PathBuf,
    /// The range of its rows among all.
    rows: Range<usize>,
}

impl QueryShards {
    /// Passes every row of the artifact to `each`, in order, and remembers the row range of each shard.
    ///
    /// # Errors
    /// When a shard cannot be read.
    pub(crate) fn scan(artifact: &InputArtifact, each: &mut dyn FnMut(&QueryRow)) -> Result<Self, StageError> {
        let mut scanned = Self { shards: Vec::new(), n_rows: 0, last: None };
        for path in artifact::shards(artifact)? {
            let rows = artifact::query_shard(&path)?;
            rows.iter().for_each(&mut *each);
            let first = scanned.n_rows;
            scanned.n_rows += rows.len();
            scanned.last = Some((scanned.shards.len(), rows));
            scanned.shards.push(Shard { path, rows: first..scanned.n_rows });
        }
        Ok(scanned)
    }

    /// Reads some rows again; cheap where the ranges ascend from call to call.
    ///
    /// # Errors
    /// When a shard cannot be read.
    pub(crate) fn rows(&mut self, places: Range<usize>) -> Result<Vec<QueryRow>, StageError> {
        let mut found = Vec::with_capacity(places.len());
        let first_shard = self.shards.partition_point(|shard| shard.rows.end <= places.start);
        for shard_idx in first_shard..self.shards.len() {
            let of_shard = self.shards[shard_idx].rows.clone();
            if of_shard.start >= places.end {
                break;
            }
            let start = places.start.max(of_shard.start) - of_shard.start;
            let end = places.end.min(of_shard.end) - of_shard.start;
            found.extend_from_slice(&self.read(shard_idx)?[start..end]);
        }
        Ok(found)
    }

    fn read(&mut self, shard_idx: usize) -> Result<&[QueryRow], StageError> {
        let rows = match self.last.take() {
            Some((last_idx, rows)) if last_idx == shard_idx => rows,
            _ => artifact::query_shard(&self.shards[shard_idx].path)?,
        };
        Ok(&self.last.insert((shard_idx, rows)).1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pipeline_core::{Digest, FileEntry, Tree};

    use super::*;

    fn queries(range: Range<usize>) -> Vec<QueryRow> {
        let query = |idx: usize| QueryRow { id: Some(idx.to_string()), text: format!("query {idx}"), image_ids: None };
        range.map(query).collect()
    }

    #[test]
    fn rows_are_the_same_however_they_lie_in_shards() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = BTreeMap::new();
        for (shard_idx, rows) in [queries(0..5), queries(5..5), queries(5..12), queries(12..13)].iter().enumerate() {
            let name = artifact::shard_name(shard_idx);
            pipeline_data::write_query_shard(&folder.path().join(&name), rows).unwrap();
            files.insert(name, FileEntry::new(Digest::of(b""), 0));
        }
        let input = InputArtifact::in_folder(folder.path().to_owned(), Tree { files, ..Tree::default() });
        let mut seen = Vec::new();
        let mut shards = QueryShards::scan(&input, &mut |row| seen.push(row.clone())).unwrap();
        assert_eq!(seen, queries(0..13));
        for places in [0..13, 0..5, 4..6, 5..12, 3..13, 12..13, 7..7, 1..2, 13..13] {
            assert_eq!(shards.rows(places.clone()).unwrap(), queries(places.clone()), "{places:?}");
        }
    }
}
