//! Maps objects to stages.

use std::collections::BTreeMap;

use pipeline_core::{Digest, StageId};

use crate::Record;

/// The stage of each object, by its name in its spec; of several the latest.
pub(crate) fn stages_by_object(records: &[Record]) -> BTreeMap<Digest, &StageId> {
    let mut by_age: Vec<&Record> = records.iter().collect();
    by_age.sort_by_key(|record| record.provenance.at_ms);
    let objects = by_age
        .into_iter()
        .flat_map(|record| record.tree.files.values().map(|entry| (entry.digest, &record.provenance.stage)));
    objects.collect()
}
