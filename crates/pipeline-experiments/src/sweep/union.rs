//! Turns a spec with a sweep into one graph that contains every distinct stage of all points once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pipeline_core::{Stage, StageId};
use pipeline_engine::Graph;
use pipeline_spec::{Axis, Draft, Override, PipelineSpec, Spanned, SpecError, StageSpec};
use pipeline_stages::{Format, Settings};

use super::SweepError;
use super::grid::Grid;
use super::names::Names;
use super::record::{AxisRecord, PointRecord, SweepRecord, to_json};
use super::sameness::Definitions;
use crate::open::{self, Surroundings};
use crate::spec_ref::SpecRef;
use crate::trial;

/// A sweep whose points are all checked.
pub struct Sweep {
    /// The spec with the stages of all points. A stage that no axis changes keeps its name; others occur once for each
    /// distinct definition.
    pub spec: PipelineSpec,
    /// Those stages.
    pub graph: Graph,
    /// The settings with which they were built.
    pub settings: Settings,
    /// The resolved spec itself, with its sweep.
    pub yaml: String,
    /// The points.
    pub record: SweepRecord,
    /// The stages that do not publish, since points would overwrite each other's files.
    pub unpublished: Vec<StageId>,
    /// The stages that publish nothing, since `--set` changes them.
    pub trial: Vec<StageId>,
}

/// The stages of all points, each definition once, by its number.
#[derive(Default)]
struct Distinct {
    definitions: Definitions,
    stages: HashMap<usize, DistinctStage>,
}

/// A stage at its first point.
struct DistinctStage {
    spec: StageSpec,
    stage: Box<dyn Stage>,
    /// The number of the definition of each input, in the order of the spec's inputs.
    inputs: Vec<usize>,
}

/// The number of each stage's definition at a point, in the order of the spec.
type Point = Vec<usize>;

impl Sweep {
    /// Reads the spec, adds `axes` to its sweep, and builds every point.
    ///
    /// # Errors
    /// When the spec, an axis or a point is wrong.
    pub fn load(named: &SpecRef, axes: &[Axis], surroundings: &Surroundings) -> Result<Self, SweepError> {
        let overrides = &named.overrides;
        let draft = Draft::read(&named.path)?;
        let spec = draft.clone().build(overrides, axes)?;
        check_axes(&spec, overrides)?;
        let axes = spec.sweep.clone();
        let grid = Grid::new(&axes)?;
        // Checked first, so that a mistake in the spec itself is not blamed on a point.
        let settings = surroundings.settings(&spec);
        let stages = pipeline_stages::build(&spec, &settings)?;
        let trial = trial::unpublished(named, &spec, &stages, &settings);
        let mut distinct = Distinct::default();
        let base = distinct.definitions.of(&spec);
        let draft = draft.without_sweep();
        let build = |point_idx: usize| {
            let point = distinct.build_point(&draft, overrides, &grid, point_idx, surroundings);
            point.map_err(|source| SweepError::Point {
                point: point_idx + 1,
                label: grid.label(point_idx),
                source: Box::new(source),
            })
        };
        let points = (0..grid.n_points()).map(build).collect::<Result<Vec<_>, _>>()?;
        check_effects(&grid, &points)?;
        let mut sweep = Self::unite(spec, settings, &grid, &base, points, distinct.stages, &trial)?;
        sweep.trial = trial;
        Ok(sweep)
    }

    fn unite(
        mut spec: PipelineSpec,
        settings: Settings,
        grid: &Grid<'_>,
        base: &[usize],
        points: Vec<Point>,
        mut distinct: HashMap<usize, DistinctStage>,
        trial: &[StageId],
    ) -> Result<Self, SweepError> {
        let yaml = pipeline_spec::resolved_yaml(&spec);
        let evaluations = spec.stages.iter().filter(|stage| is_evaluation(stage)).map(|stage| stage.id.clone());
        let evaluations: Vec<StageId> = evaluations.collect();
        let names = name_definitions(&spec, grid, base, &points);
        let record = record(&spec, grid, evaluations, &points, &names);
        let (mut stage_specs, mut stages, mut unpublished) = (Vec::new(), Vec::new(), Vec::new());
        for (idx, own) in spec.stages.iter().enumerate() {
            for point in &points {
                // A definition is taken at its first point.
                let Some(DistinctStage { spec: at_point, stage, inputs }) = distinct.remove(&point[idx]) else {
                    continue;
                };
                let mut stage_spec = renamed(at_point, point[idx], &inputs, &names);
                if trial.contains(&own.id) {
                    stage_spec.publish.clear();
                }
                if stage_spec.id != own.id && !std::mem::take(&mut stage_spec.publish).is_empty() {
                    unpublished.push(own.id.clone());
                }
                stage_specs.push(stage_spec);
                stages.push(stage);
            }
        }
        unpublished.dedup();
        spec.stages = stage_specs;
        let graph = open::connect(&spec, stages)?;
        Ok(Self { spec, graph, settings, yaml, record, unpublished, trial: Vec::new() })
    }
}

impl Distinct {
    /// Builds the spec at a point, and those of its stages that no earlier point has.
    fn build_point(
        &mut self,
        draft: &Draft,
        overrides: &[Override],
        grid: &Grid<'_>,
        point_idx: usize,
        surroundings: &Surroundings,
    ) -> Result<Point, SpecError> {
        let overrides = [overrides, &grid.overrides_at(point_idx)?].concat();
        let spec = draft.clone().build(&overrides, &[])?;
        let point = self.definitions.of(&spec);
        let settings = surroundings.settings(&spec);
        let is_new = &mut |idx: usize| !self.stages.contains_key(&point[idx]);
        let stages = pipeline_stages::build_where(&spec, &settings, is_new)?;
        let idx_by_id: HashMap<&StageId, usize> =
            spec.stages.iter().enumerate().map(|(idx, stage)| (&stage.id, idx)).collect();
        for ((stage_spec, stage), definition) in spec.stages.iter().zip(stages).zip(&point) {
            let Some(stage) = stage else { continue };
            let inputs = stage_spec.inputs.iter().map(|(_, from)| point[idx_by_id[&from.value]]).collect();
            self.stages.insert(*definition, DistinctStage { spec: stage_spec.clone(), stage, inputs });
        }
        Ok(point)
    }
}

/// Refuses a sweep without axes, and a value that is both set and swept.
fn check_axes(spec: &PipelineSpec, overrides: &[Override]) -> Result<(), SweepError> {
    if spec.sweep.is_empty() {
        return Err(SweepError::NoAxes { file: spec.file.clone() });
    }
    let is_set = |axis: &&Axis| overrides.iter().any(|value| value.target() == axis.target());
    match spec.sweep.iter().find(is_set) {
        Some(axis) => Err(SweepError::SetAndSwept { target: axis.target().to_owned() }),
        None => Ok(()),
    }
}

/// Refuses an axis whose values change no stage: its points would all be the same.
fn check_effects(grid: &Grid<'_>, points: &[Point]) -> Result<(), SpecError> {
    let n_stages = points.first().map_or(0, Vec::len);
    let that_matter: BTreeSet<usize> = (0..n_stages).flat_map(|idx| axes_that_matter(grid, points, idx)).collect();
    let is_idle = |(axis_idx, axis): &(usize, &Axis)| axis.values().len() > 1 && !that_matter.contains(axis_idx);
    match grid.axes().iter().enumerate().find(is_idle) {
        Some((_, axis)) => {
            let message = format!("sweep axis `{}` changes no stage", axis.target());
            Err(SpecError::at(&axis.spanned_target().span, message).with_help("no stage depends on its value"))
        }
        None => Ok(()),
    }
}

/// The name in the graph for each definition.
fn name_definitions(spec: &PipelineSpec, grid: &Grid<'_>, base: &[usize], points: &[Point]) -> HashMap<usize, StageId> {
    let mut names = Names::beside(spec.stages.iter().map(|stage| &stage.id));
    let axis_names = grid.names();
    let mut name_by_definition = HashMap::new();
    for (idx, stage) in spec.stages.iter().enumerate() {
        if points.iter().all(|point| point[idx] == base[idx]) {
            name_by_definition.insert(base[idx], stage.id.clone());
            continue;
        }
        let axes = axes_that_matter(grid, points, idx);
        for (point_idx, point) in points.iter().enumerate() {
            name_by_definition.entry(point[idx]).or_insert_with(|| {
                let values = grid.values_at(point_idx);
                let value = |axis_idx: &usize| grid.axes()[*axis_idx].values()[values[*axis_idx]].to_yaml();
                let values: Vec<_> =
                    axes.iter().map(|axis_idx| (axis_names[*axis_idx].clone(), value(axis_idx))).collect();
                names.copy(&stage.id, &values, point_idx + 1)
            });
        }
    }
    name_by_definition
}

/// The axes along which the stage at `idx` changes anywhere in the grid.
fn axes_that_matter(grid: &Grid<'_>, points: &[Point], idx: usize) -> Vec<usize> {
    let changes = |axis_idx: usize| {
        (0..points.len()).any(|point_idx| {
            let row = grid.row_from(point_idx, axis_idx);
            row.iter().any(|other| points[*other][idx] != points[row[0]][idx])
        })
    };
    (0..grid.axes().len()).filter(|axis_idx| changes(*axis_idx)).collect()
}

/// A stage under the name of its definition in the graph, reading stages of the graph.
fn renamed(own: StageSpec, definition: usize, inputs: &[usize], names: &HashMap<usize, StageId>) -> StageSpec {
    let inputs = own.inputs.into_iter().zip(inputs).map(|((slot, from), input)| {
        let from = Spanned { value: names[input].clone(), span: from.span };
        (slot, from)
    });
    StageSpec { id: names[&definition].clone(), inputs: inputs.collect(), ..own }
}

fn record(
    spec: &PipelineSpec,
    grid: &Grid<'_>,
    evaluations: Vec<StageId>,
    points: &[Point],
    names: &HashMap<usize, StageId>,
) -> SweepRecord {
    let axes = grid.axes().iter().zip(grid.names()).map(|(axis, name)| AxisRecord {
        key: axis.target().to_owned(),
        name,
        values: axis.values().iter().map(to_json).collect(),
    });
    let axes: Vec<AxisRecord> = axes.collect();
    let points = points.iter().enumerate().map(|(point_idx, point)| {
        let values = axes.iter().zip(grid.values_at(point_idx));
        let overrides = values.map(|(axis, value_idx)| (axis.key.clone(), axis.values[value_idx].clone()));
        let stages = spec.stages.iter().zip(point);
        let stages: BTreeMap<_, _> =
            stages.map(|(stage, definition)| (stage.id.clone(), names[definition].clone())).collect();
        PointRecord { point: point_idx + 1, overrides: overrides.collect(), stages }
    });
    let points = points.collect();
    SweepRecord::new(axes, evaluations, points)
}

fn is_evaluation(stage: &StageSpec) -> bool {
    pipeline_stages::makes(&stage.kind.value, Format::Evaluation)
}
