//! Arguments of the commands that write results for people and other tools.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{JsonArgs, ReplaceArgs, SpecArgs};
use crate::completing;

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// The file to write [default: stdout].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The files to replace.
    #[command(flatten)]
    pub replace: ReplaceArgs,
    /// The evaluation whose rankings to write, where the spec has several.
    #[arg(long, value_name = "STAGE", add = completing::stages())]
    pub stage: Option<String>,
    /// The names of the fields.
    #[arg(long, value_name = "FORMAT", default_value = "muge")]
    pub format: PredictFormat,
    /// Print on stdout what was written, as JSON; goes with `--output`.
    #[arg(long, requires = "output")]
    pub json: bool,
}

/// The names of the fields of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PredictFormat {
    /// `query_id` and `item_ids`, as Tianchi's MUGE.
    Muge,
    /// `text_id` and `image_ids`, as Chinese-CLIP's evaluation.
    ChineseClip,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// The stage: features, an evaluation for its embeddings of both sides, or a training for its curves.
    #[arg(add = completing::stages())]
    pub stage: String,
    /// The folder to write to.
    #[arg(short, long, value_name = "FOLDER")]
    pub output: PathBuf,
    /// The format [default: tensorboard for a training, else npy].
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<ExportFormat>,
    /// Write embeddings instead: the features through the heads of this training.
    #[arg(long, value_name = "STAGE", add = completing::stages())]
    pub heads: Option<String>,
    /// With `--heads`: accept features of another encoder than that of the training.
    #[arg(long, requires = "heads")]
    pub allow_mismatch: bool,
    /// Overwrite existing files.
    #[arg(long)]
    pub force: bool,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// The formats of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// `.npy` of f32, and `.ids.txt` with one id a line.
    Npy,
    /// Parquet with the columns `id` and `vector`, lists of f32.
    ParquetLists,
    /// `.safetensors` with the tensor `vectors`, and `.ids.txt`.
    Safetensors,
    /// An event file for TensorBoard.
    Tensorboard,
}
