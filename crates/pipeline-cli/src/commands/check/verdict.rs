//! The verdict on each metric: pure, and in doubt never a pass.

use std::collections::BTreeMap;

use pipeline_core::StageId;
use pipeline_spec::CheckRule;
use serde::Serialize;

use crate::baseline::Baseline;
use crate::commands::check::measure::Measurements;
use crate::exit::Exit;
use crate::failure::Failure;

/// A drop of exactly `max_drop` passes although decimal fractions are not exact in binary.
const ROUNDING: f64 = 1e-9;

/// What became of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that the spec asks of it holds.
    Passed,
    /// It fell by more than `max_drop`.
    Dropped,
    /// It is lower than `min_value`.
    BelowMinimum,
    /// It is missing, not a number, or its stage is not up to date.
    Unmeasured,
    /// Nothing was accepted that it could be compared with.
    NoBaseline,
    /// It was measured on other data than the accepted one.
    NotComparable,
}

/// A metric, what is known about it, and the verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// The metric, as the spec names it.
    pub metric: String,
    /// The stage that measures it.
    pub stage: Option<StageId>,
    /// Its current value.
    pub current: Option<f64>,
    /// Its accepted value.
    pub accepted: Option<f64>,
    /// How far it may fall.
    pub max_drop: Option<f64>,
    /// What it must reach.
    pub min_value: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict in words.
    pub detail: String,
}

impl Verdict {
    /// The verdict for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Dropped => "FAILED: dropped",
            Self::BelowMinimum => "FAILED: below minimum",
            Self::Unmeasured => "FAILED: unmeasured",
            Self::NoBaseline => "FAILED: no accepted baseline",
            Self::NotComparable => "not comparable",
        }
    }
}

/// Checks all metrics that the spec names.
///
/// # Errors
/// When a name could mean metrics of several stages.
pub fn check_all(
    rules: &BTreeMap<String, CheckRule>,
    measurements: &Measurements,
    accepted: Option<&Baseline>,
) -> Result<Vec<Checked>, Failure> {
    rules.iter().map(|(metric, rule)| check(metric, rule, measurements, accepted)).collect()
}

/// How the program ends: a failure outweighs what cannot be compared.
pub fn exit(checked: &[Checked]) -> Exit {
    let any = |verdict: fn(Verdict) -> bool| checked.iter().any(|checked| verdict(checked.verdict));
    if any(|verdict| !matches!(verdict, Verdict::Passed | Verdict::NotComparable)) {
        Exit::CheckFailed
    } else if any(|verdict| verdict == Verdict::NotComparable) {
        Exit::NotComparable
    } else {
        Exit::Done
    }
}

fn check(
    metric: &str,
    rule: &CheckRule,
    measurements: &Measurements,
    accepted: Option<&Baseline>,
) -> Result<Checked, Failure> {
    let usual = accepted.and_then(|baseline| usual_stage(metric, baseline));
    let mut checked = Checked {
        metric: metric.to_owned(),
        stage: usual.cloned(),
        current: None,
        accepted: None,
        max_drop: rule.max_drop,
        min_value: rule.min_value,
        verdict: Verdict::Passed,
        detail: String::new(),
    };
    let (stage, measured, current) = match measurements.find(metric, usual)? {
        Ok(found) => found,
        Err(reason) => return Ok(checked.with(Verdict::Unmeasured, reason)),
    };
    checked.stage = Some(stage.clone());
    checked.current = Some(current);
    if let Some(minimum) = rule.min_value.filter(|minimum| current < *minimum) {
        return Ok(checked.with(Verdict::BelowMinimum, format!("{current:.6} is lower than {minimum}")));
    }
    let Some(max_drop) = rule.max_drop else { return Ok(checked) };
    let Some(before) = accepted.and_then(|baseline| baseline.stages.get(stage)) else {
        return Ok(checked.with(Verdict::NoBaseline, "no accepted baseline".to_owned()));
    };
    let name = metric.strip_prefix(stage.as_str()).and_then(|rest| rest.strip_prefix('.')).unwrap_or(metric);
    checked.accepted = before.metrics.get(name).copied().filter(|value| value.is_finite());
    let Some(accepted) = checked.accepted else {
        return Ok(checked.with(Verdict::NoBaseline, "the accepted baseline does not have it".to_owned()));
    };
    if let Some(what) = measured.differs_in(before) {
        return Ok(checked.with(Verdict::NotComparable, format!("measured on another {what} than the accepted one")));
    }
    let drop = accepted - current;
    if drop > max_drop + ROUNDING {
        let detail = format!("fell by {drop:.6}, from {accepted:.6} to {current:.6}; {max_drop} is allowed");
        return Ok(checked.with(Verdict::Dropped, detail));
    }
    Ok(checked)
}

/// The stage that had a metric of that name when it was accepted, if it was one.
fn usual_stage<'a>(metric: &str, baseline: &'a Baseline) -> Option<&'a StageId> {
    let mut having = baseline.stages.iter().filter(|(_, measured)| measured.metrics.contains_key(metric));
    having.next().filter(|_| having.next().is_none()).map(|(stage, _)| stage)
}

impl Checked {
    fn with(self, verdict: Verdict, detail: String) -> Self {
        Self { verdict, detail, ..self }
    }
}
