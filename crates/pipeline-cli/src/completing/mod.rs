//! Completes words for a shell: commands and options by clap, names of specs, stages, runs and params by looking.
//!
//! The script of a shell calls this program with [`VARIABLE`] set, once for each press of the tabulator. It writes
//! nothing but candidates, and changes no file.

mod bash;
mod names;
mod script;
mod zsh;

use std::ffi::OsString;
use std::io::{self, Write as _};

use clap::Command;
use clap_complete::Shell;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::args;
use script::OwnScript;

pub use names::{kinds, reportable, runs, settings, specs, stages};

/// The variable with the name of the shell that asks.
pub const VARIABLE: &str = "PIPELINE_COMPLETE";

/// The program's name, as shells call it.
const PROGRAM: &str = "pipeline";

/// Answers a shell that asks for candidates; `None` when none does. Mistakes are answered by silence.
pub fn answer() -> Option<()> {
    let shell = std::env::var(VARIABLE).ok().filter(|shell| !shell.is_empty())?;
    let mut candidates = Vec::new();
    let words = words();
    let mut command = args::command();
    if words.last().is_some_and(|word| word.is_empty()) {
        // Building adds `--help`, which is an option, too.
        command.build();
        command = without_options(command);
    }
    if let Some(completer) = completer(&shell) {
        let here = std::env::current_dir().ok();
        let answered = completer.write_complete(&mut command, words, here.as_deref(), &mut candidates);
        if answered.is_ok() {
            // A shell that went away needs no answer.
            let _ = io::stdout().write_all(&candidates);
        }
    }
    Some(())
}

/// The script for a shell.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    if let Some(completer) = completer(&shell.to_string()) {
        let written = completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script);
        written.expect("writing to memory does not fail");
    }
    String::from_utf8_lossy(&script).into_owned()
}

/// The commands with hidden options: who has written nothing yet asks for names, as long as there are some.
fn without_options(command: Command) -> Command {
    let command = command.mut_args(|arg| if arg.is_positional() { arg } else { arg.hide(true) });
    command.mut_subcommands(without_options)
}

fn completer(shell: &str) -> Option<&'static dyn EnvCompleter> {
    const BASH: OwnScript<Bash> = OwnScript { shell: Bash, script: bash::SCRIPT };
    const ZSH: OwnScript<Zsh> = OwnScript { shell: Zsh, script: zsh::SCRIPT };
    const ALL: [&dyn EnvCompleter; 5] = [&BASH, &Elvish, &Fish, &Powershell, &ZSH];
    ALL.into_iter().find(|completer| completer.is(shell))
}

/// The words of the line that is being completed, the program's name first.
fn words() -> Vec<OsString> {
    std::env::args_os().skip_while(|word| word != "--").skip(1).collect()
}
