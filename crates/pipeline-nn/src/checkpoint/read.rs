//! Reads heads from safetensors and PyTorch checkpoints.

use std::path::Path;

use super::safetensors::{Entries, read_entries};
use super::state_dict::{BIAS, HIDDEN_LAYER, IMAGE, OUTPUT_LAYER, TEXT, WEIGHT};
use super::{Checkpoint, CheckpointError, Head, Heads, Linear};
use crate::Matrix;
use crate::weights::{Checklist, read_tensors};

impl Checkpoint {
    /// Reads a safetensors file or a `.pth`, told apart by their content.
    ///
    /// A `.pth` may be nested as the notebook's is or flat, with the tensor names of the safetensors file; nothing in
    /// it is executed. Other tensors in the file are ignored. A file that does not tell `normalize` means true.
    ///
    /// # Errors
    /// When the file cannot be read or is no checkpoint, and when a tensor is missing, has a shape that does not fit
    /// or holds a number that is not finite; the error lists all that is wrong.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let is_of = |name: &str, side| name.strip_prefix(side).is_some_and(|rest| rest.starts_with('.'));
        let is_head = |name: &str| (is_of(name, TEXT) || is_of(name, IMAGE)).then(|| name.to_owned());
        let tensors = read_tensors(&[path.to_owned()], &is_head)?;
        let Entries { normalize, trained_on } = read_entries(path)?;
        if tensors.is_empty() && normalize.is_some() {
            return Ok(Self { heads: None, normalize: normalize.unwrap_or(true), trained_on });
        }
        let mut checklist = Checklist::new(path.to_owned(), tensors);
        let last = if is_mlp(&checklist, TEXT) { OUTPUT_LAYER } else { "" };
        let dim = width(&checklist, &format!("{TEXT}.{last}"), 0).unwrap_or(0);
        let text = take_head(&mut checklist, TEXT, dim);
        let image = take_head(&mut checklist, IMAGE, dim);
        checklist.finish()?;
        Ok(Self { heads: Some(Heads { text, image }), normalize: normalize.unwrap_or(true), trained_on })
    }
}

/// Whether a side has a layer that only a head with a hidden one has.
fn is_mlp(checklist: &Checklist, side: &str) -> bool {
    [HIDDEN_LAYER, OUTPUT_LAYER].iter().any(|layer| checklist.shape(&format!("{side}.{layer}{WEIGHT}")).is_some())
}

/// The outputs (axis 0) or inputs (axis 1) of a layer, as far as its weight is there.
fn width(checklist: &Checklist, layer: &str, axis: usize) -> Option<usize> {
    checklist.shape(&format!("{layer}{WEIGHT}")).and_then(|shape| shape.get(axis).copied())
}

/// Takes a head of whatever width of features and of hidden layer, which must lead into a space of `dim`.
fn take_head(checklist: &mut Checklist, side: &str, dim: usize) -> Head {
    if !is_mlp(checklist, side) {
        return take_linear(checklist, &format!("{side}."), dim, None).into();
    }
    let (hidden, output) = (format!("{side}.{HIDDEN_LAYER}"), format!("{side}.{OUTPUT_LAYER}"));
    let d_hidden = width(checklist, &hidden, 0).or_else(|| width(checklist, &output, 1)).unwrap_or(0);
    let hidden = take_linear(checklist, &hidden, d_hidden, None);
    Head { hidden: Some(hidden), output: take_linear(checklist, &output, dim, Some(d_hidden)) }
}

/// Takes a layer of `n_inputs`, or of as many as there are.
fn take_linear(checklist: &mut Checklist, layer: &str, n_outputs: usize, n_inputs: Option<usize>) -> Linear {
    let n_inputs = n_inputs.or_else(|| width(checklist, layer, 1)).unwrap_or(0);
    let weight = checklist.take(&format!("{layer}{WEIGHT}"), &[n_outputs, n_inputs]);
    let bias = checklist.take(&format!("{layer}{BIAS}"), &[n_outputs]);
    // What is wrong is handed out empty and reported by the checklist.
    let weight = if weight.is_empty() { Matrix::default() } else { Matrix::new(n_outputs, n_inputs, weight) };
    Linear { weight, bias }
}
