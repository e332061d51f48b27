//! The sweep of a spec as the command line changes it.

use pipeline_spec::{Axis, Draw, PipelineSpec};

/// Changes to the sweep of a spec.
#[derive(Debug, Clone, Default)]
pub struct SweepOptions {
    /// Axes to add or replace.
    pub axes: Vec<Axis>,
    /// The way in which points are drawn.
    pub draw: Option<Draw>,
    /// The number of points that are drawn.
    pub points: Option<usize>,
    /// The seed of the draws.
    pub seed: Option<u64>,
    /// Take at most this number of points, the first ones.
    pub max_points: Option<usize>,
}

impl SweepOptions {
    /// Changes the sweep of a spec that was built with the axes.
    pub fn apply(&self, spec: &mut PipelineSpec) {
        let sweep = &mut spec.sweep;
        sweep.draw = self.draw.or(sweep.draw);
        // A grid has no number of points: that of the spec was for its draws.
        let own_points = sweep.points.filter(|_| self.draw != Some(Draw::Grid));
        sweep.points = self.points.or(own_points);
        sweep.seed = self.seed.or(sweep.seed);
    }
}
