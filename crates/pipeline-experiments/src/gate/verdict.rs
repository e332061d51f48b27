//! The verdict on each metric: pure, and in doubt never a pass.

use std::collections::BTreeMap;

use pipeline_core::StageId;
use pipeline_eval::statistics::{drop_p, intervals};
use pipeline_eval::{Measure, MetricName};
use pipeline_spec::{CheckRule, PairedRule};
use pipeline_store::Store;
use serde::Serialize;

use super::GateError;
use super::baseline::{Baseline, Measured};
use super::measure::{Measurements, Metric};
use crate::compare::paired;

/// The tolerance of comparisons: a change of exactly the limit passes although decimal fractions are inexact in binary.
const ROUNDING: f64 = 1e-9;

/// The current metrics, and those that they must not fall behind.
pub struct Gate<'a> {
    /// The current metrics.
    pub measurements: &'a Measurements,
    /// The accepted ones, if there are any.
    pub accepted: Option<&'a Baseline>,
    /// The store with the results query by query.
    pub store: &'a Store,
    /// Threads for the paired test.
    pub n_threads: usize,
}

/// The verdict on one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It satisfies every rule of the spec.
    Passed,
    /// It fell by more than `max_drop`; where the rule is paired, also significantly.
    Dropped,
    /// It rose by more than `max_rise`.
    Rose,
    /// It is lower than `min_value`.
    BelowMinimum,
    /// It is higher than `max_value`.
    AboveMaximum,
    /// It is missing, not a number, or its stage is not up to date.
    Unmeasured,
    /// The baseline has no value to compare it with.
    NoBaseline,
    /// It was measured on other data than the accepted one.
    NotComparable,
}

/// A metric, its values, and the verdict.
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
    /// The largest allowed drop.
    pub max_drop: Option<f64>,
    /// The largest allowed rise, where lower is better.
    pub max_rise: Option<f64>,
    /// The smallest allowed value.
    pub min_value: Option<f64>,
    /// The largest allowed value, where lower is better.
    pub max_value: Option<f64>,
    /// The result of the paired test, where the rule has one.
    pub paired: Option<Paired>,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict in words.
    pub detail: String,
}

/// A paired test of the queries before and after.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Paired {
    /// The significance level: the largest `p` that counts as a real drop.
    pub alpha: f64,
    /// The probability of a drop this large if nothing has changed.
    pub p: f64,
    /// The lower bound of the change with 95% confidence.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
    /// The number of queries that do better than before.
    pub n_better: usize,
    /// The number of queries that do worse.
    pub n_worse: usize,
}

/// The verdict on all metrics together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overall {
    /// All passed.
    Passed,
    /// At least one failed.
    Failed,
    /// None failed, but at least one cannot be compared.
    NotComparable,
}

/// The verdict on all metrics together: a failure outweighs an incomparable metric.
pub fn overall(checked: &[Checked]) -> Overall {
    let any = |verdict: fn(Verdict) -> bool| checked.iter().any(|checked| verdict(checked.verdict));
    if any(|verdict| !matches!(verdict, Verdict::Passed | Verdict::NotComparable)) {
        Overall::Failed
    } else if any(|verdict| verdict == Verdict::NotComparable) {
        Overall::NotComparable
    } else {
        Overall::Passed
    }
}

impl Gate<'_> {
    /// Checks all metrics that the spec names.
    ///
    /// # Errors
    /// When a name is ambiguous between several stages.
    pub fn check_all(&self, rules: &BTreeMap<String, CheckRule>) -> Result<Vec<Checked>, GateError> {
        rules.iter().map(|(metric, rule)| self.check(metric, rule)).collect()
    }

    fn check(&self, metric: &str, rule: &CheckRule) -> Result<Checked, GateError> {
        let Self { measurements, accepted, store, .. } = *self;
        let usual = accepted.and_then(|baseline| usual_stage(metric, baseline));
        let mut checked = Checked::new(metric, rule, usual);
        let Metric { stage, measured, name, value: current } = match measurements.find(metric, usual)? {
            Ok(found) => found,
            Err(reason) => return Ok(checked.with(Verdict::Unmeasured, reason)),
        };
        checked.stage = Some(stage.clone());
        checked.current = Some(current);
        if let Some(minimum) = rule.min_value.filter(|minimum| current < *minimum) {
            return Ok(checked.with(Verdict::BelowMinimum, format!("{current:.6} is lower than {minimum}")));
        }
        if let Some(maximum) = rule.max_value.filter(|maximum| current > *maximum) {
            return Ok(checked.with(Verdict::AboveMaximum, format!("{current:.6} is higher than {maximum}")));
        }
        if rule.max_drop.is_none() && rule.max_rise.is_none() {
            return Ok(checked);
        }
        let Some(before) = accepted.and_then(|baseline| baseline.stages.get(stage)) else {
            return Ok(checked.with(Verdict::NoBaseline, "no accepted baseline".to_owned()));
        };
        checked.accepted = name.value_in(&before.metrics).filter(|value| value.is_finite());
        let Some(accepted) = checked.accepted else {
            return Ok(checked.with(Verdict::NoBaseline, "the accepted baseline does not have it".to_owned()));
        };
        if let Some(other) = measured.other_data(before) {
            return Ok(checked.with(Verdict::NotComparable, other));
        }
        if let Some(paired_rule) = rule.paired {
            let measured = match measurements.with_ranks(stage, store)? {
                Ok(measured) => measured,
                Err(reason) => return Ok(checked.with(Verdict::Unmeasured, reason)),
            };
            match self.pair(&name, rule, paired_rule, (before, &measured))? {
                Ok(paired) => checked.paired = Some(paired),
                Err((verdict, reason)) => return Ok(checked.with(verdict, reason)),
            }
        }
        Ok(checked.judge(current - accepted))
    }

    /// The paired test of one metric; the inner error is the verdict where there are no pairs.
    ///
    /// # Errors
    /// When the metric needs more than the best ranks, and a baseline has nothing else.
    fn pair(
        &self,
        name: &MetricName,
        rule: &CheckRule,
        paired_rule: PairedRule,
        (before, now): (&Measured, &Measured),
    ) -> Result<Result<Paired, (Verdict, String)>, GateError> {
        let measure = paired::measure(name, &now.metrics).filter(Measure::needs_best_rank_only);
        let Some(measure) = measure else {
            return Err(GateError::Unpairable { metric: name.to_string(), span: rule.span.clone() });
        };
        let of = name.direction.into();
        let (before, now) = match (before.best_ranks(of), now.best_ranks(of)) {
            (Some(before), Some(now)) => (before, now),
            (None, _) => {
                let reason = "the accepted baseline has no ranks to pair with: accept anew".to_owned();
                return Ok(Err((Verdict::NoBaseline, reason)));
            }
            (_, None) => return Ok(Err((Verdict::Unmeasured, "unmeasured: no result for each query".to_owned()))),
        };
        if before.ids != now.ids || before.ranks.len() != now.ranks.len() {
            let reason = "measured on other queries than the accepted one".to_owned();
            return Ok(Err((Verdict::NotComparable, reason)));
        }
        let changes = paired::differences(&measure, &before.found(), &now.found());
        let drops: Vec<f64> = changes.iter().map(|change| -change).collect();
        let (n_better, n_worse) = (count(&changes, |change| change > 0.0), count(&changes, |change| change < 0.0));
        let interval = intervals(&[changes], self.n_threads)[0];
        let PairedRule { alpha } = paired_rule;
        Ok(Ok(Paired { alpha, p: drop_p(&drops), low: interval.low, high: interval.high, n_better, n_worse }))
    }
}

fn count(changes: &[f64], counts: fn(f64) -> bool) -> usize {
    changes.iter().filter(|change| counts(**change)).count()
}

/// The stage that had a metric of that name in the baseline, if it was a single one.
fn usual_stage<'a>(metric: &str, baseline: &'a Baseline) -> Option<&'a StageId> {
    let mut having = baseline.stages.iter().filter(|(_, measured)| measured.metrics.contains_key(metric));
    having.next().filter(|_| having.next().is_none()).map(|(stage, _)| stage)
}

impl Checked {
    fn new(metric: &str, rule: &CheckRule, stage: Option<&StageId>) -> Self {
        Self {
            metric: metric.to_owned(),
            stage: stage.cloned(),
            current: None,
            accepted: None,
            max_drop: rule.max_drop,
            max_rise: rule.max_rise,
            min_value: rule.min_value,
            max_value: rule.max_value,
            paired: None,
            verdict: Verdict::Passed,
            detail: String::new(),
        }
    }

    /// Judges a change: it fails beyond `max_rise`, and beyond `max_drop`, with a paired rule only if it is also
    /// significant.
    fn judge(self, change: f64) -> Self {
        if let Some(max_rise) = self.max_rise.filter(|max_rise| change > max_rise + ROUNDING) {
            return self.with(Verdict::Rose, format!("rose by {change:.6}, {max_rise} is allowed"));
        }
        let drop = -change;
        let Some(max_drop) = self.max_drop.filter(|max_drop| drop > max_drop + ROUNDING) else { return self };
        let fell = format!("fell by {drop:.6}, {max_drop} is allowed");
        match self.paired {
            None => self.with(Verdict::Dropped, fell),
            Some(Paired { alpha, p, .. }) if p <= alpha => {
                self.with(Verdict::Dropped, format!("{fell}, and that is no chance: p = {p:.4}, alpha = {alpha}"))
            }
            Some(Paired { alpha, p, .. }) => {
                self.with(Verdict::Passed, format!("{fell}, but that may be chance: p = {p:.4}, alpha = {alpha}"))
            }
        }
    }

    fn with(self, verdict: Verdict, detail: String) -> Self {
        Self { verdict, detail, ..self }
    }
}
