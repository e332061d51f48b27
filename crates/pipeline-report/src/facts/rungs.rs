//! The facts about which points of a sweep went on, and which of its axes matter.

/// The rungs of a sweep that stops bad points early.
#[derive(Debug, Clone, Default)]
pub struct RungsFacts {
    /// The key of the param that grows.
    pub resource: String,
    /// A short name of it.
    pub resource_name: String,
    /// The metric that promotes points: STAGE.METRIC.
    pub metric: String,
    /// One of so many points is promoted.
    pub factor: usize,
    /// The rungs that have begun, the first first.
    pub rungs: Vec<RungFacts>,
}

/// A rung.
#[derive(Debug, Clone, Default)]
pub struct RungFacts {
    /// The value of the resource.
    pub value: String,
    /// The number of points on it.
    pub n_points: usize,
    /// The number of those that were not measured.
    pub n_failed: usize,
    /// The number of those that went on.
    pub n_promoted: usize,
    /// The best measured value.
    pub best: Option<f64>,
    /// The worst value with which a point went on.
    pub cut: Option<f64>,
    /// The worst measured value.
    pub worst: Option<f64>,
    /// The numbers of the points that were stopped on it.
    pub stopped: Vec<usize>,
}

/// The importance of the axes of a sweep.
#[derive(Debug, Clone, Default)]
pub struct ImportanceFacts {
    /// The metric: STAGE.METRIC.
    pub metric: String,
    /// The resource with which it was measured, such as `epochs=2`.
    pub rung: Option<String>,
    /// The number of measured points.
    pub n_points: usize,
    /// The axes, the most important first.
    pub axes: Vec<ImportantAxis>,
    /// The reason why nothing can be said.
    pub unknown: Option<String>,
}

/// The importance of an axis.
#[derive(Debug, Clone, Default)]
pub struct ImportantAxis {
    /// A short name.
    pub name: String,
    /// The share of the variance that it explains, in 0..=1.
    pub share: f64,
    /// The share of shuffles in which it explains as much.
    pub chance: f64,
    /// The number of groups that were compared.
    pub n_groups: usize,
}
