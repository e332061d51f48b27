//! The seconds of a stage, by kind of work.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Seconds by name, summed over any number of threads.
#[derive(Debug, Default)]
pub(crate) struct Seconds(Mutex<BTreeMap<String, f64>>);

impl Seconds {
    /// Adds the time since `since` to the kind of work `what`.
    pub(crate) fn spent(&self, what: &str, since: Instant) {
        self.add(what, since.elapsed().as_secs_f64());
    }

    /// Adds seconds, which may be negative, to the kind of work `what`.
    pub(crate) fn add(&self, what: &str, seconds: f64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_what = all.entry(what.to_owned()).or_default();
        *of_what = (*of_what + seconds).max(0.0);
    }

    /// All sums.
    pub(crate) fn all(&self) -> BTreeMap<String, f64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
