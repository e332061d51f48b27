//! A run is killed, the power cut, or the disk full, at every call that changes a file: the next run restores
//! everything.

pub mod interposer;

use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;
use std::time::Instant;

use crate::recovery::{Undisturbed, assert_recovers};
use crate::sharded::{published, sharded};
use crate::soak::{is_soak, show};
use interposer::{Call, Fault};

/// Few enough for a run of some 400 calls, enough for several shards of each sort.
const N_IMAGES: usize = 400;

/// The number of points that CI tests for each fault.
const N_POINTS_IN_CI: usize = 12;

/// An undisturbed run: its files, and its calls.
struct Watched {
    left: Undisturbed,
    calls: Vec<Call>,
}

impl Watched {
    fn new() -> Self {
        let project = sharded(N_IMAGES);
        let (output, calls) = interposer::run(&project, None, 0);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        Self { left: Undisturbed::of(&project), calls }
    }

    /// The calls at which a fault can happen, from 1: all of them in the soak, a spread of them in CI.
    fn points(&self, fault: Fault) -> Vec<usize> {
        let counts = |call: &&Call| !fault.is_full_disk() || !call.name.starts_with("unlink");
        let n_points = self.calls.iter().filter(counts).count();
        let stride = if is_soak() { 1 } else { n_points.div_ceil(N_POINTS_IN_CI) };
        (1..=n_points).step_by(stride).collect()
    }
}

#[test]
fn a_run_killed_or_cut_from_power_at_any_call_is_finished_by_the_next() {
    let (watched, began) = (Watched::new(), Instant::now());
    let (mut n_points, mut n_killed) = (0, 0);
    for fault in [Fault::KillBefore, Fault::KillAfter, Fault::CutPower] {
        for at in watched.points(fault) {
            let project = sharded(N_IMAGES);
            let (output, calls) = interposer::run(&project, Some(fault), at);
            let story = story(fault, at, &calls, &output);
            let is_killed = output.status.signal() == Some(9);
            assert!(is_killed || output.status.success(), "{story}");
            n_points += 1;
            n_killed += usize::from(is_killed);
            assert_recovers(&project, &watched.left, &story);
        }
    }
    // Events come from two threads, so not every run reaches the last few points.
    assert!(n_killed * 10 >= n_points * 9, "only {n_killed} of {n_points} points were reached");
    let seconds = began.elapsed().as_secs();
    let n_calls = watched.calls.len();
    show(&format!("{n_killed} kills and power cuts at {n_points} points around {n_calls} calls, {seconds} s"));
}

#[test]
fn a_full_disk_at_any_call_is_reported_and_overcome() {
    let (watched, began) = (Watched::new(), Instant::now());
    let (mut n_points, mut n_failed) = (0, 0);
    for fault in [Fault::Full, Fault::FullOnce] {
        for at in watched.points(fault) {
            let project = sharded(N_IMAGES);
            let (output, calls) = interposer::run(&project, Some(fault), at);
            let story = story(fault, at, &calls, &output);
            n_points += 1;
            match output.status.code() {
                Some(0) => assert_eq!(published(&project), watched.left.published, "{story}"),
                Some(2 | 3) => {
                    n_failed += 1;
                    assert_reports_the_full_disk(&output, &calls, &story);
                }
                _ => panic!("{story}"),
            }
            assert_recovers(&project, &watched.left, &story);
        }
    }
    assert!(n_failed * 2 >= n_points, "only {n_failed} of {n_points} runs noticed");
    let seconds = began.elapsed().as_secs();
    show(&format!("{n_points} points at which the disk was full, {n_failed} runs failed and said so, {seconds} s"));
}

fn story(fault: Fault, at: usize, calls: &[Call], output: &Output) -> String {
    let call = calls.iter().find(|call| call.is_disturbed);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{fault:?} at call {at}, {call:?}: {}\n{stderr}", output.status)
}

/// The message names the file, or its purpose or folder, and the cause, and does not report a bug.
fn assert_reports_the_full_disk(output: &Output, calls: &[Call], story: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("No space left on device"), "{story}");
    assert!(!stderr.contains("this is a bug"), "{story}");
    let paths = calls.iter().filter(|call| call.is_disturbed).flat_map(|call| &call.paths);
    let is_named = |path: &String| {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        stderr.contains(path.as_str()) || stderr.contains(&format!("`{folder}`"))
    };
    assert!({ paths }.any(is_named), "no file is named: {story}");
}
