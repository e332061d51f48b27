//! `pipeline graph`: draws the stages of a spec.
//!
//! JSON: `{spec, stages: [{stage, kind, inputs: {SLOT: STAGE}, decision?, reason?}]}`, inputs before readers; the
//! latter two with `--status`.

use pipeline_engine::PlanOptions;

use crate::args::{GraphArgs, GraphFormat};
use crate::commands::planned;
use crate::door;
use crate::drawing::{self, Strokes};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::graph_text::{self, DrawnStage, DrawnState};
use crate::remotes;
use crate::terminal::Terminal;

/// The columns of a drawing in a file or a pipe.
const FILE_COLUMNS: usize = 120;

/// Runs the command.
///
/// # Errors
/// When the spec is wrong.
pub fn run(args: &GraphArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (spec, stages) = stages(args, terminal)?;
    let format = if args.json { GraphFormat::Json } else { args.format };
    let draw = |strokes| drawing::draw(&stages, strokes, terminal.out_width().unwrap_or(FILE_COLUMNS));
    match format {
        GraphFormat::Text if !terminal.has_unicode => terminal.data(&draw(Strokes::Ascii))?,
        GraphFormat::Text => terminal.data(&draw(Strokes::Unicode))?,
        GraphFormat::Ascii => terminal.data(&draw(Strokes::Ascii))?,
        GraphFormat::Mermaid => terminal.data(&graph_text::mermaid(&stages))?,
        GraphFormat::Dot => terminal.data(&graph_text::dot(&spec, &stages))?,
        GraphFormat::Json => terminal.json(&serde_json::json!({ "spec": spec, "stages": stages }))?,
    }
    Ok(Exit::Done)
}

/// The name of the spec and its stages, with what a run would do if that is asked for.
fn stages(args: &GraphArgs, terminal: &Terminal) -> Result<(String, Vec<DrawnStage>), Failure> {
    if !args.status {
        let (_, loaded) = door::load(&args.spec)?;
        let stages = graph_text::stages_of(&loaded.graph);
        return Ok((loaded.spec.name, stages));
    }
    let opened = door::open(&args.spec)?;
    let options = PlanOptions { counts_shards: true, ..opened.question() };
    let plan = opened.plan(&options).map_err(|error| Failure::of_plan(&opened, error))?;
    remotes::note_news(&opened.store, terminal);
    let mut stages = graph_text::stages_of(&opened.graph);
    for stage in &mut stages {
        let planned = plan.stages.iter().find(|planned| planned.id.as_str() == stage.stage);
        stage.state = planned
            .map(|planned| DrawnState { decision: planned::word(&planned.decision), reason: planned::reason(planned) });
    }
    Ok((opened.spec.name, stages))
}
