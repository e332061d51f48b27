//! The grid of a sweep: every combination of one value from each axis; the last axis changes fastest.

use pipeline_spec::{Axis, Override, SpecError};

use super::SweepError;

/// The limit on points: more are usually a mistake.
const MAX_POINTS: usize = 10_000;

/// The combinations of the values of some axes; indices count from 0, point numbers for users from 1.
#[derive(Debug)]
pub struct Grid<'a> {
    axes: &'a [Axis],
    n_points: usize,
}

impl<'a> Grid<'a> {
    /// The grid of these axes.
    ///
    /// # Errors
    /// When it has too many points.
    pub fn new(axes: &'a [Axis]) -> Result<Self, SweepError> {
        let n_points = axes.iter().try_fold(1usize, |n_points, axis| n_points.checked_mul(axis.values().len()));
        match n_points {
            Some(n_points) if n_points <= MAX_POINTS => Ok(Self { axes, n_points }),
            _ => Err(SweepError::TooManyPoints { max_points: MAX_POINTS }),
        }
    }

    /// The axes.
    pub fn axes(&self) -> &'a [Axis] {
        self.axes
    }

    /// The number of points.
    pub fn n_points(&self) -> usize {
        self.n_points
    }

    /// The index of the value on each axis at a point.
    pub fn values_at(&self, point_idx: usize) -> Vec<usize> {
        let mut rest = point_idx;
        let mut values: Vec<usize> = self.axes.iter().rev().map(|axis| take_digit(&mut rest, axis)).collect();
        values.reverse();
        values
    }

    /// The overrides at a point.
    ///
    /// # Errors
    /// When a target is neither a param nor a var.
    pub fn overrides_at(&self, point_idx: usize) -> Result<Vec<Override>, SpecError> {
        let values = self.values_at(point_idx);
        self.axes.iter().zip(values).map(|(axis, value_idx)| axis.override_with(value_idx)).collect()
    }

    /// A short unique name for each axis: `temperature`, else `projection.temperature`.
    pub fn names(&self) -> Vec<String> {
        let is_only = |name: &str| self.axes.iter().filter(|axis| axis.name() == name).count() == 1;
        let name = |axis: &Axis| match is_only(axis.name()) {
            true => axis.name().to_owned(),
            false => axis.target().replacen(".params.", ".", 1),
        };
        self.axes.iter().map(name).collect()
    }

    /// The point for people: `temperature=0.03, seed=1`.
    pub fn label(&self, point_idx: usize) -> String {
        let values = self.axes.iter().zip(self.values_at(point_idx));
        let values = values.map(|(axis, value_idx)| axis.values()[value_idx].to_yaml());
        let parts: Vec<_> =
            self.names().into_iter().zip(values).map(|(name, value)| format!("{name}={value}")).collect();
        parts.join(", ")
    }

    /// The points that differ from `point_idx` only on the axis at `axis_idx`, itself first. Empty unless it has the
    /// first value of that axis, so that each row of points appears once.
    pub fn row_from(&self, point_idx: usize, axis_idx: usize) -> Vec<usize> {
        let stride: usize = self.axes[axis_idx + 1..].iter().map(|axis| axis.values().len()).product();
        match self.values_at(point_idx)[axis_idx] {
            0 => (0..self.axes[axis_idx].values().len()).map(|value_idx| point_idx + value_idx * stride).collect(),
            _ => Vec::new(),
        }
    }
}

fn take_digit(rest: &mut usize, axis: &Axis) -> usize {
    let digit = *rest % axis.values().len();
    *rest /= axis.values().len();
    digit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_axis_changes_fastest_and_names_stay_short() {
        let axes = ["a.params.lr=[1e-3, 0.01]", "a.params.seed=[0, 1, 2]", "b.params.seed=[7]"];
        let axes: Vec<Axis> = axes.iter().map(|axis| axis.parse().unwrap()).collect();
        let grid = Grid::new(&axes).unwrap();
        assert_eq!(grid.n_points(), 6);
        assert_eq!(grid.label(0), "lr=0.001, a.seed=0, b.seed=7");
        assert_eq!(grid.label(4), "lr=0.01, a.seed=1, b.seed=7");
        assert_eq!(grid.row_from(1, 0), [1, 4]);
        assert_eq!(grid.row_from(3, 1), [3, 4, 5]);
        assert!(grid.row_from(4, 1).is_empty());
    }

    #[test]
    fn a_grid_that_nobody_means_is_refused() {
        let values = format!("a.params.x=[{}]", (0..101).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
        let axes: Vec<Axis> = (0..2).map(|_| values.parse().unwrap()).collect();
        assert_eq!(Grid::new(&axes).unwrap_err().to_string(), "the sweep has more than 10000 points");
    }
}
