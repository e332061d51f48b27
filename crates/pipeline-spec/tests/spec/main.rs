//! User input and the messages about it, through the public API only.

// Helpers outside of test functions stop a test like the functions themselves.
#![allow(clippy::unwrap_used)]

mod layers;
mod mistakes;
mod overrides;
mod params;
mod resolved;
mod schema;
mod size;
mod sweep;
mod vars;

use pipeline_spec::{Axis, AxisValues, Node, PipelineSpec, SpecError};

/// The spec of a text in place of `/data/pipelines/demo.yaml`.
fn parse(text: &str) -> Result<PipelineSpec, SpecError> {
    pipeline_spec::parse(text, "/data/pipelines/demo.yaml".as_ref())
}

/// The values of an axis that is a list.
fn listed(axis: &Axis) -> &[Node] {
    match axis.values() {
        AxisValues::List(values) => values,
        AxisValues::Range(_) => panic!("`{}` is a range", axis.target()),
    }
}

/// An error in one text: place, line, marked characters, message, cause and help.
fn render(error: &SpecError) -> String {
    let mut text = String::new();
    if let (Some(span), Some(excerpt)) = (&error.span, &error.excerpt) {
        let file = span.file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let margin = " ".repeat(span.column as usize - 1);
        let marks = "^".repeat(span.len as usize);
        text = format!("{file}:{}:{}\n{excerpt}\n{margin}{marks} ", span.line, span.column);
    }
    text.push_str(&error.message);
    if let Some(source) = &error.source {
        text.push_str(&format!("\ncaused by: {source}"));
    }
    if let Some(help) = &error.help {
        text.push_str(&format!("\nhelp: {help}"));
    }
    text
}
