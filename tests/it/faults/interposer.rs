//! A library that disturbs the program's system calls, compiled from `faults.c` and loaded with LD_PRELOAD.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::project::Project;

/// The disturbance at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed before the call.
    KillBefore,
    /// The process is killed after the call.
    KillAfter,
    /// The power fails before the call: everything that was not synced is lost.
    CutPower,
    /// The process is stopped before the call, until it is continued or killed.
    Stop,
    /// The disk is full from the call on.
    Full,
    /// The disk is full for this one call.
    FullOnce,
}

/// A call that the library saw.
#[derive(Debug)]
pub struct Call {
    pub is_disturbed: bool,
    pub name: String,
    pub paths: Vec<String>,
}

impl Fault {
    fn mode(self) -> &'static str {
        match self {
            Self::KillBefore => "kill-before",
            Self::KillAfter => "kill-after",
            Self::CutPower => "cut",
            Self::Stop => "stop",
            Self::Full => "full",
            Self::FullOnce => "full-once",
        }
    }

    /// True if only calls that need space are counted.
    pub fn is_full_disk(self) -> bool {
        matches!(self, Self::Full | Self::FullOnce)
    }
}

/// The library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_folder, path) = LIBRARY.get_or_init(|| compile("faults/faults.c"));
    path
}

/// A library with which no file can be locked, as on some network file systems; compiled once.
pub fn no_locks() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_folder, path) = LIBRARY.get_or_init(|| compile("no_locks.c"));
    path
}

/// A network file system as one of several machines sees it, with faults; compiled once.
pub fn shared_disk() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_folder, path) = LIBRARY.get_or_init(|| compile("shared_disk.c"));
    path
}

/// Compiles a file of `tests/it`.
fn compile(source: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("library.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it").join(source);
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&path).arg(source).arg("-ldl");
    assert!(compiler.status().expect("a C compiler is needed to build this workspace").success());
    (folder, path)
}

/// A run of the project's spec, one stage and one thread at a time, disturbed at the call with this number, from 1;
/// without a fault only watched. Calls are recorded in `log`.
pub fn command(project: &Project, fault: Option<Fault>, at: usize, log: &Path) -> Command {
    let mut command = project.command(&["run", "spec.yaml", "--jobs", "1", "--threads", "1"]);
    command
        .env("LD_PRELOAD", library())
        .env("FAULT_FOLDER", project.path("").canonicalize().unwrap())
        .env("FAULT_LOG", log)
        .env("FAULT_MODE", fault.map_or("count", Fault::mode))
        .env("FAULT_AT", at.to_string());
    command
}

/// Runs [`command`] to its end; returns the program's output and its calls.
pub fn run(project: &Project, fault: Option<Fault>, at: usize) -> (Output, Vec<Call>) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let output = command(project, fault, at, log.path()).output().unwrap();
    (output, calls(&std::fs::read_to_string(log.path()).unwrap()))
}

fn calls(log: &str) -> Vec<Call> {
    let call = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        let is_disturbed = fields.next()?.ends_with('!');
        Some(Call { is_disturbed, name: fields.next()?, paths: fields.collect() })
    };
    log.lines().filter_map(call).collect()
}
