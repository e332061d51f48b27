//! The rules of a spec must fit its metrics: a drop of a loss is no fault.

use std::cmp::Ordering;

use pipeline_eval::better;
use pipeline_spec::{CheckRule, PipelineSpec, SpecError};

/// Refuses limits on the side on which values of the metric are better. A metric whose name does not say which values
/// are better may have any.
///
/// # Errors
/// The first such limit, at the metric's place in the spec.
pub fn check_rules(spec: &PipelineSpec) -> Result<(), SpecError> {
    spec.check.iter().try_for_each(|(metric, rule)| check_rule(metric, rule))
}

fn check_rule(metric: &str, rule: &CheckRule) -> Result<(), SpecError> {
    // Names of stages may have dots, those of metrics have none.
    let name = metric.rsplit('.').next().unwrap_or(metric);
    let (limits, better) = match better(name) {
        Some(Ordering::Less) => {
            ([("max_drop", rule.max_drop, "max_rise"), ("min_value", rule.min_value, "max_value")], "lower")
        }
        Some(_) => ([("max_rise", rule.max_rise, "max_drop"), ("max_value", rule.max_value, "min_value")], "higher"),
        None => return Ok(()),
    };
    for (limit, value, instead) in limits {
        if let Some(value) = value {
            let message = format!("`{limit}` of `{metric}` would fail what is better: {better} values are");
            // The same number is no bound on the other side.
            let help = match limit {
                "max_drop" | "max_rise" => format!("write `{instead}: {value}`"),
                _ => format!("`{instead}` bounds them"),
            };
            return Err(SpecError::at(&rule.span, message).with_help(help));
        }
    }
    Ok(())
}
