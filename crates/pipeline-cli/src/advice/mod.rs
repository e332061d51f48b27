//! Advice on command lines that do not work, with what the caller has written and the spec that it names.

mod lines;
mod settings;
mod verbs;

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use pipeline_experiments::{ALL_STAGES, LocateError, OpenError, SpecRef};
use pipeline_spec::{Override, is_yaml};
use pipeline_store::{RunInfo, Store};

use crate::again::quoted;
use crate::args::{self, SpecArgs};
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use lines::CommandLine;

/// The option whose value is a stage, or absent.
const FORCE: &str = "--force";

/// The words of the command line, the program's name first.
pub fn words() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// The command line with `--force SPEC` read as `--force` for all stages of SPEC; `None` where SPEC is no spec.
///
/// `is_certain` is true where the line has no other spec: then a name of one is enough, else it must be a YAML file.
pub fn forcing_all(words: &[OsString], is_certain: bool) -> Option<Vec<OsString>> {
    let verb = words.get(1)?;
    if verb != "run" && verb != "sweep" {
        return None;
    }
    let force = words.iter().position(|word| word == FORCE)?;
    let value = Path::new(words.get(force + 1)?);
    let is_file = value.is_file() && is_yaml(value);
    let names_spec = is_file || is_certain && is_spec(value);
    if !names_spec {
        return None;
    }
    let mut words = words.to_vec();
    words[force] = format!("{FORCE}={ALL_STAGES}").into();
    Some(words)
}

/// The failure in place of an error of clap whose own words lead astray, and the error without such words.
pub fn in_place_of(error: &mut clap::Error, words: &[String]) -> Option<Failure> {
    let invalid = match error.get(ContextKind::InvalidSubcommand).or(error.get(ContextKind::InvalidArg)) {
        Some(ContextValue::String(invalid)) => invalid.clone(),
        _ => return None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => Some(unknown_command(&invalid)),
        ErrorKind::UnknownArgument if invalid.starts_with('-') => {
            // "Use `-- --epochs`" is never meant.
            error.remove(ContextKind::Suggested);
            let is_near = error.get(ContextKind::SuggestedArg).is_some();
            unknown_option(&invalid, words, is_near)
        }
        ErrorKind::UnknownArgument => {
            let (message, help) = lines::surplus(&invalid, &CommandLine::of(words)?)?;
            Some(Failure::new(Exit::Usage, message).with_help(help))
        }
        _ => None,
    }
}

/// An example of the command on the line, for a line that lacks something.
pub fn example(words: &[String]) -> Option<String> {
    let plain: Vec<&str> = words.iter().skip(1).map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let line = args::first_of(&plain)?;
    Some(format!("for example: `{line}`"))
}

/// The failure of a spec that cannot be named so.
pub fn of_spec(args: &SpecArgs, error: OpenError) -> Failure {
    let help = match &error {
        OpenError::Locate(LocateError::NoSpec { .. } | LocateError::IsFolder { .. }) => {
            CommandLine::of(&words()).and_then(|line| lines::swapped(&args.spec, &line))
        }
        OpenError::Spec(_) => args.overrides.iter().find_map(|text| settings::of_override(text, &args.spec, &words())),
        _ => None,
    };
    let failure = Failure::from(error);
    match help {
        Some(help) => failure.with_help(help),
        None => failure,
    }
}

/// The failure of a sweep with advice on the `--axis` that it points at.
pub fn of_axes(axes: &[String], spec: &Path, failure: Failure) -> Failure {
    let is_of_axis = failure.span.as_ref().is_some_and(|span| span.file.path() == Path::new("--axis"));
    let help = axes.iter().filter(|_| is_of_axis).find_map(|text| settings::of_axis(text, spec, &words()));
    match help {
        Some(help) => failure.with_help(help),
        None => failure,
    }
}

/// Advice on a word that stands where a stage should: a change of the spec, or another spec.
pub fn of_stage(word: &str) -> Option<String> {
    let other_spec = || {
        let other = quoted(word);
        is_spec(Path::new(word))
            .then(|| format!("`{other}` is a spec, and one is taken at a time: `pipeline run {other}`"))
    };
    let words = words();
    let spec = CommandLine::of(&words).and_then(|line| line.spec());
    settings::of_stage(word, spec.map(Path::new)).or_else(other_spec)
}

/// Advice on a word that stands where a run should, and is a spec: its last run.
pub fn of_run(word: &str) -> Option<String> {
    let artifacts = args::named_store(&words());
    let named = SpecRef::find(Path::new(word), &[], artifacts.as_deref(), &door::here()).ok()?;
    let spec = quoted(word);
    let store = Store::is_at(&named.store.folder).then(|| Store::open(&named.store.folder).ok()).flatten();
    let runs = store.and_then(|store| store.runs().list().ok()).unwrap_or_default();
    // A project may have been moved since, and old runs have no file.
    let name = settings::load(Path::new(word)).map(|spec| spec.name);
    let is_own = |run: &&RunInfo| run.origin.file.as_ref() == Some(&named.absolute);
    let has_name = |run: &&RunInfo| Some(&run.spec) == name.as_ref();
    let last = runs.iter().rev().find(is_own).or_else(|| runs.iter().rev().find(has_name));
    let Some(last) = last.filter(|run| run.number > 0) else {
        return Some(format!("`{spec}` is a spec that has not run here: `pipeline run {spec}` first"));
    };
    let all = format!("`pipeline runs --filter spec={}` lists its runs", quoted(&last.spec));
    Some(format!("`{spec}` is a spec, and its last run is `{}`; {all}", last.number))
}

fn unknown_command(word: &str) -> Failure {
    let failure = Failure::new(Exit::Usage, format!("there is no command `{word}`"));
    if is_spec(Path::new(word)) {
        return failure.with_help(format!("`pipeline run {0}` runs the spec `{0}`", quoted(word)));
    }
    failure.with_help(verbs::instead_of(word).unwrap_or_else(|| "`pipeline --help` lists the commands".to_owned()))
}

fn unknown_option(option: &str, words: &[String], is_near: bool) -> Option<Failure> {
    let line = CommandLine::of(words)?;
    let command = line.name();
    let failure = Failure::new(Exit::Usage, format!("`pipeline {command}` has no option `{option}`"));
    let help = lines::option(option, &line);
    let spec = line.spec().map(Path::new);
    let is_param = || spec.is_some_and(|spec| settings::has(option, spec));
    let takes_settings = line.takes("overrides") && option.starts_with("--");
    let help = match help {
        Some(help) => help,
        // The words of clap name the option.
        None if is_near && !(takes_settings && is_param()) => return None,
        None if takes_settings => settings::of_option(option, spec, words, command),
        None => return Some(failure.with_help(format!("`pipeline {command} --help` lists the options"))),
    };
    Some(failure.with_help(format!("{help}\n`pipeline {command} --help` lists the options")))
}

/// Whether the word names a spec from here.
fn is_spec(word: &Path) -> bool {
    SpecRef::find(word, &[], None, &door::here()).is_ok()
}

/// Whether the text is a change as `--set` takes it.
fn is_override(text: &str) -> bool {
    text.parse::<Override>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn an_example_is_of_the_command_on_the_line() {
        assert_eq!(example(&words("pipeline -q diff last")).unwrap(), "for example: `pipeline diff last~1 last`");
        assert_eq!(example(&words("pipeline nothing")), None);
        let of_cache = example(&words("pipeline cache verify demo --remote")).unwrap();
        assert!(of_cache.contains("cache verify"), "the spec `demo` is not the command: {of_cache}");
    }

    #[test]
    fn the_store_of_advice_is_that_of_the_line() {
        for line in ["pipeline diff shop last --artifacts b", "pipeline diff --artifacts=b shop last"] {
            assert_eq!(args::named_store(&words(line)), Some(PathBuf::from("b")), "{line}");
        }
    }

    #[test]
    fn force_takes_no_spec_of_other_commands() {
        let line = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(forcing_all(&line("pipeline export --force Cargo.toml"), true), None);
        assert_eq!(forcing_all(&line("pipeline run a.yaml --force"), true), None);
    }
}
