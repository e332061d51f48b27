//! Brings the shards of a stage up to date: looks them up, computes the missing ones, skips those that others compute.
//!
//! The process that holds the stage's lock *leads*: it waits for every shard and makes the artifact. Others may *help*:
//! they compute shards that no other process computes, and leave when only such are missing.
//!
//! A stage that computes on cards has workers on the card that it holds, and on others as they are lent to it.

mod ahead;
mod count;
mod packing;
mod queue;
mod remembered;
mod role;
mod stop;
mod storing;

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use pipeline_core::{
    Computation, FileEntry, MAX_UNDIVIDED, Numerics, OpenRows, Shard, ShardOrder, ShardOutput, ShardedStage, Stage,
    StageContext, StageError, StageHost, shard_orders,
};
use pipeline_store::{KeyLock, LockOutcome, Owner, PackedShards};
use rayon::prelude::*;

use ahead::Ahead;
pub use count::ShardCount;
pub(crate) use count::count;
use packing::{Packing, Recorded};
use queue::{Next, Queue};
pub use remembered::{Remembered, RememberedResults, remembered};
pub(crate) use role::{Counts, Role};
use stop::{ClosesOnPanic, Leaves, Stop};
use storing::Found;
pub(crate) use storing::Storing;

use crate::Share;
use crate::cards::Held;
use crate::host::{Host, LOCK_POLL};
use crate::provenance::Machines;

/// The shards of an artifact.
pub(crate) struct Shards {
    /// By the name in the artifact.
    pub files: Vec<(String, FileEntry)>,
    /// True if they lie in folders, each of which becomes a sub-tree.
    pub is_divided: bool,
    /// The rows of each, in the same order.
    pub rows: Vec<u64>,
    pub counts: Counts,
    /// The classes of arithmetic that computed them, sorted; empty if that of a shard is unknown.
    pub numerics: Vec<Numerics>,
    /// The machines and cards that computed them, in whichever run.
    pub machines: Machines,
    /// The records to pack, if there are many and they are not packed yet.
    pub packing: Option<Packing>,
}

/// A stage whose rows are open.
pub(crate) struct Sharding<'a> {
    host: &'a Host<'a>,
    storing: &'a Storing<'a>,
    /// The card that the stage holds, if it computes on one.
    held: Option<&'a Held<'a>>,
    rows: Box<dyn OpenRows + 'a>,
    orders: Vec<ShardOrder>,
    role: Role,
    n_rows: u64,
    n_rows_done: AtomicU64,
    /// The rows that are done of the shards that are being computed.
    n_rows_begun: AtomicU64,
    shards: Mutex<Vec<Option<Shard>>>,
    counts: Mutex<Counts>,
    /// The classes that computed each shard.
    numerics: Mutex<BTreeSet<Vec<Numerics>>>,
    /// The machines and cards that computed them.
    machines: Mutex<Machines>,
    /// The facts about each shard that its packed record needs beside the shard; empty where none are packed.
    recorded: Mutex<Vec<Option<Recorded>>>,
    /// The shards that were found in packed records.
    n_packed: AtomicUsize,
}

/// What all workers of a stage share.
#[derive(Clone)]
struct Bench<'scope, 'env> {
    queue: &'env Queue,
    /// The workers on each card.
    n_on_card: usize,
    /// True once those of the card that the stage holds have ended.
    has_ended: &'env AtomicBool,
    scope: &'scope Scope<'scope, 'env>,
    /// `None` where every worker reads its own shards.
    ahead: Option<Arc<Ahead<'scope, 'env>>>,
}

/// The outcome of taking the next shard.
enum Taken {
    Remembered(Box<Found>),
    Missing(KeyLock),
    /// Another process computes it.
    Held(Owner),
}

impl<'a> Sharding<'a> {
    /// Reads the rows of the stage.
    pub fn open(
        stage: &'a dyn Stage,
        sharded: &'a dyn ShardedStage,
        context: &'a StageContext<'a>,
        host: &'a Host<'a>,
        storing: &'a Storing<'a>,
        held: Option<&'a Held<'a>>,
        role: Role,
    ) -> Result<Self, StageError> {
        let rows = sharded.open(context)?;
        let orders = shard_orders(stage, sharded, context.inputs, context.sources, rows.digests());
        let n_rows = rows.n_rows(0..rows.digests().len());
        let shards = Mutex::new(vec![None; orders.len()]);
        let is_packed = role == Role::Lead && orders.len() >= storing::MIN_PACKED;
        let recorded = Mutex::new(vec![None; if is_packed { orders.len() } else { 0 }]);
        let (n_rows_done, counts, numerics) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
        let (n_packed, n_rows_begun, machines) = (AtomicUsize::new(0), AtomicU64::new(0), Mutex::default());
        Ok(Self {
            host,
            storing,
            held,
            rows,
            orders,
            role,
            n_rows,
            n_rows_done,
            n_rows_begun,
            shards,
            counts,
            numerics,
            machines,
            recorded,
            n_packed,
        })
    }

    /// Brings all shards up to date, or with [`Role::Help`] those that no other process computes.
    pub fn bring_up_to_date(&self, share: Option<Share>) -> Result<Counts, StageError> {
        let missing = self.look_up()?;
        let n_rows_missing = missing.iter().map(|&idx| self.rows.n_rows(self.orders[idx].units.clone())).sum();
        let n_shards = [self.orders.len(), missing.len()].map(|n| n as u64);
        self.host.report_shards(n_shards, [self.n_rows, n_rows_missing]);
        let (n_missing, n_workers) = (missing.len(), self.rows.n_workers());
        let (n_places, n_on_card) = match self.held.map(|held| held.cards().n()) {
            Some(n_cards) => (n_cards.min(n_missing), n_workers.min(n_missing.div_ceil(n_cards))),
            None => (n_workers.min(n_missing), 1),
        };
        let has_ended = &AtomicBool::new(false);
        let queue = &Queue::new(match (share, self.role) {
            (Some(share), _) => share.order(missing, self.orders.len()),
            (None, Role::Lead) => missing,
            (None, Role::Help) => queue::from_elsewhere(missing),
        });
        thread::scope(|scope| {
            let ahead = (n_workers == 1).then(Arc::default);
            let bench = Bench { queue, n_on_card, has_ended, scope, ahead };
            let other = |_| {
                let bench = bench.clone();
                scope.spawn(move || self.work_beside(&bench))
            };
            let others: Vec<_> = (1..n_places).map(other).collect();
            let work = || self.work(&bench, self.held.and_then(Held::card), &|| false).map(drop);
            let own = work();
            has_ended.store(true, Ordering::SeqCst);
            self.held.iter().for_each(|held| held.cards().look_again());
            let others = others.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            others.fold(own, |all, other| all.and(other))?;
            // A worker that had to leave its card may have put a shard back after all others had ended.
            while self.role == Role::Lead && !queue.is_empty() {
                work()?;
            }
            Ok(())
        })?;
        Ok(*self.counts())
    }

    /// All shards and the report of the stage, once all are up to date.
    pub fn finish(self, scratch: &std::path::Path) -> Result<(pipeline_core::StageReport, Shards), StageError> {
        let counts = *self.counts();
        let numerics = all_classes(&self.numerics());
        let recorded = self.recorded.into_inner().unwrap_or_else(PoisonError::into_inner);
        let recorded = recorded.into_iter().map(|recorded| recorded.expect("a shard that is up to date was added"));
        let machines = self.machines.into_inner().unwrap_or_else(PoisonError::into_inner);
        let is_packed = self.n_packed.into_inner() == self.orders.len();
        let shards = self.shards.into_inner().unwrap_or_else(PoisonError::into_inner);
        let shards: Vec<Shard> =
            shards.into_iter().map(|shard| shard.expect("a stage that is led waits for all its shards")).collect();
        let report = self.rows.finish(&shards, scratch)?;
        let rows = shards.iter().map(|shard| shard.report.n_rows).collect();
        let is_divided = shards.len() > MAX_UNDIVIDED;
        let names = self.orders.iter().map(|order| order.name.clone());
        let files = names.zip(shards.iter().map(|shard| shard.entry)).collect();
        let packing = if is_packed { None } else { Packing::of(&self.orders, shards, recorded.collect()) };
        Ok((report, Shards { files, is_divided, rows, counts, numerics, machines, packing }))
    }

    /// Adds the remembered shards; returns the indices of the others.
    fn look_up(&self) -> Result<Vec<usize>, StageError> {
        if !self.host.is_forced() {
            self.storing.fetch(&self.orders);
        }
        let packed = match self.host.is_forced() {
            true => PackedShards::default(),
            false => self.storing.packed_shards(&self.orders),
        };
        let look = |(shard_idx, order): (usize, &ShardOrder)| {
            if self.host.is_cancelled() {
                return Err(StageError::cancelled());
            }
            let found = match self.storing.packed(&packed, &order.key) {
                Some(found) => {
                    self.n_packed.fetch_add(1, Ordering::Relaxed);
                    Some(found)
                }
                None => self.remembered(order)?,
            };
            let is_missing = found.is_none();
            if let Some(found) = found {
                self.add(shard_idx, found);
                self.counts().n_reused += 1;
            }
            Ok(is_missing.then_some(shard_idx))
        };
        let looked: Vec<Option<usize>> = self.orders.par_iter().enumerate().map(look).collect::<Result<_, _>>()?;
        Ok(looked.into_iter().flatten().collect())
    }

    /// Every shard of a forced stage counts as missing.
    fn remembered(&self, order: &ShardOrder) -> Result<Option<Found>, StageError> {
        if self.host.is_forced() { Ok(None) } else { self.storing.remembered(&order.name, &order.key) }
    }

    /// The work of a worker beside the first: on the processor, or on each card that is lent, until it is wanted back.
    fn work_beside<'env>(&'env self, bench: &Bench<'_, 'env>) -> Result<(), StageError> {
        let Some(cards) = self.held.map(Held::cards) else { return self.work(bench, None, &|| false).map(drop) };
        let has_ended = || bench.has_ended.load(Ordering::SeqCst);
        let is_over = || has_ended() || bench.queue.is_empty() || self.host.is_cancelled();
        while let Some(lent) = cards.borrow(is_over) {
            let _leaves = Leaves { rows: &*self.rows, card: lent.card() };
            let worked = self.work(bench, lent.card(), &|| lent.is_wanted());
            if worked.is_err() && !self.host.is_cancelled() {
                lent.look();
            }
            if worked? == Stop::NothingLeft {
                break;
            }
        }
        Ok(())
    }

    /// Computes shards until none is left or the worker must leave; on a card with others that share it. A failure ends
    /// all workers, and so does a panic.
    fn work<'env>(
        &'env self,
        bench: &Bench<'_, 'env>,
        card: Option<u16>,
        must_leave: &(dyn Fn() -> bool + Sync),
    ) -> Result<Stop, StageError> {
        let work = || {
            let _closes = ClosesOnPanic(bench.queue);
            let worked = self.work_until(bench, card, must_leave);
            if worked.is_err() {
                bench.queue.close();
            }
            worked
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..bench.n_on_card).map(|_| scope.spawn(work)).collect();
            let own = work();
            let others = others.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            others.fold(own, |all, other| all.and(other))
        })
    }

    fn work_until<'env>(
        &'env self,
        bench: &Bench<'_, 'env>,
        card: Option<u16>,
        must_leave: &dyn Fn() -> bool,
    ) -> Result<Stop, StageError> {
        let queue = bench.queue;
        while !must_leave() {
            let Some(shard_idx) = queue.take() else { return Ok(Stop::NothingLeft) };
            if self.host.is_cancelled() {
                return Err(StageError::cancelled());
            }
            let order = &self.orders[shard_idx];
            match self.take(order)? {
                Taken::Remembered(found) => {
                    match found.is_own {
                        true => self.counts().n_reused += 1,
                        false => self.counts().n_by_others += 1,
                    }
                    bench.forget(shard_idx);
                    self.add(shard_idx, *found);
                    queue.made_progress();
                }
                Taken::Missing(lock) => {
                    let computation = self.read(shard_idx, bench)?;
                    self.compute(shard_idx, lock, card, computation)?;
                    queue.made_progress();
                }
                Taken::Held(owner) => {
                    bench.forget(shard_idx);
                    match (queue.put_off(shard_idx), self.role) {
                        (Next::Another, _) => {}
                        (Next::OnlyHeld, Role::Help) => return Ok(Stop::NothingLeft),
                        (Next::OnlyHeld, Role::Lead) => {
                            self.host.report_waiting(&owner);
                            thread::sleep(LOCK_POLL);
                        }
                    }
                }
            }
        }
        Ok(Stop::CardIsWanted)
    }

    fn take(&self, order: &ShardOrder) -> Result<Taken, StageError> {
        match self.host.lock(&order.key).map_err(|error| storing::store_error(&order.name, error))? {
            LockOutcome::Held(owner) => Ok(Taken::Held(owner)),
            // Another process may have computed it before the lock was free.
            LockOutcome::Acquired(lock) => {
                let found = self.remembered(order)?;
                Ok(found.map_or(Taken::Missing(lock), |found| Taken::Remembered(Box::new(found))))
            }
        }
    }

    /// Reads a shard, and begins to read the next one if workers read ahead.
    fn read<'env>(&'env self, shard_idx: usize, bench: &Bench<'_, 'env>) -> Result<Box<Computation<'env>>, StageError> {
        let read = |shard_idx: usize| self.rows.read(self.orders[shard_idx].units.clone());
        let Some(ahead) = &bench.ahead else { return read(shard_idx) };
        let computation = ahead.take(shard_idx).unwrap_or_else(|| read(shard_idx))?;
        ahead.begin(bench.scope, bench.queue, read);
        Ok(computation)
    }

    fn compute(
        &self,
        shard_idx: usize,
        lock: KeyLock,
        card: Option<u16>,
        computation: Box<Computation<'_>>,
    ) -> Result<(), StageError> {
        let of_shard = AtomicU64::new(0);
        let begun = |n_done: u64| {
            let before = of_shard.swap(n_done, Ordering::Relaxed);
            self.n_rows_begun.fetch_add(n_done.wrapping_sub(before), Ordering::Relaxed);
        };
        let progress = |n_done: u64| {
            begun(n_done);
            self.report_progress();
        };
        let order = &self.orders[shard_idx];
        let found = self.storing.compute(order, self.host.is_forced(), lock, card, |path| {
            computation(&ShardOutput { path, card, progress: &progress })
        })?;
        begun(0);
        {
            let mut counts = self.counts();
            counts.n_computed += 1;
            counts.n_rows_computed += found.report.n_rows;
        }
        self.add(shard_idx, found);
        self.host.report_computed(self.rows.n_rows(order.units.clone()));
        Ok(())
    }

    fn add(&self, shard_idx: usize, Found { entry, report, numerics, machine, has_objects, record, .. }: Found) {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).add(machine.clone());
        if let Some(recorded) = self.recorded.lock().unwrap_or_else(PoisonError::into_inner).get_mut(shard_idx) {
            *recorded = Some(Recorded { numerics: numerics.clone(), machine, has_objects, record });
        }
        self.numerics().insert(numerics);
        let units = self.orders[shard_idx].units.clone();
        self.n_rows_done.fetch_add(self.rows.n_rows(units.clone()), Ordering::Relaxed);
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)[shard_idx] = Some(Shard { units, entry, report });
        self.report_progress();
    }

    /// Reports the rows that are done, also those of unfinished shards.
    fn report_progress(&self) {
        if self.role == Role::Lead {
            let [n_done, n_begun] = [&self.n_rows_done, &self.n_rows_begun].map(|n| n.load(Ordering::Relaxed));
            self.host.progress((n_done + n_begun).min(self.n_rows), Some(self.n_rows));
        }
    }

    fn numerics(&self) -> MutexGuard<'_, BTreeSet<Vec<Numerics>>> {
        self.numerics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bench<'_, '_> {
    /// Drops a shard that was read and need not be computed now.
    fn forget(&self, shard_idx: usize) {
        self.ahead.iter().for_each(|ahead| ahead.forget(shard_idx));
    }
}

/// The classes of all shards; empty if those of one are unknown.
fn all_classes(sets: &BTreeSet<Vec<Numerics>>) -> Vec<Numerics> {
    let is_known = sets.iter().all(|set| !set.is_empty());
    let classes: BTreeSet<Numerics> = sets.iter().filter(|_| is_known).flatten().copied().collect();
    classes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arithmetic_of_an_artifact_is_unknown_if_that_of_a_shard_is() {
        let sets = |sets: &[&[Numerics]]| all_classes(&sets.iter().map(|set| set.to_vec()).collect());
        assert_eq!(sets(&[&[Numerics::Fma], &[Numerics::Plain, Numerics::Fma]]), [Numerics::Plain, Numerics::Fma]);
        assert_eq!(sets(&[&[Numerics::Fma], &[]]), []);
    }
}
