//! `pipeline validate`: checks a spec without looking at data; reads the configuration of existing models.
//!
//! Builds all points of its sweep, too. JSON: `{spec, file, n_stages, n_points}`, the latter 0 without a sweep; a
//! mistake in the spec is reported on stderr, with exit code 2.

use pipeline_experiments::sweep::{SweepOptions, SweepPlan};
use pipeline_experiments::{Loaded, check};
use serde_json::json;

use crate::args::ValidateArgs;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::counted;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When the spec is wrong.
pub fn run(args: &ValidateArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (named, Loaded { spec, graph, .. }) = door::load(&args.spec)?;
    check(&spec, &graph)?;
    let n_points = match spec.sweep.is_empty() {
        true => 0,
        false => {
            let plan = SweepPlan::load(&named, SweepOptions::default(), &door::surroundings())?;
            let sweep = plan.with(&plan.start())?;
            check(&sweep.spec, &sweep.graph)?;
            sweep.record.points.len()
        }
    };
    let n_stages = graph.n_stages();
    if args.json.json {
        let file = spec.file.to_string_lossy();
        terminal.json(&json!({ "spec": spec.name, "file": file, "n_stages": n_stages, "n_points": n_points }))?;
    } else {
        let stages = counted(n_stages as u64, "stage");
        let points = if n_points == 0 { String::new() } else { format!(", {}", counted(n_points as u64, "point")) };
        terminal.remark(&format!("{}: {stages}{points}, no mistakes", named.path.display()));
    }
    Ok(Exit::Done)
}
