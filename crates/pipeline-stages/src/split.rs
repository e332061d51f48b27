//! `split`: the rows of a data set that a stage takes, by a column or by the hash of an image's id.

use std::collections::BTreeMap;
use std::path::Path;

use pipeline_core::StageError;
use pipeline_data::{Parts, RowFilter};
use pipeline_spec::{Node, SpecError, nearest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::span_of;

/// The rows to take: `{column: split, value: train}`, or by the hash of the image's id
/// `{part: train, of: {train: 0.8, valid: 0.2}}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SplitParams {
    /// The column of a table that says the split of a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    /// Its value in the rows to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Its values in the rows to take, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
    /// The part to take, by the hash of an image's id. An image stays in its part when others come or go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    /// All parts with their fractions of the images, which sum to 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    of: BTreeMap<String, f64>,
    /// Another seed gives other parts.
    #[serde(default, skip_serializing_if = "is_zero")]
    seed: u64,
}

fn is_zero(seed: &u64) -> bool {
    *seed == 0
}

/// A split that was checked.
#[derive(Debug, Clone)]
pub(crate) enum Split {
    /// By a column.
    Column(RowFilter),
    /// By the hash of the image's id.
    Part {
        /// The part to take.
        part: String,
        /// All parts.
        parts: Parts,
    },
}

impl Split {
    /// The error where no row has the value of a split.
    pub(crate) fn takes_no_row(path: &Path, what: &str, reason: &str) -> StageError {
        StageError::new(format!("`{}` has no {what} of the split: {reason}", path.display()))
            .with_help("`split: { column: …, value: … }` takes the rows with that value, letter by letter")
    }

    /// Checks `split` among the params of a stage.
    ///
    /// # Errors
    /// When it says neither a column nor a part, both, or fractions that are none.
    pub(crate) fn read(params: &Node, split: Option<&SplitParams>) -> Result<Option<Self>, SpecError> {
        let Some(split) = split else { return Ok(None) };
        let node = params.get("split").unwrap_or(params);
        let wrong = |name: &str, message: String| SpecError::at(span_of(node, name), message);
        let example =
            "write `split: {column: split, value: train}` or `split: {part: train, of: {train: 0.8, valid: 0.2}}`";
        match (&split.column, &split.part) {
            (Some(column), None) => {
                if !split.of.is_empty() || split.seed != 0 {
                    return Err(
                        wrong("of", "`of` and `seed` have a meaning only with `part`".into()).with_help(example)
                    );
                }
                let values: Vec<String> = split.value.iter().chain(&split.values).cloned().collect();
                if values.is_empty() || split.value.is_some() && !split.values.is_empty() {
                    return Err(wrong("column", "`split` needs either `value` or `values`".into()).with_help(example));
                }
                Ok(Some(Self::Column(RowFilter { column: column.clone(), values })))
            }
            (None, Some(part)) => {
                if split.value.is_some() || !split.values.is_empty() {
                    return Err(wrong("value", "`value` has a meaning only with `column`".into()).with_help(example));
                }
                if !split.of.contains_key(part) {
                    let near = nearest(part, split.of.keys().map(String::as_str));
                    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                    return Err(wrong("part", format!("`of` has no part `{part}`{near}")).with_help(example));
                }
                let parts = Parts::new(split.of.clone(), split.seed);
                let parts = parts.map_err(|error| wrong("of", format!("`of` is no split: {error}")))?;
                Ok(Some(Self::Part { part: part.clone(), parts }))
            }
            _ => Err(wrong("column", "`split` needs either `column` or `part`".into()).with_help(example)),
        }
    }

    /// The rows to take of a table.
    pub(crate) fn filter(split: Option<&Self>) -> Option<&RowFilter> {
        match split {
            Some(Self::Column(filter)) => Some(filter),
            _ => None,
        }
    }

    /// Whether the image with an id is taken, as far as its id decides.
    pub(crate) fn takes(split: Option<&Self>, id: &str) -> bool {
        match split {
            Some(Self::Part { part, parts }) => parts.part_of(id) == part,
            _ => true,
        }
    }
}
