//! The number of shards of a stage that a run would compute, found without writing anything.

use std::collections::BTreeMap;
use std::path::Path;

use pipeline_core::{
    Cut, Derived, InputArtifact, RunReason, ShardOrder, ShardedStage, SourceFile, Stage, StageContext, StageError,
    StageHost, StageWork, shard_orders,
};
use pipeline_store::{OpenTree, Store};
use rayon::prelude::*;

use super::storing;
use crate::Node;
use crate::decision::Decision;
use crate::derived;
use crate::host::source_files;
use crate::options::PlanOptions;
use crate::resolver::Resolver;

/// The shards of a stage that must run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardCount {
    /// Shards that are to be computed.
    pub n_missing: usize,
    /// Shards in all.
    pub n_shards: usize,
}

/// Counts the shards of a stage that must run. `None` for a stage without shards, and where its rows cannot be read
/// yet: a source or an input is missing or unusable, which a run will report.
pub(crate) fn count(
    resolver: &mut Resolver<'_>,
    idx: usize,
    decision: &Decision,
    options: &PlanOptions,
) -> Option<ShardCount> {
    let Decision::Run { why, .. } = decision else { return None };
    let node = &resolver.graph.nodes()[idx];
    let StageWork::Sharded(sharded) = node.stage.work() else { return None };
    let orders = orders(resolver, idx, node, sharded, options)?;
    let store = resolver.store;
    let (arithmetic, numerics) = (options.arithmetic, options.arithmetic.class(node.stage.needs(), options.device));
    if *why != RunReason::Forced {
        store.records().fetch_shards(&storing::keys(&orders));
    }
    let packed = storing::packed_shards(store, &orders);
    let is_missing = |order: &&ShardOrder| {
        if storing::packed(store, &packed, &order.key, arithmetic, numerics).is_some() {
            return false;
        }
        let record = store.records().get_shard(&order.key).ok().flatten();
        record.and_then(|record| storing::usable(store, record, arithmetic, numerics)).is_none()
    };
    let n_missing = if *why == RunReason::Forced { orders.len() } else { orders.par_iter().filter(is_missing).count() };
    Some(ShardCount { n_missing, n_shards: orders.len() })
}

/// The shards of a stage. `None` where its rows cannot be read.
pub(super) fn orders(
    resolver: &mut Resolver<'_>,
    idx: usize,
    node: &Node,
    sharded: &dyn ShardedStage,
    options: &PlanOptions,
) -> Option<Vec<ShardOrder>> {
    if resolver.sources(idx).missing.is_some() {
        return None;
    }
    let sources = resolver.sources(idx).list().iter().map(|source| (source.name.clone(), source.digest)).collect();
    let cut = sharded.cut();
    let mut open: Vec<OpenTree> = Vec::new();
    let mut inputs = BTreeMap::new();
    for (slot, &input) in node.inputs.keys().zip(resolver.graph.inputs(idx)) {
        let store = resolver.store;
        let tree = resolver.tree(input).ok()??.clone();
        // Shards of an input are determined by their digests alone: no file is opened, and its bytes may be gone.
        let artifact = match cut {
            Cut::Input { .. } => {
                let whole = store.cas().whole(&tree).ok()?.into_owned();
                InputArtifact::in_folder(store.artifacts().to_owned(), whole)
            }
            Cut::Rows(_) => {
                let tree = store.cas().open_outside(&tree).ok()?;
                let artifact = tree.artifact().clone();
                open.push(tree);
                artifact
            }
        };
        inputs.insert(slot.clone(), artifact);
    }
    let stage: &dyn Stage = &*node.stage;
    match cut {
        Cut::Input { slot, shards, parts } => {
            let units = Cut::input_units(&shards(&inputs.get(slot)?.tree), parts);
            Some(shard_orders(stage, sharded, &inputs, &sources, &units))
        }
        Cut::Rows(_) => {
            let device = options.device;
            let context = StageContext {
                stage: &node.id,
                inputs: &inputs,
                sources: &sources,
                device,
                card: None,
                n_threads: 1,
                host: &Silent(resolver.store),
            };
            let rows = sharded.open(&context).ok()?;
            Some(shard_orders(stage, sharded, &inputs, &sources, rows.digests()))
        }
    }
}

/// The host of a stage of which only the rows are read.
struct Silent<'a>(&'a Store);

impl StageHost for Silent<'_> {
    fn progress(&self, _: u64, _: Option<u64>) {}
    fn warn(&self, _: String) {}
    fn output(&self, _: &str) {}
    fn redraw(&self, _: &str) {}
    fn source_files(&self, folder: &Path) -> Result<Vec<SourceFile>, StageError> {
        source_files(self.0, folder)
    }
    fn derived(
        &self,
        derived: &Derived<'_>,
        _: bool,
        make: &dyn Fn() -> Result<Vec<u8>, StageError>,
    ) -> Result<Option<Vec<u8>>, StageError> {
        Ok(Some(derived::find(self.0, derived)?.map_or_else(make, Ok)?))
    }
    fn is_cancelled(&self) -> bool {
        false
    }
}
