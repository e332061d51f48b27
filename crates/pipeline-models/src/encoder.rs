//! Encoders of any family: the interface of a model to a stage, before and after its weights are loaded.

use std::path::PathBuf;

use pipeline_kernels::{Matrix, TokenMatrix};
use serde::{Deserialize, Serialize};

use crate::preprocessing::ImageExpectations;
use crate::tokenizer::TokenCount;
use crate::tower::{Top, TopError};
use crate::weights::{ModelError, WeightsNote};
use crate::{Device, Precision};

/// The side of a pair that a model encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncoderSide {
    /// Texts.
    Text,
    /// Images.
    Image,
}

impl EncoderSide {
    /// The name that messages and kinds have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
        }
    }
}

/// Rows to encode.
#[derive(Debug, Clone, Copy)]
pub enum EncoderRows<'a> {
    /// Texts, for encoders of [`EncoderSide::Text`].
    Texts(&'a [&'a str]),
    /// The same as [`Encoder::tokenize`] has split them.
    Tokens(&'a [Vec<u32>]),
    /// Images of one size, for encoders of [`EncoderSide::Image`].
    ///
    /// # Shapes
    /// each of `pixels`: `[height, width, 3]`, RGB
    Images {
        /// The levels of each image.
        pixels: &'a [&'a [u8]],
        /// Rows of pixels per image.
        height: usize,
        /// Pixels per row.
        width: usize,
    },
}

/// The order of a row's token vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLayout {
    /// Whether the first vector stands for the whole row, such as that of `[CLS]` or of a class token.
    pub has_class: bool,
    /// The number of vectors before those whose mean is the row's: 1 for the class token of images, 0 for texts, whose
    /// mean is over all tokens.
    pub n_before_mean: usize,
}

impl TokenLayout {
    /// Vectors of equal rank.
    pub(crate) const WITHOUT_CLASS: Self = Self { has_class: false, n_before_mean: 0 };
}

/// A model whose small files have been read and checked against the options: everything but its weights.
pub trait EncoderModel: Send + Sync {
    /// The side that it encodes.
    fn side(&self) -> EncoderSide;

    /// The width of its vectors; may read the shapes of weights.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    fn dim(&self) -> Result<usize, ModelError>;

    /// The pooling from a row's many vectors to one, under its name in a feature space.
    fn pooling(&self) -> &'static str;

    /// The order of the vectors that are given for each row; `None` where a pooling makes them one.
    fn tokens(&self) -> Option<TokenLayout>;

    /// The tokens of a text at most, or those of an image of this height and width.
    fn most_tokens(&self, size: [u32; 2]) -> usize;

    /// Tokens of a text at most, special ones included; `None` for images.
    fn max_length(&self) -> Option<usize> {
        None
    }

    /// A remark on what may have been meant otherwise.
    fn remark(&self) -> Option<String> {
        None
    }

    /// The other properties of the encoding that change every vector, under their names in a feature space.
    fn properties(&self) -> Vec<(&'static str, String)>;

    /// Whether vectors are divided by their lengths.
    fn is_normalized(&self) -> bool;

    /// The role and the path of every file that affects a vector.
    fn files(&self) -> Vec<(String, PathBuf)>;

    /// The image decoding of the model's own library, where its files describe it.
    fn expectations(&self) -> ImageExpectations {
        ImageExpectations::default()
    }

    /// The reason why images of this height and width cannot be encoded, such as positions for another size; `None`
    /// where they can.
    fn refuses_size(&self, _size: [u32; 2]) -> Option<String> {
        None
    }

    /// The remark on the place of the weights in their file; reads no numbers.
    ///
    /// # Errors
    /// When a file is not a checkpoint, or does not hold one model.
    fn weights_note(&self) -> Result<WeightsNote, ModelError>;

    /// Compares the tensors and the tokens of the model with its small files, by headers; reads no numbers.
    ///
    /// # Errors
    /// When a file is not a checkpoint, or tensors or tokens are missing, superfluous or of another size.
    fn check(&self) -> Result<(), ModelError>;

    /// Looks whether [`EncoderModel::top`] can work, by headers; reads no numbers.
    ///
    /// # Errors
    /// When the model has no such layers, or as [`EncoderModel::check`].
    fn check_top(&self, _n_layers: usize) -> Result<(), ModelError> {
        Err(TopError::OfImages.into())
    }

    /// The last `n_layers` layers with the pooling of the model, to go on from tokens.
    ///
    /// # Errors
    /// When the model has none that could be taken off, or a file cannot be read, is not supported or is damaged.
    fn top(&self, _n_layers: usize) -> Result<Top, ModelError> {
        Err(TopError::OfImages.into())
    }

    /// Loads the weights to where products are computed in this precision.
    ///
    /// # Errors
    /// When the device cannot be used, or a file cannot be read, is not supported or is damaged.
    fn load(&self, device: Device, precision: Precision) -> Result<Box<dyn Encoder>, ModelError>;
}

/// An encoder in memory.
pub trait Encoder: Send + Sync {
    /// The width of its vectors.
    fn dim(&self) -> usize;

    /// Encodes rows on `n_threads` threads; their number changes no bit.
    ///
    /// # Shapes
    /// returns `[n_rows, dim]`
    ///
    /// # Errors
    /// When a text cannot be split into tokens, or a vector is not finite.
    ///
    /// # Panics
    /// When the rows are of the other side, or the model has no pooling: a bug of the caller.
    fn encode(&self, rows: EncoderRows<'_>, n_threads: usize) -> Result<Matrix, ModelError>;

    /// Encodes rows into the vectors of all their tokens on `n_threads` threads; their number changes no bit.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    ///
    /// # Panics
    /// When the rows are of the other side, or the model has a pooling: a bug of the caller.
    fn encode_tokens(&self, rows: EncoderRows<'_>, n_threads: usize) -> Result<TokenMatrix, ModelError>;

    /// Splits texts into the ids of their tokens on `n_threads` threads, for [`EncoderRows::Tokens`].
    ///
    /// # Errors
    /// When a text cannot be split.
    ///
    /// # Panics
    /// When the encoder is one of images: a bug of the caller.
    fn tokenize(&self, _texts: &[&str], _n_threads: usize) -> Result<Vec<Vec<u32>>, ModelError> {
        panic!("BUG: an encoder of images splits no text")
    }

    /// Counts the tokens of a text by their ids, special ones left out, and those that the encoder does not know.
    ///
    /// # Panics
    /// When the encoder is one of images: a bug of the caller.
    fn count_tokens(&self, _ids: &[u32]) -> TokenCount {
        panic!("BUG: an encoder of images counts no tokens of texts")
    }
}

/// The roles of weights that may be split into several files.
pub(crate) fn weights_roles(paths: &[PathBuf]) -> impl Iterator<Item = (String, PathBuf)> {
    paths.iter().enumerate().map(|(path_idx, path)| {
        let role = if paths.len() == 1 { "weights".to_owned() } else { format!("weights-{path_idx:05}") };
        (role, path.clone())
    })
}
