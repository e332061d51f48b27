//! The params of `command`, and what is wrong with them.

use std::collections::BTreeMap;

use pipeline_spec::{Node, Span, SpecError, SpecPath, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outputs;
use crate::kind::span_of;

/// The params of `command`.
///
/// The program runs in an empty folder, where it must leave its outputs. `INPUT_<NAME>` is the folder of an input's
/// artifact, `SPEC_DIR` the folder of the spec.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandParams {
    /// The program and its arguments; no shell unless it is one, as in `[sh, -c, "…"]`.
    #[schemars(length(min = 1))]
    pub(super) run: Vec<String>,
    /// The files and folders that it leaves, relative to where it runs.
    #[schemars(length(min = 1))]
    pub(super) outputs: Vec<String>,
    /// The files and folders that it reads beside its inputs, relative to the spec.
    // Not part of the manifest: their content is, as sources.
    #[serde(default, skip_serializing)]
    pub(super) sources: Vec<SpecPath>,
    /// Variables of its environment that may change the result. A value written here is public; null takes the caller's
    /// value, of which only a digest is stored.
    // Serialized by `Variables::manifest_params`, with the values that null stands for.
    #[serde(default, skip_serializing)]
    pub(super) env: BTreeMap<String, Option<String>>,
    /// Variables that are passed on from the caller's environment, neither hashed nor stored: for secrets and
    /// circumstances. `AWS_*` stands for all that begin so.
    // Not part of the manifest, not even by name: they are said not to change the result.
    #[serde(default, skip_serializing)]
    pub(super) pass_env: Vec<String>,
}

impl CommandParams {
    /// Reads and checks the params.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(super) fn read(node: &Node) -> Result<Self, SpecError> {
        let params: Self = pipeline_spec::params(node)?;
        if params.run.first().is_none_or(String::is_empty) {
            return Err(SpecError::at(span_of(node, "run"), "`run` must name a program"));
        }
        if params.outputs.is_empty() {
            return Err(SpecError::at(span_of(node, "outputs"), "`outputs` must name at least one file")
                .with_help("a stage is remembered by what it leaves"));
        }
        for output in &params.outputs {
            if !outputs::is_inside(output) {
                let span = place(node, "outputs", output);
                return Err(SpecError::at(&span, format!("the output `{output}` is not a relative path"))
                    .with_help("outputs are left where the program runs; `publish` copies them elsewhere"));
            }
        }
        Ok(params)
    }
}

/// Where a name stands in a map or a list.
pub(super) fn place(params: &Node, param: &str, name: &str) -> Span {
    let span = params.get(param).and_then(|node| match &node.value {
        Value::Map(entries) => entries.iter().find(|(key, _)| key.value == name).map(|(key, _)| &key.span),
        Value::List(items) => items.iter().find(|item| item.as_str() == Some(name)).map(|item| &item.span),
        _ => None,
    });
    span.unwrap_or_else(|| span_of(params, param)).clone()
}
