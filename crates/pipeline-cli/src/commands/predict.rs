//! `pipeline predict`: the rankings of an evaluation in the MUGE format, one `{"query_id", "item_ids"}` a line.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use pipeline_core::StageId;
use pipeline_stages::Format;

use crate::args::PredictArgs;
use crate::commands::path;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::counted;
use crate::opened::Opened;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When the spec has no evaluation that is up to date, or the file cannot be written.
pub fn run(args: &PredictArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let opened = Opened::open(&args.spec)?;
    let stage = match &args.stage {
        Some(name) => opened.stage(name)?,
        None => only_evaluation(&opened)?,
    };
    let record = path::up_to_date(&opened, &stage)?;
    let artifact = path::open_artifact(&opened, &stage, &record)?;
    match &args.output {
        Some(file) => {
            let n_lines = write_file(artifact.folder(), file)?;
            terminal.remark(&format!("{}: {} of `{stage}`", file.display(), counted(n_lines, "prediction")));
        }
        None => {
            let mut out = Vec::new();
            write(artifact.folder(), &mut out)?;
            io::stdout().lock().write_all(&out)?;
        }
    }
    Ok(Exit::Done)
}

fn only_evaluation(opened: &Opened) -> Result<StageId, Failure> {
    let is_evaluation =
        |kind: &str| pipeline_stages::kind(kind).is_some_and(|kind| kind.produces == Format::Evaluation);
    let stages: Vec<_> = opened.graph.nodes().iter().filter(|node| is_evaluation(node.stage.kind())).collect();
    match stages.as_slice() {
        [only] => Ok(only.id.clone()),
        [] => Err(Failure::new(Exit::Usage, "the spec has no evaluation")
            .with_help("add a stage of kind `evaluate-recall`: its rankings are the predictions")),
        several => {
            let names: Vec<_> = several.iter().map(|node| format!("`{}`", node.id)).collect();
            let message = format!("the spec has several evaluations: {}", names.join(", "));
            Err(Failure::new(Exit::Usage, message).with_help("choose one with `--stage`"))
        }
    }
}

/// Writes the file whole or not at all.
fn write_file(artifact: &Path, file: &Path) -> Result<u64, Failure> {
    let cannot =
        |error: io::Error| Failure::because(Exit::Usage, &error).under(format!("cannot write `{}`", file.display()));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = file.with_file_name(format!(".{name}.{}.unfinished", std::process::id()));
    let mut out = BufWriter::new(std::fs::File::create(&unfinished).map_err(cannot)?);
    let written = write(artifact, &mut out).and_then(|n_lines| {
        out.flush().map_err(cannot)?;
        std::fs::rename(&unfinished, file).map_err(cannot)?;
        Ok(n_lines)
    });
    if written.is_err() {
        // The error that is told matters more than a leftover.
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

fn write(artifact: &Path, out: &mut dyn Write) -> Result<u64, Failure> {
    pipeline_stages::write_predictions(artifact, out).map_err(|error| Failure::because(Exit::Usage, &error))
}
