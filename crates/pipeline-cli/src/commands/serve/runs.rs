//! Runs as pages show them: a row in the list, and the stages or points of one that runs.

use std::collections::BTreeSet;

use maud::{Markup, html};
use pipeline_eval::{MetricName, Quantity, ks};
use pipeline_experiments::recorded::{LiveState, PointProgress, Progress, StageProgress};
use pipeline_experiments::sweep::{COMPARED, SweepRecord};
use pipeline_experiments::table::{Experiment, main_metrics};
use pipeline_store::{RunInfo, RunState};

use crate::format::{count, counted, date_time, duration};

/// The most metrics in a row.
const MAX_METRICS: usize = 4;

/// The most points of a sweep that a row draws.
const MAX_MARKS: usize = 400;

/// The row of a run in the list. `progress` is that of a run that was seen running.
pub fn row(experiment: &Experiment, progress: Option<&Progress>, sweep: Option<&SweepRecord>) -> Markup {
    let info = &experiment.info;
    let is_running = info.state == RunState::Running;
    html! {
        li.run #(row_id(info)) {
            div.line {
                a.name href=(address(info)) { (title(info)) }
                span.spec { (info.spec) }
                (state(experiment))
                @if let Some(n_points) = sweep.map(|sweep| sweep.points.len()).or(experiment.n_points) {
                    span.soft { (counted(n_points as u64, "point")) }
                }
                @for tag in &info.labels.tags { span.soft { "#" (tag) } }
                span.when { (date_time(info.started_ms)) " UTC" (took(info)) }
            }
            @if let Some(note) = &info.labels.note { p.soft { (note) } }
            @if let (true, Some(progress)) = (is_running, progress) { (bar(progress, sweep)) (now(progress)) }
            @if let (Some(progress), Some(sweep)) = (progress, sweep) { (marks(progress, sweep)) }
            @if !is_running { (metrics(experiment)) }
            @if let Some(problem) = &info.problem { p.error { (problem) } }
        }
    }
}

/// The stages of a run, and the points of a sweep, as far as they are.
pub fn detail(experiment: &Experiment, progress: &Progress, sweep: Option<&SweepRecord>) -> Markup {
    let info = &experiment.info;
    let is_running = info.state == RunState::Running;
    html! {
        div #detail data-settled=[(!is_running).then_some("")] {
            p.facts {
                (state(experiment))
                span { (date_time(info.started_ms)) " UTC" (took(info)) }
                @if is_running { span { "running for " (clock(info.started_ms)) } }
            }
            (bar(progress, sweep))
            @if !is_running {
                p { a.button href=(address(info)) { "Open the report" } }
            }
            @if let Some(sweep) = sweep { (points(progress, sweep)) }
            (stages(progress, sweep.is_some()))
        }
    }
}

/// The address of the page about a run.
pub fn address(info: &RunInfo) -> String {
    format!("/runs/{}", info.id)
}

fn row_id(info: &RunInfo) -> String {
    format!("run-{}", info.id)
}

/// The name of a run for people: the one that it was given, else its number.
pub fn title(info: &RunInfo) -> String {
    match (&info.labels.name, info.number) {
        (Some(name), 0) => name.clone(),
        (Some(name), number) => format!("{number} · {name}"),
        (None, 0) => info.id.to_string(),
        (None, number) => format!("run {number}"),
    }
}

fn state(experiment: &Experiment) -> Markup {
    let (word, class) = match experiment.info.state {
        RunState::Done => (experiment.result(), "done"),
        RunState::Damaged => ("damaged", "failed"),
        _ => (experiment.result(), experiment.result()),
    };
    html! { span class={ "state " (class) } { (word) } }
}

fn took(info: &RunInfo) -> String {
    info.seconds.map(|seconds| format!(" · {}", duration(seconds))).unwrap_or_default()
}

/// The time since a moment: a script counts on.
fn clock(began_ms: u64) -> Markup {
    html! { time data-began=(began_ms) { "…" } }
}

/// The share of the run that is settled.
fn bar(progress: &Progress, sweep: Option<&SweepRecord>) -> Markup {
    let (n_stages, n_settled) = (progress.stages.len(), progress.n_settled());
    let points = sweep.map(|sweep| {
        let n_done = progress.points(sweep).iter().filter(|point| point.state.is_settled()).count();
        format!("{n_done} of {}, ", counted(sweep.points.len() as u64, "point"))
    });
    let words = format!("{}{n_settled} of {}", points.unwrap_or_default(), counted(n_stages as u64, "stage"));
    html! {
        div.progress {
            progress max=(n_stages.max(1)) value=(n_settled) aria-label="finished stages" {}
            span { (words) }
        }
    }
}

/// The stages that run now.
fn now(progress: &Progress) -> Markup {
    html! {
        @for stage in progress.running().take(4) {
            p.soft {
                (stage.id)
                @if let Some(began_ms) = stage.began_ms { " for " (clock(began_ms)) }
                @if let Some(words) = rows(stage) { ", " (words) }
            }
        }
    }
}

/// The finished rows of a running stage, or the shards to compute until the first of them are known.
fn rows(stage: &StageProgress) -> Option<String> {
    Some(match (stage.rows, stage.shards) {
        (Some((n_done, Some(total))), _) => format!("{} of {}", count(n_done), counted(total, "row")),
        (Some((n_done, None)), _) => counted(n_done, "row"),
        (None, Some((n_missing, n_shards))) => {
            format!("{} of {} to compute", count(n_missing), counted(n_shards, "shard"))
        }
        (None, None) => return None,
    })
}

/// A mark for every point of a sweep.
fn marks(progress: &Progress, sweep: &SweepRecord) -> Markup {
    let points = progress.points(sweep);
    let best = best(&points);
    html! {
        div.marks role="img" aria-label=(in_states(&points)) {
            @for (idx, point) in points.iter().enumerate().take(MAX_MARKS) {
                i class={ (word(point)) @if best == Some(idx) { " best" } } title=(tip(point, sweep)) {}
            }
        }
    }
}

/// The state of a point in one word.
fn word(point: &PointProgress<'_>) -> &'static str {
    match (point.state, point.own_stages) {
        (LiveState::Waiting, (1.., _)) => "begun",
        (state, _) => state.word(),
    }
}

fn in_states(points: &[PointProgress<'_>]) -> String {
    let words: BTreeSet<&str> = points.iter().map(word).collect();
    let counts = words.iter().map(|one| {
        let n = points.iter().filter(|point| word(point) == *one).count();
        format!("{n} {one}")
    });
    format!("points: {}", counts.collect::<Vec<_>>().join(", "))
}

fn tip(point: &PointProgress<'_>, sweep: &SweepRecord) -> String {
    let named = sweep.axes.iter().zip(sweep.shown_values(point.point));
    let values: Vec<String> = named.map(|(axis, value)| format!("{}={value}", axis.name)).collect();
    let metric = point.metrics.and_then(|metrics| COMPARED.value_in(metrics));
    let metric = metric.map(|value| format!(", {} {}", COMPARED.title(), shown(value))).unwrap_or_default();
    format!("{}: {}{metric}", values.join(", "), word(point))
}

/// The index of the point with the highest compared metric so far.
fn best(points: &[PointProgress<'_>]) -> Option<usize> {
    let value = |point: &PointProgress<'_>| point.metrics.and_then(|metrics| COMPARED.value_in(metrics));
    let measured = points.iter().enumerate().filter_map(|(idx, point)| Some((idx, value(point)?)));
    measured.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(idx, _)| idx)
}

/// The points of a sweep with their values and results.
fn points(progress: &Progress, sweep: &SweepRecord) -> Markup {
    let points = progress.points(sweep);
    let best = best(&points);
    let all_ks: BTreeSet<usize> = points.iter().filter_map(|point| point.metrics).flat_map(ks).collect();
    let recalls = all_ks.into_iter().map(|k| MetricName::new(Quantity::RecallAt(k)));
    let columns: Vec<MetricName> = [COMPARED].into_iter().chain(recalls).take(MAX_METRICS).collect();
    html! {
        h3 { "Points" }
        div.scroll {
            table {
                thead {
                    tr {
                        th { "point" }
                        @for axis in &sweep.axes { th { (axis.name) } }
                        th { "state" }
                        @for column in &columns { th.n { (column.title()) } }
                    }
                }
                tbody {
                    @for (idx, point) in points.iter().enumerate() {
                        tr class=[(best == Some(idx)).then_some("best")] {
                            td { (point.point.point) }
                            @for value in sweep.shown_values(point.point) { td { (value) } }
                            td { (point_state(point)) @if best == Some(idx) { " " span.up { "best so far" } } }
                            @for column in &columns {
                                td.n {
                                    @let value = point.metrics.and_then(|metrics| column.value_in(metrics));
                                    (value.map(shown).unwrap_or_default())
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The stages of a run. Of a sweep with many, only those that run or failed.
fn stages(progress: &Progress, is_sweep: bool) -> Markup {
    let is_shown = |stage: &&StageProgress| !is_sweep || matches!(stage.state, LiveState::Running | LiveState::Failed);
    html! {
        h3 { "Stages" }
        div.scroll {
            table {
                thead { tr { th { "stage" } th { "kind" } th { "state" } th.n { "took" } th { "result" } } }
                tbody {
                    @for stage in progress.stages.iter().filter(is_shown) {
                        tr {
                            td.nowrap { (stage.id) }
                            td.nowrap.soft { (stage.kind) }
                            td.nowrap { (live_state(stage.state)) }
                            td.n {
                                @if let Some(seconds) = stage.seconds { (duration(seconds)) }
                                @else if let (LiveState::Running, Some(began_ms)) = (stage.state, stage.began_ms) {
                                    (clock(began_ms))
                                }
                            }
                            td.remarks {
                                (stage.headline.as_deref().unwrap_or_default())
                                @if let (LiveState::Running, Some(words)) = (stage.state, rows(stage)) {
                                    (words)
                                    @if let Some((n_done, Some(total))) = stage.rows {
                                        " "
                                        @let label = format!("rows of {}", stage.id);
                                        progress max=(total.max(1)) value=(n_done) aria-label=(label) {}
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn point_state(point: &PointProgress<'_>) -> Markup {
    let (n_settled, n_own) = point.own_stages;
    html! {
        span class={ "state " (word(point)) } { (word(point)) }
        @if !point.state.is_settled() && n_settled > 0 {
            span.soft { ", " (n_settled) " of " (counted(n_own as u64, "stage")) }
        }
    }
}

fn live_state(state: LiveState) -> Markup {
    html! { span class={ "state " (state.word()) } { (state.word()) } }
}

/// The main metrics of a run that has ended.
fn metrics(experiment: &Experiment) -> Markup {
    let columns = main_metrics(std::slice::from_ref(experiment));
    let values = columns.iter().filter_map(|column| Some((&column.key, experiment.metric(&column.key)?)));
    let values: Vec<_> = values.take(MAX_METRICS).collect();
    html! {
        @if !values.is_empty() {
            p.metrics {
                @for (key, value) in values { span { span.soft { (metric_title(key)) " " } b { (shown(value)) } } }
            }
        }
    }
}

/// The title of a metric, as other pages have it.
fn metric_title(key: &str) -> String {
    let (stage, name) = key.rsplit_once('.').map_or((None, key), |(stage, name)| (Some(stage), name));
    let title = MetricName::from(name).title();
    stage.map_or(title.clone(), |stage| format!("{stage} {title}"))
}

/// A metric in few digits.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() >= 2.0 { value.to_string() } else { format!("{value:.4}") }
}

#[cfg(test)]
mod tests {
    use pipeline_core::{Event, EventRecord, StageId};

    use super::*;

    #[test]
    fn a_running_stage_shows_its_rows_and_before_the_first_its_shards() {
        let stage: StageId = "images".parse().unwrap();
        let mut progress = Progress::default();
        let mut shown = |event| {
            progress.add(&EventRecord { at_ms: 7, event });
            rows(&progress.stages[0])
        };
        let done = |n_done, total| Event::StageProgress { stage: stage.clone(), n_done, total };
        let waiting = Event::StageWaiting { stage: stage.clone(), owner: "elsewhere".into() };
        assert_eq!(shown(waiting), None);
        let helping = Event::StageHelping { stage: stage.clone(), n_shards: 1015, n_missing: 1000 };
        assert_eq!(shown(helping).unwrap(), "1,000 of 1,015 shards to compute");
        assert_eq!(shown(done(1200, Some(129_380))).unwrap(), "1,200 of 129,380 rows");
        assert_eq!(shown(done(1, None)).unwrap(), "1 row");
    }
}
