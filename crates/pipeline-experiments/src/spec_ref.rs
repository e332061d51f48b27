//! How a caller names a spec: found once, and its changes parsed once, before anything else is done.

use std::path::{Path, PathBuf};

use pipeline_spec::{Override, SpecError};

use crate::locate::{self, LocateError};
use crate::open::OpenError;

/// A spec, what is laid over it, and the store of its results.
#[derive(Debug, Clone)]
pub struct SpecRef {
    /// The file as it was found, for messages.
    pub path: PathBuf,
    /// Its absolute path, by which the store knows the spec.
    pub absolute: PathBuf,
    /// The values that are laid over it, in the order in which they were given.
    pub overrides: Vec<Override>,
    /// The store.
    pub store: StoreRef,
}

/// The folder of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRef {
    /// The folder.
    pub folder: PathBuf,
    /// True if the caller named it, false if it was found near the spec.
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
    /// When the path cannot be made absolute, or a change is written wrong.
    pub fn at(path: &Path, overrides: &[String], store: Option<&Path>) -> Result<Self, OpenError> {
        let absolute = pipeline_spec::spec_path(path)?;
        let overrides = overrides.iter().map(|text| text.parse()).collect::<Result<_, SpecError>>()?;
        let store = StoreRef::near(&absolute, store);
        Ok(Self { path: path.to_owned(), absolute, overrides, store })
    }

    /// The changes as they were given.
    pub fn changes(&self) -> impl Iterator<Item = &str> {
        self.overrides.iter().map(Override::text)
    }
}

impl StoreRef {
    /// The store that is named, else the one near the spec in the file at `spec`.
    pub fn near(spec: &Path, named: Option<&Path>) -> Self {
        let named = given(named);
        let folder = named.map_or_else(|| locate::artifacts(spec), Path::to_owned);
        Self { folder, is_named: named.is_some() }
    }

    /// The store that is named, else the one in or above the folder `here`.
    ///
    /// # Errors
    /// When none is named and there is none.
    pub fn above(here: &Path, named: Option<&Path>) -> Result<Self, LocateError> {
        match given(named) {
            Some(folder) => Ok(Self { folder: folder.to_owned(), is_named: true }),
            None => Ok(Self { folder: locate::artifacts_above(here)?, is_named: false }),
        }
    }
}

/// An empty name counts as no name: so is a variable that a CI has not filled.
fn given(named: Option<&Path>) -> Option<&Path> {
    named.filter(|folder| !folder.as_os_str().is_empty())
}
