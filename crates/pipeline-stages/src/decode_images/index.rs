//! Keeps the index of each tar and Parquet file in the store, so that a file that is added costs its own scan only.

use std::cell::Cell;

use pipeline_core::{Derived, Manifest, StageContext, StageError};
use pipeline_data::{DataError, FileIndex, ImagesFile};

use super::KIND;
use super::origin::Origin;
use crate::table_files;

/// The version of the indexes: raised whenever the same file gives another one.
const VERSION: u32 = 2;

/// The index of a file, remembered by the file's digest and all params that determine it. `None` if another process
/// makes it now and this one does not wait.
pub(super) fn keep(
    origin: &Origin<'_>,
    file: &ImagesFile,
    context: &StageContext<'_>,
    waits: bool,
    index: &FileIndex<'_>,
) -> Result<Option<Vec<u8>>, DataError> {
    let Some(digest) = context.sources.get(&table_files::source_name(file)) else { return (index.make)().map(Some) };
    let mut manifest = Manifest::new(&format!("{}/index", KIND.name), VERSION);
    origin.index_params(file).into_iter().for_each(|(name, json)| manifest.param(name, &json));
    manifest.source("file", digest);
    let derived = Derived { manifest: &manifest, source: &file.path, digest, fits: index.fits };
    // The error of the reader comes back as it is.
    let failed = Cell::new(None);
    let made = || {
        (index.make)().map_err(|error| {
            failed.set(Some(error));
            StageError::new("a file cannot be read")
        })
    };
    let kept = context.host.derived(&derived, waits, &made);
    kept.map_err(|error| match failed.take() {
        Some(of_reader) => of_reader,
        None if error.cancelled => DataError::Stopped { path: file.path.clone() },
        None => DataError::Index { path: file.path.clone(), source: error.into() },
    })
}
