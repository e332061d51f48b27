//! Arguments of the commands that search a pool.

use std::path::PathBuf;

use clap::Args;

use super::{JsonArgs, RemoteArgs, ReplaceArgs, SpecArgs, StoreArgs};
use crate::completing;
use crate::searching::{DEFAULT_K, MAX_K};

/// Arguments of `search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// The text to search for.
    #[arg(required_unless_present = "image")]
    pub query: Option<String>,
    /// Search for images that are like this one.
    #[arg(long, value_name = "FILE", conflicts_with = "query")]
    pub image: Option<PathBuf>,
    /// The number of images to show.
    #[arg(
        short,
        value_name = "N",
        default_value_t = DEFAULT_K,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_K))
    )]
    pub k: u16,
    /// The evaluation whose pool to search, where the spec has several.
    #[arg(long, value_name = "STAGE", add = completing::stages())]
    pub stage: Option<String>,
    /// Also write a page with the images that were found.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Which files to replace.
    #[command(flatten)]
    pub replace: ReplaceArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The spec whose images to search, or a run of it; without one, the runs of the project.
    #[arg(value_name = "SPEC", add = completing::reportable())]
    pub spec: Option<PathBuf>,
    /// Change a value: STAGE.params.NAME=VALUE or vars.NAME=VALUE, VALUE in YAML.
    #[arg(long = "set", value_name = "KEY=VALUE", add = completing::settings())]
    pub overrides: Vec<String>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The remote.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// The port on this machine; 0 for any free one.
    #[arg(long, value_name = "PORT", default_value_t = 8765)]
    pub port: u16,
    /// The evaluation whose pool to search, where the spec has several.
    #[arg(long, value_name = "STAGE", add = completing::stages())]
    pub stage: Option<String>,
}
