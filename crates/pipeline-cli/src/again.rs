//! Commands in help texts, such that the caller can paste them: with the same spec, changes and store.

use std::borrow::Cow;
use std::path::Path;

use crate::args::SpecArgs;

/// What follows the name of a command to mean the same spec, changes and store as the caller's command.
#[derive(Debug, Clone)]
pub struct Again(String);

impl Again {
    /// Of the arguments of a command on `spec`, which they name.
    pub fn new(args: &SpecArgs, spec: &Path) -> Self {
        let mut words = vec![quoted(&spec.to_string_lossy()).into_owned()];
        let from_variable = std::env::var_os("PIPELINE_ARTIFACTS");
        let artifacts =
            args.store.artifacts.as_ref().filter(|folder| from_variable.as_deref() != Some(folder.as_os_str()));
        if let Some(folder) = artifacts {
            words.push(format!("--artifacts {}", quoted(&folder.to_string_lossy())));
        }
        for text in &args.overrides {
            words.push(format!("--set {}", quoted(text)));
        }
        Self(words.join(" "))
    }

    /// The command `pipeline COMMAND` on the same spec, in backquotes.
    pub fn command(&self, command: &str) -> String {
        format!("`pipeline {command} {}`", self.0)
    }

    /// The same with more arguments behind.
    pub fn command_with(&self, command: &str, more: &str) -> String {
        format!("`pipeline {command} {} {more}`", self.0)
    }
}

/// A word as a POSIX shell takes it literally.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |character: char| character.is_alphanumeric() || "_-./=:,+@%".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::StoreArgs;

    #[test]
    fn a_command_can_be_pasted() {
        let args = SpecArgs {
            spec: "s.yaml".into(),
            overrides: vec!["a.params.k=[1, 5]".into(), "vars.n='5'".into()],
            store: StoreArgs { artifacts: Some("my store".into()) },
            publish: false,
        };
        let again = Again::new(&args, "/p/s.yaml".as_ref());
        assert_eq!(
            again.command("run"),
            r"`pipeline run /p/s.yaml --artifacts 'my store' --set 'a.params.k=[1, 5]' --set 'vars.n='\''5'\'''`"
        );
        assert_eq!(again.command_with("run", "--force a").rsplit_once("--force").unwrap().1, " a`");
    }
}
