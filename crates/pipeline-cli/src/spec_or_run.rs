//! A word that names a spec or a run: the arguments of `report`, `serve`, `cache push` and `cache pull`.

use std::path::{Path, PathBuf};

use pipeline_experiments::recorded::{RecordedError, find_run};
use pipeline_experiments::{LocateError, StoreRef, locate_spec_near};
use pipeline_spec::is_yaml;
use pipeline_store::{RunInfo, Store};

use crate::args::StoreArgs;
use crate::door;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// A named spec, or the runs of which one may have the name.
pub enum SpecOrRun {
    /// The file of the spec.
    Spec(PathBuf),
    /// No spec has the name.
    Runs(RunsOfStore),
}

/// The runs of a store, among which a word is looked for that names no spec.
pub struct RunsOfStore {
    /// The store.
    pub store: Store,
    /// Its runs, oldest first.
    pub runs: Vec<RunInfo>,
    /// The reason why the word names no spec.
    pub no_spec: LocateError,
}

impl SpecOrRun {
    /// Finds a spec of this name, but a run before specs in folders below `pipelines/`.
    ///
    /// # Errors
    /// When there is neither a spec of this name nor a store, or the store cannot be read.
    pub fn find(name: &str, args: &StoreArgs, terminal: &Terminal) -> Result<Self, Failure> {
        let path = Path::new(name);
        let here = door::here();
        let no_spec = match locate_spec_near(path, &here) {
            Ok(spec) => return Ok(Self::Spec(door::shown(&spec, path))),
            Err(error) => error,
        };
        let named = StoreRef::above(&here, args.artifacts.as_deref()).ok();
        let named = named.filter(|named| Store::is_at(&named.folder));
        let store = named.as_ref().map(|named| Store::open(&named.folder)).transpose()?;
        let runs = store.as_ref().map_or_else(|| Ok(Vec::new()), |store| store.runs().list())?;
        let no_spec = match find_run(&runs, name) {
            Err(RecordedError::NoRun { .. }) => match door::locate(path) {
                Ok(spec) => return Ok(Self::Spec(spec)),
                Err(error) => error,
            },
            _ => no_spec,
        };
        if let (Some(store), Some(named)) = (store, named) {
            door::note_other_stores(&named, terminal);
            return Ok(Self::Runs(RunsOfStore { store, runs, no_spec }));
        }
        if is_of_specs(&no_spec, name) {
            return Err(no_spec.into());
        }
        // There is no store, unless all of its results are gone and its runs have stayed.
        let store = door::store(args, terminal)?;
        let runs = store.runs().list()?;
        Ok(Self::Runs(RunsOfStore { store, runs, no_spec }))
    }
}

impl RunsOfStore {
    /// The failure where no run has the name either: about specs if a spec was meant.
    pub fn neither(self, name: &str, no_run: impl Into<Failure>) -> Failure {
        if is_of_specs(&self.no_spec, name) { self.no_spec.into() } else { no_run.into() }
    }
}

/// Whether a name that is neither that of a spec nor that of a run is meant as a spec.
fn is_of_specs(error: &LocateError, name: &str) -> bool {
    let is_path = name.contains('/') || is_yaml(Path::new(name));
    is_path || matches!(error, LocateError::SeveralSpecs { .. })
}
