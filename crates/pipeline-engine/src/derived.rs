//! Bytes that a stage derives from one source and that stay in the store, such as the index of a file.

use std::fs;
use std::path::Path;
use std::thread;

use pipeline_core::{Derived, Manifest, Numerics, ShardReport, StageError, StageId, Tree};
use pipeline_store::{LockOutcome, Record, Store, StoreError};

use crate::host::LOCK_POLL;
use crate::provenance::Origin;

/// The name of the one file in the record.
const FILE: &str = "derived";

/// The stage that derives something.
pub(crate) struct Maker<'a> {
    pub stage: &'a StageId,
    pub origin: &'a Origin,
    pub numerics: Numerics,
    /// Makes everything anew, and replaces what is there.
    pub is_forced: bool,
}

/// The bytes of a manifest, if they are there. Damaged ones count as missing.
pub(crate) fn find(store: &Store, manifest: &Manifest) -> Result<Option<Vec<u8>>, StageError> {
    let record = store.records().get_derived(&manifest.key());
    let entry = record.as_ref().and_then(|record| record.tree.files.get(FILE));
    entry.map_or(Ok(None), |entry| store.cas().read(entry).map_err(unreadable))
}

/// Keeps what `make` returns, unless another process does so: then waits for it, or returns `None`.
pub(crate) fn keep(
    store: &Store,
    by: &Maker<'_>,
    derived: &Derived<'_>,
    waits: &dyn Fn() -> Result<bool, StageError>,
    make: &dyn Fn() -> Result<Vec<u8>, StageError>,
) -> Result<Option<Vec<u8>>, StageError> {
    let Derived { manifest, source, digest } = *derived;
    let key = manifest.key();
    let _lock = loop {
        if let Some(found) = find_unless_forced(store, by, manifest)? {
            return Ok(Some(found));
        }
        match store.workspace().lock(&key, by.stage.as_str(), by.numerics).map_err(failed)? {
            LockOutcome::Acquired(lock) => break lock,
            LockOutcome::Held(_) if waits()? => thread::sleep(LOCK_POLL),
            LockOutcome::Held(_) => return Ok(None),
        }
    };
    // Another process may have kept it before the lock was free.
    if let Some(found) = find_unless_forced(store, by, manifest)? {
        return Ok(Some(found));
    }
    let bytes = make()?;
    // Otherwise they would be remembered under a digest of which they are not.
    if !store.sources().is_unchanged(source, digest).map_err(failed)? {
        let message = format!("`{}` changed while `{}` read it", source.display(), by.stage);
        return Err(StageError::new(message).with_help("run again"));
    }
    put(store, by, manifest, &bytes).map_err(failed)?;
    Ok(Some(bytes))
}

fn find_unless_forced(store: &Store, by: &Maker<'_>, manifest: &Manifest) -> Result<Option<Vec<u8>>, StageError> {
    if by.is_forced { Ok(None) } else { find(store, manifest) }
}

fn put(store: &Store, by: &Maker<'_>, manifest: &Manifest, bytes: &[u8]) -> Result<(), StoreError> {
    let scratch = store.workspace().scratch()?;
    let path = scratch.folder().join(FILE);
    write(&path, bytes)?;
    let record = Record {
        key: manifest.key(),
        manifest: manifest.clone(),
        tree: Tree::of_file(FILE, store.cas().put_file(&path)?),
        report: ShardReport::default(),
        shard_rows: Vec::new(),
        seconds: 0.0,
        provenance: by.origin.provenance(by.stage, Vec::new()),
        has_objects: true,
    };
    store.records().put_derived(&record)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let failed = |source| StoreError::Io { verb: "write", path: path.to_owned(), source };
    fs::write(path, bytes).map_err(failed)
}

fn unreadable(error: StoreError) -> StageError {
    let help = error.help();
    StageError { help, ..StageError::because("what was read of a source before cannot be read again", error) }
}

fn failed(error: StoreError) -> StageError {
    let help = error.help();
    StageError { help, ..StageError::because("the store cannot keep what was read of a source", error) }
}
