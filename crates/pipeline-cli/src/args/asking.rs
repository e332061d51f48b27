//! Arguments of the commands that show something about a spec, the kinds or this program, and run nothing.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::Shell;

use super::{JsonArgs, SpecArgs};
use crate::completing;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Exit with 1 if a stage would run.
    #[arg(long)]
    pub check: bool,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Arguments of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// The stage to explain.
    #[arg(add = completing::stages())]
    pub stage: String,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Arguments of `path`.
#[derive(Debug, Args)]
pub struct PathArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// The stage of the artifact.
    #[arg(add = completing::stages())]
    pub stage: String,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Arguments of `graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// The language of the drawing.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: GraphFormat,
    /// Show at each stage what a run would do, and why, as `status` does.
    #[arg(long)]
    pub status: bool,
    /// Print JSON on stdout, as `--format json`.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// The language of a drawn graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Boxes and lines in box-drawing characters; in ASCII where the locale is not UTF-8.
    Text,
    /// Boxes and lines in ASCII.
    Ascii,
    /// A Mermaid flowchart, as GitHub renders it.
    Mermaid,
    /// Graphviz.
    Dot,
    /// JSON: stages and edges.
    Json,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Arguments of `stages`.
#[derive(Debug, Args)]
pub struct StagesArgs {
    /// The kind to describe, with all its params.
    #[arg(add = completing::kinds())]
    pub kind: Option<String>,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder for the page of every command [default: the page of the program on stdout].
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}
