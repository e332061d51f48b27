//! `pipeline diff`: the differences between two runs, and whether those of their metrics are significant.
//!
//! JSON: `{earlier, later, stages: [{stage, state, changes: [{name, old, new}]}], measured: [{earlier, later,
//! incomparable, untested, left_out, metrics: [{metric, earlier, later, difference, low, high, sign_test: {n_better,
//! n_worse, p}, verdict}]}]}`, where `earlier` and `later` are `RUN` or `RUN:POINT`, `state` is `same`, `same-result`,
//! `differs`, `only-earlier` or `only-later`, and `verdict` is `better`, `worse`, `no-evidence` or null.

use std::collections::BTreeMap;

use pipeline_core::{RunId, StageId};
use pipeline_experiments::compare::{
    Choice, Compared, Likeness, MetricDifference, Side, Significance, StageDifference, compare, compare_stages, pairs,
};
use pipeline_experiments::recorded::{RecordedRun, spec_titles};
use pipeline_store::{RunInfo, RunState};
use serde_json::json;

use crate::args::DiffArgs;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::{counted, date_time};
use crate::remotes;
use crate::render::words;
use crate::table::Table;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When there is no store, no such run or evaluation, or the store cannot be read.
pub fn run(args: &DiffArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let store = remotes::attach(door::store(&args.store, terminal)?, args.remote.remote.as_deref())?;
    let runs = store.runs().list()?;
    let choices = [&args.earlier, &args.later].map(|name| Choice::find(&store, &runs, name));
    let [earlier_choice, later_choice] = choices;
    let (earlier_choice, later_choice) = (earlier_choice?, later_choice?);
    let (earlier, later) = (&earlier_choice.run, &later_choice.run);
    for run in [earlier, later] {
        if matches!(run.info.state, RunState::Died | RunState::Running) {
            let id = &run.info.id;
            terminal
                .remark(&format!("run {id} has not come to its end: its files may be incomplete and are not sealed"));
        }
    }
    let is_same = args.earlier == args.later;
    let sides = [(&earlier_choice, &args.earlier), (&later_choice, &args.later)];
    for (choice, name) in sides.into_iter().take(if is_same { 1 } else { 2 }) {
        if let Some(n_points) = choice.n_points() {
            let name = name.split(':').next().unwrap_or_default();
            let points = counted(n_points as u64, "point");
            terminal.remark(&format!("note: `{name}` is a sweep of {points}; `{name}:1` compares its first point"));
        }
    }
    let stages = compare_stages(earlier, later);
    let n_threads = door::n_threads();
    let measured = |(a, b): (StageId, StageId)| {
        compare(&store, Side { run: earlier, stage: &a }, Side { run: later, stage: &b }, n_threads)
    };
    let measured = pairs(&earlier_choice, &later_choice)?.into_iter().map(measured).collect::<Result<Vec<_>, _>>();
    remotes::note_news(&store, terminal);
    let measured = measured?;
    if args.json.json {
        terminal.json(&json!({
            "earlier": earlier.name(),
            "later": later.name(),
            "stages": stages,
            "measured": measured,
        }))?;
    } else {
        let mut blocks = vec![heading(earlier, later, &spec_titles(&runs)), stages_text(&stages, terminal)];
        let is_only = measured.len() == 1;
        blocks.extend(measured.iter().filter_map(|compared| metrics_text(compared, is_only, terminal)));
        terminal.data(&blocks.join("\n\n"))?;
    }
    Ok(report(&measured, terminal))
}

fn heading(earlier: &RecordedRun, later: &RecordedRun, titles: &BTreeMap<RunId, String>) -> String {
    let width = earlier.name().len().max(later.name().len());
    let line = |what: &str, run: &RecordedRun| {
        let RunInfo { id, started_ms, .. } = &run.info;
        format!("{what}  {:width$}  {}  {}", run.name(), date_time(*started_ms), titles[id])
    };
    format!("{}\n{}", line("earlier", earlier), line("later  ", later))
}

fn stages_text(stages: &[StageDifference], terminal: &Terminal) -> String {
    let mut table = Table::new(&["stage", "state", "change"]).shorten([0]);
    for difference in stages.iter().filter(|difference| difference.state != Likeness::Same) {
        let mut changes = difference.changes.iter().map(words::change).collect::<Vec<_>>();
        if changes.is_empty() {
            changes.push(String::new());
        }
        for (idx, change) in changes.into_iter().enumerate() {
            let head = |text: &str| if idx == 0 { text.to_owned() } else { String::new() };
            table.row(vec![head(difference.stage.as_str()), head(likeness(difference.state)), change]);
        }
    }
    let n_same = stages.iter().filter(|difference| difference.state == Likeness::Same).count() as u64;
    let same = format!("{} the same", counted(n_same, "stage"));
    if n_same as usize == stages.len() {
        return same;
    }
    format!("{}\n{same}", table.render(terminal.out, terminal.out_width()))
}

/// The table of metrics; names the stage when there are several.
fn metrics_text(compared: &Compared, is_only: bool, terminal: &Terminal) -> Option<String> {
    if compared.metrics.is_empty() {
        return None;
    }
    let mut table = Table::new(&["metric", "earlier", "later", "difference", "95% interval", "sign test", "verdict"])
        .leave_out([4, 5])
        .shorten([0]);
    compared.metrics.iter().for_each(|metric| table.row(row(metric)));
    let text = table.render(terminal.out, terminal.out_width());
    Some(if is_only { text } else { format!("{}\n{text}", compared.later) })
}

fn row(metric: &MetricDifference) -> Vec<String> {
    let interval = metric.low.zip(metric.high).map(|(low, high)| format!("{low:+.4} … {high:+.4}"));
    let signs = metric.sign_test.as_ref();
    let signs = signs.map(|signs| format!("{} up, {} down, p = {:.4}", signs.n_better, signs.n_worse, signs.p));
    vec![
        metric.metric.to_string(),
        format!("{:.4}", metric.earlier),
        format!("{:.4}", metric.later),
        format!("{:+.4}", metric.difference),
        interval.unwrap_or_default(),
        signs.unwrap_or_default(),
        metric.verdict.map_or("", significance).to_owned(),
    ]
}

/// Reports every metric that could not be compared or tested.
fn report(measured: &[Compared], terminal: &Terminal) -> Exit {
    if measured.is_empty() {
        terminal.remark("no metrics to compare");
    }
    let mut exit = Exit::Done;
    for compared in measured {
        let stage = &compared.later;
        if let Some(reason) = &compared.incomparable {
            exit = Exit::NotComparable;
            let failure = Failure::new(exit, format!("the metrics of `{stage}` are not comparable: {reason}"));
            terminal.note(
                &failure
                    .with_help("measure both on the same images and queries")
                    .render(terminal.err, terminal.err_width()),
            );
        } else if let Some(reason) = &compared.untested {
            exit = if exit == Exit::NotComparable { exit } else { Exit::CheckFailed };
            let failure = Failure::new(exit, format!("the differences of `{stage}` could not be tested: {reason}"));
            terminal.note(&failure.render(terminal.err, terminal.err_width()));
        }
        if let Some(what) = &compared.left_out {
            terminal.remark(&format!("`{stage}`: {what}, so it is not compared"));
        }
    }
    exit
}

fn likeness(state: Likeness) -> &'static str {
    match state {
        Likeness::Same => "same",
        Likeness::SameResult => "same result",
        Likeness::Differs => "differs",
        Likeness::OnlyEarlier => "only earlier",
        Likeness::OnlyLater => "only later",
    }
}

fn significance(verdict: Significance) -> &'static str {
    match verdict {
        Significance::Better => "better",
        Significance::Worse => "worse",
        Significance::NoEvidence => "no evidence of a difference",
    }
}
