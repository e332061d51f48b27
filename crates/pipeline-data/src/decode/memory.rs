//! The memory budget of decoding, shared by all threads.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The interval at which a thread that waits for memory checks for cancellation.
const WATCH: Duration = Duration::from_millis(100);

/// A budget of bytes: an image that does not fit now waits until others are done.
#[derive(Debug)]
pub struct Memory {
    bytes: u64,
    n_taken: Mutex<u64>,
    is_freed: Condvar,
}

/// Bytes reserved from a [`Memory`]; released when dropped.
#[derive(Debug)]
#[must_use]
pub struct Taken<'a> {
    memory: &'a Memory,
    bytes: u64,
}

impl Memory {
    /// A budget of bytes for all threads together.
    pub fn new(bytes: u64) -> Self {
        Self { bytes, n_taken: Mutex::new(0), is_freed: Condvar::new() }
    }

    /// The total budget.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves bytes, and waits while others hold them; `None` when `is_cancelled`.
    ///
    /// A request above the total is granted once all others are released: limits are up to the caller.
    pub fn take(&self, bytes: u64, is_cancelled: &dyn Fn() -> bool) -> Option<Taken<'_>> {
        let mut n_taken = self.n_taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *n_taken > 0 && bytes > self.bytes.saturating_sub(*n_taken) {
            if is_cancelled() {
                return None;
            }
            n_taken = self.is_freed.wait_timeout(n_taken, WATCH).unwrap_or_else(PoisonError::into_inner).0;
        }
        *n_taken = n_taken.saturating_add(bytes);
        Some(Taken { memory: self, bytes })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.memory.n_taken.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.memory.is_freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn threads_never_hold_more_than_there_is() {
        let memory = Memory::new(100);
        let (held, most) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for thread_idx in 0..8 {
                let (memory, held, most) = (&memory, &held, &most);
                scope.spawn(move || {
                    for round in 0..200 {
                        let bytes = 1 + (thread_idx * 37 + round * 13) % 100;
                        let taken = memory.take(bytes, &|| false).unwrap();
                        most.fetch_max(held.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
                        held.fetch_sub(bytes, Ordering::SeqCst);
                        drop(taken);
                    }
                });
            }
        });
        assert!((1..=100).contains(&most.into_inner()));
    }

    #[test]
    fn who_waits_can_be_stopped_and_more_than_all_is_taken_alone() {
        let memory = Memory::new(100);
        let first = memory.take(1, &|| true).unwrap();
        assert!(memory.take(100, &|| true).is_none());
        drop(first);
        drop(memory.take(1000, &|| true).unwrap());
        assert!(memory.take(100, &|| true).is_some());
    }
}
