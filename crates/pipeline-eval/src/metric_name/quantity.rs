//! The quantity of a metric, and its unit and direction.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

/// The quantity that a metric measures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// `mean_recall`: the mean of all `recall_at_k` beside it.
    MeanRecall,
    /// `recall_at_k`: the share of queries with a hit among the first k.
    RecallAt(usize),
    /// `fraction_recall_at_k`: the share of the relevant images among the first k.
    FractionRecallAt(usize),
    /// `mrr`: the mean reciprocal rank.
    ReciprocalRank,
    /// `map`: the mean average precision.
    AveragePrecision,
    /// `ndcg_at_k`: the normalised discounted cumulative gain of the first k.
    NdcgAt(usize),
    /// `median_rank`: the median of the best ranks.
    MedianRank,
    /// `n_queries`: the queries that count.
    NQueries,
    /// `n_answerable`: those of them with a relevant image in the pool.
    NAnswerable,
    /// `n_images`: the images that count where texts are searched.
    NImages,
    /// `pool_size`: the images, or texts, that are searched.
    PoolSize,
    /// A number of another stage, such as the `loss` of a training or a measurement of a command.
    Other(String),
}

/// The unit of a metric, by which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A share in 0..=1 that people read in per cent.
    Share,
    /// A rank, from 1.
    Rank,
    /// A number of queries, images or texts.
    Count,
    /// Any number, shown as it is.
    Number,
}

impl Quantity {
    pub(super) fn named(name: &str) -> Self {
        let at = |prefix: &str| {
            let k = name.strip_prefix(prefix)?;
            // `recall_at_05` must print as it was, so that it is no `recall_at_5`.
            k.parse().ok().filter(|number: &usize| number.to_string() == k)
        };
        match name {
            "mean_recall" => Self::MeanRecall,
            "mrr" => Self::ReciprocalRank,
            "map" => Self::AveragePrecision,
            "median_rank" => Self::MedianRank,
            "n_queries" => Self::NQueries,
            "n_answerable" => Self::NAnswerable,
            "n_images" => Self::NImages,
            "pool_size" => Self::PoolSize,
            _ => None
                .or_else(|| at("recall_at_").map(Self::RecallAt))
                .or_else(|| at("fraction_recall_at_").map(Self::FractionRecallAt))
                .or_else(|| at("ndcg_at_").map(Self::NdcgAt))
                .unwrap_or_else(|| Self::Other(name.to_owned())),
        }
    }

    /// The value of this metric of images that are found for queries.
    pub fn value_in(&self, metrics: &BTreeMap<String, f64>) -> Option<f64> {
        metrics.get(&self.to_string()).copied()
    }

    /// Its unit. Counts of a command are recognised by their names, such as `hard_n_queries`.
    pub fn unit(&self) -> Unit {
        const COUNTS: [&str; 3] = ["n_queries", "n_answerable", "n_images"];
        match self {
            Self::MeanRecall | Self::RecallAt(_) => Unit::Share,
            Self::MedianRank => Unit::Rank,
            Self::NQueries | Self::NAnswerable | Self::NImages | Self::PoolSize => Unit::Count,
            Self::Other(name) if name.ends_with("pool_size") || COUNTS.iter().any(|count| name.contains(count)) => {
                Unit::Count
            }
            Self::FractionRecallAt(_) | Self::ReciprocalRank | Self::AveragePrecision | Self::NdcgAt(_) => Unit::Number,
            Self::Other(_) => Unit::Number,
        }
    }

    /// Whether a higher or a lower value is better; unknown for counts and for numbers of other stages.
    pub fn better(&self) -> Option<Ordering> {
        match self {
            Self::MedianRank => Some(Ordering::Less),
            Self::NQueries | Self::NAnswerable | Self::NImages | Self::PoolSize | Self::Other(_) => None,
            _ => Some(Ordering::Greater),
        }
    }

    /// Whether it is a mean over several k, and says nothing about such a mean over others. A command may name its own,
    /// such as `hard_mean_recall`.
    pub fn is_mean_over_k(&self) -> bool {
        self.to_string().ends_with("mean_recall")
    }
}

/// The name of the metric of images that are found for queries.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MeanRecall => f.write_str("mean_recall"),
            Self::RecallAt(k) => write!(f, "recall_at_{k}"),
            Self::FractionRecallAt(k) => write!(f, "fraction_recall_at_{k}"),
            Self::ReciprocalRank => f.write_str("mrr"),
            Self::AveragePrecision => f.write_str("map"),
            Self::NdcgAt(k) => write!(f, "ndcg_at_{k}"),
            Self::MedianRank => f.write_str("median_rank"),
            Self::NQueries => f.write_str("n_queries"),
            Self::NAnswerable => f.write_str("n_answerable"),
            Self::NImages => f.write_str("n_images"),
            Self::PoolSize => f.write_str("pool_size"),
            Self::Other(name) => f.write_str(name),
        }
    }
}
