//! Removes old runs from the history, except those that something needs.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;

use pipeline_core::RunId;

use super::Runs;
use super::history::{RunInfo, RunState};
use crate::error::At;
use crate::folders::remove_folder;
use crate::specs::is_of_overrides;
use crate::{Store, StoreError};

/// The reason why a run stays in the history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needed {
    /// It has not ended.
    Running,
    /// Its results are pinned.
    Pinned,
    /// It has a name, a note or a tag.
    Labelled,
    /// It is the last run of a spec, its last sweep, or its last run with any overrides.
    Last,
    /// Its folder has a name that this program does not give: it may be somebody else's.
    Foreign,
    /// The last run of a spec is unknown, since this file cannot be read.
    Unknown(PathBuf),
}

impl Store {
    /// The runs among these, those of the store, that must stay, and why.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn needed_runs(&self, runs: &[RunInfo]) -> Result<BTreeMap<RunId, Needed>, StoreError> {
        let (mut last_runs, mut of_overrides, mut unreadable) = (Vec::new(), HashMap::new(), None);
        for entry in self.specs().all()? {
            match entry.last {
                Some(last) if is_of_overrides(&entry.path) => {
                    // As `Specs::newest_last` chooses: a run with nothing to do is a use, too.
                    let newest = of_overrides.entry(last.spec).or_insert((entry.used, last.run.clone()));
                    if entry.used > newest.0 {
                        *newest = (entry.used, last.run);
                    }
                }
                Some(last) => last_runs.push(last.run),
                None => unreadable = Some(entry.path),
            }
        }
        last_runs.extend(of_overrides.into_values().map(|(_, run)| run));
        let why = |run: &RunInfo| {
            Some(match run {
                _ if !Runs::is_name(&run.id.0) => Needed::Foreign,
                _ if run.state == RunState::Running => Needed::Running,
                _ if run.pinned => Needed::Pinned,
                _ if !run.labels.is_empty() || run.labels_problem.is_some() => Needed::Labelled,
                _ if last_runs.contains(&run.id) => Needed::Last,
                _ => Needed::Unknown(unreadable.clone()?),
            })
        };
        Ok(runs.iter().filter_map(|run| Some((run.id.clone(), why(run)?))).collect())
    }
}

impl Runs {
    /// Removes a run from the history, at once or not at all. The results of its stages stay.
    ///
    /// # Errors
    /// When there is no such run, or the store cannot be written.
    pub fn remove(&self, run: &RunId) -> Result<(), StoreError> {
        let (folder, scratch) = (self.folder_of(run), self.workspace.new_path()?);
        fs::rename(&folder, &scratch).at("remove", &folder)?;
        remove_folder(&scratch).at("remove", &scratch)
    }
}
