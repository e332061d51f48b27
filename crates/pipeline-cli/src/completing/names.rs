//! The names that words of a command line can be: specs of the project, stages and params of the named spec, runs.
//!
//! What cannot be read has no names.

use std::ffi::OsStr;
use std::path::Path;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use pipeline_experiments::{SpecRef, StoreRef, project};
use pipeline_spec::{PipelineSpec, StageSpec, is_yaml};
use pipeline_stages::KINDS;
use pipeline_store::{RunInfo, Store};

use super::words;
use crate::args;
use crate::door;
use crate::param_words;

/// The most runs that are offered, newest first.
const MAX_RUNS: usize = 50;

/// Specs: names of the project, and paths.
pub fn specs() -> ArgValueCompleter {
    ArgValueCompleter::new(spec_names)
}

/// Runs: `last`, names and numbers.
pub fn runs() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| beginning(run_names(), word))
}

/// Runs and specs.
pub fn reportable() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| {
        beginning(run_names(), word).into_iter().chain(spec_names(word)).collect::<Vec<_>>()
    })
}

/// Stages of the spec on the line.
pub fn stages() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| {
        let stages = spec().map(|spec| spec.stages).unwrap_or_default();
        let named = stages.iter().map(|stage| named(stage.id.as_str(), &stage.kind.value));
        beginning(named.collect(), word)
    })
}

/// Kinds of stages.
pub fn kinds() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| {
        beginning(KINDS.iter().map(|kind| named(kind.name, kind.summary)).collect(), word)
    })
}

/// `STAGE.params.NAME=` and `vars.NAME=`, and behind the sign the values that a param can have.
pub fn settings() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| {
        let Some(spec) = spec() else { return Vec::new() };
        let mut all: Vec<_> = spec.vars.keys().map(|name| named(&format!("vars.{name}="), "a var")).collect();
        for stage in &spec.stages {
            all.extend(params_of(stage, word));
        }
        beginning(all, word)
    })
}

/// The params of a stage, each with its values if the word already names it.
fn params_of(stage: &StageSpec, word: &OsStr) -> Vec<CompletionCandidate> {
    let Some(kind) = pipeline_stages::kind(&stage.kind.value) else { return Vec::new() };
    let word = word.to_string_lossy();
    let params = param_words::choices_by_param(&(kind.params_schema)());
    let candidates = |(name, about, choices): (String, String, Vec<String>)| {
        let target = format!("{}.params.{name}=", stage.id);
        match choices.is_empty() || !word.starts_with(&target) {
            true => vec![named(&target, &about)],
            false => choices.iter().map(|choice| named(&format!("{target}{choice}"), &about)).collect(),
        }
    };
    params.into_iter().flat_map(candidates).collect()
}

fn spec_names(word: &OsStr) -> Vec<CompletionCandidate> {
    let here = door::here();
    let specs = project::specs(&here).into_iter();
    let listed =
        beginning(specs.map(|spec| named(&project::name_from(&here, &spec.file), &spec.about)).collect(), word);
    if !listed.is_empty() {
        return listed;
    }
    let is_spec = |path: &Path| path.is_dir() || is_yaml(path);
    PathCompleter::any().filter(is_spec).current_dir(here).complete(word)
}

fn run_names() -> Vec<CompletionCandidate> {
    let Some(runs) = recorded() else { return Vec::new() };
    let newest = runs.iter().rev().take(MAX_RUNS);
    let candidates = newest.flat_map(|run| {
        let number = (run.number > 0).then(|| named(&run.number.to_string(), &run.spec));
        number.into_iter().chain(run.labels.name.as_deref().map(|name| named(name, &run.spec)))
    });
    [named("last", "the newest"), named("last~1", "the one before")].into_iter().chain(candidates).collect()
}

/// The runs of the store, which is not created.
fn recorded() -> Option<Vec<RunInfo>> {
    let words: Vec<String> = words().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let folder = StoreRef::above(&door::here(), args::named_store(&words).as_deref()).ok()?.folder;
    if !Store::is_at(&folder) {
        return None;
    }
    Store::open(&folder).ok()?.runs().list().ok()
}

/// The spec on the line that is being completed: its first word that is one.
fn spec() -> Option<PipelineSpec> {
    let (words, here) = (words(), door::here());
    // The first is the command.
    let mut names = words.iter().skip(1).filter(|word| !word.as_encoded_bytes().starts_with(b"-")).skip(1);
    let found = names.find_map(|word| SpecRef::find(Path::new(word), &[], None, &here).ok())?;
    pipeline_spec::load(&found.path, &[]).ok()
}

fn named(name: &str, about: &str) -> CompletionCandidate {
    let about = about.lines().next().unwrap_or_default().to_owned();
    CompletionCandidate::new(name).id(Some(name.to_owned())).help((!about.is_empty()).then(|| about.into()))
}

fn beginning(candidates: Vec<CompletionCandidate>, word: &OsStr) -> Vec<CompletionCandidate> {
    let begins =
        |candidate: &CompletionCandidate| candidate.get_value().as_encoded_bytes().starts_with(word.as_encoded_bytes());
    candidates.into_iter().filter(begins).collect()
}
