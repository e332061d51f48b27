//! A family's reading of one tower: sizes from small files first, weights later.

use std::path::{Path, PathBuf};

use super::pooling::{ImagePooling, Pooling, refusal};
use crate::tower::{ImagePool, ImageTower, TextTower};
use crate::weights::{Checklist, Family, ModelError, WeightsNote, open, survey, take};

/// Reads the image tower of a model whose small files have been read.
pub(super) struct ImageReader {
    pub(super) pooling: ImagePooling,
    /// Numbers of a feature.
    pub(super) dim: usize,
    /// Whether the first of an image's vectors is that of a class token.
    pub(super) has_class: bool,
    /// Pixels of the side of the model's own images.
    pub(super) image: usize,
    /// Pixels of a patch's side.
    pub(super) patch: usize,
    /// Whether the family's own library takes images of any size by interpolating positions.
    pub(super) interpolates: bool,
    /// Whether positions can be interpolated as the family's own library does.
    pub(super) can_interpolate: bool,
    /// The names of its tensors.
    pub(super) family: &'static Family,
    pub(super) read: Box<dyn Fn(&mut Checklist) -> ImageTower + Send + Sync>,
}

/// Reads the text tower of a model whose small files have been read.
pub(super) struct TextReader {
    pub(super) pooling: Pooling,
    /// Numbers of a feature.
    pub(super) dim: usize,
    /// Whether the first token of a text is one whose vector stands for the text.
    pub(super) has_class: bool,
    /// Tokens that the embedding knows.
    pub(super) n_words: usize,
    /// Tokens of a text at most.
    pub(super) max_length: usize,
    /// The number of tokens to which every text is padded, padding attended to.
    pub(super) padding: Option<usize>,
    /// The names of its tensors.
    pub(super) family: &'static Family,
    pub(super) read: Box<dyn Fn(&mut Checklist) -> TextTower + Send + Sync>,
}

impl ImageReader {
    /// Reads the weights of the tower.
    ///
    /// # Errors
    /// When a file is no checkpoint or does not hold this tower; one error lists every tensor that is wrong.
    pub(super) fn tower(&self, weights: &[PathBuf]) -> Result<ImageTower, ModelError> {
        take(weights, self.family, &self.read)
    }

    /// Compares the tensors of the tower with its sizes; reads no numbers.
    ///
    /// # Errors
    /// As [`ImageReader::tower`].
    pub(super) fn check(&self, weights: &[PathBuf]) -> Result<(), ModelError> {
        survey(weights, self.family, &self.read).map(drop)
    }
}

impl TextReader {
    /// Reads the weights of the tower.
    ///
    /// # Errors
    /// As [`ImageReader::tower`].
    pub(super) fn tower(&self, weights: &[PathBuf]) -> Result<TextTower, ModelError> {
        take(weights, self.family, &self.read)
    }

    /// The tower without its numbers, of which none is read.
    ///
    /// # Errors
    /// As [`ImageReader::tower`].
    pub(super) fn survey(&self, weights: &[PathBuf]) -> Result<TextTower, ModelError> {
        survey(weights, self.family, &self.read)
    }

    /// The remark on the place of the weights in their files.
    ///
    /// # Errors
    /// When a file is no checkpoint or does not hold this tower.
    pub(super) fn note(&self, weights: &[PathBuf]) -> Result<WeightsNote, ModelError> {
        Ok(open(weights, self.family)?.note().clone())
    }
}

/// The pooling that was asked for, or the family's own. All families have the vectors of their tokens.
///
/// # Errors
/// When the model does not have it.
pub(super) fn image_pooling(
    asked: Option<ImagePooling>,
    own: ImagePooling,
    there: &[ImagePooling],
    path: &Path,
) -> Result<ImagePooling, ModelError> {
    match asked {
        Some(ImagePooling::Tokens) => Ok(ImagePooling::Tokens),
        _ => one_of(asked.unwrap_or(own), there, ImagePooling::name, path),
    }
}

/// The pooling that was asked for, or the family's own. All families have the vectors of their tokens.
///
/// # Errors
/// When the model does not have it.
pub(super) fn text_pooling(
    asked: Option<Pooling>,
    own: Pooling,
    there: &[Pooling],
    path: &Path,
) -> Result<Pooling, ModelError> {
    match asked {
        Some(Pooling::Tokens) => Ok(Pooling::Tokens),
        _ => one_of(asked.unwrap_or(own), there, Pooling::name, path),
    }
}

/// The pool of an image tower with a class token, without its head.
pub(super) fn pool_with_class(pooling: ImagePooling) -> ImagePool {
    match pooling {
        ImagePooling::Mean => ImagePool::Mean,
        ImagePooling::Tokens => ImagePool::Tokens,
        _ => ImagePool::Class,
    }
}

fn one_of<P: Copy + PartialEq>(
    pooling: P,
    there: &[P],
    name: fn(P) -> &'static str,
    path: &Path,
) -> Result<P, ModelError> {
    if there.contains(&pooling) {
        return Ok(pooling);
    }
    let names: Vec<&str> = there.iter().copied().map(name).collect();
    Err(ModelError::Choice { param: "pooling", path: path.to_owned(), what: refusal(name(pooling), &names) })
}
