//! Reads heads from safetensors and PyTorch checkpoints.

use std::path::Path;

use super::{Checkpoint, CheckpointError, Heads, Linear, safetensors};
use crate::Matrix;
use crate::weights::{Checklist, read_tensors};

const PREFIXES: [&str; 2] = ["text_projector.", "image_projector."];

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
        let is_head = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix)).then(|| name.to_owned());
        let tensors = read_tensors(&[path.to_owned()], &is_head)?;
        let normalize = safetensors::read_normalize(path)?;
        if tensors.is_empty() && normalize.is_some() {
            return Ok(Self { heads: None, normalize: normalize.unwrap_or(true) });
        }
        let mut checklist = Checklist::new(path.to_owned(), tensors);
        let dim = checklist.shape("text_projector.weight").and_then(|shape| shape.first().copied()).unwrap_or(0);
        let text = take_linear(&mut checklist, "text_projector", dim);
        let image = take_linear(&mut checklist, "image_projector", dim);
        checklist.finish()?;
        Ok(Self { heads: Some(Heads { text, image }), normalize: normalize.unwrap_or(true) })
    }
}

/// Takes a head of whatever width of features, which must lead into a space of `dim`.
fn take_linear(checklist: &mut Checklist, name: &str, dim: usize) -> Linear {
    let weight_name = format!("{name}.weight");
    let n_inputs = checklist.shape(&weight_name).and_then(|shape| shape.get(1).copied()).unwrap_or(0);
    let weight = checklist.take(&weight_name, &[dim, n_inputs]);
    let bias = checklist.take(&format!("{name}.bias"), &[dim]);
    // What is wrong is handed out empty and reported by the checklist.
    let weight = if weight.is_empty() { Matrix::default() } else { Matrix::new(dim, n_inputs, weight) };
    Linear { weight, bias }
}
