//! The stages of a sweep: a summary of each stage of the spec over all points, and every copy.

use maud::{Markup, html};

use crate::facts::{StageFacts, StageState, SweepReport, SweptStage};
use crate::page::pipeline;
use crate::page::words::{count, duration};

pub(super) fn draw(report: &SweepReport) -> Markup {
    let all: Vec<&StageFacts> = report.stages.iter().flat_map(|stage| &stage.copies).collect();
    html! {
        p.sub { (pipeline::summary(&all)) " A stage that no axis changes is computed once for all points." }
        div.scroll { table {
            thead { tr {
                th { "stage" } th { "kind" } th.n { "different" } th.n { "ran" } th.n { "reused" } th.n { "failed" }
                th.n { "not reached" } th.n { "took" } th.n { "spared" }
            } }
            tbody { @for stage in &report.stages { (row(stage)) } }
        } }
        details { summary { "Every stage" } (pipeline::table(&all)) }
    }
}

fn row(stage: &SweptStage) -> Markup {
    let n_in = |states: &[StageState]| stage.copies.iter().filter(|copy| states.contains(&copy.state)).count();
    let seconds: f64 = stage.copies.iter().filter_map(|copy| copy.seconds).sum();
    let spared: f64 = stage.copies.iter().filter_map(|copy| copy.saved_seconds).sum();
    let number = |n: usize| if n == 0 { String::new() } else { count(n as u64) };
    html! {
        tr {
            td.nowrap { b { (stage.name) } }
            td.nowrap { code { (stage.kind) } }
            td.n { (count(stage.copies.len() as u64)) }
            td.n { span.state.ran { (number(n_in(&[StageState::Ran, StageState::Unchanged]))) } }
            td.n { span.state.reused { (number(n_in(&[StageState::Reused]))) } }
            td.n { span.state.failed { (number(n_in(&[StageState::Failed]))) } }
            td.n { span.state.skipped { (number(n_in(&[StageState::Skipped, StageState::Unfinished]))) } }
            td.n { @if seconds > 0.0 { (duration(seconds)) } }
            td.n { @if spared > 0.0 { span.soft { (duration(spared)) } } }
        }
    }
}
