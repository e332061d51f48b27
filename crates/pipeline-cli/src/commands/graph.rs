//! `pipeline graph`: draws the stages of a spec.
//!
//! JSON: `{spec, stages: [{stage, kind, inputs: {SLOT: STAGE}}]}`, inputs before readers.

use crate::args::{GraphArgs, GraphFormat};
use crate::door;
use crate::drawing::{self, Strokes};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::graph_text;
use crate::terminal::Terminal;

/// The columns of a drawing in a file or a pipe.
const FILE_COLUMNS: usize = 120;

/// Runs the command.
///
/// # Errors
/// When the spec is wrong.
pub fn run(args: &GraphArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (_, loaded) = door::load(&args.spec)?;
    let stages = graph_text::stages_of(&loaded.graph);
    let format = if args.json { GraphFormat::Json } else { args.format };
    let draw = |strokes| drawing::draw(&stages, strokes, terminal.out_width().unwrap_or(FILE_COLUMNS));
    match format {
        GraphFormat::Text if !terminal.has_unicode => terminal.data(&draw(Strokes::Ascii))?,
        GraphFormat::Text => terminal.data(&draw(Strokes::Unicode))?,
        GraphFormat::Ascii => terminal.data(&draw(Strokes::Ascii))?,
        GraphFormat::Mermaid => terminal.data(&graph_text::mermaid(&stages))?,
        GraphFormat::Dot => terminal.data(&graph_text::dot(&loaded.spec.name, &stages))?,
        GraphFormat::Json => terminal.json(&serde_json::json!({ "spec": loaded.spec.name, "stages": stages }))?,
    }
    Ok(Exit::Done)
}
