//! A shell of clap_complete whose script is our own.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap_complete::env::EnvCompleter;

/// A shell with a script of our own, in which `PROGRAM` and `VARIABLE` stand for the names of the program and of the
/// variable that asks it for words.
pub struct OwnScript<Shell> {
    /// The shell, which reads and writes words.
    pub shell: Shell,
    /// The script.
    pub script: &'static str,
}

impl<Shell: EnvCompleter> EnvCompleter for OwnScript<Shell> {
    fn name(&self) -> &'static str {
        self.shell.name()
    }

    fn is(&self, name: &str) -> bool {
        self.shell.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        _bin: &str,
        _completer: &str,
        script: &mut dyn Write,
    ) -> Result<(), io::Error> {
        script.write_all(self.script.replace("PROGRAM", name).replace("VARIABLE", variable).as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        here: Option<&Path>,
        candidates: &mut dyn Write,
    ) -> Result<(), io::Error> {
        self.shell.write_complete(command, words, here, candidates)
    }
}
