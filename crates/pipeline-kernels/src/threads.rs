//! Runs independent batches on several threads, with the same bits for any number of threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Applies `work` to the batches `0..n_batches` on `n_threads` threads; results are in the order of the batches.
///
/// One thread computes each batch: two single-threaded batches at once are faster than one batch on two threads.
pub fn map_batches<T: Send>(n_batches: usize, n_threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new((0..n_batches).map(|_| None).collect::<Vec<Option<T>>>());
    let work_on_all = || {
        loop {
            let batch_idx = next.fetch_add(1, Ordering::Relaxed);
            if batch_idx >= n_batches {
                return;
            }
            let result = work(batch_idx);
            results.lock().expect("a thread that panics ends all")[batch_idx] = Some(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..n_threads.clamp(1, n_batches.max(1)) {
            scope.spawn(work_on_all);
        }
    });
    let results = results.into_inner().expect("a thread that panics ends all");
    results.into_iter().map(|result| result.expect("every batch was taken by a thread")).collect()
}

/// Runs `work` in a rayon pool of `n_threads` threads.
pub fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(n_threads.max(1)).build() {
        Ok(pool) => pool.install(work),
        // The system starts no more threads; the present ones give the same result.
        Err(_) => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_batches() {
        for n_threads in [0, 1, 3, 100] {
            assert_eq!(map_batches(7, n_threads, |batch_idx| batch_idx * 2), [0, 2, 4, 6, 8, 10, 12]);
        }
        assert!(map_batches(0, 2, |batch_idx| batch_idx).is_empty());
    }

    #[test]
    fn work_sees_as_many_threads_as_were_asked_for() {
        for n_threads in [1, 3] {
            assert_eq!(on_threads(n_threads, rayon::current_num_threads), n_threads);
        }
        assert_eq!(on_threads(0, rayon::current_num_threads), 1);
    }
}
