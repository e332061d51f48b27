//! A spec with its graph of stages and its store: the start of most commands.

use std::collections::BTreeSet;
use std::error::Error;

use pipeline_core::{Arithmetic, Device, Stage, StageError, StageId};
use pipeline_engine::{EngineError, Graph, GraphError, Node, Plan, PlanOptions, SpecInfo};
use pipeline_spec::{PipelineSpec, Span, StageSpec, nearest};
use pipeline_stages::{Environment, Guards, Settings};
use pipeline_store::{Circumstances, Store};

use crate::causes::causes;
use crate::gate::check_rules;
use crate::locate;
use crate::open_error::{CannotRun, OpenError, UnknownStage};
use crate::protected::Protected;
use crate::spec_ref::SpecRef;
use crate::{missed, trial};

/// The name that stands for all stages, which no stage has.
pub const ALL_STAGES: &str = "*";

/// The environment of a spec, which only the program itself may read.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The environment.
    pub environment: Environment,
    /// The guards of the programs that stages run.
    pub guards: Guards,
    /// The arithmetic of this process, and whether results of another class count.
    pub arithmetic: Arithmetic,
}

/// A spec whose stages are built and connected.
pub struct Loaded {
    /// The spec.
    pub spec: PipelineSpec,
    /// Its stages.
    pub graph: Graph,
    /// The settings with which they were built.
    pub settings: Settings,
    /// The stages that publish nothing, since an override changes them.
    pub unpublished: Vec<StageId>,
    /// The arithmetic of this process.
    pub arithmetic: Arithmetic,
}

/// A loaded spec and its store.
pub struct Opened {
    /// The spec.
    pub spec: PipelineSpec,
    /// Its stages.
    pub graph: Graph,
    /// The settings with which they were built.
    pub settings: Settings,
    /// The stages that publish nothing, since an override changes them.
    pub unpublished: Vec<StageId>,
    /// The store that remembers their results.
    pub store: Store,
    /// The caller's reference to it.
    pub named: SpecRef,
    /// The stages of the spec that are left out of the graph.
    pub left_out: BTreeSet<StageId>,
    /// The arithmetic of this process.
    pub arithmetic: Arithmetic,
}

impl Surroundings {
    /// The settings for the stages of a spec.
    pub fn settings(&self, spec: &PipelineSpec) -> Settings {
        Settings {
            model_search: locate::model_search(spec.var_path("models"), &self.environment),
            environment: self.environment.clone(),
            guards: self.guards.clone(),
        }
    }
}

impl Loaded {
    /// Reads and checks the spec; reads no data. With `publishes_trials`, stages publish in spite of overrides.
    ///
    /// # Errors
    /// When the spec contains a mistake.
    pub fn load(named: &SpecRef, surroundings: &Surroundings, publishes_trials: bool) -> Result<Self, OpenError> {
        let mut spec = pipeline_spec::load(&named.path, &named.overrides)?;
        check_rules(&spec)?;
        let settings = surroundings.settings(&spec);
        let stages = pipeline_stages::build(&spec, &settings)?;
        let unpublished =
            if publishes_trials { Vec::new() } else { trial::unpublished(named, &spec, &stages, &settings) };
        for stage in spec.stages.iter_mut().filter(|stage| unpublished.contains(&stage.id)) {
            stage.publish.clear();
        }
        let graph = connect(&spec, stages)?;
        Protected::of(&spec, &graph, &named.store.folder).check_published(&spec)?;
        Ok(Self { spec, graph, settings, unpublished, arithmetic: surroundings.arithmetic })
    }
}

/// Connects the stages of a spec, given in its order.
///
/// # Errors
/// When they do not form a graph.
pub fn connect(spec: &PipelineSpec, stages: Vec<Box<dyn Stage>>) -> Result<Graph, GraphError> {
    let nodes = spec.stages.iter().zip(stages).map(|(stage_spec, stage)| Node {
        id: stage_spec.id.clone(),
        stage,
        inputs: stage_spec.inputs.iter().map(|(slot, from)| (slot.value.clone(), from.value.clone())).collect(),
        retain: stage_spec.retain,
        lane: stage_spec.lane,
        publish: stage_spec.publish.iter().map(|publish| (publish.file.value.clone(), publish.path.clone())).collect(),
    });
    Graph::new(nodes.collect())
}

/// Lets every stage check itself without data.
///
/// # Errors
/// When one could never do its work.
pub fn check(spec: &PipelineSpec, graph: &Graph) -> Result<(), CannotRun> {
    pipeline_engine::to_check(graph.nodes().iter()).try_for_each(|node| {
        node.stage.check().map_err(|source| {
            let span = spec.stage(&node.id).map(|stage| fault_span(stage, &source, &source).clone());
            CannotRun { stage: node.id.clone(), span, source: Box::new(source) }
        })
    })
}

/// The place in a spec of a stage's fault: the param that the fault names, else the one whose value `whole` mentions.
pub(crate) fn fault_span<'a>(stage: &'a StageSpec, fault: &StageError, whole: &dyn Error) -> &'a Span {
    let named = fault.param.and_then(|param| stage.params.get(param));
    named.map_or_else(|| missed::span(stage, &causes(whole)), |value| &value.span)
}

impl UnknownStage {
    /// The error for `name` where the spec has the stages `known`.
    pub fn among<'a>(name: &str, known: impl IntoIterator<Item = &'a StageId>) -> Self {
        let known: Vec<StageId> = known.into_iter().cloned().collect();
        let nearest = nearest(name, known.iter().map(StageId::as_str)).map(str::to_owned);
        Self { name: name.to_owned(), nearest, known }
    }
}

impl Opened {
    /// Reads and checks the spec and opens its store.
    ///
    /// # Errors
    /// When the spec is wrong or the store cannot be opened.
    pub fn open(named: &SpecRef, surroundings: &Surroundings) -> Result<Self, OpenError> {
        let store = Store::open(&named.store.folder)?;
        Ok(Self::of(named, Loaded::load(named, surroundings, false)?, store))
    }

    /// A loaded spec with its open store.
    pub fn of(named: &SpecRef, loaded: Loaded, store: Store) -> Self {
        let Loaded { spec, graph, settings, unpublished, arithmetic } = loaded;
        let (named, left_out) = (named.clone(), BTreeSet::new());
        Self { spec, graph, settings, unpublished, store, named, left_out, arithmetic }
    }

    /// Leaves out every stage but these and those that they need; without names, none.
    ///
    /// # Errors
    /// When a name is not a stage.
    pub fn only(mut self, targets: &[String]) -> Result<Self, UnknownStage> {
        if targets.is_empty() {
            return Ok(self);
        }
        let targets = targets.iter().map(|name| self.stage(name)).collect::<Result<_, _>>()?;
        let all: Vec<StageId> = self.graph.nodes().iter().map(|node| node.id.clone()).collect();
        self.graph = self.graph.restricted_to(&targets);
        self.left_out = all.into_iter().filter(|stage| self.graph.position(stage).is_none()).collect();
        self.unpublished.retain(|stage| self.graph.position(stage).is_some());
        Ok(self)
    }

    /// The paths that no command may overwrite.
    pub fn protected(&self) -> Protected {
        Protected::of(&self.spec, &self.graph, self.store.artifacts())
    }

    /// The stage with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn stage(&self, name: &str) -> Result<StageId, UnknownStage> {
        let found = name.parse().ok().filter(|id| self.graph.position(id).is_some());
        found.ok_or_else(|| UnknownStage::among(name, self.graph.nodes().iter().map(|node| &node.id)))
    }

    /// The plan of a run.
    ///
    /// # Errors
    /// When a source of a stage that must run is missing or the store cannot be read.
    pub fn plan(&self, options: &PlanOptions) -> Result<Plan, EngineError> {
        pipeline_engine::plan(&self.graph, &self.store, &self.named.memory(), options)
    }

    /// The plan of a run, even if a stage misses a source: for questions about the results of other stages.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn plan_what_is_there(&self) -> Result<Plan, EngineError> {
        pipeline_engine::plan_what_is_there(&self.graph, &self.store, &self.named.memory(), &self.question())
    }

    /// The options of a plan that forces nothing.
    pub fn question(&self) -> PlanOptions {
        PlanOptions { arithmetic: self.arithmetic, ..PlanOptions::default() }
    }

    /// The place in the spec of a missing source or of a stage's own fault, if that is why the engine could not begin.
    pub fn span_of(&self, error: &EngineError) -> Option<Span> {
        let span = match error {
            EngineError::Source { stage, source } | EngineError::CannotRun { stage, source } => {
                fault_span(self.spec.stage(stage)?, source, error)
            }
            EngineError::SourceDigest { stage, .. } => missed::span(self.spec.stage(stage)?, &causes(error)),
            EngineError::CannotPublish { stage, file, .. } => {
                let publish = &self.spec.stage(stage)?.publish;
                &publish.iter().find(|publish| publish.file.value == *file)?.path_span
            }
            EngineError::UnknownStage { .. } | EngineError::Store(_) => return None,
        };
        Some(span.clone())
    }

    /// The plan's options for these names of forced stages, or [`ALL_STAGES`].
    ///
    /// # Errors
    /// When a name is not a stage.
    pub fn plan_options(&self, forced: &[String], device: Device) -> Result<PlanOptions, UnknownStage> {
        let all = || self.graph.nodes().iter().map(|node| node.id.clone());
        let forced = if forced.iter().any(|name| name == ALL_STAGES) {
            all().collect()
        } else {
            forced.iter().map(|name| self.stage(name)).collect::<Result<_, _>>()?
        };
        Ok(PlanOptions { forced, device, ..self.question() })
    }

    /// The facts that the engine keeps with a run.
    pub fn info(&self, circumstances: Option<Circumstances>) -> SpecInfo {
        SpecInfo {
            path: self.named.memory(),
            name: self.spec.name.clone(),
            yaml: pipeline_spec::resolved_yaml(&self.spec),
            attachments: Vec::new(),
            files: self.spec.files.clone(),
            circumstances,
            left_out: self.left_out.clone(),
        }
    }
}
