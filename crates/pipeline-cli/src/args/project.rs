//! Arguments of the commands about a project as a whole.

use std::path::PathBuf;

use clap::Args;

use super::{JsonArgs, StoreArgs};

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The root of the project, made if it is missing [default: the nearest folder with a
    /// `pipeline.toml`, else the current one].
    pub folder: Option<PathBuf>,
    /// The folder with the four files of the data set, or with images and a table of their names and texts [default:
    /// the one in FOLDER].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The files, where they are not found by their names.
    #[command(flatten)]
    pub files: DataFileArgs,
    /// The text encoder: a path, or a name to look for in the folders of models.
    #[arg(long, value_name = "MODEL", default_value = "bert-base-chinese")]
    pub text_model: String,
    /// The image encoder: a path, or a name to look for in the folders of models.
    #[arg(long, value_name = "MODEL", default_value = "resnet50")]
    pub image_model: String,
    /// The folder of models with names [default: `models` in FOLDER].
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// The git repository of `pipeline`, from which the workflow installs it.
    #[arg(long, value_name = "URL")]
    pub program_git: Option<String>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// The four files of a data set in MUGE's format.
#[derive(Debug, Clone, Default, Args)]
pub struct DataFileArgs {
    /// The images to train with, a TSV of ids and base64.
    #[arg(long, value_name = "FILE")]
    pub train_images: Option<PathBuf>,
    /// The queries to train with, JSON Lines.
    #[arg(long, value_name = "FILE")]
    pub train_queries: Option<PathBuf>,
    /// The images to evaluate with.
    #[arg(long, value_name = "FILE")]
    pub valid_images: Option<PathBuf>,
    /// The queries to evaluate with.
    #[arg(long, value_name = "FILE")]
    pub valid_queries: Option<PathBuf>,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}
