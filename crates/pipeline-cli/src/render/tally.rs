//! What the events of a run come to: counts, failures, results.

use std::collections::BTreeMap;

use pipeline_core::{Event, StageId, StageReport};

use crate::format::{count, counted, duration};

/// A fold over the events of a run.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Stages in the spec.
    pub n_stages: u64,
    /// Stages that ran to their end.
    pub n_ran: u64,
    /// Stages whose result was remembered.
    pub n_reused: u64,
    /// Stages that were not looked at.
    pub n_skipped: u64,
    /// Files that were copied to where the spec publishes them.
    pub n_published: u64,
    /// Warnings, those of reused stages from when they ran included.
    pub n_warnings: u64,
    /// The stages that failed, in the order in which they did.
    pub failures: Vec<FailedStage>,
    /// What each stage that is up to date reported.
    pub reports: BTreeMap<StageId, StageReport>,
    /// Wall time of the run.
    pub seconds: f64,
    /// Why events are missing on stdout, where they should have been written.
    pub unwritten: Option<String>,
}

/// A stage that failed, and why.
#[derive(Debug, Clone)]
pub struct FailedStage {
    /// The stage.
    pub stage: StageId,
    /// The message and its causes, outermost first.
    pub errors: Vec<String>,
    /// What the user can do.
    pub help: Option<String>,
}

impl Tally {
    /// Adds one event.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::RunStarted { stages, .. } => self.n_stages = stages.len() as u64,
            Event::StageReused { stage, report, .. } => {
                self.n_reused += 1;
                self.n_warnings += report.warnings.len() as u64;
                self.reports.insert(stage.clone(), report.clone());
            }
            Event::StageFinished { stage, report, .. } => {
                self.n_ran += 1;
                self.reports.insert(stage.clone(), report.clone());
            }
            Event::StageFailed { stage, errors, help, .. } => {
                let failure = FailedStage { stage: stage.clone(), errors: errors.clone(), help: help.clone() };
                self.failures.push(failure);
            }
            Event::StageSkipped { .. } => self.n_skipped += 1,
            Event::FilePublished { .. } => self.n_published += 1,
            Event::StageWarning { .. } => self.n_warnings += 1,
            Event::RunFinished { seconds, .. } => self.seconds = *seconds,
            _ => {}
        }
    }

    /// One line, such as `7 stages: 2 ran, 5 reused, 0.8 s`.
    pub fn summary(&self) -> String {
        let n_failed = self.failures.len() as u64;
        let mut parts = Vec::new();
        match self.n_ran {
            0 if n_failed == 0 => parts.push("nothing ran".to_owned()),
            n_ran => parts.push(format!("{} ran", count(n_ran))),
        }
        let counts = [(n_failed, "failed"), (self.n_reused, "reused"), (self.n_skipped, "skipped")];
        parts.extend(counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", count(*n))));
        if self.n_published > 0 {
            parts.push(format!("{} published", counted(self.n_published, "file")));
        }
        if self.n_warnings > 0 {
            parts.push(counted(self.n_warnings, "warning"));
        }
        parts.push(duration(self.seconds));
        format!("{}: {}", counted(self.n_stages, "stage"), parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_happened() {
        let check = |tally: Tally, expect: &str| assert_eq!(tally.summary(), expect);
        check(
            Tally { n_stages: 7, n_ran: 2, n_reused: 5, seconds: 0.81, ..Tally::default() },
            "7 stages: 2 ran, 5 reused, 0.8 s",
        );
        check(
            Tally { n_stages: 1, n_reused: 1, seconds: 0.02, ..Tally::default() },
            "1 stage: nothing ran, 1 reused, 20 ms",
        );
        let failed = FailedStage { stage: "a".parse().unwrap(), errors: vec![], help: None };
        let tally = Tally { n_stages: 3, failures: vec![failed], n_skipped: 2, seconds: 1.0, ..Tally::default() };
        check(tally, "3 stages: 0 ran, 1 failed, 2 skipped, 1.0 s");
    }
}
