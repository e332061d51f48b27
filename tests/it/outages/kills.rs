//! Processes that are killed at any request of an upload or a download of many shards.

use std::collections::BTreeSet;
use std::time::Instant;

use super::place::Place;
use crate::project::Project;
use crate::random::Random;
use crate::recorded::{Recorded, assert_intact, files_below};
use crate::recovery::{Undisturbed, assert_recovers};
use crate::server::{Fault, Protocol};
use crate::sharded::{published, sharded};
use crate::soak::{rounds, show};

/// Enough for several shards of each sort.
const N_IMAGES: usize = 200;

/// Reads the files of all shards.
const READS_ALL: [&str; 5] = ["run", "spec.yaml", "--json", "--force", "digest"];

const RUN: [&str; 3] = ["run", "spec.yaml", "--json"];

fn command(place: &Place, project: &Project, access: &str, args: &[&str]) -> std::process::Command {
    let mut command = project.command(args);
    command.env("PIPELINE_REMOTE_ACCESS", access).envs(place.variables());
    command
}

fn done(place: &Place, project: &Project, access: &str, args: &[&str]) -> Recorded {
    let output = command(place, project, access, args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Recorded::from_lines(&String::from_utf8_lossy(&output.stdout))
}

/// Starts a run and kills it while it waits for the answer to a request; false if it had ended.
fn kill_at(place: &Place, project: &Project, access: &str, args: &[&str], n_requests: usize) -> bool {
    place.server().set_faults(&[(n_requests, Fault::Nothing)], Fault::Silent);
    let mut child = command(place, project, access, args).stdout(std::process::Stdio::null()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() && place.server().n_unanswered() == 0 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    let was_killed = child.wait().unwrap().code().is_none();
    place.server().set_fault(Fault::Nothing);
    was_killed
}

/// Some of the requests of a run, in a soak all.
fn points(n_requests: usize, random: &mut Random) -> BTreeSet<usize> {
    let n_points = rounds(2, n_requests).min(n_requests);
    let mut points = BTreeSet::new();
    while points.len() < n_points {
        points.insert(random.below(n_requests));
    }
    points
}

#[test]
fn uploads_and_downloads_that_are_killed_at_any_request_are_finished_by_the_next_run() {
    let (mut random, began, mut n_killed) = (Random::new(40), Instant::now(), [0, 0]);
    for protocol in [Protocol::S3, Protocol::WebDav] {
        let (place, whole, reader) = (Place::of(protocol), sharded(N_IMAGES), sharded(N_IMAGES));
        let n_requests = || place.server().requests().len();
        done(&place, &whole, "write", &RUN);
        let n_up = n_requests();
        assert!(done(&place, &reader, "read", &RUN).started().is_empty());
        let n_down = {
            let (reader, n_before) = (sharded(N_IMAGES), n_requests());
            done(&place, &reader, "read", &READS_ALL);
            n_requests() - n_before
        };
        let undisturbed = Undisturbed::of(&whole);
        for point in points(n_up, &mut random) {
            let (place, writer, reader) = (Place::of(protocol), sharded(N_IMAGES), sharded(N_IMAGES));
            let story = format!("{protocol:?}: an upload is killed at request {point} of {n_up}");
            n_killed[0] += usize::from(kill_at(&place, &writer, "write", &RUN, point));
            done(&place, &writer, "read", &["cache", "verify", "--remote"]);
            assert_recovers(&writer, &undisturbed, &story);
            done(&place, &writer, "write", &["cache", "push", "spec.yaml"]);
            assert!(files_below(&writer.path("artifacts/store-v1/unpushed")).is_empty(), "{story}");
            let found = done(&place, &reader, "read", &RUN);
            assert_eq!(
                (found.started(), published(&reader)),
                (BTreeSet::new(), undisturbed.published.clone()),
                "{story}"
            );
        }
        for point in points(n_down, &mut random) {
            let reader = sharded(N_IMAGES);
            let story = format!("{protocol:?}: a download is killed at request {point} of {n_down}");
            n_killed[1] += usize::from(kill_at(&place, &reader, "read", &READS_ALL, point));
            assert_intact(&reader, &story);
            let again = done(&place, &reader, "read", &READS_ALL);
            assert_eq!((again.n_shards_computed(), published(&reader)), (0, undisturbed.published.clone()), "{story}");
            assert_intact(&reader, &story);
        }
    }
    let [n_up, n_down] = n_killed;
    assert!(n_up > 0 && n_down > 0);
    let seconds = began.elapsed().as_secs();
    show(&format!("{n_up} uploads and {n_down} downloads killed at their requests, {seconds} s"));
}
