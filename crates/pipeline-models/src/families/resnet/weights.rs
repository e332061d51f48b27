//! The weights of a ResNet as plain numbers, batch norms as a scale and a bias per channel.
//!
//! Depth, widths and the kind of block follow from the tensors that are there.

use crate::families::pooling::MapPooling;
use crate::weights::{Checklist, Family, ImageModelFiles, ModelError, WeightsNote, open, survey, take};

use pipeline_kernels::convolution::ConvWeights;

use super::config::ResNetConfig;
use super::names::canonical_name;

/// How the tensors of a ResNet are called.
const RESNET: Family = Family {
    what: "a ResNet",
    anchors: &[
        &["layer1.0.conv1.weight", "encoder.stages.0.layers.0.layer.0.convolution.weight"],
        &["layer2.0.conv1.weight", "encoder.stages.1.layers.0.layer.0.convolution.weight"],
    ],
    canonical: canonical_name,
    usual_prefixes: &["resnet.", "timm_model."],
};

/// Added to the variance in batch norms: PyTorch's default, which all ResNets keep.
const EPSILON: f64 = 1e-5;

/// A residual block: two 3×3 convolutions, or 1×1, 3×3, 1×1; ReLU between them and after the sum.
pub(crate) struct BlockWeights {
    pub(crate) convs: Vec<ConvWeights>,
    /// The 1×1 convolution on the other branch, where size or width changes.
    pub(crate) shortcut: Option<ConvWeights>,
    /// Whether the mean of 2×2 places stands before the last convolution and the one of the other branch: CLIP's way to
    /// halve maps.
    pub(crate) halves: bool,
}

/// The beginning of a ResNet.
pub(crate) enum StemWeights {
    /// 7×7, stride 2, then the maximum of 3×3 places.
    Single(ConvWeights),
    /// Three of 3×3, the first with stride 2, each with ReLU, then the mean of 2×2 places: CLIP's.
    Deep(Box<[ConvWeights; 3]>),
}

/// A ResNet without its classifier.
pub(crate) struct ResNetWeights {
    pub(crate) stem: StemWeights,
    /// The blocks of all four stages.
    pub(crate) blocks: Vec<BlockWeights>,
    /// Width of the last stage: the length of a feature vector.
    pub(crate) n_features: usize,
    pub(crate) pooling: MapPooling,
}

impl ResNetWeights {
    /// Reads and checks the weights.
    ///
    /// # Errors
    /// When a file is not a checkpoint, or one error with every tensor that is missing, misshapen, not finite or of
    /// another variant of ResNet.
    pub(super) fn read(
        files: &ImageModelFiles,
        config: &ResNetConfig,
        pooling: MapPooling,
    ) -> Result<Self, ModelError> {
        take(&files.weights, &RESNET, |list| Self::take(list, config, pooling))
    }

    /// The length of a feature vector, by headers alone.
    ///
    /// # Errors
    /// Those of [`ResNetWeights::read`] that do not lie in the numbers.
    pub(super) fn survey(files: &ImageModelFiles, config: &ResNetConfig) -> Result<usize, ModelError> {
        Ok(survey(&files.weights, &RESNET, |list| Self::take(list, config, MapPooling::Mean))?.n_features)
    }

    fn take(list: &mut Checklist, config: &ResNetConfig, pooling: MapPooling) -> Self {
        let stem_width = first_axis(list, "conv1.weight").unwrap_or(64);
        let stem = conv(list, "conv1", "bn1", [stem_width, 3, 7], 2);
        let mut blocks = Vec::new();
        let mut width = stem_width;
        let depths = config.depths();
        for stage_idx in 0..4 {
            let n_found = (0..).take_while(|block_idx| has_block(list, stage_idx, *block_idx)).count();
            // Without a configuration, a stage must have a block at least.
            let n_blocks = depths.as_ref().and_then(|depths| depths.get(stage_idx)).map_or(n_found.max(1), |n| *n);
            for block_idx in 0..n_blocks {
                let stride = if stage_idx > 0 && block_idx == 0 { 2 } else { 1 };
                let (block, width_after) = block(list, &block_name(stage_idx, block_idx), width, stride);
                blocks.push(block);
                width = width_after;
            }
        }
        Self { stem: StemWeights::Single(stem), blocks, n_features: width, pooling }
    }
}

/// What there is to say about where in the checkpoint the weights are.
///
/// # Errors
/// When the file is not a checkpoint, or does not hold one ResNet.
pub(super) fn note(files: &ImageModelFiles) -> Result<WeightsNote, ModelError> {
    Ok(open(&files.weights, &RESNET)?.note().clone())
}

fn block_name(stage_idx: usize, block_idx: usize) -> String {
    format!("layer{}.{block_idx}", stage_idx + 1)
}

fn has_block(list: &Checklist, stage_idx: usize, block_idx: usize) -> bool {
    list.shape(&format!("{}.conv1.weight", block_name(stage_idx, block_idx))).is_some()
}

fn first_axis(list: &Checklist, name: &str) -> Option<usize> {
    list.shape(name).and_then(|shape| shape.first().copied())
}

/// Takes a block that is given `n_in` channels; returns it and the channels it gives.
fn block(list: &mut Checklist, name: &str, n_in: usize, stride: usize) -> (BlockWeights, usize) {
    let width = |list: &Checklist, conv: &str| first_axis(list, &format!("{name}.{conv}.weight"));
    let inner = width(list, "conv1").unwrap_or(n_in);
    let (convs, n_out) = if let Some(n_out) = width(list, "conv3") {
        // The stride is on the 3×3 convolution, as in timm and torchvision ("v1.5").
        let shapes = [([inner, n_in, 1], 1), ([inner, inner, 3], stride), ([n_out, inner, 1], 1)];
        (convs(list, name, &shapes), n_out)
    } else {
        let n_out = width(list, "conv2").unwrap_or(inner);
        (convs(list, name, &[([inner, n_in, 3], stride), ([n_out, inner, 3], 1)]), n_out)
    };
    let shortcut_name = format!("{name}.downsample.0");
    let has_shortcut = stride != 1 || n_in != n_out || list.shape(&format!("{shortcut_name}.weight")).is_some();
    let shortcut =
        has_shortcut.then(|| conv(list, &shortcut_name, &format!("{name}.downsample.1"), [n_out, n_in, 1], stride));
    (BlockWeights { convs, shortcut, halves: false }, n_out)
}

fn convs(list: &mut Checklist, name: &str, shapes: &[([usize; 3], usize)]) -> Vec<ConvWeights> {
    let conv_at = |(conv_idx, (shape, stride)): (usize, &([usize; 3], usize))| {
        let number = conv_idx + 1;
        conv(list, &format!("{name}.conv{number}"), &format!("{name}.bn{number}"), *shape, *stride)
    };
    shapes.iter().enumerate().map(conv_at).collect()
}

/// Takes a convolution of shape `[n_out, n_in, kernel]` and the batch norm that follows it:
/// `scale = γ / sqrt(σ² + ε)`, `bias = β - μ · scale`.
pub(in crate::families) fn conv(
    list: &mut Checklist,
    name: &str,
    norm: &str,
    shape: [usize; 3],
    stride: usize,
) -> ConvWeights {
    let [n_out, n_in, kernel] = shape;
    let weight = list.take(&format!("{name}.weight"), &[n_out, n_in, kernel, kernel]);
    let mut vector = |field: &str| list.take(&format!("{norm}.{field}"), &[n_out]);
    let (gamma, beta) = (vector("weight"), vector("bias"));
    let (mean, variance) = (vector("running_mean"), vector("running_var"));
    if variance.iter().any(|variance| *variance < 0.0) {
        list.complain(format!("`{norm}.running_var` has a negative value"));
    }
    // Where a tensor was wrong and came out empty, the zips stop early and the list fails at the end.
    let scale: Vec<f64> = gamma
        .iter()
        .zip(&variance)
        .map(|(gamma, variance)| f64::from(*gamma) / (f64::from(*variance) + EPSILON).sqrt())
        .collect();
    let shifted = beta.iter().zip(&mean).zip(&scale);
    let bias = shifted.map(|((beta, mean), scale)| (f64::from(*beta) - f64::from(*mean) * scale) as f32).collect();
    ConvWeights { n_out, n_in, kernel, stride, weight, scale, bias }
}
