//! The origin of the runs that this process begins: its command line and its program.

use std::path::{Path, PathBuf};

use pipeline_kernels::InstructionSet;
use pipeline_store::RunOrigin;

/// The origin of a run of the spec in `file`, still without a commit.
pub fn of(file: &Path) -> RunOrigin {
    let mut command: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    if let Some(program) = command.first_mut() {
        let name = Path::new(program.as_str()).file_name().map(|name| name.to_string_lossy().into_owned());
        *program = name.unwrap_or_default();
    }
    // JSON has no other paths.
    let file = file.to_str().map(PathBuf::from);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    RunOrigin { command, file, version, instruction_set: instruction_set(), commit: None }
}

/// The architecture and the widest instruction set in use.
pub fn instruction_set() -> String {
    format!("{} {}", std::env::consts::ARCH, InstructionSet::best().name())
}
