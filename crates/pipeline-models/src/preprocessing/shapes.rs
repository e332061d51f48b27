//! A Chinese-CLIP checkpoint has no file beside it: the size of its images follows from the shapes of its tensors.

use std::path::PathBuf;

use super::expectations::{ExpectedFit, ImageExpectations};
use crate::weights::{CheckpointFile, ModelError, shape_of};

/// The pixels of a place of the last map of CLIP's ResNet, along one axis.
const RESNET_STRIDE: usize = 32;

/// The way in which `cn_clip` decodes for a checkpoint; `None` when it is of another library.
///
/// # Errors
/// When the file is no checkpoint.
pub(super) fn chinese_clip(weights: &[PathBuf]) -> Result<Option<ImageExpectations>, ModelError> {
    let [weights] = weights else { return Ok(None) };
    let file = CheckpointFile::open(weights)?;
    let shape = |name: &str| shape_of(&file, name);
    if shape("bert.embeddings.word_embeddings.weight").is_none() {
        return Ok(None);
    }
    let side = |places: Option<Vec<usize>>, stride: usize| {
        let n_places = places?.first()?.checked_sub(1)?;
        let grid = n_places.isqrt();
        (grid > 0 && grid * grid == n_places).then_some((grid * stride) as u64)
    };
    let patch = shape("visual.conv1.weight").and_then(|shape| shape.last().copied());
    let side = side(shape("visual.attnpool.positional_embedding"), RESNET_STRIDE)
        .or_else(|| side(shape("visual.positional_embedding"), patch?));
    Ok(side.map(|side| ImageExpectations {
        size: Some([side, side]),
        interpolation: Some("bicubic".to_owned()),
        fit: Some(ExpectedFit::Squash),
    }))
}
