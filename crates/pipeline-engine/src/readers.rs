//! Tracks which program stages had which artifacts open and for how long, since they may have altered a file.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pipeline_core::{ArtifactDigest, StageId};

/// All reading of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    log: Mutex<Vec<Reading>>,
}

#[derive(Debug)]
struct Reading {
    stage: StageId,
    artifacts: Vec<ArtifactDigest>,
    ended: Option<Instant>,
}

/// A stage that reads, until this is dropped.
#[derive(Debug)]
pub(crate) struct Open<'a> {
    readers: &'a Readers,
    idx: usize,
}

impl Readers {
    /// Records that a stage has these artifacts open from now on.
    pub fn begin(&self, stage: &StageId, artifacts: Vec<ArtifactDigest>) -> Open<'_> {
        let mut log = self.log();
        log.push(Reading { stage: stage.clone(), artifacts, ended: None });
        Open { readers: self, idx: log.len() - 1 }
    }

    /// The stages that had an artifact open at any time from `since` on.
    pub fn of(&self, artifact: &ArtifactDigest, since: Instant) -> Vec<StageId> {
        let log = self.log();
        let had_it_open = |reading: &&Reading| {
            reading.artifacts.contains(artifact) && reading.ended.is_none_or(|ended| ended >= since)
        };
        let mut stages: Vec<StageId> = log.iter().filter(had_it_open).map(|reading| reading.stage.clone()).collect();
        stages.sort_unstable();
        stages.dedup();
        stages
    }

    fn log(&self) -> MutexGuard<'_, Vec<Reading>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.readers.log()[self.idx].ended = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use pipeline_core::Digest;

    use super::*;

    #[test]
    fn readers_are_those_that_had_it_open_meanwhile() {
        let (readers, [first, second]) =
            (Readers::default(), ["first", "second"].map(|text| Digest::of(text.as_bytes())));
        let id = |name: &str| name.parse::<StageId>().unwrap();
        drop(readers.begin(&id("before"), vec![first]));
        let since = Instant::now();
        let _open = readers.begin(&id("open"), vec![first, second]);
        drop(readers.begin(&id("meanwhile"), vec![first]));
        drop(readers.begin(&id("elsewhere"), vec![second]));
        assert_eq!(readers.of(&first, since), [id("meanwhile"), id("open")]);
    }
}
