//! Arguments of `report`.

use std::path::PathBuf;

use clap::Args;

use super::{JsonArgs, RemoteArgs, ReplaceArgs, StoreArgs};
use crate::completing;

/// Queries in the galleries of a report, unless `--queries` says otherwise.
const N_QUERIES: u16 = 120;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A run: its id, the beginning of it, or `last`, of a sweep also `RUN:POINT`; or a spec, for its last run, or its
    /// last sweep if it has one.
    #[arg(value_name = "RUN|SPEC", default_value = "last", add = completing::reportable())]
    pub subject: String,
    /// The file to write, `-` for stdout [default: `report.html` in the run's folder].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The files to replace.
    #[command(flatten)]
    pub replace: ReplaceArgs,
    /// Open the page in a browser: `$BROWSER`, else the desktop's own.
    #[arg(long)]
    pub open: bool,
    /// Compare with this run, query by query.
    #[arg(long, value_name = "RUN", visible_alias = "against", add = completing::runs())]
    pub compare: Option<String>,
    /// The number of queries in the gallery, at most; with `--compare`, two of five are those that were won and lost.
    #[arg(long, value_name = "N", default_value_t = N_QUERIES)]
    pub queries: u16,
    /// The seed of random choices: queries of the gallery, points of the map.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The remote.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}
