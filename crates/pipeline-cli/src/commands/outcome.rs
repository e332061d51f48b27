//! The end of a run, live or shown again: its failures and results.

use pipeline_experiments::recorded::{FailedStage, RunLog};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::words;
use crate::terminal::Terminal;

/// Reports every failure in full on stderr.
pub fn report_failures(log: &RunLog, terminal: &Terminal) {
    log.failures.iter().for_each(|failed| report_failed(failed, terminal));
}

fn report_failed(failed: &FailedStage, terminal: &Terminal) {
    let mut errors = vec![format!("stage `{}` failed", failed.stage)];
    errors.extend(failed.errors.iter().cloned());
    let failure = Failure { errors, help: failed.help.clone(), ..Failure::new(Exit::StageFailed, "") };
    failure.report(terminal);
}

/// Prints the result line of each evaluation; names the stage when there are several.
///
/// # Errors
/// When stdout cannot be written.
pub fn print_results(log: &RunLog, terminal: &Terminal) -> Result<(), Failure> {
    let results: Vec<_> = (log.stages().iter())
        .filter(|stage| words::has_result_line(&stage.kind))
        .filter_map(|stage| Some((&stage.id, stage.report.as_ref()?.headline.as_ref()?)))
        .collect();
    for (stage, headline) in &results {
        let line = if results.len() == 1 { (*headline).clone() } else { format!("{stage}: {headline}") };
        terminal.data(&line)?;
    }
    Ok(())
}
