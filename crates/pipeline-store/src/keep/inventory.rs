//! What lies in a store: all objects and all records.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pipeline_core::{Digest, Key};

use crate::durable::list_folder;
use crate::error::At;
use crate::layout::digest_of_path;
use crate::records::RecordState;
use crate::{Record, Store, StoreError};

/// One object as it lies there.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) digest: Digest,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) used: SystemTime,
    pub(crate) inode: u64,
}

/// All records of a store.
#[derive(Debug, Default)]
pub(crate) struct AllRecords {
    pub(crate) intact: Vec<Record>,
    /// The paths of those that cannot be believed.
    pub(crate) damaged: Vec<PathBuf>,
    /// Why this user cannot read the others.
    pub(crate) unreadable: Vec<StoreError>,
}

impl Store {
    pub(crate) fn objects(&self) -> Result<Vec<Object>, StoreError> {
        let mut objects = Vec::new();
        for (digest, entry) in fanned_out(&self.layout().objects())? {
            let path = entry.path();
            // One that is gone was collected by somebody else.
            match entry.metadata() {
                Ok(metadata) => objects.push(Object {
                    digest,
                    bytes: metadata.len(),
                    used: metadata.modified().at("read", &path)?,
                    inode: metadata.ino(),
                    path,
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).at("read", &path),
            }
        }
        Ok(objects)
    }

    /// All records of this store.
    pub(crate) fn records(&self) -> Result<AllRecords, StoreError> {
        let mut all = AllRecords::default();
        for (digest, entry) in fanned_out(&self.layout().actions())? {
            match self.read_record(&Key(digest))? {
                RecordState::Intact(record) => all.intact.push(*record),
                RecordState::Damaged => all.damaged.push(entry.path()),
                RecordState::Unreadable(error) => all.unreadable.push(error),
                RecordState::Absent => {}
            }
        }
        Ok(all)
    }
}

/// The stage that each object belongs to, by the name it had in its spec; of several the latest.
pub(crate) fn stages_by_object(records: &[Record]) -> BTreeMap<Digest, &str> {
    let mut by_age: Vec<&Record> = records.iter().collect();
    by_age.sort_by_key(|record| record.provenance.at_ms);
    let objects = by_age
        .into_iter()
        .flat_map(|record| record.tree.files.values().map(|entry| (entry.digest, record.provenance.stage.as_str())));
    objects.collect()
}

/// The bytes of all files below a folder.
pub(crate) fn bytes_below(folder: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for entry in list_folder(folder)? {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += bytes_below(&entry.path())?,
            Ok(metadata) => bytes += metadata.len(),
            Err(_) => {}
        }
    }
    Ok(bytes)
}

/// The files of `folder`/ab/ whose names are digests.
fn fanned_out(folder: &Path) -> Result<Vec<(Digest, DirEntry)>, StoreError> {
    let mut files = Vec::new();
    for outer in list_folder(folder)? {
        let prefix = outer.file_name().to_string_lossy().into_owned();
        for inner in list_folder(&outer.path())? {
            files.extend(digest_of_path(&prefix, &inner.file_name().to_string_lossy()).map(|digest| (digest, inner)));
        }
    }
    Ok(files)
}
