//! Sweeps: one graph of the stages of all points, each distinct stage once, and the results of the points.

mod columns;
mod halving;
mod importance;
mod names;
mod options;
mod outcome;
mod points;
mod record;
mod sameness;
mod sobol;
mod union;

use std::path::PathBuf;

use pipeline_engine::GraphError;
use pipeline_spec::SpecError;

pub use columns::{Column, columns};
pub use halving::{HalvingRecord, Reached, promoted};
pub use importance::{AxisImportance, Importance, importance};
pub use options::SweepOptions;
pub use outcome::{COMPARED, Group, PointResult, PointState, Results, Spread, compared, groups, seeds};
pub(crate) use record::to_json;
pub use record::{AxisRecord, PointRecord, SweepRecord, shown};
pub use union::{Sweep, SweepPlan};

/// The reason why a sweep cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The spec or an axis is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The stages do not form a graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The grid is too large to be intended.
    #[error("the sweep has more than {max_points} points")]
    TooManyPoints {
        /// The largest allowed number of points.
        max_points: usize,
    },
    /// There are no axes.
    #[error("`{}` has no `sweep`", file.display())]
    NoAxes {
        /// The spec.
        file: PathBuf,
    },
    /// A value is both set and swept.
    #[error("`{target}` is both set and swept")]
    SetAndSwept {
        /// The param or var.
        target: String,
    },
    /// A value that could be drawn for a point is a mistake.
    #[error("a point with {label} cannot be built")]
    Value {
        /// The values of the point.
        label: String,
        /// The cause.
        #[source]
        source: Box<SpecError>,
    },
    /// A point contains a mistake, though the spec itself does not.
    #[error("point {point} ({label}) cannot be built")]
    Point {
        /// Its number, from 1.
        point: usize,
        /// Its values.
        label: String,
        /// The cause.
        #[source]
        source: Box<SpecError>,
    },
}

impl SweepError {
    /// Advice on how to correct it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Spec(error) => error.help.clone(),
            Self::Point { source, .. } | Self::Value { source, .. } => source.help.clone(),
            Self::Graph(_) => None,
            Self::TooManyPoints { .. } => {
                Some("give its axes fewer values, or draw some of them: `draw: random`, `points: 24`".to_owned())
            }
            Self::NoAxes { .. } => Some(
                "say what to try: `--axis 'projection.params.temperature=[0.03, 0.07]'`, or `sweep:` in the spec"
                    .to_owned(),
            ),
            Self::SetAndSwept { target } => Some(format!("for one value only: `--axis {target}=[VALUE]`")),
        }
    }
}
