//! The records of a large stage's shards, packed once all are stored, so that the next plan need not read each of them.

use std::collections::HashMap;

use pipeline_core::{Digest, Key, Numerics, Shard, ShardOrder};
use pipeline_store::{Machine, PackedShard, RecordFile};

use super::Storing;
use super::storing::Stored;

/// The facts about a shard that its packed record needs beside the shard.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub numerics: Vec<Numerics>,
    pub machine: Machine,
    pub has_objects: bool,
    /// `None` until the shard is stored.
    pub record: Option<RecordFile>,
}

/// The records to pack.
pub(crate) struct Packing {
    /// The digest of the lines that the shards' manifests share.
    shared: Digest,
    shards: Vec<(Key, Shard, Recorded)>,
}

impl Packing {
    /// The records of these shards. `None` if they are too few.
    pub(super) fn of(orders: &[ShardOrder], shards: Vec<Shard>, recorded: Vec<Recorded>) -> Option<Self> {
        let shared = orders.first().filter(|_| !recorded.is_empty())?.shared();
        let keys = orders.iter().map(|order| order.key);
        let shards = keys.zip(shards).zip(recorded).map(|((key, shard), recorded)| (key, shard, recorded));
        Some(Self { shared, shards: shards.collect() })
    }

    /// Packs the records. `stored` has the identities of those that this process has written.
    pub fn carry_out(self, storing: &Storing<'_>, stored: Stored) {
        let files: HashMap<Key, Option<RecordFile>> = stored.records.into_iter().collect();
        let packed = |(key, Shard { entry, report, .. }, recorded): (Key, Shard, Recorded)| {
            let Recorded { numerics, machine, has_objects, record } = recorded;
            let record = record.or_else(|| files.get(&key).copied().flatten())?;
            Some((key, PackedShard { entry, report, numerics, machine, has_objects, record }))
        };
        storing.pack(&self.shared, self.shards.into_iter().filter_map(packed).collect());
    }
}
