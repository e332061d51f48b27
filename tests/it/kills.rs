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

/// Enough for more than 4,096 shards, from which on an artifact is divided into folders with a record each.
const N_TINY_IMAGES: usize = 680_000;

/// An image of one pixel.
const TINY_IMAGE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

#[test]
fn runs_killed_at_random_times_are_finished_by_the_next() {
    kill_and_finish(rounds(15, 200), || sharded(N_IMAGES));
}

#[test]
fn killed_runs_of_thousands_of_shards_are_finished_by_the_next() {
    kill_and_finish(rounds(0, 12), divided);
}

/// A project whose images make more than 4,096 shards, and whose program reads them all.
fn divided() -> Project {
    let project = Project::with_spec(
        r#"stages:
  images: { kind: decode-images, params: { path: images.tsv, size: [1, 1] } }
  report:
    kind: command
    inputs: { images: images }
    params: { run: [sh, -c, 'cat "$INPUT_IMAGES"/*/*.parquet | cksum > report.txt'], outputs: [report.txt] }
    publish: { report.txt: report.txt }
"#,
    );
    let rows: Vec<String> = (0..N_TINY_IMAGES).map(|idx| format!("{idx}\t{TINY_IMAGE}\n")).collect();
    project.write("images.tsv", &rows.concat());
    project
}

/// Kills runs of new projects so many times, and lets each project's last one go through.
fn kill_and_finish(n_wanted: usize, new_project: impl Fn() -> Project) {
    if n_wanted == 0 {
        return;
    }
    let whole = new_project();
    let began = Instant::now();
    recorded::run(&whole, &[]);
    let (duration, undisturbed) = (began.elapsed(), Undisturbed::of(&whole));
    let began = Instant::now();
    let (mut random, mut n_killed, mut n_attempts) = (Random::new(20), 0, 0);
    while n_killed < n_wanted {
        let project = new_project();
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
