//! The facts beside files that determine the stages of a spec: the program, the command line, the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pipeline_experiments::SpecRef;
use pipeline_stages::environment::digest;
use pipeline_store::{Circumstances, device_number};

/// The options of the command line that change stages.
pub fn options(named: &SpecRef, publishes_trials: bool) -> Vec<String> {
    let publish = publishes_trials.then(|| "--publish".to_owned());
    named.changes().map(str::to_owned).chain(publish).collect()
}

/// The circumstances of this call for the spec in the file at `spec`, limited to these variables of the environment.
/// `None` when the program does not know its own file.
pub fn now(spec: &Path, overrides: &[String], variables: BTreeSet<String>) -> Option<Circumstances> {
    let value = |name: &str| std::env::var_os(name).map(|value| digest(name, &value));
    let environment: BTreeMap<_, _> = variables.into_iter().map(|name| (name.clone(), value(&name))).collect();
    let folder = spec.parent()?.canonicalize().ok()?.to_string_lossy().into_owned();
    Some(Circumstances { program: program()?, folder, overrides: overrides.to_vec(), environment })
}

/// True if these are the circumstances of this call for the spec in the file at `spec`.
pub fn are_now(circumstances: &Circumstances, spec: &Path, overrides: &[String]) -> bool {
    now(spec, overrides, circumstances.environment.keys().cloned().collect()).as_ref() == Some(circumstances)
}

/// This very build of the program: its file and its modification time.
pub fn program() -> Option<String> {
    let metadata = std::env::current_exe().and_then(std::fs::metadata).ok()?;
    Some(format!("{} {}", env!("CARGO_PKG_VERSION"), identity(&metadata)))
}

/// A file with its content: its size, place and times.
pub fn identity(metadata: &Metadata) -> String {
    let (inode, device) = (metadata.ino(), device_number(metadata));
    let times = (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec());
    format!("{} {inode} {device} {times:?}", metadata.len())
}
