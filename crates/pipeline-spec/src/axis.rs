//! An axis of a sweep: a target and the values to try, from `sweep:` or from `--axis STAGE.params.NAME=[VALUE, …]`.

use std::collections::HashSet;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::node::Same;
use crate::overrides::{assignment, section};
use crate::range::ValueRange;
use crate::{Node, Override, Spanned, SpecError, Value};

/// The values to try for one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    target: Spanned<String>,
    values: AxisValues,
}

/// The values of an axis.
#[derive(Debug, Clone, PartialEq)]
pub enum AxisValues {
    /// These; at least one, and no two are equal.
    List(Vec<Node>),
    /// Those that are drawn from a range.
    Range(ValueRange),
}

impl Axis {
    /// The axis whose values are the items of the list `values`, or are drawn from the range that it describes.
    ///
    /// # Errors
    /// When `values` is neither, is empty, or has a value twice.
    #[allow(clippy::mutable_key_type, reason = "what a file lazily knows of its lines is no part of a value")]
    pub(crate) fn new(target: Spanned<String>, values: Node) -> Result<Self, SpecError> {
        let what = format!("sweep axis `{}`", target.value);
        if let Value::Map(_) = values.value {
            return Ok(Self { values: AxisValues::Range(ValueRange::read(&what, values)?), target });
        }
        let described = values.describe();
        let written: Vec<&str> = values.span.text().trim_matches(['"', '\'']).split(',').map(str::trim).collect();
        let help = format!(
            "write its values in brackets, `[{}]`, or a range, `{{ uniform: [0.03, 0.07] }}`",
            written.join(", ")
        );
        let Value::List(items) = values.value else {
            return Err(SpecError::at(&values.span, format!("{what} must be a list or a range, found {described}"))
                .with_help(help));
        };
        if items.is_empty() {
            return Err(SpecError::at(&values.span, format!("{what} has no values"))
                .with_help("list what to try, `[0.03, 0.07]`, or write a range, `{ uniform: [0.03, 0.07] }`"));
        }
        let mut seen = HashSet::with_capacity(items.len());
        if let Some(item) = items.iter().find(|item| !seen.insert(Same(item))) {
            return Err(SpecError::at(&item.span, format!("{what} has {} twice", item.describe()))
                .with_help("remove it: each value is tried once"));
        }
        if let Some(item) = same_number(&items).filter(|_| !target.value.starts_with("vars.")) {
            return Err(SpecError::at(&item.span, format!("{what} has {} twice, once as a fraction", item.describe()))
                .with_help("remove it: each value is tried once"));
        }
        Ok(Self { target, values: AxisValues::List(items) })
    }

    /// The target of the values: `STAGE.params.NAME` or `vars.NAME`.
    pub fn target(&self) -> &str {
        &self.target.value
    }

    /// The target and its place.
    pub fn spanned_target(&self) -> &Spanned<String> {
        &self.target
    }

    /// The last part of the target, such as `temperature`.
    pub fn name(&self) -> &str {
        self.target.value.rsplit('.').next().unwrap_or_default()
    }

    /// The values.
    pub fn values(&self) -> &AxisValues {
        &self.values
    }

    /// The override that sets one of the values.
    ///
    /// # Errors
    /// When the target is neither a param nor a var.
    pub fn override_with(&self, value: Node) -> Result<Override, SpecError> {
        Override::new(self.target.clone(), value)
    }

    /// Adds the axis to the spec `root`, replacing one with the same target. Relative paths from the command line start
    /// in `folder`.
    pub(crate) fn apply(&self, root: &mut Node, folder: &Arc<Path>) -> Result<(), SpecError> {
        let values = match &self.values {
            AxisValues::Range(range) => range.node().clone(),
            AxisValues::List(values) => {
                let mut values = values.clone();
                values.iter_mut().for_each(|value| value.set_folder(folder));
                Node::new(Value::List(values), self.target.span.clone())
            }
        };
        let axes = section(root, "sweep", &self.target.span)?;
        match axes.iter_mut().find(|(target, _)| target.value == self.target.value) {
            Some(axis) => *axis = (self.target.clone(), values),
            None => axes.push((self.target.clone(), values)),
        }
        Ok(())
    }
}

/// The largest whole number up to which each has a fraction of its own.
const MAX_EXACT: i64 = 1 << 53;

/// The first number that stands there as a whole number and as a fraction, such as `1` and `1.0`.
fn same_number(items: &[Node]) -> Option<&Node> {
    let whole = |item: &Node| match item.value {
        Value::Int(value) if value.abs() <= MAX_EXACT => Some((value as f64).to_bits()),
        _ => None,
    };
    let wholes: HashSet<u64> = items.iter().filter_map(whole).collect();
    items.iter().find(|item| matches!(item.value, Value::Float(value) if wholes.contains(&(value + 0.0).to_bits())))
}

impl FromStr for Axis {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let help = "write `STAGE.params.NAME=[VALUE, …]` or `STAGE.params.NAME={uniform: [LOW, HIGH]}`";
        let (target, values) = assignment("--axis", text, help)?;
        Self::new(target, values)
    }
}
