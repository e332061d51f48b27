//! The order of the runs in a table.

use std::convert::Infallible;
use std::str::FromStr;

use super::Experiment;

/// The order of runs: by their starts, or by a metric. The newest or highest is last, with a leading `-` first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SortOrder {
    metric: Option<String>,
    is_reversed: bool,
}

impl FromStr for SortOrder {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (is_reversed, key) = text.strip_prefix('-').map_or((false, text), |key| (true, key));
        Ok(Self { metric: (key != "date").then(|| key.to_owned()), is_reversed })
    }
}

impl SortOrder {
    /// The metric or param; `None` for the order of starts.
    pub fn metric(&self) -> Option<&str> {
        self.metric.as_deref()
    }

    /// Sorts experiments, given in the order of their starts, and keeps the `limit` newest or highest. Those without
    /// the metric count as lowest.
    pub fn sort(&self, experiments: &mut Vec<Experiment>, limit: Option<usize>) {
        if let Some(metric) = &self.metric {
            let value = |experiment: &Experiment| {
                experiment.metric(metric).or_else(|| experiment.param(metric).and_then(serde_json::Value::as_f64))
            };
            experiments.sort_by(|a, b| match (value(a), value(b)) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            });
        }
        let n_left_out = limit.map_or(0, |limit| experiments.len().saturating_sub(limit));
        experiments.drain(..n_left_out);
        if self.is_reversed {
            experiments.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_minus_reverses() {
        let parse = |text: &str| text.parse::<SortOrder>().unwrap();
        assert_eq!(parse("date"), SortOrder::default());
        assert_eq!((parse("-loss").metric(), parse("-loss").is_reversed), (Some("loss"), true));
    }
}
