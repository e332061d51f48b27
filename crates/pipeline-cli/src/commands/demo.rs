//! `pipeline demo`: writes the demo that is inside the program into a folder, and runs it there.
//!
//! stdout carries the result line, as with `run`; stderr has the rest, and the next commands at the end.

use std::fs;
use std::io;
use std::path::Path;

use clap::Parser;

use crate::again;
use crate::args::{Cli, Command, DemoArgs, RunArgs};
use crate::commands::run;
use crate::demo_files::{DemoFile, PIPELINE_FILES, PROJECT_FILES};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::counted;
use crate::terminal::Terminal;
use crate::whole_file::{cannot, create_new};

/// The spec that runs, below the folder of the demo.
const SPEC: &str = "pipelines/demo.yaml";

/// Runs the command.
///
/// # Errors
/// When a file there differs from that of the demo, the folder cannot be written, or the run cannot begin.
pub fn run(args: &DemoArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    write(&args.folder)?;
    let exit = run::run(&run_args(args), terminal)?;
    if exit == Exit::Done {
        terminal.remark(&next_commands(&args.folder));
    }
    Ok(exit)
}

/// The arguments of `pipeline run` on the spec of the demo, with their defaults and those of the environment.
fn run_args(args: &DemoArgs) -> RunArgs {
    let spec = args.folder.join(SPEC);
    let words = ["pipeline".as_ref(), "run".as_ref(), "--".as_ref(), spec.as_os_str()];
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Run(run)) => run,
        other => unreachable!("`pipeline run` takes any path: {other:?}"),
    }
}

/// Writes what is missing of the demo. Looks at every file first: with one that differs, nothing is written.
fn write(folder: &Path) -> Result<(), Failure> {
    let mut missing = Vec::new();
    let mut different = Vec::new();
    for file in PROJECT_FILES.iter().chain(&PIPELINE_FILES) {
        let path = folder.join(file.path);
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push((path, file)),
            Err(error) => return Err(cannot(&path, &error)),
            Ok(_) if is_same(&path, file) => (),
            Ok(_) => different.push(path),
        }
    }
    if let Some(first) = different.first() {
        return Err(kept(first, different.len() - 1, folder));
    }
    // The store of the demo is its own, also below a folder that has one.
    let store = folder.join("artifacts");
    fs::create_dir_all(&store).map_err(|error| cannot(&store, &error))?;
    missing
        .iter()
        .try_for_each(|(path, file)| create_new(path, file.content).map(drop).map_err(|error| cannot(path, &error)))
}

fn is_same(path: &Path, file: &DemoFile) -> bool {
    pipeline_files::read_at_most(path, file.content.len() as u64).is_ok_and(|content| content == file.content)
}

/// The refusal to replace a file, and `n_others` more.
fn kept(path: &Path, n_others: usize, folder: &Path) -> Failure {
    let path = path.display();
    let message = match n_others {
        0 => format!("`{path}` is there and differs from the demo's: nothing was written"),
        _ => {
            let others = counted(n_others as u64, "more file");
            format!("`{path}` and {others} are there and differ from the demo's: nothing was written")
        }
    };
    let spec = again::quoted(&folder.join(SPEC).to_string_lossy()).into_owned();
    Failure::new(Exit::Usage, message).with_help(format!(
        "`pipeline demo FOLDER` writes the demo into another folder; `pipeline run {spec}` runs what is there"
    ))
}

/// Commands that show more of the demo, to be pasted.
fn next_commands(folder: &Path) -> String {
    let folder = again::quoted(&folder.to_string_lossy()).into_owned();
    format!(
        "\nThe demo is in {folder}. Next:\n  \
         cd {folder}\n  \
         pipeline report demo -o report.html\n  \
         pipeline run demo --set projection.params.temperature=0.04\n  \
         pipeline serve demo"
    )
}
