//! A spec with its graph of stages and its store: what most commands begin with.

use std::path::PathBuf;

use pipeline_core::{Device, Stage, StageId};
use pipeline_engine::{EngineError, Graph, GraphError, Node, Plan, PlanOptions, SpecInfo};
use pipeline_spec::{Override, PipelineSpec, SpecError, nearest};
use pipeline_stages::{Environment, Guards, Settings};
use pipeline_store::{Circumstances, Store};

use crate::again::Again;
use crate::args::SpecArgs;
use crate::circumstances;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::guard::Guard;
use crate::{locate, missed, trial};

/// A spec whose stages are built and connected.
pub struct Loaded {
    /// The spec.
    pub spec: PipelineSpec,
    /// Its stages.
    pub graph: Graph,
    /// What beside files has made them what they are.
    pub circumstances: Option<Circumstances>,
    /// What they were told beside the spec.
    pub settings: Settings,
    /// The stages that publish nothing, since `--set` makes them other than the spec says.
    pub unpublished: Vec<StageId>,
}

/// A loaded spec and its store.
pub struct Opened {
    /// The spec.
    pub spec: PipelineSpec,
    /// Its stages.
    pub graph: Graph,
    /// What beside files has made them what they are.
    pub circumstances: Option<Circumstances>,
    /// What they were told beside the spec.
    pub settings: Settings,
    /// The stages that publish nothing, since `--set` makes them other than the spec says.
    pub unpublished: Vec<StageId>,
    /// Where results are remembered.
    pub store: Store,
    /// How the caller named it, for commands in help texts.
    pub again: Again,
}

impl Loaded {
    /// Reads and checks the spec; looks at no data.
    ///
    /// # Errors
    /// When there is no such spec or something in it is wrong.
    pub fn load(args: &SpecArgs) -> Result<Self, Failure> {
        let overrides: Vec<Override> =
            args.overrides.iter().map(|text| text.parse()).collect::<Result<_, SpecError>>()?;
        let mut spec = pipeline_spec::load(&locate::spec(&args.spec)?, &overrides)?;
        let environment = Environment::new(std::env::vars_os());
        let (stages, settings) = build_stages(&spec, environment, &guards())?;
        let unpublished = if args.publish { Vec::new() } else { trial::unpublished(args, &spec, &stages, &settings)? };
        for stage in spec.stages.iter_mut().filter(|stage| unpublished.contains(&stage.id)) {
            stage.publish.clear();
        }
        let circumstances = circumstances::now(&spec.file, &args.circumstances(), settings.environment.asked());
        let graph = connect(&spec, stages)?;
        let artifacts = locate::artifacts(args.store.artifacts.as_deref(), &spec.file);
        Guard::of(&spec, &graph, &artifacts).check_published(&spec)?;
        Ok(Self { spec, graph, circumstances, settings, unpublished })
    }
}

/// Builds the stages of a spec, in its order; the environment in the settings knows by then what was asked for.
///
/// # Errors
/// The first thing in a stage that is wrong.
pub fn build_stages(
    spec: &PipelineSpec,
    environment: Environment,
    guards: &Guards,
) -> Result<(Vec<Box<dyn Stage>>, Settings), SpecError> {
    let settings = settings(spec, environment, guards);
    let stages = pipeline_stages::build(spec, &settings)?;
    Ok((stages, settings))
}

/// What the stages of a spec are told beside it.
pub fn settings(spec: &PipelineSpec, environment: Environment, guards: &Guards) -> Settings {
    Settings { model_search: locate::model_search(spec, &environment), environment, guards: guards.clone() }
}

/// What runs the programs of `command` stages: this very program, also when another has taken its place on the disk.
pub fn guards() -> Guards {
    let running = PathBuf::from("/proc/self/exe");
    Guards::of(if running.exists() { running } else { std::env::current_exe().unwrap_or_default() })
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
        pool: stage_spec.pool,
        publish: stage_spec.publish.iter().map(|publish| (publish.file.value.clone(), publish.path.clone())).collect(),
    });
    Graph::new(nodes.collect())
}

/// Lets every stage judge what it can without data.
///
/// # Errors
/// When one could never do its work, shown where the spec names what is wrong.
pub fn check(spec: &PipelineSpec, graph: &Graph) -> Result<(), Failure> {
    graph.nodes().iter().try_for_each(|node| {
        node.stage.check().map_err(|error| {
            let failure = Failure::from(error);
            let span = spec.stage(&node.id).map(|stage| missed::span(stage, &failure.errors).clone());
            Failure { span, ..failure }.under(format!("stage `{}` cannot run", node.id))
        })
    })
}

impl Opened {
    /// Reads and checks the spec and opens its store.
    ///
    /// # Errors
    /// When the spec is wrong or the store cannot be opened.
    pub fn open(args: &SpecArgs) -> Result<Self, Failure> {
        let (_, store) = Self::store(args)?;
        Self::in_store(args, store)
    }

    /// Reads and checks the spec, whose store is open: what the handle has learnt of sources is not learnt twice.
    ///
    /// # Errors
    /// When the spec is wrong.
    pub fn in_store(args: &SpecArgs, store: Store) -> Result<Self, Failure> {
        let Loaded { spec, graph, circumstances, settings, unpublished } = Loaded::load(args)?;
        let again = Again::new(args, &spec.file);
        Ok(Self { spec, graph, circumstances, settings, unpublished, store, again })
    }

    /// The absolute path of the spec and its store; the spec itself is not read.
    ///
    /// # Errors
    /// When there is no such spec or the store cannot be opened.
    pub fn store(args: &SpecArgs) -> Result<(PathBuf, Store), Failure> {
        let spec = pipeline_spec::spec_path(&locate::spec(&args.spec)?)?;
        let store = Store::open(&locate::artifacts(args.store.artifacts.as_deref(), &spec))?;
        Ok((spec, store))
    }

    /// What no command may write over.
    pub fn guard(&self) -> Guard {
        Guard::of(&self.spec, &self.graph, self.store.artifacts())
    }

    /// The stage of that name.
    ///
    /// # Errors
    /// When there is none: tells the nearest name.
    pub fn stage(&self, name: &str) -> Result<StageId, Failure> {
        find_stage(&self.graph, name)
    }

    /// What a run would do.
    ///
    /// # Errors
    /// When a source of a stage that must run is missing or the store cannot be read.
    pub fn plan(&self, options: &PlanOptions) -> Result<Plan, Failure> {
        pipeline_engine::plan(&self.graph, &self.store, &self.spec.file, options).map_err(|error| self.failure(error))
    }

    /// What a run would do, for who asks about the results of other stages than one that misses a source.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn plan_what_is_there(&self) -> Result<Plan, Failure> {
        let (spec, options) = (&self.spec.file, PlanOptions::default());
        let plan = pipeline_engine::plan_what_is_there(&self.graph, &self.store, spec, &options);
        plan.map_err(|error| self.failure(error))
    }

    /// Why the engine could not begin; what a stage misses is shown where the spec names it.
    pub fn failure(&self, error: EngineError) -> Failure {
        let stage = match &error {
            EngineError::Source { stage, .. } | EngineError::SourceDigest { stage, .. } => self.spec.stage(stage),
            EngineError::UnknownStage { .. } | EngineError::Store(_) => None,
        };
        let failure = Failure::from(error);
        match stage {
            Some(stage) => Failure { span: Some(missed::span(stage, &failure.errors).clone()), ..failure },
            None => failure,
        }
    }

    /// The plan's options for these names of forced stages.
    ///
    /// # Errors
    /// When a name is not one of a stage.
    pub fn plan_options(&self, forced: &[String], device: Device) -> Result<PlanOptions, Failure> {
        let forced = forced.iter().map(|name| self.stage(name)).collect::<Result<_, _>>()?;
        Ok(PlanOptions { forced, device, ..PlanOptions::default() })
    }

    /// What the engine keeps with a run.
    pub fn info(&self) -> SpecInfo {
        SpecInfo {
            path: self.spec.file.clone(),
            name: self.spec.name.clone(),
            yaml: pipeline_spec::resolved_yaml(&self.spec),
            attachments: Vec::new(),
            files: self.spec.files.clone(),
            circumstances: self.circumstances.clone(),
        }
    }
}

fn find_stage(graph: &Graph, name: &str) -> Result<StageId, Failure> {
    let found = name.parse().ok().filter(|id| graph.position(id).is_some());
    found.ok_or_else(|| {
        let names = || graph.nodes().iter().map(|node| node.id.as_str());
        let failure = Failure::new(Exit::Usage, format!("the spec has no stage `{name}`"));
        match nearest(name, names()) {
            Some(near) => failure.with_help(format!("did you mean `{near}`?")),
            None => failure.with_help("`pipeline status` lists the stages"),
        }
    })
}
