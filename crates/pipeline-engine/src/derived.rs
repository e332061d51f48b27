//! Bytes that a stage derives from one source and that stay in the store, such as the index of a file.

use std::thread;

use pipeline_core::{Derived, Numerics, StageError, StageId};
use pipeline_store::{LockOutcome, Store, StoreError};

use crate::host::LOCK_POLL;
use crate::provenance::{Machines, Origin};

/// The stage that derives something.
pub(crate) struct Maker<'a> {
    pub stage: &'a StageId,
    pub origin: &'a Origin,
    pub numerics: Numerics,
    /// Makes everything anew, and replaces what is there.
    pub is_forced: bool,
}

/// The derived bytes, if they are there. Damaged ones count as missing.
pub(crate) fn find(store: &Store, derived: &Derived<'_>) -> Result<Option<Vec<u8>>, StageError> {
    let unreadable = |error: StoreError| error.stage_error("what was read of a source before cannot be read again");
    let found = store.derived(&derived.manifest.key()).map_err(unreadable)?;
    Ok(found.filter(|bytes| (derived.fits)(bytes)))
}

/// Keeps what `make` returns, unless another process does so: then waits for it, or returns `None`.
pub(crate) fn keep(
    store: &Store,
    by: &Maker<'_>,
    derived: &Derived<'_>,
    waits: &dyn Fn() -> Result<bool, StageError>,
    make: &dyn Fn() -> Result<Vec<u8>, StageError>,
) -> Result<Option<Vec<u8>>, StageError> {
    let Derived { manifest, source, digest, .. } = *derived;
    let key = manifest.key();
    let _lock = loop {
        if let Some(found) = find_unless_forced(store, by, derived)? {
            return Ok(Some(found));
        }
        match store.workspace().lock(&key, by.stage.as_str(), by.numerics).map_err(failed)? {
            LockOutcome::Acquired(lock) => break lock,
            LockOutcome::Held(_) if waits()? => thread::sleep(LOCK_POLL),
            LockOutcome::Held(_) => return Ok(None),
        }
    };
    // Another process may have kept it before the lock was free.
    if let Some(found) = find_unless_forced(store, by, derived)? {
        return Ok(Some(found));
    }
    let bytes = make()?;
    // Otherwise they would be remembered under a digest of which they are not.
    if !store.sources().is_unchanged(source, digest).map_err(failed)? {
        let message = format!("`{}` changed while `{}` read it", source.display(), by.stage);
        return Err(StageError::new(message).with_help("run again"));
    }
    let provenance = by.origin.provenance(by.stage, Vec::new(), Machines::default());
    store.keep_derived(manifest, &bytes, provenance).map_err(failed)?;
    Ok(Some(bytes))
}

/// Looks for the bytes even if they are made anew: a damaged file of the same length would stay.
fn find_unless_forced(store: &Store, by: &Maker<'_>, derived: &Derived<'_>) -> Result<Option<Vec<u8>>, StageError> {
    Ok(find(store, derived)?.filter(|_| !by.is_forced))
}

fn failed(error: StoreError) -> StageError {
    error.stage_error("the store cannot keep what was read of a source")
}
