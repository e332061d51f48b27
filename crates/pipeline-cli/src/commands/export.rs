//! `pipeline export`: features and embeddings as files of vectors, histories and metrics as TensorBoard's events.
//!
//! JSON: `{stage, written: [{files, n_vectors or n_scalars}]}`.

use std::path::PathBuf;

use pipeline_core::StageId;
use pipeline_engine::Plan;
use pipeline_experiments::Opened;
use pipeline_stages::{Format, Side, VectorFormat, Vectors};
use pipeline_store::{OpenTree, Replacement};
use serde::Serialize;
use serde_json::json;

use crate::args::{ExportArgs, ExportFormat};
use crate::commands::path;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::counted;
use crate::remotes;
use crate::terminal::Terminal;
use crate::whole_file;

/// Runs the command.
///
/// # Errors
/// When the stage has nothing to export or is not up to date, or a file is there already or cannot be written.
pub fn run(args: &ExportArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let opened = door::open(&args.spec)?;
    let stage = opened.stage(&args.stage)?;
    let export = Export { args, plan: door::plan_what_is_there(&opened)?, opened: &opened, terminal };
    remotes::note_news(&opened.store, terminal);
    let written = match (args.format, opened.format_of(&stage)) {
        (Some(ExportFormat::Tensorboard), _) | (None, Format::Projection) => export.events(&stage)?,
        (format, Format::TextFeatures) => export.features(&stage, Side::Text, vector_format(format))?,
        (format, Format::ImageFeatures) => export.features(&stage, Side::Images, vector_format(format))?,
        (format, Format::Evaluation) => export.embeddings(&stage, vector_format(format))?,
        (format, Format::TextTokens) if args.heads.is_some() => {
            export.features(&stage, Side::Text, vector_format(format))?
        }
        (format, Format::ImageTokens) if args.heads.is_some() => {
            export.features(&stage, Side::Images, vector_format(format))?
        }
        (_, Format::TextTokens | Format::ImageTokens) => {
            let message =
                format!("stage `{stage}` has the vectors of all tokens (`pooling: tokens`), not one for each row");
            return Err(Failure::new(Exit::Usage, message).with_help(
                "`--heads` exports their embeddings; its artifact, which `pipeline path` finds, is Parquet with the \
                 columns `id`, `n_tokens` and `tokens`",
            ));
        }
        _ => {
            return Err(Failure::new(Exit::Usage, format!("stage `{stage}` has no vectors to export")).with_help(
                "features, and evaluations for the embeddings of both sides, have vectors; `--format tensorboard` \
                 takes trainings and evaluations",
            ));
        }
    };
    if args.json.json {
        terminal.json(&json!({ "stage": stage, "written": written }))?;
    }
    Ok(Exit::Done)
}

fn vector_format(format: Option<ExportFormat>) -> VectorFormat {
    match format {
        Some(ExportFormat::ParquetLists) => VectorFormat::ParquetLists,
        Some(ExportFormat::Safetensors) => VectorFormat::Safetensors,
        Some(ExportFormat::Npy | ExportFormat::Tensorboard) | None => VectorFormat::Npy,
    }
}

/// Files that belong together, and their content.
#[derive(Serialize)]
struct Written {
    files: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_vectors: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_scalars: Option<usize>,
}

impl Written {
    fn new(files: &[PathBuf]) -> Self {
        let files = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
        Self { files, n_vectors: None, n_scalars: None }
    }
}

struct Export<'a> {
    args: &'a ExportArgs,
    opened: &'a Opened,
    plan: Plan,
    terminal: &'a Terminal,
}

impl Export<'_> {
    fn open(&self, stage: &StageId) -> Result<OpenTree, Failure> {
        let record = path::record_in(&self.plan, self.opened, stage)?;
        path::open_artifact(self.opened, stage, &record)
    }

    /// The vectors of a features stage, or with `--heads` their embeddings.
    fn features(&self, stage: &StageId, side: Side, format: VectorFormat) -> Result<Vec<Written>, Failure> {
        let Some(heads) = &self.args.heads else {
            let vectors = Vectors::read(self.open(stage)?.artifact(), side)?;
            return self.write(&[(side, vectors)], format);
        };
        let heads = self.opened.stage(heads)?;
        if self.opened.format_of(&heads) != Format::Projection {
            return Err(Failure::new(Exit::Usage, format!("stage `{heads}` has no trained heads")));
        }
        let vectors = self.embedded(stage, side, &heads, self.args.allow_mismatch)?;
        self.write(&[(side, vectors)], format)
    }

    /// The embeddings of both sides that an evaluation compares.
    fn embeddings(&self, stage: &StageId, format: VectorFormat) -> Result<Vec<Written>, Failure> {
        if self.args.heads.is_some() {
            return Err(Failure::new(Exit::Usage, "an evaluation has heads of its own")
                .with_help("`--heads` goes with a stage of features"));
        }
        let inputs = &self.opened.graph.node(stage).expect("the stage was found in the graph").inputs;
        path::record_in(&self.plan, self.opened, stage)?;
        let sides = [Side::Text, Side::Images];
        // The evaluation has refused features that do not belong to its heads, or was allowed to accept them.
        let embedded = |side: Side| self.embedded(&inputs[side.name()], side, &inputs["projection"], true);
        let vectors = sides.map(|side| Ok((side, embedded(side)?)));
        self.write(&vectors.into_iter().collect::<Result<Vec<_>, Failure>>()?, format)
    }

    fn embedded(
        &self,
        stage: &StageId,
        side: Side,
        heads: &StageId,
        allows_mismatch: bool,
    ) -> Result<Vectors, Failure> {
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (features, heads) = (self.open(stage)?, self.open(heads)?);
        Ok(Vectors::embedded(features.artifact(), side, heads.artifact(), allows_mismatch, n_threads)?)
    }

    fn write(&self, sets: &[(Side, Vectors)], format: VectorFormat) -> Result<Vec<Written>, Failure> {
        let files = |side: Side| self.paths(&format.files(side.name()));
        sets.iter().try_for_each(|(side, _)| self.make_way(&files(*side)))?;
        let write = |(side, vectors): &(Side, Vectors)| {
            let files = files(*side);
            write_all(&files, &mut |paths| Ok(vectors.write(format, paths)?))?;
            self.report(&files, &counted(vectors.len() as u64, "vector"));
            Ok(Written { n_vectors: Some(vectors.len()), ..Written::new(&files) })
        };
        sets.iter().map(write).collect()
    }

    /// The curves of a training, or the metrics of an evaluation.
    fn events(&self, stage: &StageId) -> Result<Vec<Written>, Failure> {
        let record = path::record_in(&self.plan, self.opened, stage)?;
        let open = path::open_artifact(self.opened, stage, &record)?;
        // TensorBoard recognises its files by `tfevents`, and sorts those of a folder by the number after it.
        let seconds = record.provenance.at_ms as f64 / 1e3;
        let files = self.paths(&[format!("events.out.tfevents.{}.{stage}", seconds as u64)]);
        self.make_way(&files)?;
        let mut n_scalars = 0;
        write_all(&files, &mut |paths| {
            n_scalars = pipeline_stages::write_events(stage.as_str(), open.artifact(), seconds, &paths[0])?;
            if n_scalars == 0 {
                return Err(Failure::new(Exit::Usage, format!("stage `{stage}` has no history and no metrics"))
                    .with_help("trainings and evaluations have them"));
            }
            Ok(())
        })?;
        self.report(&files, &counted(n_scalars as u64, "scalar"));
        Ok(vec![Written { n_scalars: Some(n_scalars), ..Written::new(&files) }])
    }

    fn paths(&self, names: &[String]) -> Vec<PathBuf> {
        names.iter().map(|name| self.args.output.join(name)).collect()
    }

    /// Makes the folder, and refuses existing files.
    fn make_way(&self, files: &[PathBuf]) -> Result<(), Failure> {
        if let Some(there) = files.iter().find(|file| file.exists() && !self.args.force) {
            return Err(Failure::new(Exit::Usage, format!("`{}` is there already", there.display()))
                .with_help("`--force` overwrites it"));
        }
        let protected = self.opened.protected();
        files.iter().try_for_each(|file| protected.check(file))?;
        let folder = &self.args.output;
        std::fs::create_dir_all(folder).map_err(|error| whole_file::cannot(folder, &error))
    }

    fn report(&self, files: &[PathBuf], what: &str) {
        let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        self.terminal.remark(&format!("{}: {what}", names.join(", ")));
    }
}

/// Lets `write` fill files beside `files`, and renames all of them once all are complete.
fn write_all(files: &[PathBuf], write: &mut dyn FnMut(&[PathBuf]) -> Result<(), Failure>) -> Result<(), Failure> {
    let replacements = files.iter().map(|file| Replacement::beside(file)).collect::<Result<Vec<_>, _>>()?;
    let paths: Vec<PathBuf> = replacements.iter().map(|replacement| replacement.path().to_owned()).collect();
    write(&paths)?;
    Ok(replacements.into_iter().try_for_each(Replacement::take_place)?)
}
