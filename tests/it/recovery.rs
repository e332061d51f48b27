//! After a disturbed run: the results that the next run must restore, and those that it must not recompute.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::project::Project;
use crate::recorded::{self, artifacts, assert_intact, files_below, n_records};
use crate::sharded::published;

/// The results of an undisturbed run.
pub struct Undisturbed {
    pub published: BTreeMap<&'static str, String>,
    artifacts: Vec<(String, String)>,
    files: Vec<PathBuf>,
}

impl Undisturbed {
    /// The results of a project's run.
    pub fn of(project: &Project) -> Self {
        Self { published: published(project), artifacts: artifacts(project), files: files_of_the_user(project) }
    }
}

/// All files of a project outside the store: sources and published files.
fn files_of_the_user(project: &Project) -> Vec<PathBuf> {
    let mut files = files_below(&project.path(""));
    files.retain(|file| !file.starts_with("artifacts"));
    files
}

/// Runs again: all results are right, and nothing is recomputed that the disturbed run had finished.
pub fn assert_recovers(project: &Project, undisturbed: &Undisturbed, story: &str) {
    let before = recorded::all_runs(project);
    let n_before = n_records(project);
    let again = recorded::run(project, &[]);
    for earlier in &before {
        let twice: Vec<_> = earlier.finished().intersection(&again.started()).cloned().collect();
        assert!(twice.is_empty(), "{twice:?} ran twice: {story}");
    }
    let n_computed = again.n_started() + again.n_shards_computed();
    assert_eq!(n_computed, n_records(project) - n_before, "something was computed though it was there: {story}");
    assert_eq!(published(project), undisturbed.published, "{story}");
    assert_eq!(artifacts(project), undisturbed.artifacts, "{story}");
    assert_eq!(files_of_the_user(project), undisturbed.files, "{story}");
    let scratch = files_below(&project.path("artifacts/store-v1/scratch"));
    assert!(scratch.is_empty(), "{scratch:?} is left: {story}");
    assert_intact(project, story);
    assert!(nothing_runs(project), "{story}");
}

fn nothing_runs(project: &Project) -> bool {
    let again = recorded::run(project, &[]);
    !again.events.iter().any(|event| event["event"] == "stage-started" || event["event"] == "file-published")
}
