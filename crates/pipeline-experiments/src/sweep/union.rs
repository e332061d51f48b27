//! Turns a spec with a sweep into one graph that contains every distinct stage of all points once.

use std::collections::{BTreeMap, HashMap};

use pipeline_core::{Stage, StageId};
use pipeline_engine::Graph;
use pipeline_spec::{AxisValues, Draft, Draw, Node, Override, PipelineSpec, Spanned, SpecError, StageSpec, Value};
use pipeline_stages::{Format, Settings};

use super::SweepError;
use super::halving::{HalvingRecord, Promotion, Reached};
use super::names::Names;
use super::options::SweepOptions;
use super::points::{self, Points};
use super::record::{AxisRecord, PointRecord, SweepRecord, to_json};
use super::sameness::Definitions;
use crate::open::{self, Surroundings};
use crate::spec_ref::SpecRef;
use crate::trial;

/// The points of a sweep, from which the graph of each rung is made. Without `halving` there is one rung.
pub struct SweepPlan {
    draft: Draft,
    overrides: Vec<Override>,
    surroundings: Surroundings,
    options: SweepOptions,
    points: Points,
    promotion: Option<Promotion>,
    trial: Vec<StageId>,
    /// The way in which the points are drawn.
    pub draw: Draw,
    /// The stages of the spec itself.
    pub stages: Vec<StageId>,
    /// The number of rungs.
    pub n_rungs: usize,
}

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

/// The points of a graph: without rungs those of the sweep, else one for each rung that a point has reached.
struct Entries<'a> {
    points: Points,
    /// How far each point has come.
    reached: &'a [Reached],
    /// The index of the point and of the rung, by entry.
    places: Vec<(usize, usize)>,
    /// The definitions of each entry.
    definitions: Vec<Point>,
    /// For each axis and stage, whether the stage depends on the axis.
    influence: Vec<Vec<bool>>,
}

impl SweepPlan {
    /// Reads the spec, changes its sweep by `options`, and draws its points.
    ///
    /// # Errors
    /// When the spec or its sweep is wrong.
    pub fn load(named: &SpecRef, options: SweepOptions, surroundings: &Surroundings) -> Result<Self, SweepError> {
        let draft = Draft::read(&named.path)?;
        let overrides = named.overrides.clone();
        let mut spec = draft.clone().build(&overrides, &options.axes)?;
        check_axes(&spec, &overrides)?;
        options.apply(&mut spec);
        let points = Points::of(&spec.sweep, options.max_points)?;
        // Checked first, so that a mistake in the spec itself is not blamed on a point.
        let settings = surroundings.settings(&spec);
        let stages = pipeline_stages::build(&spec, &settings)?;
        let halving = spec.sweep.halving.as_ref();
        let promotion = halving.map(|halving| Promotion::of(halving, &spec)).transpose()?;
        Ok(Self {
            trial: trial::unpublished(named, &spec, &stages, &settings),
            stages: spec.stages.iter().map(|stage| stage.id.clone()).collect(),
            n_rungs: halving.map_or(1, |halving| halving.rungs().len()),
            surroundings: surroundings.clone(),
            promotion,
            draw: points.draw(),
            points,
            draft,
            overrides,
            options,
        })
    }

    /// The note on a choice of points that flatters the result.
    pub fn note(&self) -> Option<String> {
        self.promotion.as_ref()?.note()
    }

    /// All points on the first rung.
    pub fn start(&self) -> Vec<Reached> {
        vec![Reached { n_rungs: 1, failed: Vec::new() }; self.points.n_points()]
    }

    /// The sweep in which each point has come so far.
    ///
    /// # Errors
    /// When a point is wrong.
    pub fn with(&self, reached: &[Reached]) -> Result<Sweep, SweepError> {
        let mut spec = self.draft.clone().build(&self.overrides, &self.options.axes)?;
        self.options.apply(&mut spec);
        let settings = self.surroundings.settings(&spec);
        let mut distinct = Distinct::default();
        let base = distinct.definitions.of(&spec);
        let (points, places) = match &spec.sweep.halving {
            Some(halving) => self.points.on_rungs(halving, reached),
            None => (self.points.clone(), (0..self.points.n_points()).map(|idx| (idx, 0)).collect()),
        };
        let builder = Builder { draft: self.draft.clone().without_sweep(), plan: self };
        let influence = if points.is_complete_grid() { None } else { Some(builder.probe(&points, &mut distinct)?) };
        let build = |idx: usize| {
            let overrides = points.overrides_at(idx)?;
            builder.point(&mut distinct, &overrides).map_err(|source| SweepError::Point {
                point: places[idx].0 + 1,
                label: points.label(idx),
                source: Box::new(source),
            })
        };
        let definitions = (0..points.n_points()).map(build).collect::<Result<Vec<_>, _>>()?;
        let influence = influence.unwrap_or_else(|| in_grid(&points, &definitions));
        let entries = Entries { points, places, definitions, influence, reached };
        check_effects(&entries)?;
        let mut sweep = self.unite(spec, settings, &entries, &base, distinct.stages)?;
        sweep.trial = self.trial.clone();
        Ok(sweep)
    }

    fn unite(
        &self,
        mut spec: PipelineSpec,
        settings: Settings,
        entries: &Entries<'_>,
        base: &[usize],
        mut distinct: HashMap<usize, DistinctStage>,
    ) -> Result<Sweep, SweepError> {
        let yaml = pipeline_spec::resolved_yaml(&spec);
        let names = name_definitions(&spec, entries, base);
        let record = self.record(&spec, entries, &names);
        let early = self.needed_early(&spec);
        let (mut stage_specs, mut stages, mut unpublished) = (Vec::new(), Vec::new(), Vec::new());
        for (idx, own) in spec.stages.iter().enumerate() {
            let is_needed =
                |(point, rung): &(usize, usize)| entries.goes_on(*point) && (early[idx] || rung + 1 == self.n_rungs);
            for (_, point) in entries.places.iter().zip(&entries.definitions).filter(|(place, _)| is_needed(place)) {
                // A definition is taken at its first point.
                let Some(DistinctStage { spec: at_point, stage, inputs }) = distinct.remove(&point[idx]) else {
                    continue;
                };
                let mut stage_spec = renamed(at_point, point[idx], &inputs, &names);
                if self.trial.contains(&own.id) {
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
        Ok(Sweep { spec, graph, settings, yaml, record, unpublished, trial: Vec::new() })
    }

    /// For each stage of the spec, whether a point needs it before the last rung: what promotes points reads it.
    fn needed_early(&self, spec: &PipelineSpec) -> Vec<bool> {
        let Some(promotion) = &self.promotion else { return vec![true; spec.stages.len()] };
        let idx_by_id: HashMap<&StageId, usize> =
            spec.stages.iter().enumerate().map(|(idx, stage)| (&stage.id, idx)).collect();
        let mut needed = vec![false; spec.stages.len()];
        let mut open = vec![idx_by_id[&promotion.stage]];
        while let Some(idx) = open.pop() {
            if !std::mem::replace(&mut needed[idx], true) {
                open.extend(spec.stages[idx].inputs.iter().map(|(_, from)| idx_by_id[&from.value]));
            }
        }
        needed
    }

    fn record(&self, spec: &PipelineSpec, entries: &Entries<'_>, names: &HashMap<usize, StageId>) -> SweepRecord {
        let Entries { points, places, definitions, reached, .. } = entries;
        let axes = points.axes().iter().zip(points.names()).zip(points.levels());
        let axes = axes.map(|((axis, name), levels)| AxisRecord {
            key: axis.target().to_owned(),
            name,
            values: levels.iter().map(to_json).collect(),
            range: match axis.values() {
                AxisValues::Range(range) => Some(to_json(range.node())),
                AxisValues::List(_) => None,
            },
        });
        let axes: Vec<AxisRecord> = axes.collect();
        let early = self.needed_early(spec);
        let mut records: BTreeMap<usize, PointRecord> = BTreeMap::new();
        // Rung by rung: the record of a point ends as that of its highest rung, with its measurements on all of them.
        for (entry_idx, (point_idx, rung_idx)) in places.iter().enumerate() {
            let copy = |idx: usize| names[&definitions[entry_idx][idx]].clone();
            let is_needed = |idx: usize| early[idx] || rung_idx + 1 == self.n_rungs;
            let stages = spec.stages.iter().enumerate().filter(|(idx, _)| is_needed(*idx));
            let stages: BTreeMap<_, _> = stages.map(|(idx, stage)| (stage.id.clone(), copy(idx))).collect();
            let values = points.values_at(entry_idx).iter().zip(&axes);
            let overrides = values.map(|(value_idx, axis)| (axis.key.clone(), axis.values[*value_idx].clone()));
            let mut rungs = records.remove(point_idx).map(|below| below.rungs).unwrap_or_default();
            rungs.extend(self.promotion.as_ref().map(|promotion| stages[&promotion.stage].clone()));
            let failed = reached[*point_idx].failed.clone();
            let record = PointRecord { point: point_idx + 1, overrides: overrides.collect(), stages, rungs, failed };
            records.insert(*point_idx, record);
        }
        let evaluations = spec.stages.iter().filter(|stage| is_evaluation(stage)).map(|stage| stage.id.clone());
        let halving =
            self.promotion.as_ref().zip(spec.sweep.halving.as_ref()).map(|(promotion, halving)| HalvingRecord {
                resource: halving.resource.target().to_owned(),
                rungs: halving.rungs().iter().map(to_json).collect(),
                factor: halving.factor,
                stage: promotion.stage.clone(),
                metric: promotion.metric.clone(),
                n_begun: places.iter().map(|(_, rung_idx)| rung_idx + 1).max().unwrap_or(1),
            });
        SweepRecord::new(axes, evaluations.collect(), records.into_values().collect(), halving)
    }
}

impl Entries<'_> {
    /// Whether the graph has the stages of a point: one that failed on an earlier rung would only fail again.
    fn goes_on(&self, point_idx: usize) -> bool {
        self.reached[point_idx].failed.is_empty()
    }
}

/// Builds the spec at points.
struct Builder<'a> {
    draft: Draft,
    plan: &'a SweepPlan,
}

impl Builder<'_> {
    /// Builds the spec with these values, and those of its stages that no earlier point has.
    fn point(&self, distinct: &mut Distinct, overrides: &[Override]) -> Result<Point, SpecError> {
        let overrides = [&self.plan.overrides, overrides].concat();
        let spec = self.draft.clone().build(&overrides, &[])?;
        let point = distinct.definitions.of(&spec);
        let settings = self.plan.surroundings.settings(&spec);
        let is_new = &mut |idx: usize| !distinct.stages.contains_key(&point[idx]);
        let stages = pipeline_stages::build_where(&spec, &settings, is_new)?;
        let idx_by_id: HashMap<&StageId, usize> =
            spec.stages.iter().enumerate().map(|(idx, stage)| (&stage.id, idx)).collect();
        for ((stage_spec, stage), definition) in spec.stages.iter().zip(stages).zip(&point) {
            let Some(stage) = stage else { continue };
            let inputs = stage_spec.inputs.iter().map(|(_, from)| point[idx_by_id[&from.value]]).collect();
            distinct.stages.insert(*definition, DistinctStage { spec: stage_spec.clone(), stage, inputs });
        }
        Ok(point)
    }

    /// Tries every listed value and both ends of every range at the first point: a value that could be drawn for any
    /// point is refused before one is. Returns for each axis and stage whether the stage depends on the axis.
    fn probe(&self, points: &Points, distinct: &mut Distinct) -> Result<Vec<Vec<bool>>, SweepError> {
        let is_range = |axis_idx: &usize| matches!(points.axes()[*axis_idx].values(), AxisValues::Range(_));
        // Ranges first: the first point has drawn values, and a mistake in a range is not that of another axis.
        let (ranges, lists): (Vec<usize>, Vec<usize>) = (0..points.axes().len()).partition(is_range);
        let mut influence = vec![Vec::new(); points.axes().len()];
        for axis_idx in ranges.into_iter().chain(lists) {
            influence[axis_idx] = self.probe_axis(points, axis_idx, distinct)?;
        }
        Ok(influence)
    }

    fn probe_axis(&self, points: &Points, axis_idx: usize, distinct: &mut Distinct) -> Result<Vec<bool>, SweepError> {
        let values: Vec<Node> = match points.axes()[axis_idx].values() {
            AxisValues::List(values) => values.clone(),
            AxisValues::Range(range) => range.ends().to_vec(),
        };
        let mut at_values = Vec::new();
        for value in values {
            at_values.push(self.at_first(points, axis_idx, &value, distinct).map_err(|source| {
                let names = points.names();
                let others = (0..names.len()).map(|idx| if idx == axis_idx { &value } else { points.value(0, idx) });
                let help = self.takes_whole_numbers(points, axis_idx, &value, distinct);
                // A value of a list may be written otherwise, and one of a range is drawn.
                let is_drawn = matches!(points.axes()[axis_idx].values(), AxisValues::Range(_));
                let source = match help.filter(|_| is_drawn || source.help.is_none()) {
                    Some(help) => source.with_help(help),
                    None => source,
                };
                SweepError::Value { label: points::label(&names, others), source: Box::new(source) }
            })?);
        }
        let n_stages = at_values.first().map_or(0, Vec::len);
        let differs = |idx: usize| at_values.iter().any(|point| point[idx] != at_values[0][idx]);
        Ok((0..n_stages).map(differs).collect())
    }

    /// The first point with another value on one axis.
    fn at_first(
        &self,
        points: &Points,
        axis_idx: usize,
        value: &Node,
        distinct: &mut Distinct,
    ) -> Result<Point, SpecError> {
        let mut overrides = points.overrides_at(0)?;
        overrides[axis_idx] = points.axes()[axis_idx].override_with(value.clone())?;
        self.point(distinct, &overrides)
    }

    /// Advice where a number is refused only for its fraction.
    fn takes_whole_numbers(
        &self,
        points: &Points,
        axis_idx: usize,
        value: &Node,
        distinct: &mut Distinct,
    ) -> Option<&'static str> {
        let Value::Float(number) = value.value else { return None };
        let whole = Node::new(Value::Int(number.round() as i64), value.span.clone());
        let is_right = self.at_first(points, axis_idx, &whole, distinct).is_ok();
        is_right.then_some("`int_uniform` and `int_log_uniform` draw whole numbers")
    }
}

/// Refuses a sweep without axes, and a value that is both set and swept.
fn check_axes(spec: &PipelineSpec, overrides: &[Override]) -> Result<(), SweepError> {
    if spec.sweep.is_empty() {
        return Err(SweepError::NoAxes { file: spec.file.clone() });
    }
    let resource = spec.sweep.halving.as_ref().map(|halving| &halving.resource);
    let is_set = |target: &str| overrides.iter().any(|value| value.target() == target);
    match spec.sweep.axes.iter().chain(resource).find(|axis| is_set(axis.target())) {
        Some(axis) => Err(SweepError::SetAndSwept { target: axis.target().to_owned() }),
        None => Ok(()),
    }
}

/// Refuses an axis whose values change no stage: its points would all be the same.
fn check_effects(entries: &Entries<'_>) -> Result<(), SpecError> {
    let axes = entries.points.axes().iter().zip(&entries.influence);
    let has_one_value = |values: &AxisValues| matches!(values, AxisValues::List(values) if values.len() < 2);
    let mut idle = axes.filter(|(axis, stages)| !has_one_value(axis.values()) && !stages.contains(&true));
    match idle.next() {
        Some((axis, _)) => {
            let message = format!("sweep axis `{}` changes no stage", axis.target());
            Err(SpecError::at(&axis.spanned_target().span, message).with_help("no stage depends on its value"))
        }
        None => Ok(()),
    }
}

/// The name in the graph for each definition.
fn name_definitions(spec: &PipelineSpec, entries: &Entries<'_>, base: &[usize]) -> HashMap<usize, StageId> {
    let Entries { points, places, definitions, influence, .. } = entries;
    let mut names = Names::beside(spec.stages.iter().map(|stage| &stage.id));
    let axis_names = points.names();
    // The resource of rungs is the last axis.
    let resource = spec.sweep.halving.as_ref().map(|_| axis_names.len() - 1);
    let mut name_by_definition = HashMap::new();
    for (idx, stage) in spec.stages.iter().enumerate() {
        if definitions.iter().all(|point| point[idx] == base[idx]) {
            name_by_definition.insert(base[idx], stage.id.clone());
            continue;
        }
        let axes: Vec<usize> = (0..axis_names.len()).filter(|axis_idx| influence[*axis_idx][idx]).collect();
        for (entry_idx, point) in definitions.iter().enumerate() {
            name_by_definition.entry(point[idx]).or_insert_with(|| {
                let value = |axis_idx: &usize| points.value(entry_idx, *axis_idx).to_yaml();
                let values: Vec<_> =
                    axes.iter().map(|axis_idx| (axis_names[*axis_idx].clone(), value(axis_idx))).collect();
                let resource = resource.filter(|axis_idx| axes.contains(axis_idx));
                let resource = resource.map(|axis_idx| (axis_names[axis_idx].clone(), value(&axis_idx)));
                names.copy(&stage.id, &values, places[entry_idx].0 + 1, resource.as_ref())
            });
        }
    }
    name_by_definition
}

/// For each axis and stage of a complete grid, whether the stage changes along the axis anywhere in it.
fn in_grid(points: &Points, definitions: &[Point]) -> Vec<Vec<bool>> {
    let n_stages = definitions.first().map_or(0, Vec::len);
    let mut influence = vec![vec![false; n_stages]; points.axes().len()];
    for (axis_idx, stages) in influence.iter_mut().enumerate() {
        for row in (0..definitions.len()).map(|point_idx| points.row_from(point_idx, axis_idx)) {
            for other in row.iter().skip(1) {
                let is_changed = |idx: usize| definitions[*other][idx] != definitions[row[0]][idx];
                stages.iter_mut().enumerate().for_each(|(idx, depends)| *depends |= is_changed(idx));
            }
        }
    }
    influence
}

/// A stage under the name of its definition in the graph, reading stages of the graph.
fn renamed(own: StageSpec, definition: usize, inputs: &[usize], names: &HashMap<usize, StageId>) -> StageSpec {
    let inputs = own.inputs.into_iter().zip(inputs).map(|((slot, from), input)| {
        let from = Spanned { value: names[input].clone(), span: from.span };
        (slot, from)
    });
    StageSpec { id: names[&definition].clone(), inputs: inputs.collect(), ..own }
}

fn is_evaluation(stage: &StageSpec) -> bool {
    pipeline_stages::makes(&stage.kind.value, Format::Evaluation)
}
