//! Builds a [`PipelineSpec`] from the tree of a merged spec: checks keys, types and names.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use pipeline_core::{Digest, Lane, StageId};

use crate::Input;
use crate::graph::check_cycles;
use crate::keys::{CHECK_KEYS, PAIRED_KEYS, STAGE_KEYS, check_keys};
use crate::merge::Entries;
use crate::path::absolute;
use crate::siblings;
use crate::vars::Vars;
use crate::{
    CheckRule, Node, PairedRule, PipelineSpec, Publish, Span, Spanned, SpecError, StageSpec, SweepSpec, Value,
};

/// Builds the spec from its merged tree.
///
/// # Errors
/// The first mistake in the tree.
pub(crate) fn build(
    root: Node,
    name: String,
    file: PathBuf,
    files: Vec<(PathBuf, Digest)>,
    folder: Arc<Path>,
) -> Result<PipelineSpec, SpecError> {
    let root_span = root.span.clone();
    let mut sections = into_map(root, "a spec")?;
    let var_nodes = Vars::resolve(&section(&mut sections, "vars")?.1)?;
    let (stages_span, entries) = section(&mut sections, "stages")?;
    if entries.is_empty() {
        let span = stages_span.unwrap_or(root_span);
        let base = base_of(&file, &sections, &[]);
        let help = format!(
            "a stage is `stages: {{ NAME: {{ kind: KIND }} }}`; a spec that changes another begins with {base}"
        );
        return Err(SpecError::at(&span, "a spec needs at least one stage under `stages`").with_help(help));
    }
    let (sweep_span, axes) = section(&mut sections, "sweep")?;
    let sweep = SweepSpec::read(axes, sweep_span, &entries, &var_nodes)?;
    let check = check(section(&mut sections, "check")?.1)?;
    let names: Vec<String> = entries.iter().map(|(name, _)| name.value.clone()).collect();
    let base = || base_of(&file, &sections, &names);
    let stages = stages(entries, &var_nodes, &base)?;
    check_cycles(&stages)?;
    check_published(&stages)?;
    let vars = var_nodes.nodes().iter().map(|(name, node)| (name.clone(), text(node))).collect();
    Ok(PipelineSpec { name, file, files, folder, vars, stages, check, sweep, var_nodes })
}

/// Takes a section out of a spec: the place of its name, if it is there, and its entries.
fn section(sections: &mut Entries, name: &str) -> Result<(Option<Span>, Entries), SpecError> {
    let Some(idx) = sections.iter().position(|(key, _)| key.value == name) else { return Ok((None, Vec::new())) };
    let (key, node) = sections.swap_remove(idx);
    let help = match name {
        "sweep" => Some("write `sweep: { STAGE.params.NAME: [VALUE, VALUE] }`"),
        "stages" => Some("write `stages: { NAME: { kind: KIND } }`: each stage has a name of its own"),
        _ => None,
    };
    let entries = into_map(node, format_args!("`{name}`"));
    Ok((Some(key.span), entries.map_err(|error| error.with_help_of(help.map(str::to_owned)))?))
}

/// `extends: OTHER.yaml` with a spec that has these stages, or that its sweep changes, where there is one.
fn base_of(file: &Path, sections: &Entries, stages: &[String]) -> String {
    let mut names: Vec<&str> = stages.iter().map(String::as_str).collect();
    let sweep = sections.iter().find(|(key, _)| key.value == "sweep").map(|(_, node)| &node.value);
    if let Some(Value::Map(axes)) = sweep {
        names.extend(axes.iter().filter_map(|(key, _)| Some(key.value.split_once(".params.")?.0)));
    }
    let found = siblings::with_stages(file, &names).unwrap_or_else(|| "OTHER.yaml".to_owned());
    format!("`extends: {found}`")
}

/// Refuses a key that a stage does not have: it may be meant as a param.
fn check_stage_keys(entries: &Entries, known: &HashMap<&str, &StageId>) -> Result<(), SpecError> {
    check_keys(entries, STAGE_KEYS).map_err(|error| {
        let is_unknown = error.help.as_deref().is_some_and(|help| help.starts_with("known are"));
        let unknown = entries.iter().find(|(key, _)| error.span.as_ref() == Some(&key.span)).filter(|_| is_unknown);
        let help = unknown.map(|(key, node)| match node.as_str().filter(|text| known.contains_key(text)) {
            Some(stage) => format!("an input stands below `inputs`: `inputs: {{ {}: {stage} }}`", key.value),
            None => {
                let value = match node.value {
                    Value::List(_) | Value::Map(_) | Value::Null => "…",
                    _ => node.span.text(),
                };
                format!("a param stands below `params`: `params: {{ {}: {value} }}`", key.value)
            }
        });
        error.with_help_of(help)
    })
}

/// The entries of a map; null counts as an empty map.
pub(crate) fn into_map(node: Node, what: impl Display) -> Result<Entries, SpecError> {
    match node.value {
        Value::Map(entries) => Ok(entries),
        Value::Null => Ok(Vec::new()),
        Value::Str(ref text) if text.contains(':') => {
            Err(expected(&node, what, "a map").with_help("a space must follow the colon of `key: value`"))
        }
        _ => Err(expected(&node, what, "a map")),
    }
}

/// The text of a node that must hold text.
pub(crate) fn into_text(node: Node, what: impl Display) -> Result<Spanned<String>, SpecError> {
    match node.value {
        Value::Str(value) if value.is_empty() => Err(SpecError::at(&node.span, format!("{what} must not be empty"))),
        Value::Str(value) => Ok(Spanned { value, span: node.span }),
        _ => Err(expected(&node, what, "text")),
    }
}

/// The error at a value that is not as `expected`.
pub(crate) fn expected(node: &Node, what: impl Display, expected: &str) -> SpecError {
    SpecError::at(&node.span, format!("{what} must be {expected}, found {}", node.describe()))
}

fn text(node: &Node) -> String {
    node.as_str().unwrap_or_default().to_owned()
}

fn stages(entries: Entries, vars: &Vars, base: &dyn Fn() -> String) -> Result<Vec<StageSpec>, SpecError> {
    let mut ids = Vec::with_capacity(entries.len());
    for (name, _) in &entries {
        let id: StageId = name.value.parse().map_err(|error| SpecError::at(&name.span, format!("{error}")))?;
        ids.push(id);
    }
    let known: HashMap<&str, &StageId> = ids.iter().map(|id| (id.as_str(), id)).collect();
    let mut stages = Vec::with_capacity(ids.len());
    for (id, (name, node)) in ids.iter().zip(entries) {
        stages.push(stage(id, &ids, &known, name.span, node, vars, base)?);
    }
    Ok(stages)
}

fn stage(
    id: &StageId,
    ids: &[StageId],
    known: &HashMap<&str, &StageId>,
    span: Span,
    node: Node,
    vars: &Vars,
    base: &dyn Fn() -> String,
) -> Result<StageSpec, SpecError> {
    let entries = into_map(node, format_args!("stage `{id}`"))?;
    check_stage_keys(&entries, known)?;
    let mut kind = None;
    let mut inputs = Vec::new();
    let mut params = Node::new(Value::Map(Vec::new()), span.clone());
    let mut retain = true;
    let mut lane = None;
    let mut publish = Vec::new();
    for (key, mut node) in entries {
        vars.replace(&mut node)?;
        match key.value.as_str() {
            "kind" => kind = Some(into_text(node, "`kind`")?),
            "inputs" => inputs = stage_inputs(id, ids, known, node)?,
            "params" => {
                params.value = Value::Map(into_map(node, "`params`")?);
                params.span = key.span;
            }
            "retain" => match node.value {
                Value::Bool(value) => retain = value,
                _ => return Err(expected(&node, "`retain`", "`true` or `false`")),
            },
            "pool" => {
                let named = |name: &String| Lane::ALL.into_iter().find(|lane| lane.name() == name);
                lane = match &node.value {
                    Value::Str(name) => named(name),
                    _ => None,
                };
                lane.ok_or_else(|| expected(&node, "`pool`", "`cpu` or `gpu`"))?;
            }
            "publish" => publish = published(node)?,
            key => unreachable!("BUG: `{key}` passed the check of a stage's keys"),
        }
    }
    let kind = kind.ok_or_else(|| {
        let error = SpecError::at(&span, format!("stage `{id}` has no `kind`"));
        match known.contains_key("kind") {
            true => {
                error.with_help(format!("`kind` stands beside `{id}`: indent it, and what follows, to stand below"))
            }
            false => error.with_help(format!(
                "`kind: KIND` says what it does; a spec that only changes a stage of another one begins with {}",
                base()
            )),
        }
    })?;
    Ok(StageSpec { id: id.clone(), span, kind, inputs, params, retain, lane, publish })
}

fn stage_inputs(
    id: &StageId,
    ids: &[StageId],
    known: &HashMap<&str, &StageId>,
    node: Node,
) -> Result<Vec<Input>, SpecError> {
    let mut inputs = Vec::new();
    let first = |node: &Node| match &node.value {
        Value::Str(stage) => Some(stage.clone()),
        Value::List(items) => items.first().and_then(Node::as_str).map(str::to_owned),
        _ => None,
    };
    let stage = first(&node);
    let by_name = stage.map(|stage| {
        format!("write `inputs: {{ NAME: {stage} }}`; `pipeline stages KIND` lists the names that a kind takes")
    });
    for (slot, node) in into_map(node, "`inputs`").map_err(|error| error.with_help_of(by_name))? {
        let one = first(&node).map(|stage| format!("write `{}: {stage}`: an input is one stage", slot.value));
        let stage = into_text(node, format_args!("input `{}`", slot.value)).map_err(|error| error.with_help_of(one))?;
        if stage.value == id.as_str() {
            return Err(SpecError::at(&stage.span, format!("stage `{id}` reads itself")));
        }
        let Some(&producer) = known.get(stage.value.as_str()) else {
            let others = ids.iter().filter(|other| *other != id).map(StageId::as_str);
            return Err(SpecError::unknown("stage", &stage.value, &stage.span, others));
        };
        inputs.push((slot, Spanned { value: producer.clone(), span: stage.span }));
    }
    Ok(inputs)
}

fn published(node: Node) -> Result<Vec<Publish>, SpecError> {
    let mut publish = Vec::new();
    for (file, node) in into_map(node, "`publish`")? {
        let parts: Vec<Component<'_>> = Path::new(&file.value).components().collect();
        let is_inside = parts.iter().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside {
            return Err(SpecError::at(
                &file.span,
                format!("`{}` is not the name of a file in the artifact", file.value),
            )
            .with_help("publish maps a file of the artifact to the path of its copy"));
        }
        let folder = node.folder().clone();
        let path = into_text(node, format_args!("the path of `{}`", file.value))?;
        publish.push(Publish { file, path: absolute(&folder, &path.value), path_span: path.span });
    }
    Ok(publish)
}

/// Refuses two stages that publish to one path: they would overwrite each other in every run.
fn check_published(stages: &[StageSpec]) -> Result<(), SpecError> {
    let mut stage_by_path: HashMap<&Path, &StageId> = HashMap::new();
    for stage in stages {
        for publish in &stage.publish {
            if let Some(other) = stage_by_path.insert(&publish.path, &stage.id) {
                let message = format!("`{}` is published twice", publish.path.display());
                return Err(
                    SpecError::at(&publish.file.span, message).with_help(format!("stage `{other}` publishes it too"))
                );
            }
        }
    }
    Ok(())
}

fn check(entries: Entries) -> Result<BTreeMap<String, CheckRule>, SpecError> {
    entries.into_iter().map(|(metric, node)| Ok((metric.value.clone(), check_rule(metric, node)?))).collect()
}

fn check_rule(metric: Spanned<String>, node: Node) -> Result<CheckRule, SpecError> {
    let span = metric.span;
    let mut rule = CheckRule { max_drop: None, max_rise: None, min_value: None, max_value: None, paired: None, span };
    let drop = matches!(node.value, Value::Int(_) | Value::Float(_))
        .then(|| format!("write `{}: {{ max_drop: {} }}`", metric.value, node.span.text()));
    let entries = into_map(node, format_args!("the check of `{}`", metric.value));
    let entries = entries.map_err(|error| error.with_help_of(drop))?;
    check_keys(&entries, CHECK_KEYS)?;
    let mut paired_span = None;
    for (key, node) in entries {
        match key.value.as_str() {
            "paired" => {
                rule.paired = Some(paired_rule(node)?);
                paired_span = Some(key.span);
            }
            name @ ("max_drop" | "max_rise") => match number(name, &node)? {
                value if value < 0.0 => return Err(expected(&node, format_args!("`{name}`"), "at least 0")),
                value if name == "max_drop" => rule.max_drop = Some(value),
                value => rule.max_rise = Some(value),
            },
            "max_value" => rule.max_value = Some(number(&key.value, &node)?),
            _ => rule.min_value = Some(number(&key.value, &node)?),
        }
    }
    if let (Some(span), None) = (paired_span, rule.max_drop) {
        let message = format!("the check of `{}` is paired but has no `max_drop`", metric.value);
        let help = match rule.max_rise {
            Some(_) => {
                "leave `paired` out: only means over queries can be paired, and of those higher values are better"
            }
            None => "`max_drop: 0` fails on any drop that is no chance",
        };
        return Err(SpecError::at(&span, message).with_help(help));
    }
    if [rule.max_drop, rule.max_rise, rule.min_value, rule.max_value].iter().all(Option::is_none) {
        let message = format!("the check of `{}` asks for nothing", metric.value);
        return Err(SpecError::at(&rule.span, message)
            .with_help("give it `max_drop` or `min_value`, and where lower is better, `max_rise` or `max_value`"));
    }
    Ok(rule)
}

fn paired_rule(node: Node) -> Result<PairedRule, SpecError> {
    let entries = into_map(node, "`paired`")?;
    check_keys(&entries, PAIRED_KEYS)?;
    let mut rule = PairedRule::default();
    for (key, node) in &entries {
        rule.alpha = number(&key.value, node)?;
        if rule.alpha <= 0.0 || rule.alpha > 0.5 {
            return Err(expected(node, "`alpha`", "above 0 and at most 0.5"));
        }
    }
    Ok(rule)
}

fn number(name: &str, node: &Node) -> Result<f64, SpecError> {
    match node.value {
        Value::Int(value) => Ok(value as f64),
        Value::Float(value) if value.is_finite() => Ok(value),
        _ => Err(expected(node, format_args!("`{name}`"), "a number")),
    }
}
