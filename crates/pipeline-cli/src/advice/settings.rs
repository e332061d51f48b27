//! Changes of a spec that were written in another way than `--set STAGE.params.NAME=VALUE`.

use std::path::Path;

use pipeline_experiments::SpecRef;
use pipeline_spec::PipelineSpec;

use super::is_override;
use crate::again::quoted;
use crate::door;
use crate::param_words;

/// The most ways to write a change that are shown.
const MAX_SHOWN: usize = 3;

/// The way to write a change, in general.
const GENERAL: &str = "write a change as `--set STAGE.params.NAME=VALUE` or `--set vars.NAME=VALUE`";

/// Something in a spec that can be changed.
struct Target {
    /// `STAGE.params.NAME` or `vars.NAME`.
    key: String,
    /// The stage, or `vars`.
    holder: String,
    name: String,
}

/// Advice on an option such as `--epochs 3` that is a param of the spec's stages.
pub fn of_option(option: &str, spec: Option<&Path>, words: &[String], command: &str) -> String {
    let (name, value) = match option.trim_start_matches('-').split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => {
            let joined = words.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('=').map(str::to_owned));
            (option.trim_start_matches('-'), joined.or_else(|| value_behind(option, words)))
        }
    };
    let candidates = spec.map(|spec| candidates(name, spec)).unwrap_or_default();
    match (value, candidates.first()) {
        (Some(value), Some(key)) if command == "sweep" && value.contains([',', '[', ':']) => {
            assigned("--axis", key, &value, spec)
        }
        (value, _) => meant(&candidates, value.as_deref()).unwrap_or_else(|| GENERAL.to_owned()),
    }
}

/// Whether the spec has a param or a var of the option's very name.
pub fn has(option: &str, spec: &Path) -> bool {
    let name = option.trim_start_matches('-').split('=').next().unwrap_or_default().replace('-', "_");
    load(spec).is_some_and(|spec| targets(&spec).iter().any(|target| target.name == name))
}

/// Advice on the value of a `--set` that is not a change; `None` where it is one.
pub fn of_override(text: &str, spec: &Path, words: &[String]) -> Option<String> {
    if let Some(key) = text.strip_suffix('=').filter(|_| is_override(text)) {
        return value_behind(text, words).map(|value| assigned("--set", key, &value, Some(spec)));
    }
    if is_override(text) {
        return None;
    }
    let (target, value) = match text.split_once('=') {
        Some((target, value)) => (target, Some(value.to_owned())),
        None => match text.split_once(':') {
            Some((target, value)) if !target.is_empty() => (target, Some(value.trim().to_owned())),
            _ => (text, value_behind(text, words)),
        },
    };
    let dotted = target.replace('/', ".");
    let target = dotted.as_str();
    if let Some(value) = value.as_ref().filter(|value| is_override(&format!("{target}={value}"))) {
        return Some(format!("did you mean `--set {}`?", quoted(&format!("{target}={value}"))));
    }
    of_no_value(target, spec).or_else(|| meant(&candidates(target, spec), value.as_deref()))
}

/// Advice on a part of a spec that no `--set` changes.
fn of_no_value(target: &str, spec: &Path) -> Option<String> {
    let (_, rest) = target.split_once('.').unwrap_or(("", target));
    let part = rest.split('.').next().unwrap_or_default();
    if !["kind", "inputs", "retain", "publish", "pool", "name"].contains(&part) {
        return None;
    }
    let shown = spec.display();
    load(spec).map(|_| {
        format!("`--set` changes params and vars alone; `{part}` is changed in `{shown}` or one that extends it")
    })
}

/// The option with a key and a value; a list where several values are tried.
pub fn assigned(option: &str, key: &str, value: &str, spec: Option<&Path>) -> String {
    let keys = match is_override(&format!("{key}={value}")) {
        true => vec![key.to_owned()],
        false => spec.map(|spec| candidates(key, spec)).unwrap_or_default(),
    };
    let key = keys.first().map_or(key, String::as_str);
    let value = match option == "--axis" && !value.contains(['[', '{']) {
        true => format!("[{}]", value.split([',', ':']).map(str::trim).collect::<Vec<_>>().join(", ")),
        false => value.to_owned(),
    };
    format!("did you mean `{option} {}`?", quoted(&format!("{key}={value}")))
}

/// Advice on an axis of `sweep` that is not written as one; `None` where it is.
pub fn of_axis(text: &str, spec: &Path, words: &[String]) -> Option<String> {
    let (key, value) = match text.split_once('=') {
        Some((key, "")) => (key, value_behind(text, words)?),
        Some((key, value)) => (key, value.to_owned()),
        None => (text, value_behind(text, words)?),
    };
    let is_axis = text.contains('=') && is_override(text) && value.starts_with(['[', '{']);
    let has_key = is_override(&format!("{key}=1")) || !candidates(key, spec).is_empty();
    (!is_axis && has_key).then(|| assigned("--axis", key, &value, Some(spec)))
}

/// Advice on a word that stands where a stage should and is a change.
pub fn of_stage(word: &str, spec: Option<&Path>) -> Option<String> {
    let (key, value) = word.split_once('=')?;
    if is_override(word) {
        return Some(format!("a change of the spec is written `--set {}`", quoted(word)));
    }
    let candidates = spec.map(|spec| candidates(key, spec)).unwrap_or_default();
    Some(meant(&candidates, Some(value)).unwrap_or_else(|| GENERAL.to_owned()))
}

/// The word behind `word`, if it can be a value.
fn value_behind(word: &str, words: &[String]) -> Option<String> {
    let at = words.iter().position(|other| other == word)?;
    let mut behind = words[at + 1..].iter().skip_while(|word| *word == "=");
    behind.next().filter(|value| !value.starts_with("--")).cloned()
}

/// The changes that may be meant, in words.
fn meant(candidates: &[String], value: Option<&str>) -> Option<String> {
    let value = value.unwrap_or("VALUE");
    let shown = candidates.iter().take(MAX_SHOWN);
    let shown: Vec<String> = shown.map(|key| format!("`--set {}`", quoted(&format!("{key}={value}")))).collect();
    let more = if candidates.len() > MAX_SHOWN { ", …" } else { "" };
    (!shown.is_empty()).then(|| format!("did you mean {}{more}?", shown.join(" or ")))
}

/// The keys in a spec that a name such as `epochs`, `--learning-rate` or `projection.epochs` may mean.
fn candidates(written: &str, spec: &Path) -> Vec<String> {
    let Some(spec) = load(spec) else { return Vec::new() };
    let targets = targets(&spec);
    let written = written.replace('-', "_");
    let (holder, name) = match written.rsplit_once('.') {
        Some((holder, name)) => (holder.strip_suffix(".params").unwrap_or(holder), name),
        None => ("", written.as_str()),
    };
    let near = match targets.iter().any(|target| target.name == name) {
        true => name,
        false => pipeline_spec::meant(name, targets.iter().map(|target| target.name.as_str()))
            .first()
            .copied()
            .unwrap_or_default(),
    };
    let all: Vec<&Target> = targets.iter().filter(|target| target.name == near).collect();
    let of_holder = |target: &&&Target| target.holder.replace('-', "_") == holder;
    let held: Vec<&&Target> = all.iter().filter(of_holder).collect();
    let chosen = if held.is_empty() { all.iter().collect() } else { held };
    chosen.into_iter().map(|target| target.key.clone()).collect()
}

/// The spec that a word names; `None` where it names none, or one with a mistake.
pub fn load(spec: &Path) -> Option<PipelineSpec> {
    let found = SpecRef::find(spec, &[], None, &door::here()).ok()?;
    pipeline_spec::load(&found.path, &[]).ok()
}

/// All vars of a spec, and the params of its stages.
fn targets(spec: &PipelineSpec) -> Vec<Target> {
    let target =
        |holder: &str, key: String, name: &str| Target { key, holder: holder.to_owned(), name: name.to_owned() };
    let mut targets: Vec<Target> = spec.vars.keys().map(|name| target("vars", format!("vars.{name}"), name)).collect();
    for stage in &spec.stages {
        let Some(kind) = pipeline_stages::kind(&stage.kind.value) else { continue };
        for (name, ..) in param_words::choices_by_param(&(kind.params_schema)()) {
            targets.push(target(stage.id.as_str(), format!("{}.params.{name}", stage.id), &name));
        }
    }
    targets
}
