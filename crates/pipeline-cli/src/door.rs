//! The door: converts arguments and environment to a named spec, its store and its surroundings, once per command.

use std::path::{Path, PathBuf};

use pipeline_core::{Arithmetic, Numerics, SourceFile, StageError};
use pipeline_engine::Plan;
use pipeline_experiments::{Loaded, LocateError, Opened, SpecRef, StoreRef, Surroundings, project};
use pipeline_kernels::InstructionSet;
use pipeline_stages::{Environment, Guards};
use pipeline_store::Store;

use crate::advice;
use crate::args::{RemoteArgs, SpecArgs, StoreArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remotes;
use crate::terminal::Terminal;

/// The variable that says whether results of other arithmetic count.
const NUMERICS: &str = "PIPELINE_NUMERICS";

/// The spec that the arguments name.
///
/// # Errors
/// When there is no such spec, or an override cannot be parsed.
pub fn spec(args: &SpecArgs) -> Result<SpecRef, Failure> {
    let named = SpecRef::find(&args.spec, &args.overrides, args.store.artifacts.as_deref(), &here());
    let named = named.map_err(|error| advice::of_spec(args, error))?;
    Ok(SpecRef { path: shown(&named.path, &args.spec), ..named })
}

/// The file of the spec `name`: a path, or a name of the project.
///
/// # Errors
/// When there is none.
pub fn locate(name: &Path) -> Result<PathBuf, LocateError> {
    pipeline_experiments::locate_spec(name, &here()).map(|path| shown(&path, name))
}

/// The path of a spec that was found under `name`, from the current folder where it lies in the same project.
pub fn shown(path: &Path, name: &Path) -> PathBuf {
    let here = here();
    let is_near = path.starts_with(&here) || project::root(&here).is_some_and(|root| path.starts_with(root));
    match path.is_absolute() && !name.is_absolute() && is_near {
        true => project::relative(&here, path),
        false => path.to_owned(),
    }
}

/// The spec that the arguments name, read and checked; does not open its store.
///
/// # Errors
/// When the spec contains a mistake.
pub fn load(args: &SpecArgs) -> Result<(SpecRef, Loaded), Failure> {
    let named = spec(args)?;
    let loaded = Loaded::load(&named, &surroundings(), false).map_err(|error| advice::of_spec(args, error))?;
    Ok((named, loaded))
}

/// The spec that the arguments name, read and checked, with its store.
///
/// # Errors
/// When the spec contains a mistake, or the store cannot be opened.
pub fn open(args: &SpecArgs) -> Result<Opened, Failure> {
    let opened = Opened::open(&spec(args)?, &surroundings()).map_err(|error| advice::of_spec(args, error))?;
    attached(opened, &args.remote)
}

/// The spec with the remote of its store, if one is named.
///
/// # Errors
/// When the URL of the remote means nothing.
pub fn attached(opened: Opened, args: &RemoteArgs) -> Result<Opened, Failure> {
    let store = remotes::attach(opened.store.clone(), args.remote.as_deref())?;
    Ok(Opened { store, ..opened })
}

/// The store of a command that needs no spec.
///
/// # Errors
/// When there is none, or it cannot be opened.
pub fn store(args: &StoreArgs, terminal: &Terminal) -> Result<Store, Failure> {
    let store = StoreRef::above(&here(), args.artifacts.as_deref())?;
    note_other_stores(&store, terminal);
    Ok(Store::open(&store.folder)?)
}

/// Notes on stderr which other stores the project has, whose results this command does not see.
pub fn note_other_stores(store: &StoreRef, terminal: &Terminal) {
    let here = here();
    let name = |folder: &Path| match project::relative(&here, folder) {
        path if path.as_os_str().is_empty() => "`.`".to_owned(),
        path => format!("`{}`", path.display()),
    };
    let others: Vec<String> = store.others().iter().map(|other| name(other)).collect();
    if !others.is_empty() {
        terminal.remark(&format!(
            "note: the store is {}; this project has another in {}, which `--artifacts DIR` names",
            name(&store.folder),
            others.join(" and in ")
        ));
    }
}

/// The plan of a run, even if a stage misses a source.
///
/// # Errors
/// When the store cannot be read.
pub fn plan_what_is_there(opened: &Opened) -> Result<Plan, Failure> {
    opened.plan_what_is_there().map_err(|error| Failure::of_plan(opened, error))
}

/// Lists the files of folders that are sources, as the store's digests cover them.
pub fn list_folder(store: &Store) -> impl Fn(&Path) -> Result<Vec<SourceFile>, StageError> {
    |folder| pipeline_engine::source_files(store, folder)
}

/// The current folder.
pub fn here() -> PathBuf {
    std::env::current_dir().unwrap_or_default()
}

/// The number of threads of this machine.
pub fn n_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The environment and the program itself, for stages that need them.
pub fn surroundings() -> Surroundings {
    Surroundings { environment: Environment::new(std::env::vars_os()), guards: guards(), arithmetic: arithmetic() }
}

/// The arithmetic of this process. `PIPELINE_NUMERICS=same` makes results of another class count as absent.
pub fn arithmetic() -> Arithmetic {
    let processor = if InstructionSet::best().fuses() { Numerics::Fma } else { Numerics::Plain };
    Arithmetic { processor, is_exclusive: std::env::var_os(NUMERICS).is_some_and(|value| value == "same") }
}

/// Refuses variables of the environment with values that mean nothing: a misspelt one would be ignored silently.
///
/// # Errors
/// When there is one.
pub fn check_environment() -> Result<(), Failure> {
    match std::env::var_os(NUMERICS) {
        Some(value) if !["", "any", "same"].iter().any(|known| value == *known) => {
            let message = format!("`{NUMERICS}` is `{}`, and it can be `same` or `any`", value.display());
            Err(Failure::new(Exit::Usage, message))
        }
        _ => remotes::check_environment(),
    }
}

/// The guards of `command` stages: this very program, even if another has replaced it on the disk.
fn guards() -> Guards {
    let running = PathBuf::from("/proc/self/exe");
    Guards::of(if running.exists() { running } else { std::env::current_exe().unwrap_or_default() })
}
