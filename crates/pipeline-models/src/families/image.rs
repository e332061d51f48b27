//! Image encoders of any family but ResNet: a forward pass, its pixels, and what the small files say of both.

use std::path::PathBuf;

use pipeline_kernels::{InstructionSet, Matrix, TokenMatrix, TokenNumbers};

use super::clip::resnet::{ClipResNetReader, CpuClipResNet};
use super::convnext::{ConvNeXtReader, CpuConvNeXt};
use super::pooling::{ImagePooling, MapPooling};
use super::reader::ImageReader;
use super::resnet::CpuResNet;
use super::text::finite;
use super::{clip, convnext};
use crate::device::{Device, DeviceError, Precision, probe};
use crate::encoder::{Encoder, EncoderModel, EncoderRows, EncoderSide, TokenLayout, weights_roles};
use crate::forward::pixels::{Images, PixelTable};
use crate::forward::{ImageForward, processor};
use crate::gpu;
use crate::preprocessing::{ImageExpectations, Preprocessing};
use crate::tower::cpu::CpuImageTower;
use crate::weights::{ImageModelFiles, ModelError, WeightsNote, open, survey, take};

/// The options of encoding images. An absent one is the model's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageOptions {
    /// The way from the patches' vectors to the image's.
    pub pooling: Option<ImagePooling>,
    /// Whether positions are interpolated for images of another size than the model's.
    pub interpolates: Option<bool>,
}

/// An image model whose small files have been read.
pub(super) struct ImageModel {
    pub(super) files: ImageModelFiles,
    pub(super) preprocessing: Preprocessing,
    pub(super) expectations: ImageExpectations,
    pub(super) network: Network,
    /// Whether positions are interpolated for images of another size than the model's.
    pub(super) interpolates: bool,
}

/// The readers of a model's weights.
pub(super) enum Network {
    /// A vision transformer.
    Tower(ImageReader),
    /// CLIP's ResNet.
    ClipResNet(ClipResNetReader),
    /// A ConvNeXt.
    ConvNeXt(ConvNeXtReader),
}

impl ImageModel {
    /// The reason why images of a size cannot be encoded.
    fn size_refusal(&self, height: usize, width: usize) -> Option<String> {
        match &self.network {
            Network::Tower(reader) => {
                let (side, patch) = (reader.image, reader.patch);
                let (rows, cols) = (height / patch, width / patch);
                let own = side / patch;
                if rows.min(cols) == 0 {
                    return Some(format!(
                        "the pixels are {height}×{width}, which is less than a patch of {patch}×{patch}"
                    ));
                }
                (!self.interpolates && (rows, cols) != (own, own)).then(|| {
                    let or_else = if reader.can_interpolate { ", or set `positions: interpolate`" } else { "" };
                    format!(
                        "the pixels are {height}×{width} and the model's positions are for {side}×{side}: decode with \
                         `like`{or_else}"
                    )
                })
            }
            Network::ClipResNet(reader) => {
                let places = |side: usize| side / clip::resnet::STRIDE;
                let own = places(reader.image);
                ((places(height), places(width)) != (own, own)).then(|| {
                    format!(
                        "its attention pool has places for {own}×{own}, and {height}×{width} pixels make {}×{}",
                        places(height),
                        places(width)
                    )
                })
            }
            Network::ConvNeXt(_) => {
                let least = convnext::STRIDE;
                (height.min(width) < least)
                    .then(|| format!("the pixels are {height}×{width}, and the model needs {least}×{least} at least"))
            }
        }
    }

    fn weights(&self) -> &[PathBuf] {
        &self.files.weights
    }
}

impl EncoderModel for ImageModel {
    fn side(&self) -> EncoderSide {
        EncoderSide::Image
    }

    fn dim(&self) -> Result<usize, ModelError> {
        match &self.network {
            Network::Tower(reader) => Ok(reader.dim),
            Network::ClipResNet(reader) => Ok(reader.dim),
            Network::ConvNeXt(reader) => {
                let list = open(self.weights(), reader.family())?;
                reader.dim(&list).ok_or_else(|| ModelError::Unsupported {
                    path: self.weights()[0].clone(),
                    what: "its last norm is missing, from which its width would follow".to_owned(),
                })
            }
        }
    }

    fn pooling(&self) -> &'static str {
        match &self.network {
            Network::Tower(reader) => reader.pooling.name(),
            Network::ClipResNet(reader) if reader.gives_cells => ImagePooling::Tokens.name(),
            Network::ClipResNet(_) => ImagePooling::Projected.name(),
            Network::ConvNeXt(reader) => reader.pooling.name(),
        }
    }

    fn tokens(&self) -> Option<TokenLayout> {
        match &self.network {
            Network::Tower(reader) => {
                let has_class = reader.has_class;
                let layout = TokenLayout { has_class, n_before_mean: usize::from(has_class) };
                (reader.pooling == ImagePooling::Tokens).then_some(layout)
            }
            Network::ClipResNet(reader) => reader.gives_cells.then_some(TokenLayout::WITHOUT_CLASS),
            Network::ConvNeXt(reader) => (reader.pooling == MapPooling::Cells).then_some(TokenLayout::WITHOUT_CLASS),
        }
    }

    fn most_tokens(&self, size: [u32; 2]) -> usize {
        let cells = |stride: usize| size.iter().map(|side| *side as usize / stride).product::<usize>();
        match &self.network {
            Network::Tower(reader) => cells(reader.patch) + usize::from(reader.has_class),
            Network::ClipResNet(_) => cells(clip::resnet::STRIDE),
            Network::ConvNeXt(_) => cells(convnext::STRIDE),
        }
    }

    fn properties(&self) -> Vec<(&'static str, String)> {
        let is_own = |reader: &ImageReader| self.interpolates == reader.interpolates;
        match &self.network {
            Network::Tower(reader) if !is_own(reader) => {
                let positions = if self.interpolates { "interpolate" } else { "own" };
                vec![("positions", positions.to_owned())]
            }
            _ => Vec::new(),
        }
    }

    fn is_normalized(&self) -> bool {
        false
    }

    fn expectations(&self) -> ImageExpectations {
        self.expectations.clone()
    }

    fn refuses_size(&self, [height, width]: [u32; 2]) -> Option<String> {
        self.size_refusal(height as usize, width as usize)
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        let small = self.files.settings().into_iter().map(|(role, path)| (role.to_owned(), path.to_owned()));
        small.chain(weights_roles(self.weights())).collect()
    }

    fn weights_note(&self) -> Result<WeightsNote, ModelError> {
        let family = match &self.network {
            Network::Tower(reader) => reader.family,
            Network::ClipResNet(_) => &clip::resnet::CLIP_RESNET,
            Network::ConvNeXt(reader) => reader.family(),
        };
        Ok(open(self.weights(), family)?.note().clone())
    }

    fn check(&self) -> Result<(), ModelError> {
        match &self.network {
            Network::Tower(reader) => reader.check(self.weights()),
            Network::ClipResNet(reader) => {
                survey(self.weights(), &clip::resnet::CLIP_RESNET, |list| reader.read(list)).map(drop)
            }
            Network::ConvNeXt(reader) => survey(self.weights(), reader.family(), |list| reader.read(list)).map(drop),
        }
    }

    fn load(&self, device: Device, precision: Precision) -> Result<Box<dyn Encoder>, ModelError> {
        probe(device)?;
        let best = InstructionSet::best();
        let forward = match &self.network {
            Network::Tower(reader) => {
                let tower = reader.tower(self.weights())?;
                match device {
                    Device::Cpu => {
                        let tower = CpuImageTower::new(tower, best);
                        processor::images(move |pixels, height, width| tower.forward(pixels, height, width))
                    }
                    Device::Gpu(gpu) => gpu::load(gpu, tower, precision)?,
                }
            }
            Network::ClipResNet(reader) => {
                let weights = take(self.weights(), &clip::resnet::CLIP_RESNET, |list| reader.read(list))?;
                match device {
                    // The trunk alone is a ResNet.
                    Device::Cpu if reader.gives_cells => {
                        let resnet = CpuResNet::new(weights.trunk, best);
                        processor::images(move |pixels, height, width| resnet.forward(pixels, height, width))
                    }
                    Device::Gpu(gpu) if reader.gives_cells => gpu::load(gpu, weights.trunk, precision)?,
                    Device::Cpu => {
                        let resnet = CpuClipResNet::new(weights, best);
                        processor::images(move |pixels, height, width| resnet.forward(pixels, height, width))
                    }
                    Device::Gpu(gpu) => gpu::load(gpu, weights, precision)?,
                }
            }
            Network::ConvNeXt(reader) => {
                let weights = take(self.weights(), reader.family(), |list| reader.read(list))?;
                match device {
                    Device::Cpu => {
                        let convnext = CpuConvNeXt::new(weights, best);
                        processor::images(move |pixels, height, width| convnext.forward(pixels, height, width))
                    }
                    Device::Gpu(gpu) => gpu::load(gpu, weights, precision)?,
                }
            }
        };
        Ok(Box::new(ImageEncoder { dim: self.dim()?, table: self.preprocessing.table(), forward }))
    }
}

/// An image encoder in memory.
struct ImageEncoder {
    dim: usize,
    table: PixelTable,
    forward: Box<dyn ImageForward>,
}

impl Encoder for ImageEncoder {
    fn dim(&self) -> usize {
        self.dim
    }

    fn encode(&self, rows: EncoderRows<'_>, n_threads: usize) -> Result<Matrix, ModelError> {
        let EncoderRows::Images { pixels, height, width } = rows else {
            panic!("BUG: an image encoder encodes images")
        };
        let matrix = Matrix::new(pixels.len(), self.dim, self.vectors(pixels, height, width, n_threads)?);
        matrix.first_row_not_finite().map_or(Ok(matrix), |row_idx| Err(ModelError::NotFinite { row_idx }))
    }

    fn encode_tokens(&self, rows: EncoderRows<'_>, n_threads: usize) -> Result<TokenMatrix, ModelError> {
        let EncoderRows::Images { pixels, height, width } = rows else {
            panic!("BUG: an image encoder encodes images")
        };
        image_tokens(pixels.len(), self.dim, self.vectors(pixels, height, width, n_threads)?)
    }
}

impl ImageEncoder {
    fn vectors(
        &self,
        pixels: &[&[u8]],
        height: usize,
        width: usize,
        n_threads: usize,
    ) -> Result<Vec<f32>, DeviceError> {
        self.forward.forward(&Images::new(pixels, height, width, &self.table), n_threads)
    }
}

/// The vectors of images of one size, which have as many tokens each.
///
/// # Errors
/// When a number is not finite.
pub(super) fn image_tokens(n_images: usize, width: usize, vectors: Vec<f32>) -> Result<TokenMatrix, ModelError> {
    let n_tokens = (vectors.len() / width).checked_div(n_images).unwrap_or(0);
    finite(TokenMatrix::new(width, vec![n_tokens; n_images], TokenNumbers::Single(vectors)))
}
