//! The shards of a stage and their keys: cut from its rows, derived from its params.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::{Cut, Digest, InputArtifact, Key, Manifest, ShardedStage, Stage, cut, digest_of_group};

/// A shard that an artifact needs.
#[derive(Debug)]
pub struct ShardOrder {
    /// Its name in the artifact.
    pub name: String,
    /// The units in it.
    pub units: Range<usize>,
    /// Everything that determines it.
    pub manifest: Manifest,
    /// The key of the manifest.
    pub key: Key,
}

/// All shards of a stage, in the order of their rows. `digests` are those of its units.
pub fn shard_orders(
    stage: &dyn Stage,
    sharded: &dyn ShardedStage,
    inputs: &BTreeMap<String, InputArtifact>,
    sources: &BTreeMap<String, Digest>,
    digests: &[Digest],
) -> Vec<ShardOrder> {
    let shards_end = sharded.cut();
    let ranges = match shards_end {
        Cut::Rows(sizes) => cut::cut(digests, sizes),
        Cut::Input { .. } => (0..digests.len()).map(|unit_idx| unit_idx..unit_idx + 1).collect(),
    };
    let base = base(stage, sharded, shards_end, inputs, sources);
    let order = |(shard_idx, units): (usize, Range<usize>)| {
        let mut manifest = base.clone();
        manifest.source("rows", &rows_digest(shards_end, &digests[units.clone()]));
        let key = manifest.key();
        ShardOrder { name: sharded.shard_name(shard_idx), units, manifest, key }
    };
    ranges.into_iter().enumerate().map(order).collect()
}

/// The digest of the shard of an input stands for its rows: equal rows give equal files.
fn rows_digest(cut: Cut, digests: &[Digest]) -> Digest {
    match (cut, digests) {
        (Cut::Input { .. }, [of_shard]) => *of_shard,
        _ => Digest::of(&digests.iter().flat_map(|digest| *digest.as_bytes()).collect::<Vec<u8>>()),
    }
}

/// The common lines of all shards' manifests.
fn base(
    stage: &dyn Stage,
    sharded: &dyn ShardedStage,
    cut: Cut,
    inputs: &BTreeMap<String, InputArtifact>,
    sources: &BTreeMap<String, Digest>,
) -> Manifest {
    let in_rows = sharded.in_rows();
    let mut manifest = Manifest::new(&format!("{}/shard", stage.kind()), stage.version());
    for (name, json) in stage.params().iter().filter(|(name, _)| !in_rows.params.contains(&name.as_str())) {
        manifest.param(name, json);
    }
    for (name, digest) in sources {
        match name.split_once('/') {
            Some((group, _)) if !in_rows.sources.contains(&group) => {
                manifest.source(group, &digest_of_group(sources, group));
            }
            None if !in_rows.sources.contains(&name.as_str()) => manifest.source(name, digest),
            _ => {}
        }
    }
    let of_rows = match cut {
        Cut::Input { slot, .. } => Some(slot),
        Cut::Rows(_) => None,
    };
    for (slot, input) in inputs {
        if !in_rows.inputs.contains(&slot.as_str()) && of_rows != Some(slot.as_str()) {
            manifest.input(slot, &input.tree.digest());
        }
    }
    manifest
}
