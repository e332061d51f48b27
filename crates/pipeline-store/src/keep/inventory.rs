//! Maps objects to stages.

use std::collections::BTreeMap;

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
    let mut by_age: Vec<&Record> = records.iter().collect();
    by_age.sort_by_key(|record| record.provenance.at_ms);
    let mut stages = BTreeMap::new();
    for record in by_age {
        let objects = cas.objects_of(&record.tree)?.digests;
        stages.extend(objects.into_iter().map(|digest| (digest, &record.provenance.stage)));
    }
    Ok(stages)
}
