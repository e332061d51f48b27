//! `pipeline why`: the root cause of a run, the change there, and what runs because of it.
//!
//! JSON: `{stage, compared_with, chain: [{stage, decision, why, on, key, artifact}], blast_radius: {stages, seconds,
//! n_untimed}}`; the last of the chain is the root cause.

use pipeline_core::{RunId, RunReason, StageId};
use pipeline_engine::{BlastRadius, Cause, Decision, Plan, PlanOptions, Why};
use pipeline_experiments::Opened;
use pipeline_store::{Machine, Provenance, Record};
use serde::Serialize;

use crate::again;
use crate::args::WhyArgs;
use crate::commands::planned::{DecisionJson, decision_reason, warn_of_missing};
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::{counted, duration};
use crate::remotes;
use crate::render::words;
use crate::terminal::{Terminal, Verbosity};

/// The number of stages in the blast radius that are named; the rest is counted.
const MAX_NAMED: usize = 20;

#[derive(Serialize)]
struct WhyJson<'a> {
    stage: &'a StageId,
    compared_with: Option<&'a RunId>,
    chain: Vec<CauseJson<'a>>,
    blast_radius: RadiusJson<'a>,
}

#[derive(Serialize)]
struct CauseJson<'a> {
    stage: &'a StageId,
    #[serde(flatten)]
    decision: DecisionJson<'a>,
}

#[derive(Serialize)]
struct RadiusJson<'a> {
    stages: &'a [StageId],
    seconds: f64,
    n_untimed: usize,
}

/// Runs the command.
///
/// # Errors
/// When there is no such stage or no plan can be made.
pub fn run(args: &WhyArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let opened = door::open(&args.spec)?;
    let stage = opened.stage(&args.stage)?;
    let options = PlanOptions { counts_shards: true, ..opened.question() };
    let plan = opened.plan(&options).map_err(|error| Failure::of_plan(&opened, error))?;
    warn_of_missing(&plan, terminal);
    remotes::note_news(&opened.store, terminal);
    let why = pipeline_engine::why(&opened.graph, &plan, &stage).expect("the stage was found in the graph");
    if args.json.json {
        terminal.json(&to_json(&stage, &why))?;
    } else {
        let mut lines = vec![explanation(&stage, &why)];
        lines.extend(origin(&opened, &why, terminal)?);
        lines.extend(since_last(&opened, &plan, &stage)?);
        lines.extend(shards(&plan, &stage));
        lines.extend(unpublished(&plan, &stage));
        lines.extend(cosmetic(&opened, &why));
        terminal.data(&lines.join("\n"))?;
    }
    Ok(Exit::Done)
}

fn explanation(stage: &StageId, why: &Why) -> String {
    let root = why.chain.last().expect("the chain begins with the stage itself");
    let mut lines = vec![verdict(stage, why, root)];
    lines.extend(why.chain[..why.chain.len() - 1].iter().map(link));
    lines.extend(changes(root).into_iter().map(|line| format!("  {line}")));
    let is_reused = matches!(root.decision, Decision::Reuse { .. });
    lines.extend(why.compared_with.iter().filter(|_| !is_reused).map(|run| format!("compared with run {run}")));
    lines.extend(blast_radius(&why.blast_radius));
    lines.join("\n")
}

/// The result from which the remembered one was adopted. With `-v`, or where the arithmetic is not that of this
/// machine, the machine and the arithmetic that computed it.
fn origin(opened: &Opened, why: &Why, terminal: &Terminal) -> Result<Vec<String>, Failure> {
    let Decision::Reuse { key, .. } = &why.chain[0].decision else { return Ok(Vec::new()) };
    let records = opened.store.records();
    let Some(record) = records.get(key)? else { return Ok(Vec::new()) };
    let Provenance { host, instruction_set, numerics, device, cards, others, .. } = &record.provenance;
    let on_cards = if cards.is_empty() { String::new() } else { format!(" and {}", device.with_cards(cards)) };
    let on_others = others.iter().map(|Machine { host, cards }| match cards.as_slice() {
        [] => format!(", shards of it on {host}"),
        cards => format!(", shards of it on {host} ({})", device.with_cards(cards)),
    });
    let on_others: String = on_others.collect();
    let is_shown = terminal.verbosity == Verbosity::Verbose || *numerics != [opened.arithmetic.processor];
    let arithmetic = words::numerics(numerics);
    let words = || format!("computed on {host} ({instruction_set}{on_cards}){on_others}, arithmetic {arithmetic}");
    let mut lines: Vec<String> = is_shown.then(words).into_iter().collect();
    let Some(from) = record.provenance.adopted_from else { return Ok(lines) };
    let version = |record: &Record| record.manifest.get("version").unwrap_or("?").to_owned();
    let original = records.get(&from)?;
    let old_version = original.as_ref().map_or("?".to_owned(), version);
    lines.push(format!("adopted {}", words::adoption(&from.0, &old_version, &version(&record))));
    Ok(lines)
}

/// The differences from the last run's result, when another remembered one is reused.
fn since_last(opened: &Opened, plan: &Plan, stage: &StageId) -> Result<Vec<String>, Failure> {
    let planned = plan.stages.iter().find(|planned| planned.id == *stage);
    let Some(Decision::Reuse { key, .. }) = planned.map(|planned| &planned.decision) else { return Ok(Vec::new()) };
    let Some(last) = opened.store.specs().newest_last(&opened.named.memory()) else { return Ok(Vec::new()) };
    let Some(had) = last.stages.get(stage).filter(|had| had.key != *key) else { return Ok(Vec::new()) };
    let (Some(now), Some(then)) = (opened.store.records().get(key)?, opened.store.records().get(&had.key)?) else {
        return Ok(Vec::new());
    };
    let changes = now.manifest.changes_since(&then.manifest);
    let mut lines = vec![format!("the last run of the spec, {}, had another result:", last.run)];
    lines.extend(changes.iter().map(|change| format!("  {}", words::change(change))));
    Ok(lines)
}

/// The number of shards of the stage that a run would compute.
fn shards(plan: &Plan, stage: &StageId) -> Option<String> {
    let planned = plan.stages.iter().find(|planned| planned.id == *stage)?;
    planned.shards.map(|shards| format!("{} to compute", words::shards(shards)))
}

/// The published files that a run would write again.
fn unpublished(plan: &Plan, stage: &StageId) -> Vec<String> {
    let planned = plan.stages.iter().filter(|planned| planned.id == *stage);
    let paths = planned.flat_map(|planned| &planned.unpublished);
    paths.map(|path| format!("`{}` is missing or altered and is written again", path.display())).collect()
}

/// Advice when nothing but the version of the code has changed.
fn cosmetic(opened: &Opened, why: &Why) -> Option<String> {
    let root = why.chain.last()?;
    let Decision::Run { why: RunReason::Changed { changes }, .. } = &root.decision else { return None };
    let is_version_alone = changes.iter().all(|change| change.name == "version");
    let accept = || again::command_with("run", &opened.named, &format!("--accept {}", root.stage));
    is_version_alone.then(|| format!("if it gives the same bytes: {}", accept()))
}

fn verdict(stage: &StageId, why: &Why, root: &Cause) -> String {
    let because = || decision_reason(&root.decision);
    match &why.chain[0].decision {
        Decision::Reuse { key, .. } => {
            format!("`{stage}` does not run: its result is remembered under {}", key.0.short())
        }
        Decision::Run { .. } if root.stage == *stage => format!("`{stage}` runs: {}", because()),
        Decision::Run { .. } => format!("`{stage}` runs; root cause: `{}`: {}", root.stage, because()),
        Decision::Depends { .. } => {
            format!("`{stage}` runs if its inputs change; root cause: `{}`: {}", root.stage, because())
        }
        Decision::MayBeDemanded { reader } => {
            format!("`{stage}` runs if `{reader}` does; root cause: `{}`: {}", root.stage, because())
        }
    }
}

/// One link of the chain of causes.
fn link(cause: &Cause) -> String {
    match &cause.decision {
        Decision::Depends { .. } => format!("  `{}` depends {}", cause.stage, decision_reason(&cause.decision)),
        decision => format!("  `{}`: {}", cause.stage, decision_reason(decision)),
    }
}

/// The lines of the manifest that changed at the root cause, old and new.
fn changes(root: &Cause) -> Vec<String> {
    match &root.decision {
        Decision::Run { why: RunReason::Changed { changes }, .. } => {
            changes.iter().map(words::change_in_full).collect()
        }
        _ => Vec::new(),
    }
}

fn blast_radius(radius: &BlastRadius) -> Vec<String> {
    if radius.stages.is_empty() {
        return Vec::new();
    }
    let mut line = format!("blast radius: {}", counted(radius.stages.len() as u64, "stage"));
    if radius.seconds > 0.0 {
        line.push_str(&format!(", about {} by last time", duration(radius.seconds)));
    }
    if radius.n_untimed > 0 {
        line.push_str(&format!(", {} never timed", radius.n_untimed));
    }
    let mut names: Vec<_> = radius.stages.iter().take(MAX_NAMED).map(|stage| format!("`{stage}`")).collect();
    if radius.stages.len() > MAX_NAMED {
        names.push("…".to_owned());
    }
    vec![line, format!("  {}", names.join(", "))]
}

fn to_json<'a>(stage: &'a StageId, why: &'a Why) -> WhyJson<'a> {
    let cause = |cause: &'a Cause| CauseJson { stage: &cause.stage, decision: DecisionJson::from(&cause.decision) };
    let BlastRadius { stages, seconds, n_untimed } = &why.blast_radius;
    WhyJson {
        stage,
        compared_with: why.compared_with.as_ref(),
        chain: why.chain.iter().map(cause).collect(),
        blast_radius: RadiusJson { stages, seconds: *seconds, n_untimed: *n_untimed },
    }
}
