//! A plan as a table or as JSON, for `status` and `run --dry-run`.
//!
//! JSON: `{spec, file, compared_with, n_reuse, n_run, n_depends, stages: [{stage, kind, decision, why, on, key,
//! artifact, unpublished, warnings, last_seconds, missing?, shards?}]}`. `decision` is `reuse`, `run` or `depends`, and
//! `missing` names the missing source. `shards` is `{n_missing, n_shards}` for a stage that runs and whose rows are
//! known.

use std::borrow::Cow;

use pipeline_core::{RunReason, StageId};
use pipeline_engine::{Decision, Plan, PlannedStage, ShardCount};
use pipeline_experiments::Opened;
use serde::Serialize;

use crate::failure::Failure;
use crate::format::{count, counted, duration};
use crate::render::words;
use crate::table::Table;
use crate::terminal::Terminal;

#[derive(Serialize)]
struct PlanJson<'a> {
    spec: &'a str,
    file: Cow<'a, str>,
    compared_with: Option<&'a pipeline_core::RunId>,
    n_reuse: usize,
    n_run: usize,
    n_depends: usize,
    stages: Vec<StageJson<'a>>,
}

#[derive(Serialize)]
struct StageJson<'a> {
    stage: &'a StageId,
    kind: &'a str,
    #[serde(flatten)]
    decision: DecisionJson<'a>,
    unpublished: Vec<Cow<'a, str>>,
    /// The warnings of the run that computed a reused result.
    warnings: &'a [String],
    last_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<ShardsJson>,
}

#[derive(Serialize)]
struct ShardsJson {
    n_missing: usize,
    n_shards: usize,
}

/// A decision as JSON shows it, here and in `pipeline why`.
#[derive(Serialize)]
pub struct DecisionJson<'a> {
    decision: &'static str,
    why: Option<&'a RunReason>,
    on: &'a [StageId],
    key: Option<String>,
    artifact: Option<String>,
}

impl<'a> From<&'a Decision> for DecisionJson<'a> {
    fn from(decision: &'a Decision) -> Self {
        let nothing = Self { decision: word(decision), why: None, on: &[], key: None, artifact: None };
        match decision {
            Decision::Reuse { key, artifact, .. } => {
                Self { key: Some(key.to_string()), artifact: Some(artifact.hex()), ..nothing }
            }
            Decision::Run { key, why } => Self { key: Some(key.to_string()), why: Some(why), ..nothing },
            Decision::Depends { on } => Self { on, ..nothing },
            Decision::MayBeDemanded { reader } => Self { on: std::slice::from_ref(reader), ..nothing },
        }
    }
}

/// The numbers of stages that would be reused, would run, and depend on one that runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Reused.
    pub n_reuse: usize,
    /// Run.
    pub n_run: usize,
    /// Depend.
    pub n_depends: usize,
    /// Reused, but with published files to write again.
    pub n_unpublished: usize,
}

impl Counts {
    /// Counts the decisions of a plan.
    pub fn of(plan: &Plan) -> Self {
        let mut counts = Self::default();
        for stage in &plan.stages {
            match stage.decision {
                Decision::Reuse { .. } => counts.n_reuse += 1,
                Decision::Run { .. } => counts.n_run += 1,
                Decision::Depends { .. } | Decision::MayBeDemanded { .. } => counts.n_depends += 1,
            }
            counts.n_unpublished += usize::from(!stage.unpublished.is_empty());
        }
        counts
    }

    /// True when a run would do nothing.
    pub fn is_up_to_date(self) -> bool {
        self.n_run + self.n_depends + self.n_unpublished == 0
    }
}

/// Prints a plan.
///
/// # Errors
/// When stdout cannot be written.
pub fn show(opened: &Opened, plan: &Plan, json: bool, terminal: &Terminal) -> Result<(), Failure> {
    let counts = Counts::of(plan);
    if json {
        return Ok(terminal.json(&to_json(opened, plan, counts))?);
    }
    let mut table = Table::new(&["stage", "decision", "last", "reason"]).shorten([0]);
    for stage in &plan.stages {
        let last = stage.last_seconds.map(duration).unwrap_or_default();
        table.row(vec![stage.id.to_string(), word(&stage.decision).to_owned(), last, reason(stage)]);
    }
    terminal.data(&table.render(terminal.out, terminal.out_width()))?;
    warn_of_missing(plan, terminal);
    terminal.remark(&summary(plan, counts));
    Ok(())
}

/// Warns of missing sources.
pub fn warn_of_missing(plan: &Plan, terminal: &Terminal) {
    for missing in plan.stages.iter().filter_map(|stage| stage.missing.as_ref()) {
        terminal.remark(&format!("warning: {missing}; its remembered digest is used"));
    }
}

/// The decision in one word.
pub fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Reuse { .. } => "reuse",
        Decision::Run { .. } => "run",
        Decision::Depends { .. } | Decision::MayBeDemanded { .. } => "depends",
    }
}

/// The reason of a decision, in a few words.
pub fn decision_reason(decision: &Decision) -> String {
    match decision {
        Decision::Reuse { report, .. } => match report.warnings.len() as u64 {
            0 => "up to date".to_owned(),
            n_warnings => format!("up to date, {}", counted(n_warnings, "warning")),
        },
        Decision::Run { why, .. } => words::reason(why),
        Decision::Depends { on } => {
            let names: Vec<_> = on.iter().map(|id| format!("`{id}`")).collect();
            format!("on what {} gives", names.join(", "))
        }
        Decision::MayBeDemanded { reader } => format!("its files are gone and `{reader}` may need them"),
    }
}

/// The reason of what a run would do with a stage, in a few words.
pub fn reason(stage: &PlannedStage) -> String {
    match stage.unpublished.as_slice() {
        [] => match stage.shards {
            Some(shards) => format!("{}; {}", decision_reason(&stage.decision), words::shards(shards)),
            None => decision_reason(&stage.decision),
        },
        [path] => format!("`{}` is to be written again", path.display()),
        paths => format!("{} are to be written again", counted(paths.len() as u64, "published file")),
    }
}

fn summary(plan: &Plan, counts: Counts) -> String {
    let n_stages = counted(plan.stages.len() as u64, "stage");
    if counts.is_up_to_date() {
        return format!("{n_stages}: all up to date");
    }
    let would_run = |stage: &&PlannedStage| !matches!(stage.decision, Decision::Reuse { .. });
    let seconds: f64 = plan.stages.iter().filter(would_run).filter_map(|stage| stage.last_seconds).sum();
    let about = if seconds > 0.0 { format!(", about {} by last time", duration(seconds)) } else { String::new() };
    let [n_run, n_depends, n_reuse] = [counts.n_run, counts.n_depends, counts.n_reuse].map(|n| count(n as u64));
    let to_publish = match counts.n_unpublished {
        0 => String::new(),
        _ => {
            let n_files: usize = plan.stages.iter().map(|stage| stage.unpublished.len()).sum();
            format!(", {} to write again", counted(n_files as u64, "published file"))
        }
    };
    if counts.n_run + counts.n_depends == 0 {
        return format!("{n_stages}: none to run{to_publish}");
    }
    let depend = if counts.n_depends == 1 { "depends" } else { "depend" };
    let compared = plan.compared_with.as_ref().map(|run| format!("\ncompared with run {run}")).unwrap_or_default();
    format!(
        "{n_stages}: {n_run} to run, {n_depends} {depend} on these, {n_reuse} up to date{to_publish}{about}{compared}"
    )
}

fn to_json<'a>(opened: &'a Opened, plan: &'a Plan, counts: Counts) -> PlanJson<'a> {
    let stages = plan.stages.iter().map(|stage| StageJson {
        stage: &stage.id,
        kind: stage.kind,
        decision: DecisionJson::from(&stage.decision),
        unpublished: stage.unpublished.iter().map(|path| path.to_string_lossy()).collect(),
        warnings: match &stage.decision {
            Decision::Reuse { report, .. } => &report.warnings,
            _ => &[],
        },
        last_seconds: stage.last_seconds,
        missing: stage.missing.as_deref(),
        shards: stage.shards.map(|ShardCount { n_missing, n_shards }| ShardsJson { n_missing, n_shards }),
    });
    PlanJson {
        spec: &opened.spec.name,
        file: opened.spec.file.to_string_lossy(),
        compared_with: plan.compared_with.as_ref(),
        n_reuse: counts.n_reuse,
        n_run: counts.n_run,
        n_depends: counts.n_depends,
        stages: stages.collect(),
    }
}
