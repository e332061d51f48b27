//! `pipeline status`: the plan of a run, stage by stage.

use pipeline_engine::PlanOptions;

use crate::args::StatusArgs;
use crate::commands::planned::{self, Counts};
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remotes;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When no plan can be made.
pub fn run(args: &StatusArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let opened = door::open(&args.spec)?;
    let options = PlanOptions { counts_shards: true, ..opened.question() };
    let plan = opened.plan(&options).map_err(|error| Failure::of_plan(&opened, error))?;
    planned::show(&opened, &plan, args.json.json, terminal)?;
    remotes::note_news(&opened.store, terminal);
    let is_stale = !Counts::of(&plan).is_up_to_date();
    Ok(if args.check && is_stale { Exit::CheckFailed } else { Exit::Done })
}
