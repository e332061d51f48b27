//! `pipeline predict`: the rankings of an evaluation in the MUGE format, one `{"query_id", "item_ids"}` a line.
//!
//! JSON of what was written with `--output`: `{stage, file, n_predictions, warnings}`.

use std::io::Write;
use std::path::Path;

use pipeline_core::StageId;
use pipeline_data::{Dialect, WrittenPredictions};
use pipeline_engine::Plan;
use pipeline_experiments::Opened;
use pipeline_stages::finished;
use serde_json::json;

use crate::args::{PredictArgs, PredictFormat};
use crate::commands::path;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::counted;
use crate::remotes;
use crate::terminal::Terminal;
use crate::whole_file::WholeFile;

/// Runs the command.
///
/// # Errors
/// When the spec has no evaluation that is up to date, or the file cannot be written.
pub fn run(args: &PredictArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let opened = door::open(&args.spec)?;
    let stage = evaluation(&opened, args.stage.as_deref())?;
    let plan = door::plan_what_is_there(&opened)?;
    let artifact =
        path::record_in(&plan, &opened, &stage).and_then(|record| path::open_artifact(&opened, &stage, &record));
    remotes::note_news(&opened.store, terminal);
    let artifact = artifact?;
    let dialect = match args.format {
        PredictFormat::Muge => Dialect::Muge,
        PredictFormat::ChineseClip => Dialect::ChineseClip,
    };
    let mut predictions = Vec::new();
    let written = write(artifact.folder(), dialect, &mut predictions)?;
    let mut warnings = written.warnings();
    warnings.extend(left_out(&opened, &plan, &stage));
    warn(&warnings, terminal);
    match &args.output {
        Some(path) => {
            let protected = opened.protected();
            let file = WholeFile { path, protected: Some(&protected), store: &opened.store, force: args.replace.force };
            file.write(&predictions, terminal)?;
            terminal.remark(&format!("{}: {} of `{stage}`", path.display(), counted(written.n_lines, "prediction")));
            if args.json {
                terminal.json(&json!({
                    "stage": stage,
                    "file": path.to_string_lossy(),
                    "n_predictions": written.n_lines,
                    "warnings": warnings,
                }))?;
            }
        }
        None => {
            if !predictions.is_empty() {
                terminal.exact(&String::from_utf8_lossy(&predictions))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// The evaluation with this name; without a name the only one of the spec.
///
/// # Errors
/// When there is none, or several and no name.
pub fn evaluation(opened: &Opened, name: Option<&str>) -> Result<StageId, Failure> {
    let chosen = name.map(|name| opened.stage(name)).transpose()?;
    Ok(opened.evaluation(chosen)?)
}

/// A warning of the queries that have no line, since nothing is ranked for an empty text. `None` if there are no such
/// queries, or if they are gone.
fn left_out(opened: &Opened, plan: &Plan, stage: &StageId) -> Option<String> {
    let evaluation = &opened.graph.nodes()[opened.graph.position(stage)?];
    let queries = evaluation.inputs.get("queries")?;
    let record = opened.record_in(plan, queries).ok()?;
    let rows = finished::read_queries(opened.open_artifact(queries, &record).ok()?.artifact()).ok()?;
    let mut without = rows.iter().filter(|row| row.text.is_empty());
    let first = without.next()?;
    let first = first.id.as_deref().map_or_else(|| "has no id".to_owned(), |id| format!("is `{id}`"));
    let queries_have = match 1 + without.count() {
        1 => "1 query has an empty text and no line".to_owned(),
        n_queries => format!("{n_queries} queries have an empty text and no line"),
    };
    Some(format!("{queries_have}, the first {first}; MUGE's evaluator refuses a file without a line for each query"))
}

fn warn(warnings: &[String], terminal: &Terminal) {
    let word = terminal.err.notable("warning");
    warnings.iter().for_each(|warning| terminal.note(&format!("{word}: {warning}")));
}

fn write(artifact: &Path, dialect: Dialect, out: &mut dyn Write) -> Result<WrittenPredictions, Failure> {
    pipeline_stages::write_predictions(artifact, dialect, out).map_err(|error| Failure::because(Exit::Usage, &error))
}
