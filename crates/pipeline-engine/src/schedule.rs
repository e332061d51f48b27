//! Which stages may be looked at next: pure bookkeeping over the graph, unaware of stores and threads.

use std::collections::BTreeSet;

use pipeline_core::{Device, Pool};

use crate::Graph;

/// Where a stage is in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Still to be looked at, or to be looked at again.
    Open,
    /// Another process computes its key; it is asked about again soon.
    Waiting,
    /// A thread works on it.
    Running,
    /// Up to date: reused or finished, its files published.
    Settled,
    /// Failed.
    Failed,
    /// Below a failed stage, or left over by a run that stopped.
    Skipped,
}

/// The phases of all stages.
///
/// Invariant: `ready` and `ready_to_fill` hold exactly the open stages whose inputs are all settled.
pub(crate) struct Schedule<'a> {
    graph: &'a Graph,
    phases: Vec<Phase>,
    n_unsettled_inputs: Vec<usize>,
    n_unsettled_consumers: Vec<usize>,
    pools: Vec<Pool>,
    /// Stages of the pool `cpu` that keep all threads busy.
    fills: Vec<bool>,
    /// All but those.
    ready: Pools<BTreeSet<usize>>,
    ready_to_fill: BTreeSet<usize>,
}

/// A value for each pool.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pools<T> {
    pub cpu: T,
    pub gpu: T,
}

impl<T> Pools<T> {
    pub fn of_mut(&mut self, pool: Pool) -> &mut T {
        match pool {
            Pool::Cpu => &mut self.cpu,
            Pool::Gpu => &mut self.gpu,
        }
    }
}

impl<'a> Schedule<'a> {
    /// All stages open.
    pub fn new(graph: &'a Graph, device: Device) -> Self {
        let n_stages = graph.n_stages();
        let n_unsettled_inputs: Vec<usize> = (0..n_stages).map(|idx| graph.inputs(idx).len()).collect();
        let pools: Vec<Pool> = graph.nodes().iter().map(|node| node.pool_on(device)).collect();
        let fills = (graph.nodes().iter().zip(&pools))
            .map(|(node, pool)| *pool == Pool::Cpu && node.stage.fills_threads())
            .collect();
        let mut schedule = Self {
            graph,
            phases: vec![Phase::Open; n_stages],
            n_unsettled_consumers: (0..n_stages).map(|idx| graph.consumers(idx).len()).collect(),
            pools,
            fills,
            ready: Pools::default(),
            ready_to_fill: BTreeSet::new(),
            n_unsettled_inputs,
        };
        (0..n_stages).for_each(|idx| schedule.keep_ready(idx));
        schedule
    }

    /// The phase of a stage.
    pub fn phase(&self, idx: usize) -> Phase {
        self.phases[idx]
    }

    /// What a stage occupies.
    pub fn pool(&self, idx: usize) -> Pool {
        self.pools[idx]
    }

    /// True for a stage beside which no other of its sort works.
    pub fn fills_threads(&self, idx: usize) -> bool {
        self.fills[idx]
    }

    /// The first stage that can be looked at in a pool that has room, or none; without `may_fill` none that keeps all
    /// threads busy.
    pub fn first_ready(&self, has_room: Pools<bool>, may_fill: bool) -> Option<usize> {
        let first = |ready: &BTreeSet<usize>, may_start: bool| ready.first().copied().filter(|_| may_start);
        let of_cpu = first(&self.ready.cpu, has_room.cpu);
        let to_fill = first(&self.ready_to_fill, has_room.cpu && may_fill);
        let of_gpu = first(&self.ready.gpu, has_room.gpu);
        [of_cpu, to_fill, of_gpu].into_iter().flatten().min()
    }

    /// The number of stages that could work at once, by pool: of those that keep all threads busy at most one, without
    /// `may_fill` none.
    pub fn n_ready(&self, may_fill: bool) -> Pools<usize> {
        let n_to_fill = usize::from(may_fill && !self.ready_to_fill.is_empty());
        Pools { cpu: self.ready.cpu.len() + n_to_fill, gpu: self.ready.gpu.len() }
    }

    /// True when every reader of a settled stage is settled too.
    pub fn is_read_out(&self, idx: usize) -> bool {
        self.phases[idx] == Phase::Settled && self.n_unsettled_consumers[idx] == 0
    }

    /// Puts a stage into `phase`.
    pub fn set(&mut self, idx: usize, phase: Phase) {
        let was_settled = self.phases[idx] == Phase::Settled;
        self.phases[idx] = phase;
        match (was_settled, phase == Phase::Settled) {
            (false, true) => self.count_settled(idx),
            (true, false) => self.count_unsettled(idx),
            _ => {}
        }
        self.keep_ready(idx);
    }

    /// Marks the open and waiting stages below `idx` as skipped and returns them, inputs before readers.
    pub fn skip_below(&mut self, idx: usize) -> BTreeSet<usize> {
        let mut skipped = BTreeSet::new();
        let mut above = vec![idx];
        while let Some(idx) = above.pop() {
            for &consumer in self.graph.consumers(idx) {
                if matches!(self.phases[consumer], Phase::Open | Phase::Waiting) {
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
            self.n_unsettled_inputs[consumer] -= 1;
            self.keep_ready(consumer);
        }
        for &input in self.graph.inputs(idx) {
            self.n_unsettled_consumers[input] -= 1;
        }
    }

    fn count_unsettled(&mut self, idx: usize) {
        for &consumer in self.graph.consumers(idx) {
            self.n_unsettled_inputs[consumer] += 1;
            self.keep_ready(consumer);
        }
        for &input in self.graph.inputs(idx) {
            self.n_unsettled_consumers[input] += 1;
        }
    }

    fn keep_ready(&mut self, idx: usize) {
        let ready = if self.fills[idx] { &mut self.ready_to_fill } else { self.ready.of_mut(self.pools[idx]) };
        if self.phases[idx] == Phase::Open && self.n_unsettled_inputs[idx] == 0 {
            ready.insert(idx);
        } else {
            ready.remove(&idx);
        }
    }
}
