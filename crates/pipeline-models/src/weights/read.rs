//! Opens the checkpoint of a model, and reads whole ones for comparisons.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::checklist::Checklist;
use super::choose::{Family, choose};
use super::file::CheckpointFile;
use super::{ModelError, shown::shown};

/// A tensor of plain numbers.
///
/// # Shapes
/// `values`: row-major `shape`
#[derive(Debug, Clone, PartialEq)]
pub struct PlainTensor {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// The numbers, the last axis contiguous.
    pub values: Vec<f32>,
}

/// Opens the checkpoint in `files`, one or several that belong together, and finds the model of `family` in it.
///
/// Half and double precision become `f32`. Pickles are parsed as data: nothing in them is executed.
///
/// # Errors
/// When a file is not a checkpoint or damaged, or does not hold one such model.
pub(crate) fn open(files: &[PathBuf], family: &Family) -> Result<Checklist, ModelError> {
    let files = files.iter().map(|path| CheckpointFile::open(path)).collect::<Result<Vec<_>, _>>()?;
    choose(files, family)
}

/// Takes a model out of the checkpoint in `files`.
///
/// # Errors
/// Those of [`open`], and one with every tensor that is missing, misshapen, not finite or unknown.
pub(crate) fn take<Weights>(
    files: &[PathBuf],
    family: &Family,
    read: impl FnOnce(&mut Checklist) -> Weights,
) -> Result<Weights, ModelError> {
    take_from(open(files, family)?, read)
}

/// Compares the tensors of a checkpoint with those that `read` takes, by headers alone. The weights that come out have
/// no numbers: only their sizes mean anything.
///
/// # Errors
/// Those of [`take`] that do not lie in the numbers.
pub(crate) fn survey<Weights>(
    files: &[PathBuf],
    family: &Family,
    read: impl FnOnce(&mut Checklist) -> Weights,
) -> Result<Weights, ModelError> {
    take_from(open(files, family)?.without_numbers(), read)
}

fn take_from<Weights>(
    mut list: Checklist,
    read: impl FnOnce(&mut Checklist) -> Weights,
) -> Result<Weights, ModelError> {
    let weights = read(&mut list);
    list.finish()?;
    Ok(weights)
}

/// Every floating-point tensor in a checkpoint, by the names of its dicts and its own, joined by dots.
///
/// # Errors
/// When the file is not a checkpoint, or one of its tensors is damaged or of an unsupported kind.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, PlainTensor>, ModelError> {
    let file = CheckpointFile::open(path)?;
    let mut tensors = BTreeMap::new();
    for entry in &file.contents.entries {
        let shape = match &entry.place {
            Ok(view) if !view.element.is_float() => continue,
            Ok(view) => view.shape.clone(),
            Err(_) => Vec::new(),
        };
        let tensor = PlainTensor { shape, values: file.read(entry)? };
        if tensors.insert(entry.full_name(), tensor).is_some() {
            let problem = format!("holds {} more than once", shown(&entry.full_name()));
            return Err(ModelError::Malformed { path: path.to_owned(), problem });
        }
    }
    Ok(tensors)
}
