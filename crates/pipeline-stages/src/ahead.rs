//! Reads the next shard of an input while the present one is worked on.

use std::panic::resume_unwind;
use std::thread::{Scope, ScopedJoinHandle};

use pipeline_core::StageError;

/// The shards of an input, each read when it is asked for, and then the one behind it too.
///
/// A shard that nobody asks for starts nothing, so that a stage whose shards are all remembered reads nothing. At most two
/// shards are in memory: the one that was given out and the next one.
pub(crate) struct Ahead<'scope, 'env, T> {
    scope: &'scope Scope<'scope, 'env>,
    read: &'env (dyn Fn(usize) -> Result<T, StageError> + Sync),
    n_shards: usize,
    next: Option<(usize, ScopedJoinHandle<'scope, Result<T, StageError>>)>,
}

impl<'scope, 'env, T: Send + 'scope> Ahead<'scope, 'env, T> {
    /// `n_shards` shards that `read` gives by their place.
    pub(crate) fn new(
        scope: &'scope Scope<'scope, 'env>,
        n_shards: usize,
        read: &'env (dyn Fn(usize) -> Result<T, StageError> + Sync),
    ) -> Self {
        Self { scope, read, n_shards, next: None }
    }

    /// The shard at `shard_idx`; begins to read the one behind it.
    ///
    /// # Errors
    /// What reading this shard fails with.
    pub(crate) fn take(&mut self, shard_idx: usize) -> Result<T, StageError> {
        let ahead =
            self.next.take().map(|(idx, thread)| (idx, thread.join().unwrap_or_else(|panic| resume_unwind(panic))));
        let shard = match ahead {
            Some((idx, shard)) if idx == shard_idx => shard?,
            _ => (self.read)(shard_idx)?,
        };
        let (read, next_idx) = (self.read, shard_idx + 1);
        if next_idx < self.n_shards {
            self.next = Some((next_idx, self.scope.spawn(move || read(next_idx))));
        }
        Ok(shard)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn the_next_shard_is_read_ahead_and_no_other() {
        let was_read = Mutex::new(Vec::new());
        let read = |shard_idx| {
            was_read.lock().unwrap().push(shard_idx);
            if shard_idx == 4 { Err(StageError::new("unreadable")) } else { Ok(shard_idx * 10) }
        };
        let taken = std::thread::scope(|scope| {
            let mut ahead = Ahead::new(scope, 7, &read);
            [0, 1, 3, 4, 6].map(|shard_idx| ahead.take(shard_idx).map_err(|error| error.message))
        });
        assert_eq!(taken, [Ok(0), Ok(10), Ok(30), Err("unreadable".to_owned()), Ok(60)]);
        let mut was_read = was_read.into_inner().unwrap();
        was_read.sort_unstable();
        assert_eq!(was_read, [0, 1, 2, 3, 4, 6], "shard 2 was read ahead in vain");
    }
}
