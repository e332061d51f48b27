//! Shards that are read while others are computed, each by a thread of its own.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use pipeline_core::{Computation, StageError};

use super::queue::Queue;

/// A shard that was read.
pub(super) type Read<'env> = Result<Box<Computation<'env>>, StageError>;

/// The shards that are read, or were, and that no worker has taken yet.
#[derive(Default)]
pub(super) struct Ahead<'scope, 'env>(Mutex<BTreeMap<usize, ScopedJoinHandle<'scope, Read<'env>>>>);

impl<'scope, 'env> Ahead<'scope, 'env> {
    /// Begins to read the next shard that nobody reads yet.
    pub fn begin<F>(&self, scope: &'scope Scope<'scope, 'env>, queue: &Queue, read: F)
    where
        F: FnOnce(usize) -> Read<'env> + Send + 'scope,
    {
        let mut threads = self.threads();
        if let Some(shard_idx) = queue.first_except(|shard_idx| threads.contains_key(&shard_idx)) {
            threads.insert(shard_idx, scope.spawn(move || read(shard_idx)));
        }
    }

    /// Takes a shard, once it is read; `None` if nobody has begun to read it.
    pub fn take(&self, shard_idx: usize) -> Option<Read<'env>> {
        let thread = self.threads().remove(&shard_idx)?;
        Some(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Drops a shard that need not be computed here.
    pub fn forget(&self, shard_idx: usize) {
        self.threads().remove(&shard_idx);
    }

    fn threads(&self) -> MutexGuard<'_, BTreeMap<usize, ScopedJoinHandle<'scope, Read<'env>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
