//! A run that is killed at any time loses at most the shards in flight.

use std::time::{Duration, Instant};

use crate::project::Project;
use crate::random::Random;
use crate::recorded;
use crate::recovery::{Undisturbed, assert_recovers};
use crate::sharded::sharded;
use crate::soak::{rounds, show};

/// Enough for about ten shards of images and several of queries.
const N_IMAGES: usize = 600;

#[test]
fn runs_killed_at_random_times_are_finished_by_the_next() {
    let whole = sharded(N_IMAGES);
    let began = Instant::now();
    recorded::run(&whole, &[]);
    let (duration, undisturbed) = (began.elapsed(), Undisturbed::of(&whole));
    let (n_wanted, began) = (rounds(15, 200), Instant::now());
    let (mut random, mut n_killed, mut n_attempts) = (Random::new(20), 0, 0);
    while n_killed < n_wanted {
        let project = sharded(N_IMAGES);
        // Up to three kills in a row before the run that goes through.
        for _ in 0..1 + random.below(3) {
            n_attempts += 1;
            assert!(n_attempts < 10 * n_wanted, "only {n_killed} of {n_attempts} runs were killed before their end");
            let after = duration.mul_f64(random.below(1000) as f64 / 1000.0);
            n_killed += usize::from(kill_after(&project, after));
        }
        assert_recovers(&project, &undisturbed, &format!("after kill {n_killed}"));
    }
    show(&format!("{n_killed} kills at random times, {} s", began.elapsed().as_secs()));
}

/// Starts a run and kills it after this time; false if it had ended.
fn kill_after(project: &Project, after: Duration) -> bool {
    let mut child = project.command(&["run", "spec.yaml", "--quiet"]).spawn().unwrap();
    let deadline = Instant::now() + after;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return false;
        }
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}
