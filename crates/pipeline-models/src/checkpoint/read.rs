//! Reads heads from safetensors and PyTorch checkpoints.

use std::path::Path;

use super::safetensors::{Entries, entries};
use super::state_dict::{BIAS, HIDDEN_LAYER, IMAGE, IMAGE_ATTENTION, OUTPUT_LAYER, TEXT, TEXT_ATTENTION, WEIGHT};
use super::{Checkpoint, CheckpointError, top};
use crate::heads::{Head, Heads, Linear};
use crate::weights::{Checklist, CheckpointFile, Family, ModelError, WeightsNote, choose};
use pipeline_kernels::Matrix;

/// The tensor names of heads.
const HEADS: Family = Family {
    what: "two heads",
    anchors: &[&[
        "text_projector.weight",
        "text_projector.0.weight",
        "text_projector.2.weight",
        "image_projector.weight",
        "image_projector.0.weight",
        "image_projector.2.weight",
    ]],
    canonical: canonical_name,
    usual_prefixes: &[],
};

impl Checkpoint {
    /// Reads a safetensors file or a `.pth`, distinguished by their content.
    ///
    /// A `.pth` may be nested like the notebook's, or flat with the tensor names of the safetensors file. The heads may
    /// lie in a training checkpoint. Nothing in it is executed, and other tensors are ignored. A layer without a bias
    /// gets zeros. Without `normalize`, true is assumed.
    ///
    /// # Errors
    /// When the file cannot be read or is not a checkpoint, and when a tensor is missing, has a wrong shape or is not
    /// finite. The error lists all faults.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        Ok(Self::read_with_note(path)?.0)
    }

    /// Like [`Checkpoint::read`], with remarks on the place of the heads in the file, and on missing biases.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn read_with_note(path: &Path) -> Result<(Self, WeightsNote), CheckpointError> {
        let file = CheckpointFile::open(path)?;
        let Entries { normalize, trained_on, tops: [text_top, image_top] } = entries(&file);
        if let (true, Some(normalize)) = (file.is_empty(), normalize) {
            return Ok((Self { heads: None, normalize, trained_on }, WeightsNote::default()));
        }
        let mut checklist = choose(vec![file], &HEADS)?;
        let mut note = checklist.note().clone();
        let lacking = layers_without_bias(&checklist).join(", ");
        let lacking = (!lacking.is_empty()).then(|| format!("no bias in {lacking}, so zeros are taken"));
        note.place = note.place.into_iter().chain(lacking).reduce(|place, lacking| format!("{place}, {lacking}"));
        let last = if is_mlp(&checklist, TEXT) { OUTPUT_LAYER } else { "" };
        let dim = width(&checklist, &format!("{TEXT}.{last}"), 0).unwrap_or(0);
        let mut text = take_head(&mut checklist, TEXT, dim);
        let mut image = take_head(&mut checklist, IMAGE, dim);
        for (head, name) in [(&mut text, TEXT_ATTENTION), (&mut image, IMAGE_ATTENTION)] {
            head.attention = take_attention(&mut checklist, name, head.d_features());
        }
        for (side, top, head) in [(top::TEXT, text_top, &mut text), (top::IMAGE, image_top, &mut image)] {
            let description = top.transpose().map_err(|problem| ModelError::Malformed {
                path: path.to_owned(),
                problem: format!("has an unusable description `{side}`: {problem}"),
            })?;
            head.top = description.map(|description| description.take(&mut checklist, side));
        }
        checklist.finish()?;
        let heads = Some(Heads { text, image });
        Ok((Self { heads, normalize: normalize.unwrap_or(true), trained_on }, note))
    }
}

/// The canonical name of a tensor of a head; `None` for other tensors.
fn canonical_name(name: &str) -> Option<String> {
    let is_of = |side: &str| name.strip_prefix(side).is_some_and(|rest| rest.starts_with('.'));
    let sides = [TEXT, IMAGE, TEXT_ATTENTION, IMAGE_ATTENTION, top::TEXT, top::IMAGE];
    sides.into_iter().any(is_of).then(|| name.to_owned())
}

/// The layers with a weight and no bias, in backticks.
fn layers_without_bias(checklist: &Checklist) -> Vec<String> {
    let layers = [TEXT, IMAGE]
        .into_iter()
        .flat_map(|side| ["", HIDDEN_LAYER, OUTPUT_LAYER].map(|layer| format!("{side}.{layer}")));
    let has = |layer: &str, field: &str| checklist.has(&format!("{layer}{field}"));
    let lacking = layers.filter(|layer| has(layer, WEIGHT) && !has(layer, BIAS));
    lacking.map(|layer| format!("`{}`", layer.trim_end_matches('.'))).collect()
}

/// Whether a side has a layer that occurs only in heads with a hidden layer.
fn is_mlp(checklist: &Checklist, side: &str) -> bool {
    [HIDDEN_LAYER, OUTPUT_LAYER].iter().any(|layer| checklist.shape(&format!("{side}.{layer}{WEIGHT}")).is_some())
}

/// The outputs (axis 0) or inputs (axis 1) of a layer, if its weight is there.
fn width(checklist: &Checklist, layer: &str, axis: usize) -> Option<usize> {
    checklist.shape(&format!("{layer}{WEIGHT}")).and_then(|shape| shape.get(axis).copied())
}

/// Takes a head with any widths of features and hidden layer; its output must have the width `dim`.
fn take_head(checklist: &mut Checklist, side: &str, dim: usize) -> Head {
    if !is_mlp(checklist, side) {
        return take_linear(checklist, &format!("{side}."), dim, None).into();
    }
    let (hidden, output) = (format!("{side}.{HIDDEN_LAYER}"), format!("{side}.{OUTPUT_LAYER}"));
    let d_hidden = width(checklist, &hidden, 0).or_else(|| width(checklist, &output, 1)).unwrap_or(0);
    let hidden = take_linear(checklist, &hidden, d_hidden, None);
    Head {
        top: None,
        attention: None,
        hidden: Some(hidden),
        output: take_linear(checklist, &output, dim, Some(d_hidden)),
    }
}

/// Takes the vector by which tokens are weighed, if there is one; it must be as wide as the head's input.
fn take_attention(checklist: &mut Checklist, name: &str, width: usize) -> Option<Vec<f32>> {
    let name = format!("{name}.{WEIGHT}");
    checklist.has(&name).then(|| checklist.take(&name, &[1, width]))
}

/// Takes a layer of `n_inputs`, or of any number of inputs.
fn take_linear(checklist: &mut Checklist, layer: &str, n_outputs: usize, n_inputs: Option<usize>) -> Linear {
    let n_inputs = n_inputs.or_else(|| width(checklist, layer, 1)).unwrap_or(0);
    let (weight, bias) = (format!("{layer}{WEIGHT}"), format!("{layer}{BIAS}"));
    let has_bias = checklist.has(&bias) || !checklist.has(&weight);
    let weight = checklist.take(&weight, &[n_outputs, n_inputs]);
    let bias = if has_bias { checklist.take(&bias, &[n_outputs]) } else { vec![0.0; n_outputs] };
    // A wrong tensor is returned empty, and the checklist reports it.
    let weight = if weight.is_empty() { Matrix::default() } else { Matrix::new(n_outputs, n_inputs, weight) };
    Linear { weight, bias }
}
