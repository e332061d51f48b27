//! Drops bytes that the spec does not retain, except those that another artifact of this graph, another spec or a run
//! holds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pipeline_core::{Event, Tree};
use pipeline_store::StoreError;

use crate::holdings::Holdings;
use crate::schedule::Phase;
use crate::stage_state::Bytes;
use crate::state::State;

/// The interval at which the holds of others are read again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The outcome of dropping bytes that are not retained.
enum Drop {
    /// This many bytes were dropped; the rest has another holder.
    Done(u64),
    /// A stage of this run may read them again.
    PutOff,
}

impl State<'_, '_> {
    /// Records that an artifact holds its objects, once that matters.
    pub fn hold(&mut self, idx: usize) {
        if let Some(holdings) = &mut self.holdings
            && let Ok(Some(objects)) = self.resolver.objects(idx)
        {
            holdings.hold(idx, objects);
        }
    }

    /// Drops the bytes of a stage that is not retained once all its readers are settled. A worker drops nothing: the
    /// run that it has joined may still publish it.
    pub fn drop_if_read_out(&mut self, idx: usize) {
        let node = &self.resolver.graph.nodes()[idx];
        self.stages[idx].bytes = Bytes::Kept;
        if node.retain
            || self.journal.is_joined()
            || self.keepers.forced.contains(&node.id)
            // They are still to be published, once nothing is in the way.
            || self.unpublished.contains(&idx)
            || !self.schedule.is_read_out(idx)
        {
            return;
        }
        match self.drop_bytes(idx) {
            Ok(Drop::PutOff) => self.stages[idx].bytes = Bytes::PutOff,
            Ok(Drop::Done(bytes)) => {
                self.stages[idx].bytes = Bytes::Dropped;
                if bytes > 0 {
                    self.journal.emit(Event::ArtifactDropped { stage: self.id(idx), bytes });
                }
            }
            Err(error) => {
                let message = format!("its bytes could not be dropped: {error}");
                self.journal.emit(Event::StageWarning { stage: self.id(idx), message });
            }
        }
    }

    /// Drops, at the end, bytes that had to stay while they could still be read, or while another run used them that
    /// may have ended since.
    pub fn drop_put_off(&mut self) {
        self.is_over = true;
        let again = std::mem::take(&mut self.keepers.left);
        if !again.is_empty() {
            self.keepers.others = None;
        }
        for idx in 0..self.stages.len() {
            if self.stages[idx].bytes == Bytes::PutOff || again.contains(&idx) {
                self.drop_if_read_out(idx);
            }
        }
    }

    /// True if bytes were left that another run, which goes on, may hold: a later run must look at them again.
    pub fn has_left_bytes(&self) -> Result<bool, StoreError> {
        Ok(!self.keepers.left.is_empty() && self.resolver.store.is_running_beside(self.journal.run())?)
    }

    fn drop_bytes(&mut self, idx: usize) -> Result<Drop, StoreError> {
        let store = self.resolver.store;
        let has_any = |tree: Option<&Tree>| tree.map_or(Ok(false), |tree| store.cas().has_any(tree));
        // Another run may have dropped a part of them.
        if !has_any(self.resolver.tree(idx)?)? {
            return Ok(Drop::Done(0));
        }
        if !self.is_over && self.may_be_read_again(idx)? {
            return Ok(Drop::PutOff);
        }
        self.build_holdings()?;
        self.ask_others()?;
        let (Some(holdings), Some((_, others))) = (&mut self.holdings, &self.keepers.others) else {
            return Ok(Drop::Done(0));
        };
        holdings.release(idx);
        let Some(tree) = self.resolver.tree(idx)? else { return Ok(Drop::Done(0)) };
        let bytes = store.cas().drop_tree(tree, &|digest| holdings.is_held(digest) || others.contains(digest))?;
        if store.cas().has_any(tree)? {
            self.keepers.left.insert(idx);
        }
        self.resolver.ask_for_bytes(idx);
        Ok(Drop::Done(bytes))
    }

    /// Reads the holds of other specs and runs of the store, unless that was done just now.
    fn ask_others(&mut self) -> Result<(), StoreError> {
        if self.keepers.others.as_ref().is_some_and(|(asked, _)| asked.elapsed() < ASK_AGAIN_AFTER) {
            return Ok(());
        }
        let held = self.resolver.store.held_by_others(self.keepers.spec, self.journal.run())?;
        self.keepers.others = Some((Instant::now(), held));
        Ok(())
    }

    /// True if a reader that has lost its own bytes may have to run again for a reader of its own.
    fn may_be_read_again(&mut self, idx: usize) -> Result<bool, StoreError> {
        let graph = self.resolver.graph;
        let (mut lost, mut seen) = (vec![idx], BTreeSet::new());
        while let Some(idx) = lost.pop() {
            for &reader in graph.consumers(idx) {
                if self.schedule.phase(reader) != Phase::Settled {
                    return Ok(true);
                }
                if seen.insert(reader) && !self.resolver.has_bytes(reader)? {
                    lost.push(reader);
                }
            }
        }
        Ok(false)
    }

    /// From now on every known artifact of this graph holds its objects.
    fn build_holdings(&mut self) -> Result<(), StoreError> {
        if self.holdings.is_some() {
            return Ok(());
        }
        let mut holdings = Holdings::new(self.stages.len());
        for idx in 0..self.stages.len() {
            if let Some(objects) = self.resolver.objects(idx)? {
                holdings.hold(idx, objects);
            }
        }
        self.holdings = Some(holdings);
        Ok(())
    }
}
