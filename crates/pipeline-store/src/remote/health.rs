//! The health of a remote: decides when a process stops to ask it, so that a dead one costs seconds and not minutes.
//!
//! It is off after a refusal of access, after three failures in a row, and once failures and slowness have cost
//! [`PATIENCE`] in all. Only the clock of this process counts, and time that several requests wait together counts
//! once.

use std::time::{Duration, Instant};

use super::RemoteError;

/// The failures in a row after which a remote is not asked any more.
const MAX_FAILURES: usize = 3;

/// The time that failures and slowness may cost in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time that a good request may take, whatever its size.
const ALLOWANCE: Duration = Duration::from_millis(500);

/// The least speed of a good request.
const MIN_BYTES_PER_SECOND: f64 = 65_536.0;

#[derive(Debug, Default)]
pub(super) struct Health {
    n_failures: usize,
    lost: Duration,
    /// The end of the time that was counted.
    counted_until: Option<Instant>,
    /// Why it is not asked any more.
    off: Option<String>,
}

impl Health {
    /// Why it is not asked any more; `None` as long as it is.
    pub fn off(&self) -> Option<&str> {
        self.off.as_deref()
    }

    /// A request of `bytes` bytes that went well.
    pub fn succeeded(&mut self, began: Instant, ended: Instant, bytes: u64) {
        self.n_failures = 0;
        let allowed = ALLOWANCE + Duration::from_secs_f64(bytes as f64 / MIN_BYTES_PER_SECOND);
        self.lose(began + allowed, ended);
        if self.lost >= PATIENCE {
            self.turn_off("it is too slow".to_owned());
        }
    }

    /// A request that failed because of the remote.
    pub fn failed(&mut self, began: Instant, ended: Instant, error: &RemoteError) {
        self.n_failures += 1;
        self.lose(began, ended);
        let is_hopeless = matches!(error, RemoteError::Refused(_));
        if is_hopeless || self.n_failures >= MAX_FAILURES || self.lost >= PATIENCE {
            self.turn_off(error.to_string());
        }
    }

    /// The time that may still be lost.
    pub fn patience(&self) -> Duration {
        PATIENCE.saturating_sub(self.lost)
    }

    /// The time after which a transfer that has moved `bytes` bytes so far is too slow.
    pub fn limit(&self, bytes: u64) -> Duration {
        self.patience() + ALLOWANCE + Duration::from_secs_f64(bytes as f64 / MIN_BYTES_PER_SECOND)
    }

    fn lose(&mut self, from: Instant, until: Instant) {
        let from = self.counted_until.map_or(from, |counted| counted.max(from));
        if until > from {
            self.lost += until - from;
            self.counted_until = Some(until);
        }
    }

    fn turn_off(&mut self, reason: String) {
        self.off.get_or_insert(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The requests after which a remote is off, each of which begins when the last has ended.
    fn n_until_off(seconds: f64, outcome: Result<u64, &RemoteError>) -> Option<(usize, f64)> {
        let (mut health, mut now) = (Health::default(), Instant::now());
        let began = now;
        for n_requests in 1..=100 {
            let ended = now + Duration::from_secs_f64(seconds);
            match outcome {
                Ok(bytes) => health.succeeded(now, ended, bytes),
                Err(error) => health.failed(now, ended, error),
            }
            now = ended;
            if health.off().is_some() {
                return Some((n_requests, (now - began).as_secs_f64()));
            }
        }
        None
    }

    #[test]
    fn a_remote_that_fails_is_off_within_ten_seconds() {
        let gone = RemoteError::Unavailable("connection refused".into());
        assert_eq!(n_until_off(0.0, Err(&gone)), Some((3, 0.0)));
        assert_eq!(n_until_off(2.0, Err(&gone)), Some((3, 6.0)), "no answer to a connection");
        assert_eq!(n_until_off(5.0, Err(&gone)), Some((1, 5.0)), "no answer to a request");
        assert_eq!(n_until_off(0.1, Err(&RemoteError::Refused("403".into()))), Some((1, 0.1)));
        assert_eq!(n_until_off(4.0, Ok(4 << 10)), Some((2, 8.0)), "1 KiB/s");
    }

    #[test]
    fn a_remote_that_is_far_away_stays() {
        assert_eq!(n_until_off(0.3, Ok(4 << 10)), None);
        assert_eq!(n_until_off(100.0, Ok(100 << 20)), None, "1 MiB/s");
    }

    #[test]
    fn a_single_failure_is_forgiven() {
        let (mut health, now) = (Health::default(), Instant::now());
        for _ in 0..100 {
            health.failed(now, now, &RemoteError::Unavailable("reset".into()));
            health.succeeded(now, now, 10);
        }
        assert_eq!(health.off(), None);
    }

    #[test]
    fn time_that_requests_wait_together_counts_once() {
        let (mut health, now) = (Health::default(), Instant::now());
        for _ in 0..64 {
            health.succeeded(now, now + Duration::from_secs(2), 10);
        }
        assert_eq!(health.off(), None);
        assert!(health.patience() > Duration::from_secs(3));
    }
}
