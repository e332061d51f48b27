//! The stages: their graph, and the state of each in the run.

use maud::{Markup, html};

use super::words::{bytes, count, duration};
use crate::chart::{Node, graph};
use crate::facts::{Report, StageFacts, StageState};

pub(super) fn draw(report: &Report) -> Markup {
    let stages = &report.stages;
    let all: Vec<&StageFacts> = stages.iter().collect();
    html! {
        p.sub { (summary(&all)) }
        @if !stages.is_empty() {
            div.scroll { (graph("the stages and what they read", &nodes(stages))) }
            (table(&all))
        }
    }
}

const fn word(state: StageState) -> &'static str {
    match state {
        StageState::Reused => "reused",
        StageState::Ran => "ran",
        StageState::Unchanged => "unchanged",
        StageState::Failed => "failed",
        StageState::Skipped => "skipped",
        StageState::Unfinished => "unfinished",
    }
}

/// A sign beside the word, so that the state does not depend on colour.
const fn sign(state: StageState) -> &'static str {
    match state {
        StageState::Reused => "↺",
        StageState::Ran => "●",
        StageState::Unchanged => "◍",
        StageState::Failed => "✕",
        StageState::Skipped | StageState::Unfinished => "○",
    }
}

/// The number of stages, by state.
pub(super) fn summary(stages: &[&StageFacts]) -> String {
    let states = [
        StageState::Ran,
        StageState::Unchanged,
        StageState::Reused,
        StageState::Failed,
        StageState::Skipped,
        StageState::Unfinished,
    ];
    let n_in = |state: StageState| stages.iter().filter(|stage| stage.state == state).count();
    let parts: Vec<_> = states.into_iter().map(|state| (n_in(state), word(state))).filter(|(n, _)| *n > 0).collect();
    let parts: Vec<_> = parts.into_iter().map(|(n, word)| format!("{n} {word}")).collect();
    let saved: f64 = stages.iter().filter_map(|stage| stage.saved_seconds).sum();
    let saved = if saved > 0.0 { format!(" Reused results saved {} of work.", duration(saved)) } else { String::new() };
    format!("{} stages: {}.{saved}", stages.len(), if parts.is_empty() { "none".to_owned() } else { parts.join(", ") })
}

fn nodes(stages: &[StageFacts]) -> Vec<Node> {
    let position = |name: &str| stages.iter().position(|stage| stage.name == name);
    let node = |(idx, stage): (usize, &StageFacts)| {
        let time = stage.seconds.map(|seconds| format!(" · {}", duration(seconds))).unwrap_or_default();
        let detail = format!("{} {}{time}", sign(stage.state), word(stage.state));
        let inputs = stage.inputs.iter().filter_map(|(_, from)| position(from)).filter(|from| *from < idx).collect();
        Node { name: stage.name.clone(), class: word(stage.state), tip: tip(stage), detail, inputs }
    };
    stages.iter().enumerate().map(node).collect()
}

fn tip(stage: &StageFacts) -> String {
    let mut lines = vec![format!("{} ({})", stage.name, stage.kind)];
    lines.extend(stage.n_rows.map(|n_rows| format!("{} rows", count(n_rows))));
    lines.extend(stage.remarks.iter().cloned());
    lines.join("\n")
}

/// A row for each stage.
pub(super) fn table(stages: &[&StageFacts]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th { "stage" } th { "kind" } th { "state" } th.n { "took" } th.n { "rows" } th.n { "rejected" }
                th.n { "shards" } th.n { "size" } th { "remarks" }
            } }
            tbody { @for stage in stages { (row(stage)) } }
        } }
    }
}

fn row(stage: &StageFacts) -> Markup {
    html! {
        tr {
            td.nowrap { b { (stage.name) } }
            td.nowrap { code { (stage.kind) } }
            td.nowrap { span class={ "state " (word(stage.state)) } { (sign(stage.state)) " " (word(stage.state)) } }
            td.n {
                (stage.seconds.map(duration).unwrap_or_default())
                @if let Some(saved) = stage.saved_seconds {
                    span.soft data-tip="not spent: the result was remembered" { "(" (duration(saved)) ")" }
                }
            }
            td.n { (stage.n_rows.map(count).unwrap_or_default()) }
            td.n {
                @if stage.n_rejected > 0 { b.warn { (count(stage.n_rejected)) } }
                @else if stage.n_rows.is_some() { "0" }
            }
            td.n { (shards(stage)) }
            td.n { (stage.bytes.map(bytes).unwrap_or_default()) }
            td.remarks { @for remark in &stage.remarks { div { (remark) } } }
        }
    }
}

/// The number of shards, and of those that were reused.
fn shards(stage: &StageFacts) -> String {
    match stage.shards {
        None | Some((0, 0)) => String::new(),
        Some((n_reused, n_computed)) => format!("{n_reused} of {} reused", n_reused + n_computed),
    }
}
