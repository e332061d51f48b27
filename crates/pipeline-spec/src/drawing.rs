//! `sweep:` of a spec: its axes, how points are drawn from them, and how bad points are stopped early.

use std::collections::HashMap;

use pipeline_core::StageId;

use crate::build::{expected, into_map, into_text};
use crate::keys::{HALVING_KEYS, SWEEP_KEYS, check_keys};
use crate::merge::Entries;
use crate::overrides::{check_target, like};
use crate::vars::Vars;
use crate::{Axis, AxisValues, Node, Span, Spanned, SpecError, Value, did_you_mean};

/// The largest number of points that are drawn: more are usually a mistake.
pub const MAX_POINTS: usize = 10_000;

/// The points of a sweep, as the spec describes them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SweepSpec {
    /// The axes, in the order of the file.
    pub axes: Vec<Axis>,
    /// The way in which points are drawn; `None` for a grid where all axes are lists, else random ones.
    pub draw: Option<Draw>,
    /// The number of points that are drawn.
    pub points: Option<usize>,
    /// The seed of the draws; 0 where it is not given.
    pub seed: Option<u64>,
    /// The rungs on which bad points are stopped.
    pub halving: Option<Halving>,
}

/// The way in which points are drawn from the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// Every combination of one value from each axis.
    Grid,
    /// Independent random points.
    Random,
    /// Points of a Sobol sequence: random ones that fill the ranges evenly.
    Sobol,
}

/// Successive halving: all points get a little of a resource, and the best of them more.
#[derive(Debug, Clone, PartialEq)]
pub struct Halving {
    /// The param that says how much a point gets, with its values from rung to rung, rising.
    pub resource: Axis,
    /// One of so many points is promoted to the next rung; at least 2.
    pub factor: usize,
    /// The metric by which points are promoted; `None` for that of the held-out data.
    pub metric: Option<ChosenBy>,
    /// The place of the key `halving`.
    pub span: Span,
}

/// The metric of a stage by which points are promoted.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenBy {
    /// The stage.
    pub stage: StageId,
    /// The name of its metric.
    pub metric: String,
    /// The place of both.
    pub span: Span,
}

impl SweepSpec {
    /// True without axes.
    pub fn is_empty(&self) -> bool {
        self.axes.is_empty()
    }

    pub(crate) fn read(entries: Entries, key: Option<Span>, stages: &Entries, vars: &Vars) -> Result<Self, SpecError> {
        let mut sweep = Self::default();
        for (target, node) in entries {
            match target.value.as_str() {
                "draw" => sweep.draw = Some(draw(node)?),
                "points" => sweep.points = Some(points(&node)?),
                "seed" => sweep.seed = Some(seed(&node)?),
                "halving" => sweep.halving = Some(Halving::read(target.span, node, stages, vars)?),
                name if !name.contains('.') => {
                    let known = SWEEP_KEYS.iter().map(|key| key.name);
                    let error = SpecError::unknown("key", name, &target.span, known);
                    let is_near = error.help.as_ref().is_some_and(|help| help.starts_with("did you mean"));
                    let help = did_you_mean(&like(name, stages))
                        .unwrap_or_else(|| "axes are named `STAGE.params.NAME` or `vars.NAME`".to_owned());
                    return Err(if is_near { error } else { error.with_help(help) });
                }
                _ => sweep.axes.push(axis(target, node, stages, vars)?),
            }
        }
        sweep.check(key)
    }

    fn check(self, key: Option<Span>) -> Result<Self, SpecError> {
        if let Some(halving) = &self.halving {
            let target = halving.resource.spanned_target();
            if self.axes.iter().any(|axis| axis.target() == target.value) {
                let message = format!("`{}` is both an axis and the resource of `halving`", target.value);
                return Err(SpecError::at(&target.span, message).with_help("take one of them out"));
            }
        }
        match (&key, self.axes.is_empty(), self.draw.is_some() || self.points.is_some() || self.halving.is_some()) {
            (Some(span), true, true) => Err(SpecError::at(span, "`sweep` has no axes")
                .with_help("name what to try: `projection.params.temperature: [0.03, 0.07]`")),
            _ => Ok(self),
        }
    }
}

impl Draw {
    /// All ways, in the order of help texts.
    pub const ALL: [Self; 3] = [Self::Grid, Self::Random, Self::Sobol];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Random => "random",
            Self::Sobol => "sobol",
        }
    }
}

impl Halving {
    fn read(span: Span, node: Node, stages: &Entries, vars: &Vars) -> Result<Self, SpecError> {
        let place = node.span.clone();
        let entries = into_map(node, "`halving`")?;
        check_keys(&entries, HALVING_KEYS)?;
        let (mut resource, mut rungs, mut factor, mut metric) = (None, None, 3, None);
        for (key, node) in entries {
            match key.value.as_str() {
                "resource" => {
                    let target = into_text(node, "`resource`")?;
                    check_target(&target, stages, vars.nodes().keys().map(String::as_str))?;
                    resource = Some(target);
                }
                "rungs" => rungs = Some(checked_rungs(node)?),
                "factor" => match node.value {
                    Value::Int(value @ 2..=1000) => factor = value as usize,
                    _ => return Err(expected(&node, "`factor`", "a whole number of at least 2")),
                },
                _ => metric = Some(ChosenBy::read(into_text(node, "`metric`")?, stages)?),
            }
        }
        let missing = |name: &str, help: &str| {
            SpecError::at(&place, format!("`halving` has no `{name}`")).with_help(help.to_owned())
        };
        let resource = resource
            .ok_or_else(|| missing("resource", "name the param that grows: `resource: projection.params.epochs`"))?;
        let rungs = rungs.ok_or_else(|| missing("rungs", "list its values from rung to rung: `rungs: [2, 6, 18]`"))?;
        Ok(Self { resource: Axis::new(resource, rungs)?, factor, metric, span })
    }

    /// The value of the resource on each rung, rising.
    pub fn rungs(&self) -> &[Node] {
        match self.resource.values() {
            AxisValues::List(values) => values,
            AxisValues::Range(_) => unreachable!("BUG: rungs are read from a list"),
        }
    }
}

impl ChosenBy {
    /// Reads `STAGE.METRIC`; a stage's name may contain dots.
    fn read(text: Spanned<String>, stages: &Entries) -> Result<Self, SpecError> {
        let dots = text.value.rmatch_indices('.').map(|(idx, _)| (&text.value[..idx], &text.value[idx + 1..]));
        let splits: HashMap<&str, &str> =
            dots.filter(|(stage, metric)| !stage.is_empty() && !metric.is_empty()).collect();
        if splits.is_empty() {
            return Err(SpecError::at(&text.span, format!("`{}` names no metric of a stage", text.value))
                .with_help("write `STAGE.METRIC`, such as `projection.valid_mean_recall`"));
        }
        let named = stages.iter().map(|(key, _)| key.value.as_str());
        let found = named.clone().find_map(|stage| Some((stage, *splits.get(stage)?)));
        let Some((stage, metric)) = found else {
            let stage = text.value.split('.').next().unwrap_or_default();
            return Err(SpecError::unknown("stage", stage, &text.span.narrow(stage), named));
        };
        let stage = stage.parse().map_err(|error| SpecError::at(&text.span, format!("{error}")))?;
        Ok(Self { stage, metric: metric.to_owned(), span: text.span })
    }
}

fn axis(target: Spanned<String>, node: Node, stages: &Entries, vars: &Vars) -> Result<Axis, SpecError> {
    check_target(&target, stages, vars.nodes().keys().map(String::as_str))?;
    let axis = Axis::new(target, node)?;
    if let AxisValues::List(values) = axis.values() {
        values.iter().try_for_each(|item| vars.replace(&mut item.clone()))?;
    }
    Ok(axis)
}

fn draw(node: Node) -> Result<Draw, SpecError> {
    let text = into_text(node, "`draw`")?;
    match Draw::ALL.into_iter().find(|draw| draw.name() == text.value) {
        Some(draw) => Ok(draw),
        None => Err(SpecError::unknown("draw", &text.value, &text.span, Draw::ALL.map(Draw::name))),
    }
}

fn points(node: &Node) -> Result<usize, SpecError> {
    match node.value {
        Value::Int(value) if (1..=MAX_POINTS as i64).contains(&value) => Ok(value as usize),
        _ => Err(expected(node, "`points`", &format!("a whole number from 1 to {MAX_POINTS}"))),
    }
}

fn seed(node: &Node) -> Result<u64, SpecError> {
    match node.value {
        Value::Int(value) if value >= 0 => Ok(value as u64),
        _ => Err(expected(node, "`seed`", "a whole number of at least 0")),
    }
}

/// The values of rungs: at least two whole numbers above 0 that rise.
fn checked_rungs(node: Node) -> Result<Node, SpecError> {
    let help = "write the values of the resource from rung to rung: `[2, 6, 18]`";
    let Value::List(items) = &node.value else {
        return Err(expected(&node, "`rungs`", "a list").with_help(help));
    };
    if items.len() < 2 {
        return Err(SpecError::at(&node.span, "`rungs` needs at least two values").with_help(help));
    }
    let mut last = 0;
    for item in items {
        match item.value {
            Value::Int(value) if value > last => last = value,
            _ => {
                let message =
                    format!("the values of `rungs` must be whole numbers that rise, found {}", item.describe());
                return Err(SpecError::at(&item.span, message).with_help(help));
            }
        }
    }
    Ok(node)
}
