//! ResNet as a family of encoders.

use std::path::PathBuf;

use pipeline_kernels::{Matrix, TokenMatrix};

use super::{ImageEncoder, ImageExpectations, ImageSettings, image_dim, image_weights_note};
use crate::encoder::{Encoder, EncoderModel, EncoderRows, EncoderSide, TokenLayout, weights_roles};
use crate::families::Opened;
use crate::families::image::{ImageOptions, image_tokens};
use crate::families::open::no_positions;
use crate::families::pooling::MapPooling;
use crate::weights::{ImageModelFiles, ModelError, WeightsNote};
use crate::{Device, Precision};

/// Reads the small files of a ResNet.
pub(in crate::families) fn open(files: &ImageModelFiles, options: &ImageOptions) -> Opened {
    let path = files.config.as_ref().or(files.weights.first());
    let path = path.cloned().unwrap_or_default();
    let pooling = MapPooling::of(options.pooling, &path)?;
    no_positions(options, &path)?;
    let settings = ImageSettings::read(files)?;
    Ok(Box::new(ResNetModel { files: files.clone(), settings, pooling }))
}

/// Pixels of an image for each cell of the last map.
const STRIDE: u32 = 32;

struct ResNetModel {
    files: ImageModelFiles,
    settings: ImageSettings,
    pooling: MapPooling,
}

impl EncoderModel for ResNetModel {
    fn side(&self) -> EncoderSide {
        EncoderSide::Image
    }

    fn dim(&self) -> Result<usize, ModelError> {
        image_dim(&self.files)
    }

    fn pooling(&self) -> &'static str {
        self.pooling.name()
    }

    fn properties(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn is_normalized(&self) -> bool {
        false
    }

    fn tokens(&self) -> Option<TokenLayout> {
        (self.pooling == MapPooling::Cells).then_some(TokenLayout::WITHOUT_CLASS)
    }

    fn most_tokens(&self, [height, width]: [u32; 2]) -> usize {
        height.div_ceil(STRIDE) as usize * width.div_ceil(STRIDE) as usize
    }

    fn expectations(&self) -> ImageExpectations {
        self.settings.expectations.clone()
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        let small = self.files.settings().into_iter().map(|(role, path)| (role.to_owned(), path.to_owned()));
        small.chain(weights_roles(&self.files.weights)).collect()
    }

    fn weights_note(&self) -> Result<WeightsNote, ModelError> {
        image_weights_note(&self.files)
    }

    fn check(&self) -> Result<(), ModelError> {
        image_dim(&self.files).map(drop)
    }

    fn load(&self, device: Device, precision: Precision) -> Result<Box<dyn Encoder>, ModelError> {
        Ok(Box::new(ImageEncoder::with_pooling(&self.files, self.pooling, device, precision)?))
    }
}

impl Encoder for ImageEncoder {
    fn dim(&self) -> usize {
        self.dim()
    }

    fn encode(&self, rows: EncoderRows<'_>, n_threads: usize) -> Result<Matrix, ModelError> {
        let EncoderRows::Images { pixels, height, width } = rows else { panic!("BUG: a ResNet encodes images") };
        self.encode(pixels, height, width, n_threads)
    }

    fn encode_tokens(&self, rows: EncoderRows<'_>, n_threads: usize) -> Result<TokenMatrix, ModelError> {
        let EncoderRows::Images { pixels, height, width } = rows else { panic!("BUG: a ResNet encodes images") };
        image_tokens(pixels.len(), self.dim(), self.vectors(pixels, height, width, n_threads)?)
    }
}
