//! The recent speed of a stage, and the remaining time.

use std::collections::VecDeque;

/// The window of the speed: shards that were already there must not promise a speed that will not last.
const WINDOW_MS: u64 = 10_000;

/// The progress of a stage over the last ten seconds.
#[derive(Debug, Clone, Default)]
pub struct Rate {
    samples: VecDeque<(u64, u64)>,
    began_ms: Option<u64>,
}

impl Rate {
    /// The speed of a stage that began at `at_ms`: known from the first rows on.
    pub fn since(at_ms: u64) -> Self {
        Self { samples: VecDeque::new(), began_ms: Some(at_ms) }
    }

    /// Records that `n_done` rows were done at `at_ms`.
    pub fn sample(&mut self, at_ms: u64, n_done: u64) {
        self.samples.push_back((at_ms, n_done));
        while self.samples.len() > 2 && self.samples[1].0 + WINDOW_MS < at_ms {
            self.samples.pop_front();
        }
    }

    /// Rows per second; `None` before two moments are known.
    pub fn rows_per_second(&self) -> Option<f64> {
        let (last_ms, last_done) = self.samples.back()?;
        // The beginning counts only until there are two moments: rows may have been there already.
        let began = self.began_ms.filter(|_| self.samples.len() == 1).map(|began_ms| (began_ms, 0));
        let (first_ms, first_done) = &began.or_else(|| self.samples.front().copied())?;
        let seconds = last_ms.saturating_sub(*first_ms) as f64 / 1000.0;
        let rate = last_done.saturating_sub(*first_done) as f64 / seconds;
        (seconds >= 0.2 && rate > 0.0).then_some(rate)
    }

    /// Seconds until `total` rows are done.
    pub fn seconds_left(&self, total: u64) -> Option<f64> {
        let (_, n_done) = self.samples.back()?;
        Some(total.saturating_sub(*n_done) as f64 / self.rows_per_second()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_ten_seconds_count() {
        let mut rate = Rate::since(0);
        rate.sample(0, 0);
        assert_eq!(rate.rows_per_second(), None);
        rate.sample(100, 1_000);
        for second in 1..=20 {
            rate.sample(second * 1_000, 1_000 + second * 10);
        }
        let speed = rate.rows_per_second().unwrap();
        assert!((speed - 10.0).abs() < 1e-9, "{speed}");
        assert!((rate.seconds_left(1_300).unwrap() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn the_first_rows_give_a_speed() {
        let mut rate = Rate::since(1_000);
        rate.sample(3_000, 50);
        assert_eq!(rate.rows_per_second(), Some(25.0));
        rate.sample(4_000, 60);
        assert_eq!(rate.rows_per_second(), Some(10.0));
    }
}
