//! Image encoders of the ResNet family: pixels to feature vectors.

mod config;
mod cpu;
mod family;
mod names;
mod weights;

use crate::device::{Device, DeviceError, Precision, probe};
pub use crate::families::image::ImageOptions;
pub use crate::families::pooling::ImagePooling;
use crate::families::pooling::MapPooling;
use crate::forward::pixels::{Images, PixelTable};
use crate::forward::{ImageForward, processor};
use crate::gpu;
pub use crate::preprocessing::ImageExpectations;
pub use crate::weights::{
    ImageModelFiles, ModelError, ModelSearch, WeightsNote, find_image_model, image_family_of_name, image_model_places,
    image_models_near,
};
pub(super) use family::open;
use pipeline_kernels::{InstructionSet, Matrix};

use crate::preprocessing::Preprocessing;
use config::ResNetConfig;
pub(super) use cpu::CpuResNet;
pub(super) use weights::conv;
pub(crate) use weights::{BlockWeights, ResNetWeights, StemWeights};

/// An image encoder: a ResNet without its classifier.
pub struct ImageEncoder {
    dim: usize,
    preprocessing: Preprocessing,
    pixels: PixelTable,
    forward: Box<dyn ImageForward>,
}

/// What a model's small files come to: everything but weights.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSettings {
    /// What becomes of the levels of a pixel, as text: `mean […] std […]`.
    pub preprocessing: String,
    /// How the model's own library decodes images.
    pub expectations: ImageExpectations,
}

impl ImageSettings {
    /// Reads the model's small files: no weights.
    ///
    /// # Errors
    /// When a file cannot be read, or the model is of another family or asks for what is not computed here.
    pub fn read(files: &ImageModelFiles) -> Result<Self, ModelError> {
        ResNetConfig::read(files)?;
        let (preprocessing, expectations) = Preprocessing::read(files, &Preprocessing::IMAGENET)?;
        Ok(Self { preprocessing: preprocessing.to_string(), expectations })
    }
}

impl ImageEncoder {
    /// Loads an encoder; depth and widths follow from the weights.
    ///
    /// # Errors
    /// When the device cannot be used, or a file cannot be read, is not supported or is damaged.
    pub fn load(files: &ImageModelFiles, device: Device) -> Result<Self, ModelError> {
        Self::with_pooling(files, MapPooling::Mean, device, Precision::F32)
    }

    fn with_pooling(
        files: &ImageModelFiles,
        pooling: MapPooling,
        device: Device,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        probe(device)?;
        let config = ResNetConfig::read(files)?;
        let (preprocessing, _) = Preprocessing::read(files, &Preprocessing::IMAGENET)?;
        let weights = ResNetWeights::read(files, &config, pooling)?;
        let dim = weights.n_features;
        let forward = match device {
            Device::Cpu => {
                let resnet = CpuResNet::new(weights, InstructionSet::best());
                processor::images(move |pixels, height, width| resnet.forward(pixels, height, width))
            }
            Device::Gpu(gpu) => gpu::load(gpu, weights, precision)?,
        };
        let pixels = preprocessing.table();
        Ok(Self { dim, preprocessing, pixels, forward })
    }

    /// The length of a feature vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// What becomes of the levels of a pixel, as text: `mean […] std […]`.
    pub fn preprocessing(&self) -> String {
        self.preprocessing.to_string()
    }

    /// The features of images of one size, on `n_threads` threads; their number changes no bit.
    ///
    /// # Shapes
    /// each of `pixels`: `[height, width, 3]`, RGB · returns `[n_images, dim]`
    ///
    /// # Errors
    /// When the device fails or a feature is not finite.
    ///
    /// # Panics
    /// When an image has another number of bytes: a bug of the caller.
    pub fn encode(
        &self,
        pixels: &[&[u8]],
        height: usize,
        width: usize,
        n_threads: usize,
    ) -> Result<Matrix, ModelError> {
        let features = self.vectors(pixels, height, width, n_threads)?;
        let matrix = Matrix::new(pixels.len(), self.dim, features);
        matrix.first_row_not_finite().map_or(Ok(matrix), |row_idx| Err(ModelError::NotFinite { row_idx }))
    }

    fn vectors(
        &self,
        pixels: &[&[u8]],
        height: usize,
        width: usize,
        n_threads: usize,
    ) -> Result<Vec<f32>, DeviceError> {
        self.forward.forward(&Images::new(pixels, height, width, &self.pixels), n_threads)
    }
}

/// The length of a model's feature vectors, from the shapes of its weights; reads no numbers.
///
/// # Errors
/// When a file cannot be read or is not supported, or a tensor is missing, superfluous or of another shape.
pub fn image_dim(files: &ImageModelFiles) -> Result<usize, ModelError> {
    let config = ResNetConfig::read(files)?;
    ResNetWeights::survey(files, &config)
}

/// The remark on the place of a model's weights in their file, such as a dict among others; reads no numbers.
///
/// # Errors
/// When the file is not a checkpoint, or does not hold one model.
pub fn image_weights_note(files: &ImageModelFiles) -> Result<WeightsNote, ModelError> {
    weights::note(files)
}

#[cfg(test)]
pub(crate) mod tests;
