//! SigLIP and SigLIP 2 of fixed image sizes, as transformers saves them.

use std::path::Path;

use serde_json::{Map, Value};

use super::clip::hub::LAYERS;
use super::clip::{TextDialect, TextSizes, text_reader};
use super::fields::Fields;
use super::pooling::{ImagePooling, Pooling};
use super::reader::{ImageReader, TextReader, image_pooling};
use crate::tower::read::{ImageNames, ImageSizes, LayerSizes, Projections, dense, image_tower, norm, projections};
use crate::tower::{Activation, ImagePool, LayerShape, NormPlace, ProbeWeights, TextPool};
use crate::weights::{Checklist, Family, ModelError};

const IMAGE_NAMES: ImageNames = ImageNames {
    prefix: "vision_model.",
    patches: "embeddings.patch_embedding",
    has_patch_bias: true,
    class: None,
    positions: "embeddings.position_embedding.weight",
    has_first_axis: false,
    first_norm: None,
    layers: LAYERS,
    final_norm: Some("post_layernorm"),
};

const IMAGE: Family = Family {
    what: "a SigLIP image tower",
    anchors: &[&["vision_model.embeddings.patch_embedding.weight"], &["vision_model.post_layernorm.weight"]],
    canonical: |name| own(name, "vision_model."),
    usual_prefixes: &[],
};

static TEXT: TextDialect = TextDialect {
    prefix: "text_model.",
    words: "text_model.embeddings.token_embedding.weight",
    positions: "text_model.embeddings.position_embedding.weight",
    layers: LAYERS,
    final_norm: "text_model.final_layer_norm",
    family: Family {
        what: "a SigLIP text tower",
        anchors: &[&["text_model.embeddings.token_embedding.weight"], &["text_model.head.weight"]],
        canonical: |name| own(name, "text_model."),
        usual_prefixes: &[],
    },
    project: |list, width, dim| dense(list, "text_model.head", width, dim),
    poolings: &[Pooling::Projected],
};

/// The names of one tower; those of the other are passed over.
fn own(name: &str, tower: &str) -> Option<String> {
    (name.starts_with(tower) && !name.ends_with("position_ids")).then(|| name.to_owned())
}

fn shape(fields: &Fields<'_>) -> Result<LayerShape, ModelError> {
    let width = fields.size("hidden_size", 768)?;
    Ok(LayerShape {
        width,
        n_heads: fields.heads("num_attention_heads", 12, width)?,
        activation: fields.activation("hidden_act", Activation::GeluTanh)?,
        epsilon: fields.number("layer_norm_eps", 1e-6)?,
        norms: NormPlace::Before,
        is_causal: false,
    })
}

fn layer_sizes(fields: &Fields<'_>) -> Result<LayerSizes, ModelError> {
    Ok(LayerSizes {
        n_layers: fields.size("num_hidden_layers", 12)?,
        inner: fields.size("intermediate_size", 3072)?,
        has_projection_bias: true,
    })
}

/// The image tower of `model_type: siglip`.
///
/// # Errors
/// When the configuration is not usable, or has no such pooling.
pub(super) fn image(
    config: &Map<String, Value>,
    path: &Path,
    pooling: Option<ImagePooling>,
) -> Result<ImageReader, ModelError> {
    let (top, empty) = (Fields::new(config, path), Map::new());
    let fields = top.part("vision_config", &empty);
    let shape = shape(&fields)?;
    let sizes = ImageSizes {
        layers: layer_sizes(&fields)?,
        image: fields.size("image_size", 224)?,
        patch: fields.size("patch_size", 16)?,
    };
    let has_head = fields.flag("vision_use_head", true)?;
    use ImagePooling::{Mean, Projected, Tokens};
    let there: &[ImagePooling] = if has_head { &[Mean, Projected] } else { &[Mean] };
    let pooling = image_pooling(pooling, there[there.len() - 1], there, path)?;
    Ok(ImageReader {
        pooling,
        dim: shape.width,
        has_class: false,
        image: sizes.image,
        patch: sizes.patch,
        interpolates: false,
        can_interpolate: true,
        family: &IMAGE,
        read: Box::new(move |list| {
            let probe = has_head.then(|| probe(list, &shape, sizes.layers.inner));
            let pool = match (pooling, probe) {
                (Projected, Some(probe)) => ImagePool::Probe(Box::new(probe)),
                (Tokens, _) => ImagePool::Tokens,
                _ => ImagePool::Mean,
            };
            image_tower(list, &IMAGE_NAMES, shape, &sizes, (pool, Vec::new()))
        }),
    })
}

fn probe(list: &mut Checklist, shape: &LayerShape, inner: usize) -> ProbeWeights {
    let (start, width) = ("vision_model.head.", shape.width);
    let name = |part: &str| format!("{start}{part}");
    let fused = Projections::Fused { weight: "attention.in_proj_weight", bias: "attention.in_proj_bias" };
    let [query, key, value] = projections(list, start, &fused, width, true);
    ProbeWeights {
        probe: list.take(&name("probe"), &[1, 1, width]),
        query,
        key,
        value,
        output: dense(list, &name("attention.out_proj"), width, width),
        norm: norm(list, &name("layernorm"), width),
        intermediate: dense(list, &name("mlp.fc1"), width, inner),
        last: dense(list, &name("mlp.fc2"), inner, width),
    }
}

/// The text tower of `model_type: siglip`: every text has as many tokens, padding included, and the last one counts.
///
/// # Errors
/// When the configuration is not usable, or has no such pooling.
pub(super) fn text(
    config: &Map<String, Value>,
    path: &Path,
    pooling: Option<Pooling>,
) -> Result<TextReader, ModelError> {
    let (top, empty) = (Fields::new(config, path), Map::new());
    let fields = top.part("text_config", &empty);
    let shape = shape(&fields)?;
    let sizes = TextSizes {
        shape,
        layers: layer_sizes(&fields)?,
        n_words: fields.size("vocab_size", 32000)?,
        n_positions: fields.size("max_position_embeddings", 64)?,
        end: TextPool::Last,
        is_padded: true,
    };
    text_reader(&TEXT, (sizes, fields.size("projection_size", shape.width)?), pooling, path)
}
