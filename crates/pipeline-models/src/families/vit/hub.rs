//! ViT and DINOv2 as transformers saves them.

use std::path::Path;

use serde_json::{Map, Value};

use crate::families::fields::Fields;
use crate::families::pooling::ImagePooling;
use crate::families::reader::{ImageReader, image_pooling, pool_with_class};
use crate::tower::read::{ImageNames, ImageSizes, LayerNames, LayerSizes, Projections, dense, image_tower};
use crate::tower::{Activation, HeadStep, LayerShape, NormPlace};
use crate::weights::{Family, ModelError};

const VIT_LAYERS: LayerNames = LayerNames {
    start: "encoder.layer.",
    attention_norm: "layernorm_before",
    projections: Projections::Apart([
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ]),
    attention_output: "attention.output.dense",
    output_norm: "layernorm_after",
    intermediate: "intermediate.dense",
    output: "output.dense",
    scales: None,
};

const DINO_LAYERS: LayerNames = LayerNames {
    attention_norm: "norm1",
    output_norm: "norm2",
    intermediate: "mlp.fc1",
    output: "mlp.fc2",
    scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
    ..VIT_LAYERS
};

const VIT_NAMES: ImageNames = ImageNames {
    prefix: "",
    patches: "embeddings.patch_embeddings.projection",
    has_patch_bias: true,
    class: Some("embeddings.cls_token"),
    positions: "embeddings.position_embeddings",
    has_first_axis: true,
    first_norm: None,
    layers: VIT_LAYERS,
    final_norm: Some("layernorm"),
};

const DINO_NAMES: ImageNames = ImageNames { layers: DINO_LAYERS, ..VIT_NAMES };

const VIT: Family = Family {
    what: "a ViT",
    anchors: &[&["embeddings.cls_token"], &["encoder.layer.0.attention.attention.query.weight"]],
    canonical,
    usual_prefixes: &["vit."],
};

const VIT_WITH_POOLER: Family = Family {
    canonical: |name| canonical(name).or_else(|| name.starts_with("pooler.").then(|| name.to_owned())),
    ..VIT
};

const DINO: Family = Family { what: "a DINOv2", usual_prefixes: &["dinov2."], ..VIT };

/// The names of the encoder; masks, poolers and classifiers are passed over.
fn canonical(name: &str) -> Option<String> {
    let starts = ["embeddings.", "encoder.", "layernorm."];
    let is_own = starts.iter().any(|start| name.starts_with(start)) && name != "embeddings.mask_token";
    is_own.then(|| name.to_owned())
}

/// A model of `model_type: vit`.
///
/// # Errors
/// When the configuration is not usable, or has no such pooling.
pub(in crate::families) fn vit(
    config: &Map<String, Value>,
    path: &Path,
    pooling: Option<ImagePooling>,
) -> Result<ImageReader, ModelError> {
    let fields = Fields::new(config, path);
    let (shape, sizes) = sizes(&fields, &Defaults { epsilon: 1e-12, patch: 16 })?;
    let inner = fields.size("intermediate_size", 3072)?;
    let sizes = ImageSizes { layers: LayerSizes { inner, ..sizes.layers }, ..sizes };
    use ImagePooling::{Cls, Mean, Pooler};
    let pooling = image_pooling(pooling, Cls, &[Cls, Mean, Pooler], path)?;
    if pooling == Pooler && fields.text("pooler_act").is_some_and(|name| name != "tanh") {
        return Err(fields.wrong("`pooler_act` is not `tanh`".to_owned()));
    }
    let width = shape.width;
    let n_pooled = if pooling == Pooler { fields.size("pooler_output_size", width)? } else { width };
    Ok(ImageReader {
        pooling,
        dim: n_pooled,
        has_class: true,
        image: sizes.image,
        patch: sizes.patch,
        interpolates: false,
        can_interpolate: true,
        family: if pooling == Pooler { &VIT_WITH_POOLER } else { &VIT },
        read: Box::new(move |list| {
            let head = match pooling {
                Pooler => vec![HeadStep::Dense(dense(list, "pooler.dense", width, n_pooled)), HeadStep::Tanh],
                _ => Vec::new(),
            };
            image_tower(list, &VIT_NAMES, shape, &sizes, (pool_with_class(pooling), head))
        }),
    })
}

/// A model of `model_type: dinov2`.
///
/// # Errors
/// When the configuration is not usable, or has no such pooling.
pub(in crate::families) fn dinov2(
    config: &Map<String, Value>,
    path: &Path,
    pooling: Option<ImagePooling>,
) -> Result<ImageReader, ModelError> {
    let fields = Fields::new(config, path);
    if fields.flag("use_swiglu_ffn", false)? {
        return Err(fields.wrong("its blocks have gates (`use_swiglu_ffn`), which are not computed yet".to_owned()));
    }
    let (shape, sizes) = sizes(&fields, &Defaults { epsilon: 1e-6, patch: 14 })?;
    let inner = (shape.width as f64 * fields.number("mlp_ratio", 4.0)?) as usize;
    let sizes = ImageSizes { layers: LayerSizes { inner, ..sizes.layers }, ..sizes };
    use ImagePooling::{Cls, Mean};
    let pooling = image_pooling(pooling, Cls, &[Cls, Mean], path)?;
    Ok(ImageReader {
        pooling,
        dim: shape.width,
        has_class: true,
        image: sizes.image,
        patch: sizes.patch,
        interpolates: true,
        can_interpolate: true,
        family: &DINO,
        read: Box::new(move |list| {
            let pool = pool_with_class(pooling);
            image_tower(list, &DINO_NAMES, shape, &sizes, (pool, Vec::new()))
        }),
    })
}

/// The defaults in which the two classes differ.
struct Defaults {
    epsilon: f64,
    patch: usize,
}

/// The sizes that both classes name alike; the width inside the feed-forward part is left open.
fn sizes(fields: &Fields<'_>, defaults: &Defaults) -> Result<(LayerShape, ImageSizes), ModelError> {
    let width = fields.size("hidden_size", 768)?;
    let shape = LayerShape {
        width,
        n_heads: fields.heads("num_attention_heads", 12, width)?,
        activation: fields.activation("hidden_act", Activation::Gelu)?,
        epsilon: fields.number("layer_norm_eps", defaults.epsilon)?,
        norms: NormPlace::Before,
        is_causal: false,
    };
    let layers = LayerSizes {
        n_layers: fields.size("num_hidden_layers", 12)?,
        inner: width,
        has_projection_bias: fields.flag("qkv_bias", true)?,
    };
    Ok((
        shape,
        ImageSizes {
            layers,
            image: fields.size("image_size", 224)?,
            patch: fields.size("patch_size", defaults.patch)?,
        },
    ))
}
