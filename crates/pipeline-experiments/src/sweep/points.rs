//! The points of a sweep: all combinations of a grid, or combinations that are drawn from the axes.
//!
//! A drawn value depends on the seed, the name of its axis and the number of its draw alone: more points, and for
//! `random` other axes, leave the earlier ones as they are.

use std::collections::{HashMap, HashSet};

use pipeline_core::Digest;
use pipeline_spec::{Axis, AxisValues, Draw, Halving, MAX_POINTS, Node, Override, Span, SpecError, SweepSpec};

use super::SweepError;
use super::halving::Reached;
use super::sobol::{Directions, MAX_DIMENSIONS};

/// The largest number of draws for each point: those that repeat an earlier point are left out.
const MAX_DRAWS: usize = 1_000;

/// The combinations of the values of some axes; indices count from 0, point numbers for users from 1.
#[derive(Debug, Clone)]
pub struct Points {
    axes: Vec<Axis>,
    /// The values that occur on each axis: the items of its list, or those drawn from its range, in order of
    /// occurrence.
    levels: Vec<Vec<Node>>,
    /// The index of the value on each axis, by point.
    points: Vec<Vec<usize>>,
    draw: Draw,
    /// Whether they are all combinations of the values, of which the last axis changes fastest.
    is_complete_grid: bool,
}

impl Points {
    /// The points that a spec describes, at most `max_points`.
    ///
    /// # Errors
    /// When the axes cannot be drawn from in this way, or have too many or too few points.
    pub fn of(sweep: &SweepSpec, max_points: Option<usize>) -> Result<Self, SweepError> {
        let first = &sweep.axes.first().expect("a sweep without axes is refused before").spanned_target().span;
        let range = sweep.axes.iter().find(|axis| matches!(axis.values(), AxisValues::Range(_)));
        let draw = sweep.draw.unwrap_or(if range.is_some() { Draw::Random } else { Draw::Grid });
        match (draw, range) {
            (Draw::Grid, Some(axis)) => {
                let message = format!("a grid has no end of values for the range of `{}`", axis.target());
                Err(SpecError::at(&axis.spanned_target().span, message)
                    .with_help("list its values, or draw points: `draw: random`, `draw: sobol`")
                    .into())
            }
            (Draw::Grid, None) if sweep.points.is_some() => {
                let message = "a grid has all combinations of its values, and takes no number of points";
                Err(SpecError::at(first, message)
                    .with_help("`draw: random` draws so many of them; `--max-points` takes the first")
                    .into())
            }
            (Draw::Grid, None) => Self::grid(&sweep.axes, max_points),
            (Draw::Random | Draw::Sobol, _) => Self::drawn(sweep, draw, max_points, first),
        }
    }

    fn grid(axes: &[Axis], max_points: Option<usize>) -> Result<Self, SweepError> {
        let levels: Vec<Vec<Node>> = axes.iter().map(listed).collect();
        let n_all = levels.iter().try_fold(1usize, |n_points, values| n_points.checked_mul(values.len()));
        let n_points = n_all.unwrap_or(usize::MAX).min(max_points.unwrap_or(usize::MAX));
        if n_points > MAX_POINTS {
            return Err(SweepError::TooManyPoints { max_points: MAX_POINTS });
        }
        let point = |point_idx: usize| {
            let mut rest = point_idx;
            let mut values: Vec<usize> =
                levels.iter().rev().map(|values| take_digit(&mut rest, values.len())).collect();
            values.reverse();
            values
        };
        let points = (0..n_points).map(point).collect();
        let is_complete_grid = Some(n_points) == n_all;
        Ok(Self { axes: axes.to_vec(), levels, points, draw: Draw::Grid, is_complete_grid })
    }

    fn drawn(sweep: &SweepSpec, draw: Draw, max_points: Option<usize>, first: &Span) -> Result<Self, SweepError> {
        let axes = &sweep.axes;
        let Some(n_points) = sweep.points else {
            return Err(SpecError::at(first, "the sweep draws points, but does not say how many")
                .with_help("add `points: 24` to `sweep`, or `--points 24`")
                .into());
        };
        if draw == Draw::Sobol && axes.len() > MAX_DIMENSIONS {
            let message =
                format!("a Sobol sequence has at most {MAX_DIMENSIONS} axes, and the sweep has {}", axes.len());
            return Err(SpecError::at(first, message).with_help("`draw: random` takes any number of axes").into());
        }
        let n_points = n_points.min(max_points.unwrap_or(usize::MAX));
        if n_points > MAX_POINTS {
            return Err(SweepError::TooManyPoints { max_points: MAX_POINTS });
        }
        let n_values = axes.iter().map(|axis| match axis.values() {
            AxisValues::List(values) => Some(values.len() as u64),
            AxisValues::Range(range) => range.n_values(),
        });
        let n_different = n_values.reduce(|all, own| all?.checked_mul(own?)).flatten();
        if let Some(n_different) = n_different.filter(|n_different| *n_different < n_points as u64) {
            let message = format!("the axes have only {n_different} different points, and {n_points} are asked for");
            return Err(SpecError::at(first, message)
                .with_help("lower `points`, or `draw: grid` takes them all")
                .into());
        }
        let mut draws = Draws::new(sweep, draw);
        let mut points = Vec::with_capacity(n_points);
        let mut seen = HashSet::new();
        for number in 0..(n_points * MAX_DRAWS) as u32 {
            if points.len() == n_points {
                break;
            }
            let point = draws.point(number);
            if seen.insert(point.clone()) {
                points.push(point);
            }
        }
        if points.len() < n_points {
            let message = format!("only {} different points were drawn, and {n_points} are asked for", points.len());
            return Err(SpecError::at(first, message).with_help("lower `points`, or widen the ranges").into());
        }
        Ok(Self { axes: axes.clone(), levels: draws.levels, points, draw, is_complete_grid: false })
    }

    /// These points on their rungs: a point for each of the first `reached` rungs of each point, rung by rung, with the
    /// resource as the last axis; and for each the index of its point and of its rung.
    pub fn on_rungs(&self, halving: &Halving, reached: &[Reached]) -> (Self, Vec<(usize, usize)>) {
        let on_rung = |rung_idx: usize| {
            let points = (0..self.points.len()).filter(move |point_idx| reached[*point_idx].n_rungs > rung_idx);
            points.map(move |point_idx| (point_idx, rung_idx))
        };
        let places: Vec<(usize, usize)> = (0..halving.rungs().len()).flat_map(on_rung).collect();
        let point = |(point_idx, rung_idx): &(usize, usize)| [&self.points[*point_idx][..], &[*rung_idx]].concat();
        let on_rungs = Self {
            axes: [&self.axes[..], std::slice::from_ref(&halving.resource)].concat(),
            levels: [&self.levels[..], &[halving.rungs().to_vec()]].concat(),
            points: places.iter().map(point).collect(),
            draw: self.draw,
            is_complete_grid: false,
        };
        (on_rungs, places)
    }

    /// The axes.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The values that occur on each axis.
    pub fn levels(&self) -> &[Vec<Node>] {
        &self.levels
    }

    /// The number of points.
    pub fn n_points(&self) -> usize {
        self.points.len()
    }

    /// The way in which they were drawn.
    pub fn draw(&self) -> Draw {
        self.draw
    }

    /// Whether they are all combinations of the values of their axes.
    pub fn is_complete_grid(&self) -> bool {
        self.is_complete_grid
    }

    /// The index of the value on each axis at a point.
    pub fn values_at(&self, point_idx: usize) -> &[usize] {
        &self.points[point_idx]
    }

    /// The value on an axis at a point.
    pub fn value(&self, point_idx: usize, axis_idx: usize) -> &Node {
        &self.levels[axis_idx][self.points[point_idx][axis_idx]]
    }

    /// The overrides at a point.
    ///
    /// # Errors
    /// When a target is neither a param nor a var.
    pub fn overrides_at(&self, point_idx: usize) -> Result<Vec<Override>, SpecError> {
        let axes = self.axes.iter().enumerate();
        axes.map(|(axis_idx, axis)| axis.override_with(self.value(point_idx, axis_idx).clone())).collect()
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
        let values = (0..self.axes.len()).map(|axis_idx| self.value(point_idx, axis_idx));
        label(&self.names(), values)
    }

    /// In a complete grid the points that differ from `point_idx` only on the axis at `axis_idx`, itself first. Empty
    /// unless it has the first value of that axis, so that each row of points appears once.
    pub fn row_from(&self, point_idx: usize, axis_idx: usize) -> Vec<usize> {
        let stride: usize = self.levels[axis_idx + 1..].iter().map(Vec::len).product();
        match self.points[point_idx][axis_idx] {
            0 => (0..self.levels[axis_idx].len()).map(|value_idx| point_idx + value_idx * stride).collect(),
            _ => Vec::new(),
        }
    }
}

/// Values for people: `temperature=0.03, seed=1`.
pub fn label<'a>(names: &[String], values: impl Iterator<Item = &'a Node>) -> String {
    let parts = names.iter().zip(values).map(|(name, value)| format!("{name}={}", value.to_yaml()));
    parts.collect::<Vec<_>>().join(", ")
}

/// The items of an axis that is a list; empty for a range.
fn listed(axis: &Axis) -> Vec<Node> {
    match axis.values() {
        AxisValues::List(values) => values.clone(),
        AxisValues::Range(_) => Vec::new(),
    }
}

fn take_digit(rest: &mut usize, n_values: usize) -> usize {
    let digit = *rest % n_values;
    *rest /= n_values;
    digit
}

/// Draws from the axes.
struct Draws<'a> {
    axes: &'a [Axis],
    seed: u64,
    /// The directions of each axis and the shift of all its fractions, for a Sobol sequence.
    sobol: Option<Vec<(Directions, u32)>>,
    levels: Vec<Vec<Node>>,
    /// The index of each value that was drawn from a range, by its text.
    known: Vec<HashMap<String, usize>>,
}

impl<'a> Draws<'a> {
    fn new(sweep: &'a SweepSpec, draw: Draw) -> Self {
        let (axes, seed) = (sweep.axes.as_slice(), sweep.seed.unwrap_or(0));
        // The shift keeps the evenness of the sequence, and makes it another one for each seed.
        let shifted = |(idx, axis): (usize, &Axis)| (Directions::of(idx), random(seed, axis.target(), "shift"));
        let sobol = (draw == Draw::Sobol).then(|| axes.iter().enumerate().map(shifted).collect());
        Self { axes, seed, sobol, levels: axes.iter().map(listed).collect(), known: vec![HashMap::new(); axes.len()] }
    }

    /// The index of the value on each axis at draw `number`.
    fn point(&mut self, number: u32) -> Vec<usize> {
        (0..self.axes.len()).map(|axis_idx| self.value(axis_idx, number)).collect()
    }

    fn value(&mut self, axis_idx: usize, number: u32) -> usize {
        let axis = &self.axes[axis_idx];
        let fraction = match &self.sobol {
            Some(axes) => axes[axis_idx].0.at(number) ^ axes[axis_idx].1,
            None => random(self.seed, axis.target(), &number.to_string()),
        };
        match axis.values() {
            AxisValues::List(values) => ((values.len() as u64 * u64::from(fraction)) >> 32) as usize,
            AxisValues::Range(range) => {
                let value = range.value_at(fraction);
                let levels = &mut self.levels[axis_idx];
                *self.known[axis_idx].entry(value.to_yaml()).or_insert_with(|| {
                    levels.push(value);
                    levels.len() - 1
                })
            }
        }
    }
}

/// A random number for the draw `number` of an axis.
fn random(seed: u64, axis: &str, number: &str) -> u32 {
    let digest = Digest::in_domain("pipeline sweep draw", format!("{seed}\n{axis}\n{number}").as_bytes());
    u32::from_str_radix(&digest.hex()[..8], 16).expect("a digest is hexadecimal")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sweep; 0 points are none that the spec asks for.
    fn sweep(axes: &[&str], draw: Option<Draw>, points: usize, seed: u64) -> SweepSpec {
        let axes = axes.iter().map(|axis| axis.parse().unwrap()).collect();
        SweepSpec { axes, draw, points: (points > 0).then_some(points), seed: Some(seed), halving: None }
    }

    fn labels(sweep: &SweepSpec) -> Vec<String> {
        let points = Points::of(sweep, None).unwrap();
        (0..points.n_points()).map(|idx| points.label(idx)).collect()
    }

    const RANGES: [&str; 4] = [
        "a.params.lr={log_uniform: [1e-5, 1e-2]}",
        "a.params.t={uniform: [0.02, 0.2]}",
        "a.params.b={int_uniform: [8, 64], step: 8}",
        "a.params.head=[linear, mlp]",
    ];

    #[test]
    fn the_last_axis_changes_fastest_and_names_stay_short() {
        let axes = ["a.params.lr=[1e-3, 0.01]", "a.params.seed=[0, 1, 2]", "b.params.seed=[7]"];
        let grid = Points::of(&sweep(&axes, None, 0, 0), None).unwrap();
        assert_eq!(grid.n_points(), 6);
        assert_eq!(grid.label(0), "lr=0.001, a.seed=0, b.seed=7");
        assert_eq!(grid.label(4), "lr=0.01, a.seed=1, b.seed=7");
        assert_eq!(grid.row_from(1, 0), [1, 4]);
        assert_eq!(grid.row_from(3, 1), [3, 4, 5]);
        assert!(grid.row_from(4, 1).is_empty() && grid.is_complete_grid());
        let first = Points::of(&sweep(&axes, None, 0, 0), Some(4)).unwrap();
        assert!(first.n_points() == 4 && first.label(3) == grid.label(3) && !first.is_complete_grid());
    }

    #[test]
    fn the_same_seed_gives_the_same_points_and_more_points_keep_the_earlier_ones() {
        for draw in [None, Some(Draw::Sobol)] {
            let few = labels(&sweep(&RANGES, draw, 10, 3));
            let many = labels(&sweep(&RANGES, draw, 200, 3));
            assert_eq!(few, many[..10]);
            let others = labels(&sweep(&RANGES, draw, 10, 4));
            assert!(few.iter().all(|point| !others.contains(point)), "{few:?} {others:?}");
            assert_eq!(many.iter().collect::<HashSet<_>>().len(), 200, "no point occurs twice");
        }
        // Stores hold results under these values: they are the same on every machine and in every version.
        assert_eq!(labels(&sweep(&RANGES, None, 2, 0)), RANDOM);
        assert_eq!(labels(&sweep(&RANGES, Some(Draw::Sobol), 2, 0)), SOBOL);
        let with_another = [&RANGES[..], &["a.params.x={uniform: [0, 1]}"]].concat();
        let prefix = format!("{}, x=", RANDOM[0]);
        assert!(labels(&sweep(&with_another, None, 1, 0))[0].starts_with(&prefix), "another axis changes no value");
    }

    const RANDOM: [&str; 2] = ["lr=0.001285, t=0.1264, b=16, head=mlp", "lr=1.273e-5, t=0.0485, b=32, head=linear"];
    const SOBOL: [&str; 2] = ["lr=0.0001175, t=0.0647, b=40, head=mlp", "lr=0.003717, t=0.1547, b=8, head=linear"];

    #[test]
    fn drawn_values_stay_in_their_ranges_and_fill_them() {
        for draw in [Draw::Random, Draw::Sobol] {
            let points = Points::of(&sweep(&RANGES, Some(draw), 1024, 7), None).unwrap();
            let numbers = |axis_idx: usize| -> Vec<f64> {
                (0..1024).map(|idx| points.value(idx, axis_idx).to_yaml().parse().unwrap()).collect()
            };
            let share = |axis_idx: usize, below: f64| {
                numbers(axis_idx).iter().filter(|value| **value < below).count() as f64 / 1024.0
            };
            assert!(numbers(0).iter().all(|lr| (1e-5..=1e-2).contains(lr)));
            assert!(numbers(1).iter().all(|t| (0.02..=0.2).contains(t)));
            assert!(numbers(2).iter().all(|b| [8.0, 16.0, 24.0, 32.0, 40.0, 48.0, 56.0, 64.0].contains(b)));
            // The standard deviation of a share of 1024 random points is at most 0.016; Sobol's are exact.
            let tolerance = if draw == Draw::Sobol { 0.005 } else { 0.06 };
            for (axis_idx, below, expect) in
                [(0, 1e-4, 1.0 / 3.0), (0, 1e-3, 2.0 / 3.0), (1, 0.11, 0.5), (1, 0.065, 0.25), (2, 25.0, 0.375)]
            {
                let share = share(axis_idx, below);
                assert!((share - expect).abs() < tolerance, "{draw:?}: {share} below {below}, and not {expect}");
            }
            let n_mlp = (0..1024).filter(|idx| points.values_at(*idx)[3] == 1).count() as f64;
            assert!((n_mlp / 1024.0 - 0.5).abs() < tolerance, "{draw:?}: {n_mlp}");
        }
    }

    #[test]
    fn a_sweep_that_nobody_means_is_refused() {
        let values = format!("a.params.x=[{}]", (0..101).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
        let grid = sweep(&[&values, &values.replace(".x", ".y")], None, 0, 0);
        let message = |sweep: &SweepSpec| Points::of(sweep, None).unwrap_err().to_string();
        assert_eq!(message(&grid), "the sweep has more than 10000 points");
        assert_eq!(Points::of(&grid, Some(3)).unwrap().n_points(), 3);
        let four = ["a.params.x=[0, 1]", "a.params.y={int_uniform: [0, 1]}"];
        assert_eq!(message(&sweep(&four, None, 5, 0)), "the axes have only 4 different points, and 5 are asked for");
        assert_eq!(labels(&sweep(&four, None, 4, 0)).len(), 4);
        let many: Vec<String> = (0..17).map(|idx| format!("a.params.x{idx}={{uniform: [0, 1]}}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let message = message(&sweep(&many, Some(Draw::Sobol), 5, 0));
        assert_eq!(message, "a Sobol sequence has at most 16 axes, and the sweep has 17");
        assert_eq!(labels(&sweep(&many, None, 5, 0)).len(), 5);
    }
}
