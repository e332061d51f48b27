//! Takes expected tensors out of a checkpoint one by one and collects all faults.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::ModelError;
use super::contents::Entry;
use super::file::CheckpointFile;
use super::shown::{listed, shown};
use super::view::View;

/// Remarks on the place of a model in its checkpoint; empty for an ordinary file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeightsNote {
    /// The dict of the model, and the prefix that was removed from the names of its tensors.
    pub place: Option<String>,
    /// A decision that may not be the intended one.
    pub warning: Option<String>,
}

/// The tensors of a checkpoint that have not been taken yet, and the faults so far.
///
/// Numbers are read on request. A wrong tensor is returned empty, so that building a model continues and one error can
/// list all faults. The model is only used when [`Checklist::finish`] succeeds.
///
/// A list without numbers takes every tensor empty: names, shapes and types are compared, and nothing else is read.
pub(crate) struct Checklist {
    files: Vec<CheckpointFile>,
    tensors: BTreeMap<String, (usize, Entry)>,
    note: WeightsNote,
    /// The names of all tensors in the file, for messages about a missing one.
    names: Vec<String>,
    problems: Vec<String>,
    is_lacking: bool,
    /// The first tensor that could not be read.
    failure: Option<ModelError>,
    /// Whether the numbers of tensors are read.
    has_numbers: bool,
}

impl Checklist {
    /// Starts with tensors by canonical name, each with the index of its file in `files`; `note` describes their place.
    pub(super) fn new(
        files: Vec<CheckpointFile>,
        tensors: BTreeMap<String, (usize, Entry)>,
        note: WeightsNote,
    ) -> Self {
        let names = tensors.values().map(|(_, entry)| entry.full_name()).collect();
        Self { files, tensors, note, names, problems: Vec::new(), is_lacking: false, failure: None, has_numbers: true }
    }

    /// The same list without numbers: for a look at a model that costs as little as its headers.
    pub(crate) fn without_numbers(self) -> Self {
        Self { has_numbers: false, ..self }
    }

    /// The remark on the place of the tensors in the checkpoint.
    pub(crate) fn note(&self) -> &WeightsNote {
        &self.note
    }

    /// True if a tensor exists and has not been taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of a tensor that has not been taken, if it exists.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        let (_, entry) = self.tensors.get(name)?;
        entry.place.as_ref().ok().map(|view| view.shape.as_slice())
    }

    /// Takes a tensor, which must have exactly this shape and only finite numbers; without numbers it comes out empty.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        let Some((file_idx, entry)) = self.tensors.remove(name) else {
            self.is_lacking = true;
            return self.wrong(format!("`{name}` is missing"));
        };
        match &entry.place {
            Ok(view) if view.shape != shape => {
                return self.wrong(format!("`{name}` has shape {:?} instead of {shape:?}", view.shape));
            }
            Ok(view) if view.n_numbers() == 0 => return self.wrong(format!("`{name}` has no numbers: {shape:?}")),
            _ if self.failure.is_some() => return Vec::new(),
            _ => {}
        }
        let file = &self.files[file_idx];
        match if self.has_numbers { file.read(&entry) } else { file.readable(&entry).map(|_| Vec::new()) } {
            Ok(values) if values.iter().any(|value| !value.is_finite()) => {
                self.wrong(format!("`{name}` has a value that is not finite"))
            }
            Ok(values) => values,
            Err(error) => {
                self.failure = Some(error);
                Vec::new()
            }
        }
    }

    fn wrong(&mut self, problem: String) -> Vec<f32> {
        self.problems.push(problem);
        Vec::new()
    }

    /// Adds a fault that does not concern one expected tensor.
    pub(crate) fn complain(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Succeeds when every expected tensor was right and no other floating-point tensor is left.
    ///
    /// # Errors
    /// A tensor that cannot be read, or one error with all faults.
    pub(crate) fn finish(mut self) -> Result<(), ModelError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        // Counters, other integer buffers and single numbers are not weights.
        let is_weight = |view: &View| view.element.is_float() && !view.shape.is_empty();
        let is_weight = |entry: &Entry| entry.place.as_ref().map_or(true, is_weight);
        let unexpected = self.tensors.iter().filter(|(_, (_, entry))| is_weight(entry));
        self.problems.extend(unexpected.map(|(name, _)| format!("{} is not known in this model", shown(name))));
        if self.problems.is_empty() {
            return Ok(());
        }
        let path: PathBuf = self.files.first().map(|file| file.path().to_owned()).unwrap_or_default();
        let found = self.is_lacking.then(|| listed(self.names.iter().map(String::as_str)));
        Err(ModelError::Weights { path, problems: self.problems, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Family, PlainTensor, fixtures, open};

    const ANY: Family =
        Family { what: "a model", anchors: &[&["good"]], canonical: |name| Some(name.to_owned()), usual_prefixes: &[] };

    #[test]
    fn one_error_lists_all_that_is_wrong() {
        let tensor = |shape: &[usize], values: &[f32]| PlainTensor { shape: shape.to_vec(), values: values.to_vec() };
        let tensors = BTreeMap::from([
            ("good".to_owned(), tensor(&[2], &[1.0, 2.0])),
            ("turned".to_owned(), tensor(&[2, 1], &[1.0, 2.0])),
            ("broken".to_owned(), tensor(&[1], &[f32::NAN])),
            ("empty".to_owned(), tensor(&[0], &[])),
            ("extra".to_owned(), tensor(&[1], &[1.0])),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        fixtures::write(&path, &tensors);
        let mut checklist = open(&[path], &ANY).unwrap();
        assert_eq!(checklist.take("good", &[2]), [1.0, 2.0]);
        for (name, shape) in [("turned", [1, 2].as_slice()), ("broken", &[1]), ("empty", &[0]), ("absent", &[1])] {
            checklist.take(name, shape);
        }
        let text = checklist.finish().unwrap_err().to_string();
        for part in [
            "`turned` has shape [2, 1] instead of [1, 2]",
            "`broken` has a value that is not finite",
            "`empty` has no numbers",
            "`absent` is missing",
            "`extra` is not known in this model",
            "it has `broken`, `empty`, `extra`, `good`, `turned`",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
