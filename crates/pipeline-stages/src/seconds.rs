//! The seconds of a stage, by kind of work.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use pipeline_core::Work;

/// Seconds by kind of work, summed over any number of threads.
#[derive(Debug, Default)]
pub(crate) struct Seconds(Mutex<BTreeMap<Work, f64>>);

impl Seconds {
    /// Adds the time since `since` to a kind of work.
    pub(crate) fn spent(&self, work: Work, since: Instant) {
        self.add(work, since.elapsed().as_secs_f64());
    }

    /// Adds seconds, which may be negative, to a kind of work.
    pub(crate) fn add(&self, work: Work, seconds: f64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_work = all.entry(work).or_default();
        *of_work = (*of_work + seconds).max(0.0);
    }

    /// All sums.
    pub(crate) fn all(&self) -> BTreeMap<Work, f64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
