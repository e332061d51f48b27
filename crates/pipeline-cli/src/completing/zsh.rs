//! The script for zsh, which sets no space behind a word that goes on: `STAGE.params.NAME=` and folders.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap_complete::env::{EnvCompleter, Zsh as Plain};

/// Zsh, with words that go on.
pub struct Zsh;

const SCRIPT: &str = r#"#compdef PROGRAM
_PROGRAM_complete() {
    local line
    local -a open whole
    for line in "${(@f)$(VARIABLE=zsh _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((CURRENT - 1)) \
        "${words[1]/#\~/$HOME}" -- "${words[@]}" 2> /dev/null)}"; do
        if [[ ${line%%:*} == *[=/] ]]; then
            open+=("$line")
        elif [[ -n $line ]]; then
            whole+=("$line")
        fi
    done
    [[ -n $open ]] && _describe -V 'values' open -S ''
    [[ -n $whole ]] && _describe -V 'values' whole
}
compdef _PROGRAM_complete PROGRAM
"#;

impl EnvCompleter for Zsh {
    fn name(&self) -> &'static str {
        Plain.name()
    }

    fn is(&self, name: &str) -> bool {
        Plain.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        _bin: &str,
        _completer: &str,
        script: &mut dyn Write,
    ) -> Result<(), io::Error> {
        script.write_all(SCRIPT.replace("PROGRAM", name).replace("VARIABLE", variable).as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        here: Option<&Path>,
        candidates: &mut dyn Write,
    ) -> Result<(), io::Error> {
        Plain.write_complete(command, words, here, candidates)
    }
}
