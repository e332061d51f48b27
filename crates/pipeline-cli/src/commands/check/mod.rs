//! `pipeline check`: compares the current metrics with the accepted ones. Runs nothing.
//!
//! JSON: `{spec, baseline, passed, metrics: [{metric, stage, current, accepted, max_drop, max_rise, min_value,
//! max_value, paired, verdict, detail}]}`, where `verdict` is `passed`, `dropped`, `rose`, `below-minimum`,
//! `above-maximum`, `unmeasured`, `no-baseline` or `not-comparable`, and `paired` is null or `{alpha, p, low, high,
//! n_better, n_worse}`.

mod author;
mod reports;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use pipeline_experiments::Opened;
use pipeline_experiments::gate::{
    Acceptance, Baseline, Checked, Gate, Measurements, Metric, Overall, Verdict, baseline, overall,
};
use pipeline_spec::did_you_mean;
use serde_json::json;

use crate::again;
use crate::args::CheckArgs;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::rfc3339;
use crate::remotes;
use crate::table::Table;
use crate::terminal::Terminal;
use crate::whole_file::WholeFile;

/// Runs the command.
///
/// # Errors
/// When the spec checks nothing, or the plan or the baseline cannot be read.
pub fn run(args: &CheckArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let opened = door::open(&args.spec)?;
    if opened.spec.check.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("`{}` checks nothing", opened.named.path.display()))
            .with_help("add to the spec, for example: `check: { mean_recall: { max_drop: 0.002 } }`"));
    }
    let plan = door::plan_what_is_there(&opened)?;
    remotes::note_news(&opened.store, terminal);
    let measurements = Measurements::of(&opened.graph, &plan);
    let path = baseline::path_of(&opened.spec);
    if args.accept {
        return accept(args, &opened, &measurements, &path, terminal);
    }
    let mut accepted = baseline::read(&path)?;
    if let Some(other) = accepted.as_ref().and_then(|baseline| baseline.other_spec(&opened.spec)) {
        terminal.remark(&format!("note: nothing was accepted yet: {}", same_baseline(&path, &other)));
        accepted = None;
    }
    let gate = Gate {
        measurements: &measurements,
        accepted: accepted.as_ref(),
        store: &opened.store,
        n_threads: door::n_threads(),
    };
    let checked = gate.check_all(&opened.spec.check)?;
    let protected = opened.protected();
    let write = |path: &Path, text: String| {
        let file = WholeFile { path, protected: Some(&protected), store: &opened.store, force: args.replace.force };
        file.write(text.as_bytes(), terminal)
    };
    if let Some(file) = &args.junit {
        write(file, reports::junit(&opened.spec.name, &checked))?;
    }
    if let Some(file) = &args.markdown {
        write(file, reports::markdown(&opened.spec.name, accepted.as_ref(), &checked))?;
    }
    report(args, &opened, &path, accepted.as_ref(), (&checked, &measurements), terminal)?;
    Ok(exit(&checked))
}

/// The exit code.
fn exit(checked: &[Checked]) -> Exit {
    match overall(checked) {
        Overall::Passed => Exit::Done,
        Overall::Failed => Exit::CheckFailed,
        Overall::NotComparable => Exit::NotComparable,
    }
}

/// The verdict for people.
fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Dropped => "FAILED: dropped",
        Verdict::Rose => "FAILED: rose",
        Verdict::BelowMinimum => "FAILED: below minimum",
        Verdict::AboveMaximum => "FAILED: above maximum",
        Verdict::Unmeasured => "FAILED: unmeasured",
        Verdict::NoBaseline => "FAILED: no accepted baseline",
        Verdict::NotComparable => "not comparable",
    }
}

fn report(
    args: &CheckArgs,
    opened: &Opened,
    path: &Path,
    accepted: Option<&Baseline>,
    (checked, measurements): (&[Checked], &Measurements),
    terminal: &Terminal,
) -> Result<(), Failure> {
    if args.json.json {
        return Ok(terminal.json(&json!({
            "spec": opened.spec.name,
            "baseline": accepted.map(|_| path),
            "passed": exit(checked) == Exit::Done,
            "metrics": checked,
        }))?);
    }
    terminal.data(&table(checked).render(terminal.out, terminal.out_width()))?;
    for checked in checked {
        match checked.verdict {
            Verdict::Passed if checked.detail.is_empty() => {}
            Verdict::Passed => terminal.remark(&format!("`{}` {}", checked.metric, checked.detail)),
            _ => terminal.note(&failure_of(checked, opened, measurements).render(terminal.err, terminal.err_width())),
        }
    }
    if let (Exit::Done, Some(baseline)) = (exit(checked), accepted) {
        terminal.remark(&format!("passed; accepted {} by {}", baseline.accepted_at, baseline.accepted_by));
    }
    Ok(())
}

fn table(checked: &[Checked]) -> Table {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    let mut table =
        Table::new(&["metric", "stage", "accepted", "current", "change", "verdict"]).leave_out([1]).shorten([0]);
    for checked in checked {
        let change = checked.accepted.zip(checked.current).map(|(accepted, current)| current - accepted);
        table.row(vec![
            checked.metric.clone(),
            checked.stage.as_ref().map_or("-".to_owned(), ToString::to_string),
            number(checked.accepted),
            number(checked.current),
            change.map_or("-".to_owned(), |change| format!("{change:+.4}")),
            words(checked.verdict).to_owned(),
        ]);
    }
    table
}

fn failure_of(checked: &Checked, opened: &Opened, measurements: &Measurements) -> Failure {
    let failure = Failure::new(Exit::CheckFailed, format!("`{}`: {}", checked.metric, checked.detail));
    match checked.verdict {
        Verdict::Unmeasured => unmeasured(&checked.metric, opened, measurements, failure),
        Verdict::NoBaseline => {
            let accept = again::command_with("check", &opened.named, "--accept");
            match other_spec(opened) {
                Some(_) => failure.with_help(format!("{RENAME}; then accept the current metrics: {accept}")),
                None => failure.with_help(format!("accept the current metrics: {accept}")),
            }
        }
        Verdict::NotComparable => failure.with_help(format!(
            "measure on the same data, or accept the new metrics: {}",
            again::command_with("check", &opened.named, "--accept --reason …")
        )),
        Verdict::Passed | Verdict::Dropped | Verdict::Rose | Verdict::BelowMinimum | Verdict::AboveMaximum => failure,
    }
}

/// The failure of a metric that no stage has: another name may be meant, or a run is.
fn unmeasured(metric: &str, opened: &Opened, measurements: &Measurements, failure: Failure) -> Failure {
    match did_you_mean(&measurements.meant(metric)) {
        Some(question) => {
            let span = opened.spec.check.get(metric).map(|rule| rule.span.clone());
            Failure { span, ..failure.with_help(question) }
        }
        None => match measurements.all_names() {
            None => failure.with_help(format!("{} first", again::command("run", &opened.named))),
            Some(names) if names.is_empty() => failure.with_help("the stages of the spec measure nothing"),
            Some(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                failure.with_help(format!(
                    "the stages measure {}; an evaluation of queries without labels measures no recall",
                    names.join(", ")
                ))
            }
        },
    }
}

/// True if the file or its folder is a link.
fn is_linked(path: &Path) -> bool {
    path.is_symlink() || path.parent().is_some_and(Path::is_symlink)
}

/// Advice where two specs share a baseline.
const RENAME: &str = "give one of the two specs another `name`";

/// The other spec of which the baseline is, if it is of another.
fn other_spec(opened: &Opened) -> Option<PathBuf> {
    baseline::read(&baseline::path_of(&opened.spec)).ok()??.other_spec(&opened.spec)
}

fn same_baseline(path: &Path, other: &Path) -> String {
    format!("`{}` is the baseline of `{}`, whose name leads to the same file", path.display(), other.display())
}

/// Writes the current metrics as the baseline; every metric in the spec's rules must be measured.
fn accept(
    args: &CheckArgs,
    opened: &Opened,
    measurements: &Measurements,
    path: &Path,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    if let Some(other) = other_spec(opened) {
        return Err(Failure::new(Exit::Usage, same_baseline(path, &other)).with_help(RENAME));
    }
    let mut stages = BTreeMap::new();
    for metric in opened.spec.check.keys() {
        let found = measurements.find(metric, None)?;
        let Metric { stage, .. } = found.map_err(|reason| {
            let failure = Failure::new(Exit::CheckFailed, format!("`{metric}` cannot be accepted: {reason}"));
            unmeasured(metric, opened, measurements, failure)
        })?;
        let measured = measurements.with_ranks(stage, &opened.store)?.map_err(|reason| {
            Failure::new(Exit::CheckFailed, format!("`{metric}` cannot be accepted: {reason}")).with_help(format!(
                "{} makes them again",
                again::command_with("run", &opened.named, &format!("--force {stage}"))
            ))
        })?;
        stages.insert(stage.clone(), measured);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let by = author::of(opened.spec.file.parent()).unwrap_or_else(|| "unknown".to_owned());
    let acceptance = Acceptance { by, at: rfc3339(now.as_millis() as u64), reason: args.reason.clone() };
    let accepted = Baseline::new(&opened.spec, acceptance, stages);
    let file = WholeFile {
        path,
        protected: Some(&opened.protected()),
        store: &opened.store,
        // Another author's baseline is still a baseline: it is under version control. A link may lead out of it.
        force: args.replace.force || (!is_linked(path) && baseline::read(path).is_ok()),
    };
    file.write(accepted.to_json().as_bytes(), terminal)?;
    if args.json.json {
        terminal.json(&json!({ "spec": opened.spec.name, "baseline": path, "accepted": accepted }))?;
    } else {
        terminal.remark(&format!("accepted; keep `{}` under version control", path.display()));
    }
    Ok(Exit::Done)
}
