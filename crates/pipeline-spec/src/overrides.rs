//! `--set STAGE.params.NAME=VALUE` and `--set vars.NAME=VALUE`: values that override a spec from outside.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::merge::Entries;
use crate::source::SpecFile;
use crate::vars::is_var_name;
use crate::{Node, Span, Spanned, SpecError, Value, did_you_mean, yaml};

const HELP: &str = "write `STAGE.params.NAME` or `vars.NAME`, with names of the spec";
const PARAMS: &str = ".params.";

/// One value that overrides a spec.
///
/// ```
/// let colder: pipeline_spec::Override = "projection.params.temperature=0.03".parse().unwrap();
/// assert_eq!(colder.target(), "projection.params.temperature");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    target: Spanned<String>,
    value: Node,
}

impl Override {
    /// Overrides `target`, written `STAGE.params.NAME` or `vars.NAME`, by `value`, which stands in a spec.
    ///
    /// # Errors
    /// When the target has another form.
    pub fn new(target: Spanned<String>, mut value: Node) -> Result<Self, SpecError> {
        let folder = value.folder().clone();
        value.set_folder(&folder);
        Self::checked(target, value)
    }

    fn checked(target: Spanned<String>, value: Node) -> Result<Self, SpecError> {
        check_form(&target)?;
        Ok(Self { target, value })
    }

    /// The target of the value.
    pub fn target(&self) -> &str {
        &self.target.value
    }

    /// The source text: for an override of the command line `TARGET=VALUE`.
    pub fn text(&self) -> &str {
        self.target.span.file.text()
    }

    /// The value.
    pub fn value(&self) -> &Node {
        &self.value
    }

    /// Sets the value in the spec `root`. Relative paths in a value from the command line start in `folder`.
    pub(crate) fn apply(&self, root: &mut Node, folder: &Arc<Path>) -> Result<(), SpecError> {
        let mut value = self.value.clone();
        value.set_folder(folder);
        if let Some(name) = var_name(&self.target.value) {
            let vars = section(root, "vars", &self.target.span)?;
            check_var(&self.target, name, vars.iter().map(|(key, _)| key.value.as_str()))?;
            return set(vars, &self.named(name), value);
        }
        let stages = section(root, "stages", &self.target.span)?;
        let (stage_idx, name) = find_stage(stages, &self.target)?;
        let params = section(&mut stages[stage_idx].1, "params", &self.target.span)?;
        set(params, &self.named(name), value)
    }

    fn named(&self, name: &str) -> Spanned<String> {
        Spanned { value: name.to_owned(), span: self.target.span.clone() }
    }
}

impl FromStr for Override {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (target, value) = assignment("--set", text, "write `STAGE.params.NAME=VALUE` or `vars.NAME=VALUE`")?;
        Self::checked(target, value)
    }
}

/// Splits `TARGET=VALUE`, with VALUE in YAML, as options of the command line are written.
pub(crate) fn assignment(option: &str, text: &str, help: &str) -> Result<(Spanned<String>, Node), SpecError> {
    let file = SpecFile::new(option.into(), Path::new("/").into(), text.to_owned());
    let start = Span { len: text.chars().count().max(1) as u32, ..Span::start_of(&file) };
    let Some((target, value)) = text.split_once('=') else {
        return Err(SpecError::at(&start, format!("`{text}` has no `=`")).with_help(help));
    };
    let n_before = target.chars().count() as u32;
    let target = Spanned { value: target.to_owned(), span: Span { len: n_before.max(1), ..start } };
    Ok((target, yaml::read(value, &file, n_before + 1)?))
}

/// Refuses a target that is neither a param of one of the `stages` nor one of the `vars`.
pub(crate) fn check_target<'a>(
    target: &Spanned<String>,
    stages: &Entries,
    vars: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
) -> Result<(), SpecError> {
    check_form(target).map_err(|error| error.with_help_of(did_you_mean(&like(&target.value, stages))))?;
    match var_name(&target.value) {
        Some(name) => check_var(target, name, vars),
        None => find_stage(stages, target).map(|_| ()),
    }
}

/// The most targets that a question suggests.
const MAX_MEANT: usize = 3;

/// The targets that a text such as `temperature` or `projection.temperature` may mean, of the params that are written.
pub(crate) fn like(written: &str, stages: &Entries) -> Vec<String> {
    let (holder, name) = written.rsplit_once('.').unwrap_or(("", written));
    let holder = holder.strip_suffix(".params").unwrap_or(holder);
    // These are keys of a stage, which no override changes.
    if ["kind", "inputs", "retain", "publish", "pool"].contains(&name) {
        return Vec::new();
    }
    if stages.iter().any(|(stage, _)| stage.value == holder) {
        return vec![format!("{holder}{PARAMS}{name}")];
    }
    let has = |node: &Node| node.get("params").is_some_and(|params| params.get(name).is_some());
    let having = stages.iter().filter(|(_, node)| has(node));
    having.map(|(stage, _)| format!("{}{PARAMS}{name}", stage.value)).take(MAX_MEANT).collect()
}

fn check_form(target: &Spanned<String>) -> Result<(), SpecError> {
    if var_name(&target.value).is_some() || splits(&target.value).next().is_some() {
        return Ok(());
    }
    let message = format!("`{}` names neither a param nor a var", target.value);
    Err(SpecError::at(&target.span, message).with_help(HELP))
}

fn check_var<'a>(
    target: &Spanned<String>,
    name: &str,
    vars: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
) -> Result<(), SpecError> {
    let vars = vars.into_iter();
    if vars.clone().any(|known| known == name) {
        return Ok(());
    }
    Err(SpecError::unknown("var", name, &target.span, vars))
}

/// The name of the var, if the target is one.
fn var_name(target: &str) -> Option<&str> {
    target.strip_prefix("vars.").filter(|name| is_var_name(name))
}

/// All ways to split a target into a stage and the name of a param, the longest stage first. Stage names may contain
/// dots, so there may be several.
fn splits(target: &str) -> impl Iterator<Item = (&str, &str)> {
    target
        .rmatch_indices(PARAMS)
        .map(|(idx, _)| (&target[..idx], &target[idx + PARAMS.len()..]))
        .filter(|(stage, name)| !stage.is_empty() && !name.is_empty())
}

/// The index of the stage that a target means (the longest matching name), and the name of the param.
fn find_stage<'a>(stages: &Entries, target: &'a Spanned<String>) -> Result<(usize, &'a str), SpecError> {
    let position = |stage: &str| stages.iter().position(|(key, _)| key.value == stage);
    let found = splits(&target.value).find_map(|(stage, name)| Some((position(stage)?, name)));
    found.ok_or_else(|| {
        let stage = splits(&target.value).last().map_or(target.value.as_str(), |(stage, _)| stage);
        SpecError::unknown("stage", stage, &target.span.narrow(stage), stages.iter().map(|(key, _)| key.value.as_str()))
    })
}

/// The entries of the map under `name`, which is created if it is missing.
pub(crate) fn section<'a>(node: &'a mut Node, name: &str, span: &Span) -> Result<&'a mut Entries, SpecError> {
    if matches!(node.value, Value::Null) {
        node.value = Value::Map(Vec::new());
    }
    let described = node.describe();
    let Value::Map(entries) = &mut node.value else {
        return Err(SpecError::at(&node.span, format!("expected a map, found {described}")));
    };
    let idx = entries.iter().position(|(key, _)| key.value == name).unwrap_or_else(|| {
        let key = Spanned { value: name.to_owned(), span: span.clone() };
        entries.push((key, Node::new(Value::Map(Vec::new()), span.clone())));
        entries.len() - 1
    });
    let (_, inner) = &mut entries[idx];
    let described = inner.describe();
    if matches!(inner.value, Value::Null) {
        inner.value = Value::Map(Vec::new());
    }
    match &mut inner.value {
        Value::Map(entries) => Ok(entries),
        _ => Err(SpecError::at(&inner.span, format!("`{name}` must be a map, found {described}"))),
    }
}

/// Sets the entry `name`; dots descend into maps unless there is an entry of exactly that name.
fn set(entries: &mut Entries, name: &Spanned<String>, value: Node) -> Result<(), SpecError> {
    if let Some((key, node)) = entries.iter_mut().find(|(key, _)| key.value == name.value) {
        *key = name.clone();
        *node = value;
        return Ok(());
    }
    let Some((first, rest)) = name.value.split_once('.').filter(|(first, rest)| !first.is_empty() && !rest.is_empty())
    else {
        entries.push((name.clone(), value));
        return Ok(());
    };
    let idx = entries.iter().position(|(key, _)| key.value == first).unwrap_or_else(|| {
        let key = Spanned { value: first.to_owned(), span: name.span.clone() };
        entries.push((key, Node::new(Value::Map(Vec::new()), name.span.clone())));
        entries.len() - 1
    });
    let (_, inner) = &mut entries[idx];
    let described = inner.describe();
    match &mut inner.value {
        Value::Map(below) => set(below, &Spanned { value: rest.to_owned(), span: name.span.clone() }, value),
        _ => Err(SpecError::at(&name.span, format!("`{first}` holds {described}, so nothing can be set below it"))),
    }
}
