//! Maps objects to stages.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use pipeline_core::{Digest, StageId};

use crate::{Cas, Record, StoreError};

/// The stage of each object, by its name in its spec; of several the latest.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn stages_by_object<'a>(
    cas: &Cas,
    records: &'a [Record],
) -> Result<BTreeMap<Digest, &'a StageId>, StoreError> {
    let mut latest_first: Vec<&Record> = records.iter().collect();
    latest_first.sort_by_key(|record| Reverse(record.provenance.at_ms));
    let (mut stages, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for record in latest_first {
        for digest in cas.objects_unseen(&record.tree, &mut seen)?.digests {
            stages.entry(digest).or_insert(&record.provenance.stage);
        }
    }
    Ok(stages)
}
