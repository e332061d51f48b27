//! The results that a store or its remote remembers, shard by shard, for those who want to compute some of them again.

use std::path::Path;

use pipeline_core::{Key, StageId, StageWork};
use pipeline_store::Store;

use super::count::orders;
use super::storing;
use crate::Graph;
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

/// The remembered results of a spec.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RememberedResults {
    /// The results; of a stage with shards the shards, or the stage itself where none of them is remembered.
    pub results: Vec<Remembered>,
    /// The stages whose results are unknown, since a source or an input is missing here.
    pub unknown: Vec<StageId>,
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
) -> Result<RememberedResults, EngineError> {
    let mut resolver = Resolver::new(graph, store, spec, options)?;
    decide_all(&mut resolver)?;
    let mut found = RememberedResults::default();
    let mut is_unknown = vec![false; graph.n_stages()];
    for (idx, node) in graph.nodes().iter().enumerate() {
        // Also a result whose bytes are lost, and which a reader may demand, is one that is reused until then.
        let result = resolver.artifact(idx).and(resolver.resolved(idx));
        let Some(&(_, stage_key)) = result else {
            is_unknown[idx] =
                !resolver.sources(idx).are_known() || graph.inputs(idx).iter().any(|&input| is_unknown[input]);
            found.unknown.extend(is_unknown[idx].then(|| node.id.clone()));
            continue;
        };
        let remembered = |key: Key| Remembered { stage: node.id.clone(), key, stage_key };
        let StageWork::Sharded(sharded) = node.stage.work() else {
            found.results.push(remembered(stage_key));
            continue;
        };
        let Some(orders) = orders(&mut resolver, idx, node, sharded, options) else {
            found.unknown.push(node.id.clone());
            continue;
        };
        store.records().fetch_shards(&storing::keys(&orders));
        let n_before = found.results.len();
        for order in orders {
            // Its bytes need not be there: whoever computes it again has others to compare.
            let record = store.records().get_shard(&order.key)?;
            if record.is_some_and(|record| resolver.accepts(idx, &record)) {
                found.results.push(remembered(order.key));
            }
        }
        if found.results.len() == n_before {
            found.results.push(remembered(stage_key));
        }
    }
    Ok(found)
}
