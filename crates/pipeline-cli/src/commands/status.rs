//! `pipeline status`: what a run would do, stage by stage.

use pipeline_engine::PlanOptions;

use crate::args::StatusArgs;
use crate::commands::planned::{self, Counts};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::opened::Opened;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When no plan can be made.
pub fn run(args: &StatusArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let opened = Opened::open(&args.spec)?;
    let plan = opened.plan(&PlanOptions { counts_shards: true, ..PlanOptions::default() })?;
    planned::show(&opened, &plan, args.json.json, terminal)?;
    let is_stale = !Counts::of(&plan).is_up_to_date();
    Ok(if args.check && is_stale { Exit::CheckFailed } else { Exit::Done })
}
