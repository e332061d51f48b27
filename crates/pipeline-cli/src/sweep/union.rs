//! From a spec with a sweep to one graph in which every distinct stage of all points is once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pipeline_core::{Stage, StageId};
use pipeline_engine::Graph;
use pipeline_spec::{Axis, Draft, Override, PipelineSpec, Spanned, SpecError, StageSpec};
use pipeline_stages::{Environment, Format, Guards, Settings};

use super::grid::Grid;
use super::names::Names;
use super::record::{AxisRecord, PointRecord, SweepRecord, to_json};
use super::sameness::Definitions;
use crate::args::SpecArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{locate, opened};

/// A sweep whose points are all checked.
pub struct Sweep {
    /// The spec, whose stages are those of all points: a stage that no axis changes under its own name, others once for
    /// each distinct definition.
    pub spec: PipelineSpec,
    /// Those stages.
    pub graph: Graph,
    /// What the stages were told beside the spec.
    pub settings: Settings,
    /// The resolved spec as it stands, with its sweep.
    pub yaml: String,
    /// The points.
    pub record: SweepRecord,
    /// The stages whose files are not published, since points would overwrite each other's.
    pub unpublished: Vec<StageId>,
}

/// The spec at a point, with its stages.
struct Point {
    spec: PipelineSpec,
    stages: Vec<Option<Box<dyn Stage>>>,
    /// The number of each stage's definition.
    definitions: Vec<usize>,
}

impl Sweep {
    /// Reads the spec, adds `axes` to its sweep, and builds every point.
    ///
    /// # Errors
    /// When the spec, an axis or a point is wrong; tells which point.
    pub fn load(args: &SpecArgs, axes: &[String]) -> Result<Self, Failure> {
        let overrides: Vec<Override> =
            args.overrides.iter().map(|text| text.parse()).collect::<Result<_, SpecError>>()?;
        let axes: Vec<Axis> = axes.iter().map(|text| text.parse()).collect::<Result<_, SpecError>>()?;
        let draft = Draft::read(&locate::spec(&args.spec)?)?;
        let spec = draft.clone().build(&overrides, &axes)?;
        check_axes(&spec, &overrides)?;
        let environment = Environment::new(std::env::vars_os());
        let guards = opened::guards();
        // So that what is wrong with the spec itself is not blamed on a point.
        let (_, settings) = opened::build_stages(&spec, environment.clone(), &guards)?;
        let axes = spec.sweep.clone();
        let grid = Grid::new(&axes)?;
        let mut definitions = Definitions::default();
        let base = definitions.of(&spec);
        let build = |point_idx: usize| {
            build_point(&draft, &overrides, &grid, point_idx, (&environment, &guards), &mut definitions).map_err(
                |error| {
                    let label = grid.label(point_idx);
                    Failure::from(error).under(format!("point {} ({label}) cannot be built", point_idx + 1))
                },
            )
        };
        let points = (0..grid.n_points()).map(build).collect::<Result<Vec<_>, _>>()?;
        check_effects(&grid, &points)?;
        Self::unite(spec, settings, &grid, &base, points)
    }

    fn unite(
        mut spec: PipelineSpec,
        settings: Settings,
        grid: &Grid<'_>,
        base: &[usize],
        mut points: Vec<Point>,
    ) -> Result<Self, Failure> {
        let yaml = pipeline_spec::resolved_yaml(&spec);
        let evaluations = spec.stages.iter().filter(|stage| is_evaluation(stage)).map(|stage| stage.id.clone());
        let evaluations: Vec<StageId> = evaluations.collect();
        let names = name_definitions(&spec, grid, base, &points);
        let record = record(grid, evaluations, &points, &names);
        let (mut stage_specs, mut stages, mut unpublished) = (Vec::new(), Vec::new(), Vec::new());
        for (idx, own) in spec.stages.iter().enumerate() {
            let mut seen = BTreeSet::new();
            for point in &mut points {
                if !seen.insert(point.definitions[idx]) {
                    continue;
                }
                let mut stage_spec = renamed(point, idx, &names);
                if stage_spec.id != own.id && !std::mem::take(&mut stage_spec.publish).is_empty() {
                    unpublished.push(own.id.clone());
                }
                stage_specs.push(stage_spec);
                stages.push(point.stages[idx].take().expect("a definition is taken from its first point only"));
            }
        }
        unpublished.dedup();
        spec.stages = stage_specs;
        let graph = opened::connect(&spec, stages)?;
        Ok(Self { spec, graph, settings, yaml, record, unpublished })
    }
}

/// Refuses a sweep without axes, and a value that is set and swept.
fn check_axes(spec: &PipelineSpec, overrides: &[Override]) -> Result<(), Failure> {
    if spec.sweep.is_empty() {
        let message = format!("`{}` has no `sweep`", spec.file.display());
        return Err(Failure::new(Exit::Usage, message).with_help(
            "say what to try: `--axis projection.params.temperature=[0.03, 0.07]`, or `sweep:` in the spec",
        ));
    }
    let is_set = |axis: &&Axis| overrides.iter().any(|value| value.target() == axis.target());
    match spec.sweep.iter().find(is_set) {
        Some(axis) => Err(Failure::new(Exit::Usage, format!("`{}` is both set and swept", axis.target()))
            .with_help(format!("for one value only: `--axis {}=[VALUE]`", axis.target()))),
        None => Ok(()),
    }
}

/// Refuses an axis whose values make no difference to any stage: its points would all be the same.
fn check_effects(grid: &Grid<'_>, points: &[Point]) -> Result<(), SpecError> {
    let n_stages = points.first().map_or(0, |point| point.definitions.len());
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

fn build_point(
    draft: &Draft,
    overrides: &[Override],
    grid: &Grid<'_>,
    point_idx: usize,
    (environment, guards): (&Environment, &Guards),
    definitions: &mut Definitions,
) -> Result<Point, SpecError> {
    let overrides = [overrides, &grid.overrides_at(point_idx)?].concat();
    let spec = draft.clone().build(&overrides, &[])?;
    let (stages, _) = opened::build_stages(&spec, environment.clone(), guards)?;
    let definitions = definitions.of(&spec);
    Ok(Point { spec, stages: stages.into_iter().map(Some).collect(), definitions })
}

/// The name in the graph for each definition.
fn name_definitions(spec: &PipelineSpec, grid: &Grid<'_>, base: &[usize], points: &[Point]) -> HashMap<usize, StageId> {
    let mut names = Names::beside(spec.stages.iter().map(|stage| &stage.id));
    let axis_names = grid.names();
    let mut name_by_definition = HashMap::new();
    for (idx, stage) in spec.stages.iter().enumerate() {
        if points.iter().all(|point| point.definitions[idx] == base[idx]) {
            name_by_definition.insert(base[idx], stage.id.clone());
            continue;
        }
        let axes = axes_that_matter(grid, points, idx);
        for (point_idx, point) in points.iter().enumerate() {
            name_by_definition.entry(point.definitions[idx]).or_insert_with(|| {
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
            row.iter().any(|other| points[*other].definitions[idx] != points[row[0]].definitions[idx])
        })
    };
    (0..grid.axes().len()).filter(|axis_idx| changes(*axis_idx)).collect()
}

/// The stage at `idx` of a point under its name in the graph, reading stages of the graph.
fn renamed(point: &Point, idx: usize, names: &HashMap<usize, StageId>) -> StageSpec {
    let own = &point.spec.stages[idx];
    let name_of = |id: &StageId| {
        let position = point.spec.stages.iter().position(|stage| stage.id == *id);
        names[&point.definitions[position.expect("inputs are stages of the spec")]].clone()
    };
    let inputs = own
        .inputs
        .iter()
        .map(|(slot, from)| (slot.clone(), Spanned { value: name_of(&from.value), span: from.span.clone() }));
    StageSpec { id: names[&point.definitions[idx]].clone(), inputs: inputs.collect(), ..own.clone() }
}

fn record(
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
        let stages = point.spec.stages.iter().zip(&point.definitions);
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
