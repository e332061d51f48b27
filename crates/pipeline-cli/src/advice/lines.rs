//! Advice on words of a command line that no command takes there: another order, other names, a space too many.

use std::path::Path;

use pipeline_spec::{did_you_mean, meant};

use super::{is_spec, settings};
use crate::again::{self, quoted};
use crate::args;

/// Options under the names that other tools give them, and those that do the same.
const OPTIONS: &[(&[&str], &str)] = &[
    (&["--parallel", "--workers", "--n-jobs", "--num-workers", "--max-workers", "--concurrency", "--cores"], "--jobs"),
    (&["--gpu", "--cuda", "--use-gpu"], "--device cuda"),
    (&["--vulkan", "--metal", "--wgpu"], "--device wgpu"),
    (&["--param", "--params", "--override", "--overrides", "--set-param", "-s", "-S", "-D", "-P"], "--set"),
    (&["-n", "--dry", "--plan", "--what-if", "--check-only", "--noop"], "--dry-run"),
    (&["-k", "--continue", "--ignore-errors"], "--keep-going"),
    (&["-B", "-f", "--rerun", "--no-cache", "--force-all", "--always-make"], "--force"),
    (&["--last", "--max-count", "--head", "-l"], "--limit"),
    (&["--store", "--cache-dir", "--cache", "--output-dir"], "--artifacts"),
    (&["--best"], "--sort -mean_recall --limit 1"),
    (&["--where", "--query"], "--filter"),
    (&["--out", "--output", "-O"], "-o"),
    (&["--topk", "--top-k"], "-k"),
    (&["--num-points", "--trials", "--n-trials", "--count"], "--points"),
];

/// Options that other tools have before the file that says what to do.
const OF_SPEC: &[&str] = &["--spec", "--config", "--config-file", "--file", "--pipeline", "-c"];

/// Options that other tools have before the name of a stage.
const OF_STAGE: &[&str] = &["--stage", "--target", "--only", "--task", "-t"];

/// A command line: the command, and the places of the words that belong to no option.
pub struct CommandLine<'a> {
    words: &'a [String],
    /// The names of the command and of those that hold it, such as `cache push`.
    name: String,
    command: clap::Command,
    positions: Vec<usize>,
}

impl<'a> CommandLine<'a> {
    /// The line of these words; `None` where they have no command.
    pub fn of(words: &'a [String]) -> Option<Self> {
        let mut commands = args::command();
        // Global options are those of each command only then.
        commands.build();
        let at = words.iter().skip(1).position(|word| commands.find_subcommand(word).is_some())? + 1;
        let mut command = commands.find_subcommand(&words[at])?;
        let (mut at, mut name) = (at, words[at].clone());
        while let Some(inner) = words.get(at + 1).and_then(|word| command.find_subcommand(word)) {
            (at, command) = (at + 1, inner);
            name.push_str(&format!(" {}", words[at]));
        }
        let command = command.clone();
        let takes_value = |word: &str| {
            let is_it = |arg: &&clap::Arg| {
                let long = arg.get_long().is_some_and(|long| word == format!("--{long}"));
                long || arg.get_short().is_some_and(|short| word == format!("-{short}"))
            };
            let option = command.get_arguments().find(is_it);
            option.is_some_and(|arg| arg.get_num_args().is_some_and(|range| range.min_values() > 0))
        };
        let mut positions = Vec::new();
        let mut idx = at + 1;
        while idx < words.len() {
            match words[idx].starts_with('-') {
                true if takes_value(&words[idx]) => idx += 1,
                true => {}
                false => positions.push(idx),
            }
            idx += 1;
        }
        Some(Self { words, name, command, positions })
    }

    /// The name of the command.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The spec on the line.
    pub fn spec(&self) -> Option<&'a str> {
        self.positions.iter().map(|idx| self.words[*idx].as_str()).find(|word| is_spec(Path::new(word)))
    }

    fn has(&self, option: &str) -> bool {
        let word = option.split(' ').next().unwrap_or_default();
        let is_it = |arg: &clap::Arg| match word.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => arg.get_short().is_some_and(|short| word == format!("-{short}")),
        };
        self.command.get_arguments().any(is_it)
    }

    /// Whether the command has the argument with this id.
    pub fn takes(&self, id: &str) -> bool {
        self.command.get_arguments().any(|arg| arg.get_id() == id)
    }

    fn takes_stages(&self) -> bool {
        self.takes_value("STAGE")
    }

    /// Whether a word of the command is called so in its help.
    fn takes_value(&self, called: &str) -> bool {
        let is_called = |name: &clap::builder::Str| name.split('|').any(|name| name == called);
        self.command.get_positionals().any(|arg| arg.get_value_names().is_some_and(|names| names.iter().any(is_called)))
    }
}

/// What is wrong with a word that is one too many on the line, and advice.
pub fn surplus(word: &str, line: &CommandLine<'_>) -> Option<(String, String)> {
    let command = line.name();
    if let Some(help) = broken_off(word, line) {
        return Some((format!("`{word}` stands alone"), help));
    }
    let spec = line.spec()?;
    let loaded = settings::load(Path::new(spec));
    let stages: Vec<String> = loaded.iter().flat_map(|spec| &spec.stages).map(|stage| stage.id.to_string()).collect();
    let at: Vec<usize> = line.positions.iter().copied().filter(|idx| line.words[*idx] == spec).collect();
    if let [_, second, ..] = at.as_slice() {
        let mut words = line.words[1..].to_vec();
        words.remove(second - 1);
        return Some((format!("`{spec}` is there twice"), format!("`pipeline {}`", again::line(&words))));
    }
    let other = line.positions.iter().map(|idx| line.words[*idx].as_str()).find(|other| *other != spec)?;
    let quoted_spec = quoted(spec);
    if !line.takes_stages() && stages.iter().any(|stage| stage == other) {
        let takes = match command {
            "report" => "`pipeline report` takes a run or a spec",
            _ => "it takes a spec and no stage",
        };
        let by_option = if line.has("--stage") { format!(" --stage {other}") } else { String::new() };
        let help = format!(
            "`pipeline {command} {quoted_spec}{by_option}`; `pipeline why {quoted_spec} {other}` is about one stage"
        );
        let message = format!("`{other}` is a stage, and `pipeline {command}` has no place for one");
        return Some((message, format!("{takes}: {help}")));
    }
    if is_spec(Path::new(word)) {
        let help = format!("one spec is taken at a time: `pipeline {command} {quoted_spec}`");
        return Some((format!("`{word}` is a second spec"), help));
    }
    let near = did_you_mean(&meant(word, stages.iter().map(String::as_str)));
    let is_stage = stages.iter().any(|stage| stage == word);
    let help = near.filter(|_| line.takes_stages() && !is_stage);
    let help = help.unwrap_or_else(|| format!("`pipeline {command} --help` shows what it takes"));
    Some((format!("`{word}` is one word too many for `pipeline {command}`"), help))
}

/// Advice on a value that a space has broken off its `--set` or `--axis`.
fn broken_off(word: &str, line: &CommandLine<'_>) -> Option<String> {
    let at = line.words.iter().rposition(|other| other == word)?;
    // `KEY VALUE`, `KEY= VALUE` and `KEY = VALUE`.
    let before = &line.words[..at];
    let option = before.iter().rposition(|word| word == "--set" || word == "--axis")?;
    let [key, signs @ ..] = &before[option + 1..] else { return None };
    if !signs.iter().all(|sign| sign == "=") || key.trim_end_matches('=').contains('=') {
        return None;
    }
    let value = if word == "=" { line.words.get(at + 1)?.as_str() } else { word };
    let key = key.trim_end_matches('=');
    Some(settings::assigned(&line.words[option], key, value, line.spec().map(Path::new)))
}

/// Advice on an option that the command does not have, by the names of other tools.
pub fn option(written: &str, line: &CommandLine<'_>) -> Option<String> {
    let (name, value) = written.split_once('=').map_or((written, None), |(name, value)| (name, Some(value)));
    let at = line.words.iter().position(|word| word == written || word.starts_with(&format!("{name}=")))?;
    let value = value.or_else(|| line.words.get(at + 1).map(String::as_str).filter(|word| !word.starts_with('-')));
    let command = line.name();
    if name == "--set" && line.takes_value("RUN") {
        let spec = line.spec().unwrap_or("SPEC");
        return Some(format!(
            "it is about what has run: `pipeline run {} --set {}`, then `pipeline {command} last`",
            quoted(spec),
            quoted(value.unwrap_or("KEY=VALUE"))
        ));
    }
    if OF_SPEC.contains(&name) || name == "-f" && value.is_some_and(|value| is_spec(Path::new(value))) {
        return Some(format!(
            "the spec has no option before it: `pipeline {command} {}`",
            quoted(value.unwrap_or("SPEC"))
        ));
    }
    if OF_STAGE.contains(&name) && line.takes_stages() {
        let spec = line.spec().unwrap_or("SPEC");
        return Some(format!(
            "a stage stands behind the spec: `pipeline {command} {} {}`",
            quoted(spec),
            quoted(value.unwrap_or("STAGE"))
        ));
    }
    let known = OPTIONS.iter().find(|(names, own)| names.contains(&name) && line.has(own));
    known.map(|(_, own)| format!("did you mean `{own}`?"))
}

/// The same line with the spec before the other word, where that is what the caller has swapped.
pub fn swapped(name: &Path, line: &CommandLine<'_>) -> Option<String> {
    let first = *line.positions.iter().find(|idx| Path::new(&line.words[**idx]) == name)?;
    let second = line.positions.iter().find(|idx| **idx > first && is_spec(Path::new(&line.words[**idx])))?;
    let mut words = line.words[1..].to_vec();
    words.swap(first - 1, second - 1);
    Some(format!("the spec comes first: `pipeline {}`", again::line(&words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn options_of_other_tools_lead_to_those_that_there_are() {
        let commands = args::command();
        for (names, own) in OPTIONS {
            let word = own.split(' ').next().unwrap();
            let has = |command: &clap::Command| {
                let name = command.get_name().to_owned();
                let line = CommandLine { words: &[], name, command: command.clone(), positions: Vec::new() };
                line.has(word)
            };
            assert!(commands.get_subcommands().any(has), "no command has {own}");
            assert!(names.iter().all(|name| name.starts_with('-')));
        }
    }

    #[test]
    fn values_of_options_are_no_words_of_their_own() {
        let words = split("pipeline -q run a --set b=1 --jobs 3 --force --json c");
        let line = CommandLine::of(&words).unwrap();
        let positions: Vec<&str> = line.positions.iter().map(|idx| words[*idx].as_str()).collect();
        assert_eq!((line.name(), positions.as_slice()), ("run", &["a", "c"][..]));
        let words = split("pipeline cache push demo --json");
        let line = CommandLine::of(&words).unwrap();
        assert_eq!((line.name(), line.positions.as_slice()), ("cache push", &[3][..]));
    }

    #[test]
    fn a_value_that_a_space_broke_off_is_joined() {
        for text in [
            "pipeline status a --set x.params.y 3",
            "pipeline status a --set x.params.y = 3",
            "pipeline status a --set x.params.y= 3",
        ] {
            let words = split(text);
            let line = CommandLine::of(&words).unwrap();
            let word = if text.contains(" = ") { "=" } else { "3" };
            assert_eq!(broken_off(word, &line).unwrap(), "did you mean `--set x.params.y=3`?", "{text}");
        }
        let words = split("pipeline sweep a --axis x.params.y 0.1,0.2");
        let help = broken_off("0.1,0.2", &CommandLine::of(&words).unwrap()).unwrap();
        assert_eq!(help, "did you mean `--axis 'x.params.y=[0.1, 0.2]'`?");
    }
}
