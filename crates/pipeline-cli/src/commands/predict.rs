//! `pipeline predict`: the rankings of an evaluation in the MUGE format, one `{"query_id", "item_ids"}` a line.
//!
//! JSON of what was written with `--output`: `{stage, file, n_predictions, warnings}`.

use std::io::Write;
use std::path::Path;

use pipeline_core::StageId;
use pipeline_data::{Dialect, WrittenPredictions};
use pipeline_experiments::Opened;
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
    let artifact = path::up_to_date(&opened, &stage).and_then(|record| path::open_artifact(&opened, &stage, &record));
    remotes::note_news(&opened.store, terminal);
    let artifact = artifact?;
    let dialect = match args.format {
        PredictFormat::Muge => Dialect::Muge,
        PredictFormat::ChineseClip => Dialect::ChineseClip,
    };
    let mut predictions = Vec::new();
    let written = write(artifact.folder(), dialect, &mut predictions)?;
    warn(&written, terminal);
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
                    "warnings": written.warnings(),
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

fn warn(written: &WrittenPredictions, terminal: &Terminal) {
    let word = terminal.err.notable("warning");
    written.warnings().iter().for_each(|warning| terminal.note(&format!("{word}: {warning}")));
}

fn write(artifact: &Path, dialect: Dialect, out: &mut dyn Write) -> Result<WrittenPredictions, Failure> {
    pipeline_stages::write_predictions(artifact, dialect, out).map_err(|error| Failure::because(Exit::Usage, &error))
}
