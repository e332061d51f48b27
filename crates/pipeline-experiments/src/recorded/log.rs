//! The log of a run: its events folded into counts, failures and results.

use std::collections::BTreeMap;

use pipeline_core::{Event, StageId, StageReport};

/// A fold over the events of a run, of one that goes on as of a recorded one.
#[derive(Debug, Clone, Default)]
pub struct RunLog {
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

impl RunLog {
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
}
