//! CLIP's ResNet: three convolutions for a stem, means before strides, attention for a pool. cn_clip's RN50 has it.

use std::path::Path;

use pipeline_kernels::InstructionSet;

use crate::families::pooling::{ImagePooling, MapPooling, refusal};
use crate::families::resnet::{BlockWeights, CpuResNet, ResNetWeights, StemWeights, conv};
use crate::tower::AttentionPoolWeights;
use crate::tower::cpu::CpuAttentionPool;
use crate::tower::read::dense;
use crate::weights::{Checklist, Family, ModelError};

/// The width of a head of the attention pool.
const HEAD_WIDTH: usize = 64;
/// Pixels of an image for each place of the last map.
pub(in crate::families) const STRIDE: usize = 32;

/// The names of its tensors.
pub(in crate::families) const CLIP_RESNET: Family = Family {
    what: "CLIP's ResNet",
    anchors: &[&["visual.layer1.0.conv1.weight"], &["visual.attnpool.positional_embedding"]],
    canonical: |name| name.starts_with("visual.").then(|| name.to_owned()),
    usual_prefixes: &[],
};

/// The sizes of a CLIP ResNet, which follow from its tensors.
#[derive(Debug, Clone, Copy)]
pub(in crate::families) struct ClipResNetReader {
    /// Whether the cells of the last map are wanted, and not the pool's vector.
    pub(in crate::families) gives_cells: bool,
    /// Numbers of a vector.
    pub(in crate::families) dim: usize,
    /// Pixels of the side of its images; its pool has places for no others.
    pub(in crate::families) image: usize,
}

/// A CLIP ResNet without its text tower.
pub(crate) struct ClipResNetWeights {
    pub(crate) trunk: ResNetWeights,
    pub(crate) pool: AttentionPoolWeights,
}

/// A CLIP ResNet with its weights laid out.
pub(in crate::families) struct CpuClipResNet {
    trunk: CpuResNet,
    pool: CpuAttentionPool,
}

impl ClipResNetReader {
    /// Reads the sizes.
    ///
    /// # Errors
    /// When the tensors have no usable shapes, or another pooling than `projected` is asked for.
    pub(in crate::families) fn new(
        list: &Checklist,
        path: &Path,
        pooling: Option<ImagePooling>,
    ) -> Result<Self, ModelError> {
        let wrong = |what: String| ModelError::Unsupported { path: path.to_owned(), what };
        let gives_cells = match pooling {
            None | Some(ImagePooling::Projected) => false,
            Some(ImagePooling::Tokens) => true,
            Some(other) => {
                let what = refusal(other.name(), &["projected"]);
                return Err(ModelError::Choice { param: "pooling", path: path.to_owned(), what });
            }
        };
        let axes = |name: &str| list.shape(name).filter(|shape| shape.len() == 2).map(|shape| [shape[0], shape[1]]);
        let positions = axes("visual.attnpool.positional_embedding");
        match (positions, axes("visual.attnpool.c_proj.weight")) {
            (Some([n_positions, width]), Some([dim, _])) if n_positions > 1 => {
                let dim = if gives_cells { width } else { dim };
                Ok(Self { gives_cells, dim, image: (n_positions - 1).isqrt() * STRIDE })
            }
            _ => Err(wrong("its attention pool has no positions or no projection".to_owned())),
        }
    }

    /// Takes the weights.
    pub(in crate::families) fn read(self, list: &mut Checklist) -> ClipResNetWeights {
        let n_out = |list: &Checklist, name: &str| {
            list.shape(&format!("{name}.weight")).and_then(|shape| shape.first().copied()).unwrap_or(1)
        };
        let [first, second, third] = ["conv1", "conv2", "conv3"].map(|name| n_out(list, &format!("visual.{name}")));
        let mut stem = |number: usize, n_in: usize, n_out: usize, stride: usize| {
            conv(list, &format!("visual.conv{number}"), &format!("visual.bn{number}"), [n_out, n_in, 3], stride)
        };
        let stem = [stem(1, 3, first, 2), stem(2, first, second, 1), stem(3, second, third, 1)];
        let (mut blocks, mut width) = (Vec::new(), third);
        for stage in 1..=4 {
            let has = |idx: usize| list.has(&format!("visual.layer{stage}.{idx}.conv1.weight"));
            let n_blocks = (0..).take_while(|idx| has(*idx)).count().max(1);
            for idx in 0..n_blocks {
                let start = format!("visual.layer{stage}.{idx}");
                let (inner, out) = (n_out(list, &format!("{start}.conv1")), n_out(list, &format!("{start}.conv3")));
                let mut part = |number: usize, shape: [usize; 3]| {
                    conv(list, &format!("{start}.conv{number}"), &format!("{start}.bn{number}"), shape, 1)
                };
                let convs = vec![part(1, [inner, width, 1]), part(2, [inner, inner, 3]), part(3, [out, inner, 1])];
                let has_shortcut = idx == 0 || list.has(&format!("{start}.downsample.0.weight"));
                let shortcut = has_shortcut.then(|| {
                    let (name, norm) = (format!("{start}.downsample.0"), format!("{start}.downsample.1"));
                    conv(list, &name, &norm, [out, width, 1], 1)
                });
                blocks.push(BlockWeights { convs, shortcut, halves: stage > 1 && idx == 0 });
                width = out;
            }
        }
        let n_projected = n_out(list, "visual.attnpool.c_proj");
        let n_places = (self.image / STRIDE).pow(2);
        let mut of_pool = |name: &str, n_out: usize| dense(list, &format!("visual.attnpool.{name}"), width, n_out);
        let [query, key, value] = ["q_proj", "k_proj", "v_proj"].map(|name| of_pool(name, width));
        let output = of_pool("c_proj", n_projected);
        let positions = list.take("visual.attnpool.positional_embedding", &[1 + n_places, width]);
        if !width.is_multiple_of(HEAD_WIDTH) {
            list.complain(format!("its attention pool is {width} wide, which is not a multiple of {HEAD_WIDTH}"));
        }
        let n_heads = (width / HEAD_WIDTH).max(1);
        ClipResNetWeights {
            trunk: ResNetWeights {
                stem: StemWeights::Deep(Box::new(stem)),
                blocks,
                n_features: width,
                pooling: MapPooling::Cells,
            },
            pool: AttentionPoolWeights { positions, query, key, value, output, n_heads },
        }
    }
}

impl CpuClipResNet {
    /// Lays the weights out for the instructions of `instructions`.
    pub(in crate::families) fn new(weights: ClipResNetWeights, instructions: InstructionSet) -> Self {
        let ClipResNetWeights { trunk, pool } = weights;
        Self { trunk: CpuResNet::new(trunk, instructions), pool: CpuAttentionPool::new(pool, instructions) }
    }

    /// The features of normalised images of the model's own size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, height, width, 3]` · returns `[n_images, dim]`
    pub(in crate::families) fn forward(&self, pixels: &[f32], height: usize, width: usize) -> Vec<f32> {
        self.trunk.forward_and(pixels, height, width, |maps, _| self.pool.forward(maps))
    }
}
