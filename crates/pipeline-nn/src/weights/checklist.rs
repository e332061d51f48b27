//! Takes expected tensors out of a checkpoint one by one and remembers everything that is wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{ModelError, PlainTensor};

/// The tensors of a checkpoint that have not been asked for yet, and what was wrong so far.
///
/// A tensor that is wrong is handed out empty, so that building a model goes on and one error can list all of them:
/// the model is only used when [`Checklist::finish`] says that nothing was wrong.
pub(crate) struct Checklist {
    path: PathBuf,
    tensors: BTreeMap<String, PlainTensor>,
    problems: Vec<String>,
}

impl Checklist {
    /// Starts with all tensors of the checkpoint at `path`, by canonical name.
    pub(crate) fn new(path: PathBuf, tensors: BTreeMap<String, PlainTensor>) -> Self {
        Self { path, tensors, problems: Vec::new() }
    }

    /// The shape of a tensor that has not been taken, if it is there.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// Takes a tensor, which must have exactly this shape and only finite numbers.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        let problem = match self.tensors.remove(name) {
            None => format!("`{name}` is missing"),
            Some(tensor) if tensor.shape != shape => {
                format!("`{name}` has shape {:?} instead of {shape:?}", tensor.shape)
            }
            Some(tensor) if tensor.values.iter().any(|value| !value.is_finite()) => {
                format!("`{name}` has a value that is not finite")
            }
            Some(tensor) => return tensor.values,
        };
        self.problems.push(problem);
        Vec::new()
    }

    /// Adds a problem that is not about one expected tensor.
    pub(crate) fn complain(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Succeeds when every expected tensor was right and no other is left.
    ///
    /// # Errors
    /// One error with everything that is wrong.
    pub(crate) fn finish(mut self) -> Result<(), ModelError> {
        let unexpected = self.tensors.keys().map(|name| format!("`{name}` is not known in this model"));
        self.problems.extend(unexpected);
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(ModelError::Weights { path: self.path, problems: self.problems })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checklist() -> Checklist {
        let tensor = |shape: &[usize], values: &[f32]| PlainTensor { shape: shape.to_vec(), values: values.to_vec() };
        let tensors = BTreeMap::from([
            ("good".to_owned(), tensor(&[2], &[1.0, 2.0])),
            ("turned".to_owned(), tensor(&[2, 1], &[1.0, 2.0])),
            ("broken".to_owned(), tensor(&[1], &[f32::NAN])),
            ("extra".to_owned(), tensor(&[1], &[1.0])),
        ]);
        Checklist::new("m.bin".into(), tensors)
    }

    #[test]
    fn one_error_lists_all_that_is_wrong() {
        let mut checklist = checklist();
        assert_eq!(checklist.take("good", &[2]), [1.0, 2.0]);
        for (name, shape) in [("turned", [1, 2].as_slice()), ("broken", &[1]), ("absent", &[1])] {
            checklist.take(name, shape);
        }
        let text = checklist.finish().unwrap_err().to_string();
        for part in [
            "`turned` has shape [2, 1] instead of [1, 2]",
            "`broken` has a value that is not finite",
            "`absent` is missing",
            "`extra` is not known in this model",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
