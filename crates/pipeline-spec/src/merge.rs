//! `extends`: merges one spec over another, map by map.

use std::collections::HashMap;

use crate::error::help_with_name;
use crate::{Node, Spanned, SpecError, Value};

/// The entries of a map.
pub(crate) type Entries = Vec<(Spanned<String>, Node)>;

/// The place in a spec where two values meet, which decides how they merge.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// The whole file: its keys are fixed names.
    Top,
    /// `stages`: an entry is a stage.
    Stages,
    /// One stage: its keys are fixed names.
    Stage,
    /// A map of the user's own names: an entry that is `null` removes the inherited one. Holds the word for an entry.
    Named(&'static str),
    /// The params of a stage.
    Params,
    /// `sweep`: an entry that is `null` removes the inherited one, and an axis replaces it.
    Sweep,
    /// An axis of a sweep: a list or a range, which replaces the inherited one as a whole.
    Axis,
    /// Inside a param, the rungs of a sweep or a rule: `null` is a value like any other.
    Inside,
}

impl Place {
    /// The place of the value under `key`.
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Top, "stages") => Self::Stages,
            (Self::Top, "vars") => Self::Named("var"),
            (Self::Top, "check") => Self::Named("checked metric"),
            (Self::Top, "sweep") => Self::Sweep,
            (Self::Sweep, "halving") => Self::Inside,
            (Self::Sweep, _) => Self::Axis,
            (Self::Stages, _) => Self::Stage,
            (Self::Stage, "inputs") => Self::Named("input"),
            (Self::Stage, "params") => Self::Params,
            (Self::Stage, "publish") => Self::Named("published file"),
            _ => Self::Inside,
        }
    }

    /// The word for an entry that `null` removes; `None` where `null` removes nothing.
    fn removable(self) -> Option<&'static str> {
        match self {
            Self::Stages => Some("stage"),
            Self::Sweep => Some("sweep axis"),
            Self::Named(what) => Some(what),
            _ => None,
        }
    }
}

/// Merges the spec `overlay` over the spec `base`.
///
/// Maps merge key by key; every other value replaces the one below it. A stage, var, input, published file, sweep axis
/// or checked metric that is `null` in the overlay is removed. A whole section that is `null` changes nothing. A stage
/// of another kind inherits neither params nor inputs.
///
/// # Errors
/// When the overlay removes an entry that the base does not have.
pub(crate) fn overlay(base: Node, overlay: Node) -> Result<Node, SpecError> {
    merge(base, overlay, Place::Top)
}

fn merge(base: Node, over: Node, place: Place) -> Result<Node, SpecError> {
    if matches!(over.value, Value::Null) && place != Place::Inside {
        return Ok(base);
    }
    match (base.value, over.value) {
        (Value::Map(base_entries), Value::Map(over_entries)) if place != Place::Axis => {
            let entries = merge_entries(base_entries, over_entries, place)?;
            Ok(Node { value: Value::Map(entries), ..over })
        }
        (_, value) => Ok(Node { value, ..over }),
    }
}

fn merge_entries(base: Entries, over: Entries, place: Place) -> Result<Entries, SpecError> {
    let replaces_kind = place == Place::Stage && differs_in_kind(&base, &over);
    let mut merged: Vec<Option<(Spanned<String>, Node)>> = base
        .into_iter()
        .filter(|(key, _)| !(replaces_kind && matches!(key.value.as_str(), "params" | "inputs")))
        .map(Some)
        .collect();
    let idx_by_name: HashMap<String, usize> = merged
        .iter()
        .enumerate()
        .filter_map(|(idx, entry)| entry.as_ref().map(|(key, _)| (key.value.clone(), idx)))
        .collect();
    for (key, node) in over {
        let base_idx = idx_by_name.get(&key.value).copied();
        let removed = place.removable().filter(|_| matches!(node.value, Value::Null));
        match (base_idx, removed) {
            (Some(idx), Some(_)) => merged[idx] = None,
            (None, Some(what)) => return Err(nothing_to_remove(what, &key, &merged)),
            (None, None) => merged.push(Some((key, node))),
            (Some(idx), None) => {
                let (_, base_node) = merged[idx].take().expect("BUG: a key is given once in an overlay");
                let below = place.below(&key.value);
                merged[idx] = Some((key, merge(base_node, node, below)?));
            }
        }
    }
    Ok(merged.into_iter().flatten().collect())
}

fn differs_in_kind(base: &Entries, over: &Entries) -> bool {
    let kind = |entries: &Entries| {
        let (_, node) = entries.iter().find(|(key, _)| key.value == "kind")?;
        node.as_str().map(str::to_owned)
    };
    kind(over).is_some_and(|over_kind| kind(base).is_some_and(|base_kind| base_kind != over_kind))
}

fn nothing_to_remove(what: &str, key: &Spanned<String>, merged: &[Option<(Spanned<String>, Node)>]) -> SpecError {
    let known = merged.iter().flatten().map(|(key, _)| key.value.as_str());
    SpecError {
        help: help_with_name(&key.value, known),
        ..SpecError::at(&key.span, format!("there is no {what} `{}` to remove", key.value))
    }
}
