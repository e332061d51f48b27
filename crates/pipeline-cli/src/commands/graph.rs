//! `pipeline graph`: draws the stages of a spec.
//!
//! JSON: `{spec, stages: [{stage, kind, inputs: {SLOT: STAGE}}]}`, inputs before readers.

use crate::args::{GraphArgs, GraphFormat};
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::graph_text;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When the spec is wrong.
pub fn run(args: &GraphArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (_, loaded) = door::load(&args.spec)?;
    let stages = graph_text::stages_of(&loaded.graph);
    let format = if args.json { GraphFormat::Json } else { args.format };
    match format {
        GraphFormat::Mermaid => terminal.data(&graph_text::mermaid(&stages))?,
        GraphFormat::Dot => terminal.data(&graph_text::dot(&loaded.spec.name, &stages))?,
        GraphFormat::Ascii => terminal.data(&graph_text::ascii(&stages))?,
        GraphFormat::Json => terminal.json(&serde_json::json!({ "spec": loaded.spec.name, "stages": stages }))?,
    }
    Ok(Exit::Done)
}
