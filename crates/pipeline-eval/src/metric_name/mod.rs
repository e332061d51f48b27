//! The names of metrics: the one place that takes them apart and puts them together.
//!
//! Metrics travel as numbers by name, in JSON, specs and tables. A name has up to three parts: `i2t_recall_at_5_low` is
//! the lower bound of Recall@5 where texts are found for images. Every text is the name of a metric, and prints as it
//! was.

mod quantity;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::statistics::Interval;

pub use quantity::{Quantity, Unit};

/// The beginning of names of [`Direction::ImageToText`].
const IMAGE_TO_TEXT: &str = "i2t_";
/// The beginning of names of [`HeldOutMetric`].
const HELD_OUT: &str = "valid_";

/// The name of a metric, such as `mean_recall`, `i2t_mrr` or `recall_at_5_low`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricName {
    /// What was searched for what.
    pub direction: Direction,
    /// What was measured.
    pub quantity: Quantity,
    /// For a bound of the metric's 95% interval: which.
    pub bound: Option<Bound>,
}

/// What was searched for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Images for each query; the name has no prefix.
    TextToImage,
    /// Texts for each image: `i2t_`.
    ImageToText,
}

/// A bound of a 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// The lower: `_low`.
    Low,
    /// The upper: `_high`.
    High,
}

impl MetricName {
    /// The metric of images that are found for queries.
    pub const fn new(quantity: Quantity) -> Self {
        Self { direction: Direction::TextToImage, quantity, bound: None }
    }

    /// The metric that it is, or that it bounds.
    pub fn whole(&self) -> Self {
        Self { bound: None, ..self.clone() }
    }

    /// The bound of this metric.
    pub fn bound(&self, bound: Bound) -> Self {
        Self { bound: Some(bound), ..self.clone() }
    }

    /// The value of the metric of that name.
    pub fn value_in<V: Copy>(&self, metrics: &BTreeMap<String, V>) -> Option<V> {
        metrics.get(&self.to_string()).copied()
    }

    /// The interval between its bounds.
    pub fn interval_in(&self, metrics: &BTreeMap<String, f64>) -> Option<Interval> {
        let value = |bound: Bound| self.bound(bound).value_in(metrics);
        Some(Interval { low: value(Bound::Low)?, high: value(Bound::High)? })
    }

    /// The title of tables and charts, such as `MeanRecall` or `i2t Recall@5`.
    pub fn title(&self) -> String {
        let direction = match self.direction {
            Direction::TextToImage => "",
            Direction::ImageToText => "i2t ",
        };
        let quantity = match &self.quantity {
            Quantity::MeanRecall => "MeanRecall".to_owned(),
            Quantity::RecallAt(k) => format!("Recall@{k}"),
            quantity => quantity.to_string(),
        };
        format!("{direction}{quantity}{}", suffix(self.bound))
    }

    /// The key by which metrics are sorted as people read them: queries before images, what matters most first, numbers
    /// at the end of a name in their order.
    pub fn reading_order(&self) -> (Direction, usize, usize, String) {
        const FIRST: [&str; 7] =
            ["mean_recall", "recall_at_", "mrr", "map", "ndcg_at_", "median_rank", "fraction_recall_at_"];
        let quantity = self.quantity.to_string();
        let family = FIRST.iter().position(|first| quantity.starts_with(first)).unwrap_or(FIRST.len());
        let number = quantity.rsplit('_').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        (self.direction, family, number, self.to_string())
    }
}

impl From<Quantity> for MetricName {
    fn from(quantity: Quantity) -> Self {
        Self::new(quantity)
    }
}

impl From<&str> for MetricName {
    fn from(name: &str) -> Self {
        let (direction, name) = match name.strip_prefix(IMAGE_TO_TEXT) {
            Some(name) => (Direction::ImageToText, name),
            None => (Direction::TextToImage, name),
        };
        let bounded = |bound: Bound| Some((name.strip_suffix(suffix(Some(bound)))?, Some(bound)));
        let (name, bound) = bounded(Bound::Low).or_else(|| bounded(Bound::High)).unwrap_or((name, None));
        Self { direction, quantity: Quantity::named(name), bound }
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::TextToImage => "",
            Direction::ImageToText => IMAGE_TO_TEXT,
        };
        write!(f, "{direction}{}{}", self.quantity, suffix(self.bound))
    }
}

impl Serialize for MetricName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn suffix(bound: Option<Bound>) -> &'static str {
    match bound {
        None => "",
        Some(Bound::Low) => "_low",
        Some(Bound::High) => "_high",
    }
}

/// The k of all `recall_at_k`, rising: those that `mean_recall` is the mean of.
pub fn ks(metrics: &BTreeMap<String, f64>) -> Vec<usize> {
    let k = |name: &String| match MetricName::from(name.as_str()) {
        MetricName { direction: Direction::TextToImage, quantity: Quantity::RecallAt(k), bound: None } => Some(k),
        _ => None,
    };
    let mut ks: Vec<usize> = metrics.keys().filter_map(k).collect();
    ks.sort_unstable();
    ks
}

/// The name of a metric on held-out data, such as `valid_mean_recall`: a column of a training's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldOutMetric(pub MetricName);

impl HeldOutMetric {
    /// The metric of that name; `None` for one that is not on held-out data.
    pub fn parse(name: &str) -> Option<Self> {
        name.strip_prefix(HELD_OUT).map(|name| Self(name.into()))
    }
}

/// Whether higher or lower values of the metric of this name are better: of an evaluation, on held-out data, the `loss`
/// of a training, or the `unknown_tokens` of texts. `None` where its name does not say.
pub fn better(metric: &str) -> Option<Ordering> {
    let name = HeldOutMetric::parse(metric).map_or_else(|| MetricName::from(metric), |held_out| held_out.0);
    match &name.quantity {
        quantity if quantity.better().is_some() => quantity.better(),
        quantity if quantity.is_mean_over_k() => Some(Ordering::Greater),
        Quantity::Other(name) if ["loss", "unknown_tokens"].contains(&name.as_str()) => Some(Ordering::Less),
        _ => None,
    }
}

impl fmt::Display for HeldOutMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HELD_OUT}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MetricName {
        text.into()
    }

    #[test]
    fn every_name_prints_as_it_was() {
        for text in [
            "mean_recall",
            "i2t_recall_at_5_low",
            "fraction_recall_at_10",
            "mrr_high",
            "map",
            "ndcg_at_10",
            "median_rank",
            "i2t_pool_size",
            "n_images",
            "n_answerable",
            "n_queries",
            // Names of a command, whatever they resemble.
            "",
            "_low",
            "loss",
            "recall_at_",
            "recall_at_05",
            "recall_at_+5",
            "ndcg_at_10_low_high",
            "i2t_i2t_mrr",
            "Mean_Recall",
            "精度",
        ] {
            assert_eq!(name(text).to_string(), text);
        }
    }

    #[test]
    fn a_name_is_taken_apart() {
        let parts = |text: &str| {
            let MetricName { direction, quantity, bound } = name(text);
            (direction, quantity, bound)
        };
        let (queries, images) = (Direction::TextToImage, Direction::ImageToText);
        assert_eq!(parts("recall_at_5"), (queries, Quantity::RecallAt(5), None));
        assert_eq!(parts("i2t_mrr_low"), (images, Quantity::ReciprocalRank, Some(Bound::Low)));
        assert_eq!(parts("ndcg_at_10_high"), (queries, Quantity::NdcgAt(10), Some(Bound::High)));
        assert_eq!(parts("recall_at_05"), (queries, Quantity::Other("recall_at_05".into()), None));
        assert_eq!(HeldOutMetric::parse("valid_recall_at_5"), Some(HeldOutMetric(name("recall_at_5"))));
        assert_eq!(HeldOutMetric::parse("loss"), None);
        assert_eq!(HeldOutMetric(name("mean_recall")).to_string(), "valid_mean_recall");
    }

    #[test]
    fn a_metric_is_titled_and_shown_as_people_name_it() {
        let (up, down) = (Some(Ordering::Greater), Some(Ordering::Less));
        for (text, title, unit, better) in [
            ("recall_at_5", "Recall@5", Unit::Share, up),
            ("i2t_mean_recall", "i2t MeanRecall", Unit::Share, up),
            ("recall_at_5_low", "Recall@5_low", Unit::Share, up),
            ("map", "map", Unit::Number, up),
            ("median_rank", "median_rank", Unit::Rank, down),
            ("i2t_n_images", "i2t n_images", Unit::Count, None),
            ("hard_n_queries", "hard_n_queries", Unit::Count, None),
            ("loss", "loss", Unit::Number, None),
        ] {
            let name = name(text);
            assert_eq!((name.title().as_str(), name.quantity.unit(), name.quantity.better()), (title, unit, better));
        }
        assert!(name("hard_mean_recall").quantity.is_mean_over_k() && !name("recall_at_5").quantity.is_mean_over_k());
    }

    #[test]
    fn metrics_are_read_from_the_most_important_on() {
        let order = [
            "mean_recall",
            "mean_recall_of_mine",
            "recall_at_5",
            "recall_at_10",
            "mrr",
            "map",
            "ndcg_at_10",
            "median_rank",
            "fraction_recall_at_1",
            "epoch_9",
            "epoch_10",
            "i2t_mean_recall",
            "i2t_recall_at_1",
        ];
        let mut names: Vec<MetricName> = order.iter().rev().map(|text| name(text)).collect();
        names.sort_by_key(MetricName::reading_order);
        assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), order);
    }

    #[test]
    fn values_are_looked_up_by_name() {
        let names =
            ["recall_at_10", "recall_at_1", "recall_at_1_low", "recall_at_1_high", "i2t_recall_at_3", "mrr_low"];
        let metrics: BTreeMap<String, f64> = names.iter().map(|name| ((*name).to_owned(), name.len() as f64)).collect();
        assert_eq!(ks(&metrics), [1, 10]);
        assert_eq!(Quantity::RecallAt(10).value_in(&metrics), Some(12.0));
        assert_eq!(name("recall_at_1").interval_in(&metrics), Some(Interval { low: 15.0, high: 16.0 }));
        assert_eq!((name("mrr").interval_in(&metrics), Quantity::PoolSize.value_in(&metrics)), (None, None));
        assert_eq!(name("mrr_low").whole(), name("mrr"));
    }

    #[test]
    fn a_metric_says_which_of_its_values_are_better() {
        for (metric, expect) in [
            ("valid_mean_recall", Some(Ordering::Greater)),
            ("i2t_recall_at_5", Some(Ordering::Greater)),
            ("hard_mean_recall", Some(Ordering::Greater)),
            ("median_rank", Some(Ordering::Less)),
            ("loss", Some(Ordering::Less)),
            ("valid_loss", Some(Ordering::Less)),
            ("i2t_median_rank_high", Some(Ordering::Less)),
            ("unknown_tokens", Some(Ordering::Less)),
            ("n_pairs", None),
            ("pool_size", None),
            ("mean_recal", None),
        ] {
            assert_eq!(better(metric), expect, "{metric}");
        }
    }
}
