//! The caller's reference to a spec: the spec is found once, and its overrides are parsed once, before everything else.

use std::path::{Path, PathBuf};

use pipeline_spec::{Override, SpecError};
use pipeline_store::path_of_overrides;

use crate::locate::{self, LocateError};
use crate::open_error::OpenError;
use crate::project;

/// A spec, its overrides, and the store of its results.
#[derive(Debug, Clone)]
pub struct SpecRef {
    /// The path as found, for messages.
    pub path: PathBuf,
    /// Its absolute path, the spec's identity in the store.
    pub absolute: PathBuf,
    /// The overrides, in the order of the command line.
    pub overrides: Vec<Override>,
    /// The store.
    pub store: StoreRef,
}

/// The folder of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRef {
    /// The folder.
    pub folder: PathBuf,
    /// Whether the caller named it.
    pub is_named: bool,
}

impl SpecRef {
    /// Finds the spec that `name` means in the folder `here`, parses its changes, and finds its store.
    ///
    /// # Errors
    /// When there is no such spec, or a change is written wrong.
    pub fn find(name: &Path, overrides: &[String], store: Option<&Path>, here: &Path) -> Result<Self, OpenError> {
        Self::at(&locate::spec(name, here)?, overrides, store)
    }

    /// The spec in the file at `path`.
    ///
    /// # Errors
    /// When the path cannot be made absolute, or an override cannot be parsed.
    pub fn at(path: &Path, overrides: &[String], store: Option<&Path>) -> Result<Self, OpenError> {
        let absolute = pipeline_spec::spec_path(path)?;
        let overrides = overrides.iter().map(|text| text.parse()).collect::<Result<_, SpecError>>()?;
        let store = StoreRef::near(&absolute, store);
        Ok(Self { path: path.to_owned(), absolute, overrides, store })
    }

    /// The path by which the store remembers runs of the spec with these overrides.
    pub fn memory(&self) -> PathBuf {
        path_of_overrides(&self.absolute, self.changes())
    }

    /// The overrides as written.
    pub fn changes(&self) -> impl Iterator<Item = &str> {
        self.overrides.iter().map(Override::text)
    }
}

impl StoreRef {
    /// The named store, else the one near the spec in the file at `spec`.
    pub fn near(spec: &Path, named: Option<&Path>) -> Self {
        let named = given(named);
        let folder = named.map_or_else(|| project::store_of_spec(spec), Path::to_owned);
        Self { folder, is_named: named.is_some() }
    }

    /// The named store, else the one in or above the folder `here`.
    ///
    /// # Errors
    /// When no store is named and none is found.
    pub fn above(here: &Path, named: Option<&Path>) -> Result<Self, LocateError> {
        match given(named) {
            Some(folder) => Ok(Self { folder: folder.to_owned(), is_named: true }),
            None => Ok(Self { folder: project::store_above(here)?, is_named: false }),
        }
    }

    /// The other stores of the project; empty where the caller has named this one.
    pub fn others(&self) -> Vec<PathBuf> {
        let real = |folder: &Path| folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let Some(root) = project::root(&self.folder).filter(|_| !self.is_named) else { return Vec::new() };
        project::stores(root).into_iter().filter(|store| real(store) != real(&self.folder)).collect()
    }
}

/// An empty name counts as absent: a CI may leave a variable empty.
fn given(named: Option<&Path>) -> Option<&Path> {
    named.filter(|folder| !folder.as_os_str().is_empty())
}
