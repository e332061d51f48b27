//! Reads checkpoints of any dialect into plain tensors.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{ModelError, pytorch, safetensors};

/// A tensor of plain numbers.
///
/// # Shapes
/// `values`: row-major `shape`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlainTensor {
    /// The length of each axis.
    pub(crate) shape: Vec<usize>,
    /// The numbers, the last axis fastest.
    pub(crate) values: Vec<f32>,
}

/// Reads the tensors of `files`; `canonical` gives the name a tensor is to have, or none to leave it out.
///
/// Half-precision and double-precision numbers become `f32`. Pickles are parsed as data: nothing in them is executed.
///
/// # Errors
/// When a file is not a checkpoint, or two tensors get the same name.
pub(crate) fn read_tensors(
    files: &[PathBuf],
    canonical: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, PlainTensor>, ModelError> {
    let mut tensors = BTreeMap::new();
    for path in files {
        let mut keep = |original: &str, name: String, tensor: PlainTensor| match tensors.insert(name, tensor) {
            None => Ok(()),
            Some(_) => Err(malformed(path, &format!("holds `{original}` more than once under different names"))),
        };
        if is_safetensors(path)? {
            safetensors::read(path, canonical, &mut keep)?;
        } else {
            pytorch::read(path, canonical, &mut keep)?;
        }
    }
    Ok(tensors)
}

/// What the readers call for every tensor: its name in the file, its canonical name, itself.
pub(super) type Keep<'a> = dyn FnMut(&str, String, PlainTensor) -> Result<(), ModelError> + 'a;

/// A file that is not what it should be.
pub(super) fn malformed(path: &Path, problem: &str) -> ModelError {
    ModelError::Malformed { path: path.to_owned(), problem: problem.to_owned() }
}

/// Tells the two formats apart by content, and refuses what is no checkpoint at all.
fn is_safetensors(path: &Path) -> Result<bool, ModelError> {
    let read_error = |source| ModelError::Read { path: path.to_owned(), source };
    let mut start = Vec::new();
    pipeline_files::open(path).map_err(read_error)?.take(512).read_to_end(&mut start).map_err(read_error)?;
    let text = String::from_utf8_lossy(&start).trim_start().to_ascii_lowercase();
    if start.is_empty() {
        return Err(malformed(path, "is empty"));
    }
    if text.starts_with("version https://git-lfs") {
        return Err(malformed(path, "is a Git LFS pointer and not the weights: fetch them with `git lfs pull`"));
    }
    if text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml") {
        return Err(malformed(path, "is a web page and not the weights: the download went wrong"));
    }
    // A header's length in eight bytes, then JSON. Its first byte may be that of a pickle, its ninth never is.
    Ok(start.get(8) == Some(&b'{'))
}
