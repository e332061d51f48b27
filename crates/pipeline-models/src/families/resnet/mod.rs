//! Image encoders of the ResNet family: pixels to feature vectors.

pub(crate) mod config;
pub(crate) mod cpu;
mod family;
mod names;
pub(crate) mod weights;

use crate::device::{Device, probe};
pub use crate::preprocessing::ImageExpectations;
pub use crate::weights::{
    ImageModelFiles, ModelError, ModelSearch, WeightsNote, find_image_model, image_family_of_name, image_model_places,
    image_models_near,
};
pub(super) use family::{open, recognises};
use pipeline_kernels::Matrix;
use pipeline_kernels::{InstructionSet, map_batches};

use crate::forward::pixels::PixelTable;
#[cfg(feature = "cuda")]
use crate::gpu::backend::resnet::ResNet;
use crate::preprocessing::Preprocessing;
use config::ResNetConfig;
use cpu::CpuResNet;
use weights::ResNetWeights;

/// Images that are computed together: at 224×224, the maps of more of them do not fit the caches any better.
const BATCH_IMAGES: usize = 8;

/// An image encoder: a ResNet without its classifier.
pub struct ImageEncoder {
    dim: usize,
    preprocessing: Preprocessing,
    pixels: PixelTable,
    model: Model,
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
        let (preprocessing, expectations) = Preprocessing::read(files)?;
        Ok(Self { preprocessing: preprocessing.to_string(), expectations })
    }
}

enum Model {
    Cpu(CpuResNet),
    #[cfg(feature = "cuda")]
    Cuda(Box<ResNet<burn_cuda::Cuda>>),
}

impl ImageEncoder {
    /// Loads an encoder; depth and widths follow from the weights.
    ///
    /// # Errors
    /// When the device cannot be used, or a file cannot be read, is not supported or is damaged.
    pub fn load(files: &ImageModelFiles, device: Device) -> Result<Self, ModelError> {
        probe(device)?;
        let config = ResNetConfig::read(files)?;
        let (preprocessing, _) = Preprocessing::read(files)?;
        let weights = ResNetWeights::read(files, &config)?;
        let dim = weights.n_features;
        let model = match device {
            Device::Cpu => Model::Cpu(CpuResNet::new(weights, InstructionSet::best())),
            #[cfg(feature = "cuda")]
            Device::Cuda => Model::Cuda(Box::new(ResNet::new(weights, Default::default()))),
            #[cfg(not(feature = "cuda"))]
            Device::Cuda => return Err(crate::device::DeviceError::NotBuilt.into()),
        };
        let pixels = PixelTable::new(&preprocessing);
        Ok(Self { dim, preprocessing, pixels, model })
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
    /// When a feature is not finite.
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
        let n_bytes = height * width * 3;
        assert!(n_bytes > 0 && pixels.iter().all(|rgb| rgb.len() == n_bytes), "BUG: an image needs {n_bytes} bytes");
        let batches: Vec<_> = pixels.chunks(BATCH_IMAGES).collect();
        let encode_batch = |batch_idx: usize| {
            let batch: &[&[u8]] = batches[batch_idx];
            let mut values = Vec::with_capacity(batch.len() * n_bytes);
            match &self.model {
                Model::Cpu(_) => batch.iter().for_each(|rgb| self.pixels.append_pixels(rgb, &mut values)),
                #[cfg(feature = "cuda")]
                Model::Cuda(_) => batch.iter().for_each(|rgb| self.pixels.append_planes(rgb, &mut values)),
            }
            self.forward(values, height, width)
        };
        let features = match &self.model {
            Model::Cpu(_) => map_batches(batches.len(), n_threads, encode_batch),
            #[cfg(feature = "cuda")]
            Model::Cuda(_) => (0..batches.len()).map(encode_batch).collect(),
        };
        let matrix = Matrix::new(pixels.len(), self.dim, features.concat());
        matrix.first_row_not_finite().map_or(Ok(matrix), |row_idx| Err(ModelError::NotFinite { row_idx }))
    }

    fn forward(&self, values: Vec<f32>, height: usize, width: usize) -> Vec<f32> {
        match &self.model {
            Model::Cpu(model) => model.forward(&values, height, width),
            #[cfg(feature = "cuda")]
            Model::Cuda(model) => model.forward(values, height, width),
        }
    }
}

/// The length of a model's feature vectors, from its weights.
///
/// # Errors
/// When a file cannot be read, is not supported or is damaged.
pub fn image_dim(files: &ImageModelFiles) -> Result<usize, ModelError> {
    let config = ResNetConfig::read(files)?;
    Ok(ResNetWeights::read(files, &config)?.n_features)
}

/// The remark on the place of a model's weights in their file, such as a dict among others; reads no numbers.
///
/// # Errors
/// When the file is not a checkpoint, or does not hold one model.
pub fn image_weights_note(files: &ImageModelFiles) -> Result<WeightsNote, ModelError> {
    weights::note(files)
}

#[cfg(test)]
mod tests;
