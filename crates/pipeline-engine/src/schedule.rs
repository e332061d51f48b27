//! Selects the stages that are ready: pure bookkeeping over the graph, unaware of stores and threads.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_core::Lane;

use crate::lanes::{Occupancy, PerLane};
use crate::options::RunOptions;
use crate::{Graph, Node};

/// The phase of a stage in a run.
///
/// A stage goes from `Open` to `Settled` through the phases between, and back to `Open` whenever an input has changed
/// or bytes are gone. `Failed` and `Skipped` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Needs a visit: ready as soon as all its inputs are settled.
    Open,
    /// Its inputs are settled and it must run, but another process computes its key; it is tried again soon.
    Waiting,
    /// Its inputs are settled and have their bytes: a thread computes it and takes one of the run's jobs.
    Working,
    /// It has been computed or reused: a thread stores or publishes its files, without taking a job.
    Storing,
    /// Up to date: its decision is to reuse, for the present inputs, and its files are published.
    Settled,
    /// It, or its publishing, has failed.
    Failed,
    /// It is below a failed stage, or the run stopped before it.
    Skipped,
}

/// The phases of all stages.
///
/// Invariants: `ready` and `ready_to_fill` hold exactly the open stages whose inputs are all settled; `n_working`,
/// `is_filled` and `n_storing` count the stages of these phases.
pub(crate) struct Schedule<'a> {
    graph: &'a Graph,
    stages: Vec<Scheduled>,
    /// The ready stages, except those that keep all threads busy.
    ready: PerLane<BTreeSet<Turn>>,
    /// The ready stages that keep all threads busy.
    ready_to_fill: BTreeSet<Turn>,
    n_working: PerLane<usize>,
    is_filled: bool,
    n_storing: usize,
}

/// The order in which stages are visited: those of this process's share first, otherwise as the graph has them.
type Turn = (u64, usize);

/// One stage.
struct Scheduled {
    phase: Phase,
    n_unsettled_inputs: usize,
    n_unsettled_consumers: usize,
    occupancy: Occupancy,
    turn: Turn,
}

impl<'a> Schedule<'a> {
    /// All stages open.
    pub fn new(graph: &'a Graph, options: &RunOptions) -> Self {
        let mut n_of_kind: BTreeMap<&str, usize> = BTreeMap::new();
        let scheduled = |(idx, node): (usize, &'a Node)| {
            let ordinal = n_of_kind.entry(node.stage.kind()).or_default();
            let turn = (options.share.map_or(0, |share| share.turn(*ordinal)), idx);
            *ordinal += 1;
            Scheduled {
                phase: Phase::Open,
                n_unsettled_inputs: graph.inputs(idx).len(),
                n_unsettled_consumers: graph.consumers(idx).len(),
                occupancy: Occupancy::new(node.stage.needs(), node.lane, options.plan.device),
                turn,
            }
        };
        let mut schedule = Self {
            graph,
            stages: graph.nodes().iter().enumerate().map(scheduled).collect(),
            ready: PerLane::default(),
            ready_to_fill: BTreeSet::new(),
            n_working: PerLane::default(),
            is_filled: false,
            n_storing: 0,
        };
        (0..graph.n_stages()).for_each(|idx| schedule.keep_ready(idx));
        schedule
    }

    /// The phase of a stage.
    pub fn phase(&self, idx: usize) -> Phase {
        self.stages[idx].phase
    }

    /// The lane in which a stage works.
    pub fn lane(&self, idx: usize) -> Lane {
        self.stages[idx].occupancy.lane
    }

    /// True when a stage could work now, if the lanes have that room.
    pub fn fits(&self, idx: usize, has_room: PerLane<bool>) -> bool {
        let occupancy = self.stages[idx].occupancy;
        *has_room.of(occupancy.lane) && (self.may_fill() || !occupancy.fills_threads)
    }

    /// The first ready stage in a lane that has room. A stage that keeps all threads busy excludes others of its sort.
    pub fn first_ready(&self, has_room: PerLane<bool>) -> Option<usize> {
        let first = |ready: &BTreeSet<Turn>, may_start: bool| ready.first().copied().filter(|_| may_start);
        let of_cpu = first(&self.ready.cpu, has_room.cpu);
        let to_fill = first(&self.ready_to_fill, has_room.cpu && self.may_fill());
        let of_gpu = first(&self.ready.gpu, has_room.gpu);
        [of_cpu, to_fill, of_gpu].into_iter().flatten().min().map(|(_, idx)| idx)
    }

    /// The number of stages that could work at once, by lane; at most one that keeps all threads busy.
    pub fn n_ready(&self) -> PerLane<usize> {
        let n_to_fill = usize::from(self.may_fill() && !self.ready_to_fill.is_empty());
        PerLane { cpu: self.ready.cpu.len() + n_to_fill, gpu: self.ready.gpu.len() }
    }

    /// True when every reader of a settled stage is settled, too.
    pub fn is_read_out(&self, idx: usize) -> bool {
        self.stages[idx].phase == Phase::Settled && self.stages[idx].n_unsettled_consumers == 0
    }

    /// The stages in a phase.
    pub fn of(&self, phase: Phase) -> impl Iterator<Item = usize> {
        self.stages.iter().enumerate().filter(move |(_, stage)| stage.phase == phase).map(|(idx, _)| idx)
    }

    /// The stages that work, by lane: each takes one of the run's jobs.
    pub fn n_working(&self) -> PerLane<usize> {
        self.n_working
    }

    /// The number of stages whose thread only stores files.
    pub fn n_storing(&self) -> usize {
        self.n_storing
    }

    /// The number of stages with a thread.
    pub fn n_busy(&self) -> usize {
        self.n_working.sum() + self.n_storing
    }

    /// True unless a stage works that keeps all threads busy.
    fn may_fill(&self) -> bool {
        !self.is_filled
    }

    /// Moves a stage to `phase`.
    pub fn set(&mut self, idx: usize, phase: Phase) {
        let previous = std::mem::replace(&mut self.stages[idx].phase, phase);
        if previous == phase {
            return;
        }
        self.count(idx, previous, false);
        self.count(idx, phase, true);
        self.keep_ready(idx);
    }

    /// Counts a stage that enters or leaves a phase.
    fn count(&mut self, idx: usize, phase: Phase, enters: bool) {
        let by_one = |n: &mut usize| if enters { *n += 1 } else { *n -= 1 };
        match phase {
            Phase::Working => {
                let occupancy = self.stages[idx].occupancy;
                by_one(self.n_working.of_mut(occupancy.lane));
                if occupancy.fills_threads {
                    self.is_filled = enters;
                }
            }
            Phase::Storing => by_one(&mut self.n_storing),
            Phase::Settled => {
                if enters {
                    self.count_settled(idx)
                } else {
                    self.count_unsettled(idx)
                }
            }
            Phase::Open | Phase::Waiting | Phase::Failed | Phase::Skipped => {}
        }
    }

    /// Marks the open and waiting stages below `idx` as skipped and returns them, inputs before readers.
    pub fn skip_below(&mut self, idx: usize) -> BTreeSet<usize> {
        let mut skipped = BTreeSet::new();
        let mut above = vec![idx];
        while let Some(idx) = above.pop() {
            for &consumer in self.graph.consumers(idx) {
                if matches!(self.stages[consumer].phase, Phase::Open | Phase::Waiting) {
                    self.set(consumer, Phase::Skipped);
                    skipped.insert(consumer);
                    above.push(consumer);
                }
            }
        }
        skipped
    }

    fn count_settled(&mut self, idx: usize) {
        for &consumer in self.graph.consumers(idx) {
            self.stages[consumer].n_unsettled_inputs -= 1;
            self.keep_ready(consumer);
        }
        for &input in self.graph.inputs(idx) {
            self.stages[input].n_unsettled_consumers -= 1;
        }
    }

    fn count_unsettled(&mut self, idx: usize) {
        for &consumer in self.graph.consumers(idx) {
            self.stages[consumer].n_unsettled_inputs += 1;
            self.keep_ready(consumer);
        }
        for &input in self.graph.inputs(idx) {
            self.stages[input].n_unsettled_consumers += 1;
        }
    }

    fn keep_ready(&mut self, idx: usize) {
        let Scheduled { occupancy, turn, .. } = self.stages[idx];
        let ready = if occupancy.fills_threads { &mut self.ready_to_fill } else { self.ready.of_mut(occupancy.lane) };
        if self.stages[idx].phase == Phase::Open && self.stages[idx].n_unsettled_inputs == 0 {
            ready.insert(turn);
        } else {
            ready.remove(&turn);
        }
    }
}
