//! The script for bash, which breaks words at `=` and `:` as no other shell does.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap_complete::env::{Bash as Plain, EnvCompleter};

/// Bash, with whole words.
pub struct Bash;

/// Joins what bash has broken apart, cuts the line at the cursor, and gives back only what bash replaces.
const SCRIPT: &str = r#"_PROGRAM_complete() {
    local line=${COMP_LINE:0:COMP_POINT} words=() piece trimmed
    for piece in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        trimmed=${line#"${line%%[![:space:]]*}"}
        piece=${piece:0:${#trimmed}}
        if [[ ${#words[@]} -gt 0 && $trimmed == "$line" ]]; then
            words[${#words[@]}-1]+=$piece
        else
            words+=("$piece")
        fi
        line=${trimmed#"$piece"}
    done
    local word=${words[${#words[@]}-1]} before='' sign
    for sign in '=' ':'; do
        if [[ $COMP_WORDBREAKS == *"$sign"* && $word == *"$sign"* ]]; then
            piece=${word%"${word##*"$sign"}"}
            [[ ${#piece} -gt ${#before} ]] && before=$piece
        fi
    done
    mapfile -t COMPREPLY < <(VARIABLE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) \
        "${words[0]/#\~/$HOME}" -- "${words[@]}" 2> /dev/null)
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then
        compopt -o nospace 2> /dev/null
    fi
}
complete -o bashdefault -o default -F _PROGRAM_complete PROGRAM
"#;

impl EnvCompleter for Bash {
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
