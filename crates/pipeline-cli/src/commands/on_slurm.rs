//! `pipeline run --executor slurm`: plans, submits workers for what is missing, and watches them; and its workers.

use pipeline_core::{Device, Event, EventRecord, Lane, RunId, StageWork};
use pipeline_engine::{Cancel, Decision, Node, Plan, PlanOptions, PlannedStage, RunOptions, RunRole, Watch};
use pipeline_experiments::Opened;
use pipeline_store::Circumstances;

use crate::args::{ExecutorArg, PoolArg, RunArgs};
use crate::commands::planned::Counts;
use crate::commands::run::{carry_out_with, conclude, expected, run_here};
use crate::door;
use crate::executor::{Plans, Slurm, task, words as words_of};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::Renderer;
use crate::terminal::{Terminal, Verbosity};

/// The most tasks of the lane `cpu` and of the lane `gpu` unless the user says otherwise.
const DEFAULT_WORKERS: [u16; 2] = [16, 4];

/// Refuses options that mean nothing together.
///
/// # Errors
/// When there are some.
pub fn check_arguments(args: &RunArgs) -> Result<(), Failure> {
    let slurm = &args.slurm;
    let usage = |message: &str| Err(Failure::new(Exit::Usage, message));
    if args.execution.executor == ExecutorArg::Slurm {
        if !args.execution.device.cards.is_empty() {
            let name = args.execution.device.device.name();
            return Err(Failure::new(Exit::Usage, "`--executor slurm` takes no numbers of cards: Slurm chooses them")
                .with_help(format!(
                    "write `--device {name}`; `--sbatch-gpu \"--gres gpu:2\"` gives two to each worker"
                )));
        }
        let is_worker = slurm.pool.is_some() || slurm.join.is_some() || args.execution.share.is_some();
        return if is_worker {
            usage("`--share`, `--pool` and `--join` are for workers, and `--executor slurm` makes them")
        } else {
            Ok(())
        };
    }
    let is_for_slurm = slurm.workers.is_some() || slurm.gpu_workers.is_some() || slurm.sbatch.is_some();
    if is_for_slurm || slurm.sbatch_gpu.is_some() || slurm.detach {
        return usage(
            "`--workers`, `--gpu-workers`, `--sbatch`, `--sbatch-gpu` and `--detach` need `--executor slurm`",
        );
    }
    Ok(())
}

/// Lets a run be a worker where the arguments ask for it: of one lane, with its events in the folder of another run.
/// Forced stages are left to the first worker of their lane.
pub fn let_work(args: &RunArgs, opened: &Opened, options: &mut RunOptions) {
    let idx = options.share.map_or(0, |share| share.idx());
    options.pool = args.slurm.pool.map(PoolArg::lane);
    if let Some(run) = &args.slurm.join {
        let worker = args.slurm.pool.map_or_else(|| idx.to_string(), |pool| format!("{}-{idx}", pool.name()));
        options.role = RunRole::Join { run: RunId(run.clone()), worker };
        if idx > 0 {
            options.plan.forced.clear();
        }
    }
    let (pool, device) = (options.pool, options.plan.device);
    options.plan.forced.retain(|stage| {
        let node = opened.graph.position(stage).map(|idx| &opened.graph.nodes()[idx]);
        pool.is_none() || node.map(|node| lane_of(node, device)) == pool
    });
}

fn lane_of(node: &Node, device: Device) -> Lane {
    node.lane.unwrap_or_else(|| node.stage.needs().lane_on(device))
}

/// Runs what is missing on the cluster, unless nothing is.
///
/// # Errors
/// When there is no Slurm, it refuses the workers, or the run cannot begin or be recorded.
pub fn run(
    args: &RunArgs,
    opened: &Opened,
    circumstances: Option<Circumstances>,
    options: &RunOptions,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let plan_options = PlanOptions { counts_shards: true, ..options.plan.clone() };
    let plan = opened.plan(&plan_options).map_err(|error| Failure::of_plan(opened, error))?;
    let counts = Counts::of(&plan);
    if counts.n_run + counts.n_depends == 0 {
        return run_here(args, opened, circumstances, options, terminal);
    }
    let info = opened.info(circumstances);
    let plans = Plans {
        name: format!("pipeline-{}", opened.spec.name),
        arguments: std::iter::once(program()?)
            .chain(task::arguments(args, &opened.named, opened.store.artifacts()))
            .collect(),
        folder: door::here(),
        variables: task::variables(
            opened.settings.environment.needed(),
            opened.store.remote().map(pipeline_store::RemoteLink::url),
        ),
        yaml: info.yaml.clone(),
        arrays: arrays(args, opened, &plan, options)?,
        detach: args.slurm.detach,
    };
    let (watch, cancel) = (Watch::default(), Cancel::new());
    let mut slurm = Slurm::new(plans, &opened.store, &watch, &cancel)?;
    let options = RunOptions { role: RunRole::Watch(watch), ..options.clone() };
    let mut on_event = |record: &EventRecord| {
        if let Event::RunStarted { run, .. } = &record.event {
            slurm.begin(run);
        }
    };
    let verbosity = if args.slurm.detach { Verbosity::Quiet } else { terminal.verbosity };
    let expected = expected(&opened.store, &info.path, Vec::new());
    let renderer = Renderer::new(&Terminal { verbosity, ..terminal.clone() }, args.json, expected);
    let carried = carry_out_with(opened, &info, &options, renderer, terminal, &cancel, &mut on_event);
    let exit = carried.as_ref().map_or(Exit::StageFailed, |(exit, ..)| *exit);
    let ended = slurm.end(exit, &opened.store, terminal);
    let (_, _, shown) = carried?;
    let exit = ended?;
    conclude(&shown, exit, args.json || args.slurm.detach, terminal)
}

/// The path of this program, which every node must have.
fn program() -> Result<String, Failure> {
    Ok(std::env::current_exe()?.to_string_lossy().into_owned())
}

/// The pools that have work, with the numbers of their tasks and the arguments of `sbatch`.
fn arrays(
    args: &RunArgs,
    opened: &Opened,
    plan: &Plan,
    options: &RunOptions,
) -> Result<Vec<(PoolArg, u64, Vec<String>)>, Failure> {
    let split = |option: &str, text: Option<&String>| {
        let words = text.map_or(Ok(Vec::new()), |text| words_of(text));
        words.map_err(|message| Failure::new(Exit::Usage, format!("`{option}`: {message}")))
    };
    let common = split("--sbatch", args.slurm.sbatch.as_ref())?;
    let for_gpu = match &args.slurm.sbatch_gpu {
        Some(text) => split("--sbatch-gpu", Some(text))?,
        None => common.iter().cloned().chain(["--gres".to_owned(), "gpu:1".to_owned()]).collect(),
    };
    let [cpu, gpu] = DEFAULT_WORKERS;
    let pools = [
        (PoolArg::Cpu, args.slurm.workers.unwrap_or(cpu), common),
        (PoolArg::Gpu, args.slurm.gpu_workers.unwrap_or(gpu), for_gpu),
    ];
    let with_work = pools.into_iter().filter_map(|(pool, n_most, more)| {
        let n_tasks = n_useful(pool.lane(), opened, plan, options)?.min(u64::from(n_most));
        Some((pool, n_tasks, more))
    });
    Ok(with_work.collect())
}

/// The number of workers of a lane that have something to do at once, at most; `None` when none has.
fn n_useful(lane: Lane, opened: &Opened, plan: &Plan, options: &RunOptions) -> Option<u64> {
    let mut n_useful: u64 = 0;
    for stage in plan.stages.iter().filter(|stage| !matches!(stage.decision, Decision::Reuse { .. })) {
        let Some(idx) = opened.graph.position(&stage.id) else { continue };
        let node = &opened.graph.nodes()[idx];
        if lane_of(node, options.plan.device) == lane {
            n_useful = n_useful.saturating_add(n_parts(stage, &node.stage.work()));
        }
    }
    (n_useful > 0).then_some(n_useful)
}

/// The parts of a stage that can be computed at once.
fn n_parts(stage: &PlannedStage, work: &StageWork<'_>) -> u64 {
    match (work, stage.shards) {
        (StageWork::Whole(_), _) => 1,
        (_, Some(shards)) => shards.n_missing.max(1) as u64,
        // Its rows are not known yet.
        (_, None) => u64::MAX,
    }
}
