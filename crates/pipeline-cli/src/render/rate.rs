//! The recent speed of a stage, and from it the time that is left.

use std::collections::VecDeque;

/// How far back the speed looks: shards that were already there must not promise a speed that will not last.
const WINDOW_MS: u64 = 10_000;

/// What a stage has done over the last ten seconds.
#[derive(Debug, Clone, Default)]
pub struct Rate {
    samples: VecDeque<(u64, u64)>,
}

impl Rate {
    /// Notes that `n_done` rows were done at `at_ms`.
    pub fn sample(&mut self, at_ms: u64, n_done: u64) {
        self.samples.push_back((at_ms, n_done));
        while self.samples.len() > 2 && self.samples[1].0 + WINDOW_MS < at_ms {
            self.samples.pop_front();
        }
    }

    /// Rows per second; none before two moments are known.
    pub fn rows_per_second(&self) -> Option<f64> {
        let ((first_ms, first_done), (last_ms, last_done)) = (self.samples.front()?, self.samples.back()?);
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
        let mut rate = Rate::default();
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
}
