//! The shards that a stage still misses, shared by the threads that compute them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pipeline_core::Digest;

/// The indices of missing shards.
pub(crate) struct Queue(Mutex<State>);

struct State {
    missing: VecDeque<usize>,
    /// The number of consecutive shards at the end that others compute.
    n_held: usize,
    /// False once a worker has failed.
    is_open: bool,
}

/// The next step after a shard that others compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another shard may be free.
    Another,
    /// Others compute all that are missing.
    OnlyHeld,
}

impl Queue {
    /// The shards in the order of computation.
    pub fn new(missing: Vec<usize>) -> Self {
        Self(Mutex::new(State { missing: missing.into(), n_held: 0, is_open: true }))
    }

    /// Takes the next shard, or `None` when the queue is empty.
    pub fn take(&self) -> Option<usize> {
        let mut state = self.state();
        if state.is_open { state.missing.pop_front() } else { None }
    }

    /// The next shard that is not one of these.
    pub fn first_except(&self, is_one: impl Fn(usize) -> bool) -> Option<usize> {
        self.state().missing.iter().copied().find(|shard_idx| !is_one(*shard_idx))
    }

    /// True when no shard is left to take.
    pub fn is_empty(&self) -> bool {
        let state = self.state();
        !state.is_open || state.missing.is_empty()
    }

    /// Moves a shard that another process computes to the end.
    pub fn put_off(&self, shard_idx: usize) -> Next {
        let mut state = self.state();
        state.missing.push_back(shard_idx);
        state.n_held += 1;
        if state.n_held < state.missing.len() {
            return Next::Another;
        }
        state.n_held = 0;
        Next::OnlyHeld
    }

    /// Records that a missing shard now exists.
    pub fn made_progress(&self) {
        self.state().n_held = 0;
    }

    /// Stops giving out shards.
    pub fn close(&self) {
        self.state().is_open = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The order in which a process helps: it begins at its own index, so that few meet, and goes round once.
pub(crate) fn from_elsewhere(mut missing: Vec<usize>) -> Vec<usize> {
    let process = Digest::of(&std::process::id().to_le_bytes());
    let (start, _) = process.as_bytes().split_first_chunk().expect("a digest has more than eight bytes");
    // From the second half on: the leading process begins at the front.
    let n_later = missing.len() / 2;
    let start = missing.len() - n_later + (u64::from_le_bytes(*start) % n_later.max(1) as u64) as usize;
    let n_missing = missing.len().max(1);
    missing.rotate_left(start % n_missing);
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_others_come_last_and_are_waited_for_when_all_are() {
        let queue = Queue::new(vec![0, 1, 2]);
        assert_eq!(queue.take(), Some(0));
        assert_eq!(queue.put_off(0), Next::Another);
        assert_eq!((queue.first_except(|idx| idx == 1), queue.take()), (Some(2), Some(1)));
        queue.made_progress();
        assert_eq!((queue.take(), queue.put_off(2)), (Some(2), Next::Another));
        assert_eq!((queue.take(), queue.put_off(0)), (Some(0), Next::OnlyHeld));
        assert_eq!(queue.take(), Some(2));
        assert!(!queue.is_empty());
        queue.close();
        assert_eq!((queue.take(), queue.is_empty()), (None, true));
    }

    #[test]
    fn a_helper_begins_elsewhere_and_goes_round() {
        for n_missing in [0, 1, 2, 3, 253] {
            let order = from_elsewhere((0..n_missing).collect());
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..n_missing).collect::<Vec<_>>());
            assert!(n_missing < 3 || order[0] > n_missing / 2 - 1, "{order:?}");
        }
    }
}
