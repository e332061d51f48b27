//! The results that a store or its remote remembers, shard by shard, for those who want to compute some of them again.

use std::path::Path;

use pipeline_core::{Key, StageId, StageWork};
use pipeline_store::Store;

use super::count::orders;
use super::storing;
use crate::Graph;
use crate::decision::Decision;
use crate::error::EngineError;
use crate::options::PlanOptions;
use crate::plan::decide_all;
use crate::resolver::Resolver;

/// A remembered result: a shard, or a stage without shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The stage.
    pub stage: StageId,
    /// The key of the result.
    pub key: Key,
    /// The key of the stage's result, which is the same for a stage without shards.
    pub stage_key: Key,
}

impl Remembered {
    /// True for a shard.
    pub fn is_shard(&self) -> bool {
        self.key != self.stage_key
    }
}

/// The remembered results of a spec that this machine's arithmetic would reuse.
///
/// # Errors
/// When the store cannot be read.
pub fn remembered(
    graph: &Graph,
    store: &Store,
    spec: &Path,
    options: &PlanOptions,
) -> Result<Vec<Remembered>, EngineError> {
    let mut resolver = Resolver::new(graph, store, spec, options)?;
    let decided = decide_all(&mut resolver)?;
    let mut results = Vec::new();
    for (idx, decided) in decided.iter().enumerate() {
        let Decision::Reuse { key: stage_key, .. } = decided.decision else { continue };
        let node = &graph.nodes()[idx];
        let mut add = |key: Key| results.push(Remembered { stage: node.id.clone(), key, stage_key });
        let StageWork::Sharded(sharded) = node.stage.work() else {
            add(stage_key);
            continue;
        };
        let Some(orders) = orders(&mut resolver, idx, node, sharded, options) else { continue };
        store.records().fetch_shards(&storing::keys(&orders));
        let numerics = options.arithmetic.class(node.stage.needs(), options.device);
        for order in orders {
            let record = store.records().get_shard(&order.key)?;
            if record.and_then(|record| storing::usable(store, record, options.arithmetic, numerics)).is_some() {
                add(order.key);
            }
        }
    }
    Ok(results)
}
