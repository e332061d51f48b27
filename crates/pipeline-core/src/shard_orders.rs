//! The shards of a stage and their keys: cut from its rows, derived from its params.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::{Cut, Digest, InputArtifact, Key, Manifest, ShardedStage, Stage, cut, digest_of_group, sub_tree};

/// A shard that an artifact needs.
#[derive(Debug)]
pub struct ShardOrder {
    /// Its name in the artifact.
    pub name: String,
    /// The units in it.
    pub units: Range<usize>,
    /// The key of its manifest.
    pub key: Key,
    /// The lines of its manifest that all shards of the stage share.
    base: Arc<Manifest>,
    /// The digest of its rows.
    rows: Digest,
}

impl ShardOrder {
    /// Everything that determines it.
    pub fn manifest(&self) -> Manifest {
        with_rows(&self.base, &self.rows)
    }

    /// The digest of the lines of its manifest that all shards of the stage share.
    pub fn shared(&self) -> Digest {
        self.base.key().0
    }
}

/// The manifest of a shard with these rows.
fn with_rows(base: &Manifest, rows: &Digest) -> Manifest {
    let mut manifest = base.clone();
    manifest.source("rows", rows);
    manifest
}

/// The keys of manifests that differ in the digest of rows alone: their text is made once.
struct Keys {
    before: String,
    after: String,
}

impl Keys {
    fn of(base: &Manifest) -> Self {
        // As unlikely in the other lines as two equal digests.
        let mark = Digest::of(b"the rows of a shard");
        let text = with_rows(base, &mark).text();
        let (before, after) = text.split_once(&mark.hex()).expect("a manifest has its lines in its text");
        Self { before: before.to_owned(), after: after.to_owned() }
    }

    /// The key of the manifest with these rows.
    fn key(&self, rows: &Digest) -> Key {
        Key(Digest::of([&*self.before, &*rows.hex(), &*self.after].concat().as_bytes()))
    }
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
    let base = Arc::new(base(stage, sharded, shards_end, inputs, sources));
    let rows: Vec<Digest> = ranges.iter().map(|units| rows_digest(shards_end, &digests[units.clone()])).collect();
    let (keys, names) = (Keys::of(&base), names(sharded, &rows));
    let order = |((units, rows), name): ((Range<usize>, Digest), String)| {
        let key = keys.key(&rows);
        ShardOrder { name, units, key, base: base.clone(), rows }
    };
    ranges.into_iter().zip(rows).zip(names).map(order).collect()
}

/// The names of shards with these rows, in folders where they are many.
fn names(sharded: &dyn ShardedStage, rows: &[Digest]) -> Vec<String> {
    let Some(folders) = sub_tree::folders(rows) else {
        return (0..rows.len()).map(|shard_idx| sharded.shard_name(shard_idx)).collect();
    };
    let names = folders.into_iter().enumerate().flat_map(|(folder_idx, shards)| {
        let folder = sub_tree::folder_name(folder_idx);
        (0..shards.len()).map(move |shard_idx| format!("{folder}/{}", sharded.shard_name(shard_idx)))
    });
    names.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_shard_is_that_of_its_manifest() {
        let mut base = Manifest::new("extract-text/shard", 3);
        base.param("text", r#""source.rows = \"x\"""#);
        base.input("zebra", &Digest::of(b"input"));
        base.source("rows", &Digest::of(b"left over"));
        base.source("rowsand", &Digest::of(b"more"));
        let keys = Keys::of(&base);
        for rows in [Digest::of(b""), Digest::of(b"rows")] {
            assert_eq!(keys.key(&rows), with_rows(&base, &rows).key());
        }
    }
}
