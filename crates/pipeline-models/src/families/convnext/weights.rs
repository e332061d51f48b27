//! The weights of a ConvNeXt as plain numbers, under one set of names for both libraries.

use crate::families::pooling::MapPooling;
use crate::tower::read::{dense, norm, patches, scale_outputs};
use crate::tower::{DenseWeights, NormWeights};
use crate::weights::{Checklist, Family};

/// The names of transformers' tensors.
pub(crate) const HUB: Family = Family {
    what: "a ConvNeXt",
    anchors: &[&["embeddings.patch_embeddings.weight"], &["encoder.stages.0.layers.0.dwconv.weight"]],
    canonical: of_hub,
    usual_prefixes: &["convnext."],
};

/// The names of timm's tensors.
pub(crate) const TIMM: Family = Family {
    what: "a ConvNeXt of timm",
    anchors: &[&["stem.0.weight"], &["stages.0.blocks.0.conv_dw.weight"]],
    canonical: of_timm,
    usual_prefixes: &["timm_model."],
};

/// A ConvNeXt without its classifier.
pub(crate) struct ConvNeXtWeights {
    /// The map of patches of 4 × 4 pixels, and the norm after it.
    pub(crate) stem: DenseWeights,
    pub(crate) stem_norm: NormWeights,
    pub(crate) stages: Vec<StageWeights>,
    pub(crate) pooling: MapPooling,
    /// Of the mean over the last map's places.
    pub(crate) norm: NormWeights,
    /// Added to the variance in that norm.
    pub(crate) last_epsilon: f64,
    /// Added to the variance in all other norms.
    pub(crate) epsilon: f64,
}

/// Blocks of one width.
pub(crate) struct StageWeights {
    /// The norm and the map of 2 × 2 places that halve the maps before it; `None` for the first stage.
    pub(crate) shrink: Option<(NormWeights, DenseWeights)>,
    pub(crate) blocks: Vec<BlockWeights>,
}

/// A block; the factor of its branch is in the last map.
pub(crate) struct BlockWeights {
    /// `[width, 1, 7, 7]`
    pub(crate) depthwise: Vec<f32>,
    pub(crate) depthwise_bias: Vec<f32>,
    pub(crate) norm: NormWeights,
    pub(crate) intermediate: DenseWeights,
    pub(crate) output: DenseWeights,
}

/// The kernel of the depthwise convolutions.
pub(crate) const KERNEL: usize = 7;

fn of_hub(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("embeddings.") {
        return match rest.split_once('.')? {
            ("patch_embeddings", field) => Some(format!("stem.{field}")),
            ("layernorm", field) => Some(format!("stem_norm.{field}")),
            _ => Some(name.to_owned()),
        };
    }
    if let Some(field) = name.strip_prefix("layernorm.") {
        return Some(format!("norm.{field}"));
    }
    let rest = name.strip_prefix("encoder.stages.")?;
    let (stage, rest) = rest.split_once('.')?;
    if let Some(rest) = rest.strip_prefix("downsampling_layer.") {
        return Some(format!("stages.{stage}.shrink.{rest}"));
    }
    let (block, part) = rest.strip_prefix("layers.")?.split_once('.')?;
    let part = match part {
        "layer_scale_parameter" => "gamma".to_owned(),
        _ => part
            .replacen("dwconv.", "depthwise.", 1)
            .replacen("layernorm.", "norm.", 1)
            .replacen("pwconv1.", "fc1.", 1)
            .replacen("pwconv2.", "fc2.", 1),
    };
    Some(format!("stages.{stage}.{block}.{part}"))
}

fn of_timm(name: &str) -> Option<String> {
    if let Some(field) = name.strip_prefix("stem.0.") {
        return Some(format!("stem.{field}"));
    }
    if let Some(field) = name.strip_prefix("stem.1.") {
        return Some(format!("stem_norm.{field}"));
    }
    if let Some(field) = name.strip_prefix("head.norm.") {
        return Some(format!("norm.{field}"));
    }
    // Whatever else a variant has is noticed under its own name.
    (!name.starts_with("head.")).then(|| of_timms_stage(name).unwrap_or_else(|| name.to_owned()))
}

fn of_timms_stage(name: &str) -> Option<String> {
    let (stage, rest) = name.strip_prefix("stages.")?.split_once('.')?;
    if let Some(rest) = rest.strip_prefix("downsample.") {
        return Some(format!("stages.{stage}.shrink.{rest}"));
    }
    let (block, part) = rest.strip_prefix("blocks.")?.split_once('.')?;
    let part = part.replacen("conv_dw.", "depthwise.", 1).replacen("mlp.", "", 1);
    Some(format!("stages.{stage}.{block}.{part}"))
}

/// Takes the weights; depths and widths follow from the tensors that are there.
pub(crate) fn read(list: &mut Checklist, pooling: MapPooling, epsilon: f64, last_epsilon: f64) -> ConvNeXtWeights {
    let mut width = first_axis(list, "stem.weight").unwrap_or(1);
    let stem = patches(list, "stem", [3, width], 4, true);
    let stem_norm = norm(list, "stem_norm", width);
    let n_stages = (0..).take_while(|stage| list.has(&format!("stages.{stage}.0.norm.weight"))).count().max(1);
    let mut stages = Vec::new();
    for stage in 0..n_stages {
        let start = format!("stages.{stage}.");
        let shrink = (stage > 0).then(|| {
            let n_out = first_axis(list, &format!("{start}shrink.1.weight")).unwrap_or(width);
            let shrink_norm = norm(list, &format!("{start}shrink.0"), width);
            let shrink = (shrink_norm, patches(list, &format!("{start}shrink.1"), [width, n_out], 2, true));
            width = n_out;
            shrink
        });
        let n_blocks = (0..).take_while(|block| list.has(&format!("{start}{block}.norm.weight"))).count().max(1);
        let blocks = (0..n_blocks).map(|idx| block(list, &format!("{start}{idx}."), width)).collect();
        stages.push(StageWeights { shrink, blocks });
    }
    ConvNeXtWeights { stem, stem_norm, stages, pooling, norm: norm(list, "norm", width), last_epsilon, epsilon }
}

fn block(list: &mut Checklist, start: &str, width: usize) -> BlockWeights {
    let inner = first_axis(list, &format!("{start}fc1.weight")).unwrap_or(4 * width);
    let mut output = map(list, &format!("{start}fc2"), inner, width);
    // Models that were trained without factors have none.
    if list.has(&format!("{start}gamma")) {
        scale_outputs(&mut output, &list.take(&format!("{start}gamma"), &[width]));
    }
    BlockWeights {
        depthwise: list.take(&format!("{start}depthwise.weight"), &[width, 1, KERNEL, KERNEL]),
        depthwise_bias: list.take(&format!("{start}depthwise.bias"), &[width]),
        norm: norm(list, &format!("{start}norm"), width),
        intermediate: map(list, &format!("{start}fc1"), width, inner),
        output,
    }
}

/// A map of the feed-forward part, which timm's smallest models store as a convolution of 1 × 1.
fn map(list: &mut Checklist, name: &str, n_in: usize, n_out: usize) -> DenseWeights {
    let weight = format!("{name}.weight");
    if list.shape(&weight).is_some_and(|shape| shape.len() == 4) {
        let weight = list.take(&weight, &[n_out, n_in, 1, 1]);
        return DenseWeights { n_in, n_out, weight, bias: list.take(&format!("{name}.bias"), &[n_out]) };
    }
    dense(list, name, n_in, n_out)
}

fn first_axis(list: &Checklist, name: &str) -> Option<usize> {
    list.shape(name).and_then(|shape| shape.first().copied()).filter(|axis| *axis > 0)
}
