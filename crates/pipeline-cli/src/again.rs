//! Commands in help texts that the caller can paste: with the same spec, overrides and store.

use std::borrow::Cow;
use std::path::Path;

use pipeline_experiments::{SpecRef, project};

use crate::args;
use crate::door;

/// The command `pipeline COMMAND` on the same spec, in backticks.
pub fn command(command: &str, named: &SpecRef) -> String {
    format!("`pipeline {command} {}`", arguments(named))
}

/// The same with more arguments.
pub fn command_with(command: &str, named: &SpecRef, more: &str) -> String {
    format!("`pipeline {command} {} {more}`", arguments(named))
}

/// The arguments for the caller's spec, overrides and store.
fn arguments(named: &SpecRef) -> String {
    let mut words = vec![quoted(&spec_word(&named.absolute)).into_owned()];
    let from_variable = std::env::var_os(args::ARTIFACTS_VARIABLE);
    let store = &named.store;
    if store.is_named && from_variable.as_deref() != Some(store.folder.as_os_str()) {
        words.push(format!("--artifacts {}", quoted(&store.folder.to_string_lossy())));
    }
    words.extend(named.changes().map(|text| format!("--set {}", quoted(text))));
    words.join(" ")
}

/// The word for the spec in `file`: the name by which a command finds it from here, or its path.
///
/// A spec outside of this project has its absolute path, which means the same in every folder.
pub fn spec_word(file: &Path) -> String {
    let here = door::here();
    let is_near = file.starts_with(&here) || project::root(&here).is_some_and(|root| file.starts_with(root));
    if is_near { project::name_from(&here, file) } else { file.to_string_lossy().into_owned() }
}

/// The words of a command, quoted for a POSIX shell.
pub fn line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word, quoted for a POSIX shell.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |character: char| character.is_alphanumeric() || "_-./=:,+@%".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted() {
        let overrides = ["a.params.k=[1, 5]".to_owned(), "vars.n='5'".to_owned()];
        let named = SpecRef::at(Path::new("/p/s.yaml"), &overrides, Some(Path::new("my store"))).unwrap();
        assert_eq!(
            command("run", &named),
            r"`pipeline run /p/s.yaml --artifacts 'my store' --set 'a.params.k=[1, 5]' --set 'vars.n='\''5'\'''`"
        );
        assert_eq!(command_with("run", &named, "--force a").rsplit_once("--force").unwrap().1, " a`");
    }
}
