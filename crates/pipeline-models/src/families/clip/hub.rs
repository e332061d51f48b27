//! CLIP and Chinese-CLIP as transformers saves them: a `text_config` and a `vision_config`.

use std::path::Path;

use serde_json::{Map, Value};

use super::{CAUSAL, ImageDialect, TextDialect, TextSizes, image_reader, image_shape, text_reader};
use crate::families::fields::Fields;
use crate::families::pooling::{ImagePooling, Pooling};
use crate::families::reader::{ImageReader, TextReader};
use crate::tower::read::{ImageNames, ImageSizes, LayerNames, LayerSizes, Projections, without_bias};
use crate::tower::{Activation, LayerShape, NormPlace, TextPool};
use crate::weights::{Family, ModelError};

/// The layers of both of CLIP's towers, and of SigLIP's.
pub(in crate::families) const LAYERS: LayerNames = LayerNames {
    start: "encoder.layers.",
    attention_norm: "layer_norm1",
    projections: Projections::Apart(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    attention_output: "self_attn.out_proj",
    output_norm: "layer_norm2",
    intermediate: "mlp.fc1",
    output: "mlp.fc2",
    scales: None,
};

static IMAGE: ImageDialect = ImageDialect {
    names: ImageNames {
        prefix: "vision_model.",
        patches: "embeddings.patch_embedding",
        has_patch_bias: false,
        class: Some("embeddings.class_embedding"),
        positions: "embeddings.position_embedding.weight",
        has_first_axis: false,
        // The name is spelt so.
        first_norm: Some("pre_layrnorm"),
        layers: LAYERS,
        final_norm: Some("post_layernorm"),
    },
    family: Family {
        what: "a CLIP image tower",
        anchors: &[&["vision_model.embeddings.patch_embedding.weight"], &["vision_model.embeddings.class_embedding"]],
        canonical: |name| tower_name(name, "vision_model.", "visual_projection.weight"),
        usual_prefixes: &[],
    },
    project: |list, width, dim| without_bias(list.take("visual_projection.weight", &[dim, width]), width, dim),
};

static TEXT: TextDialect = TextDialect {
    prefix: "text_model.",
    words: "text_model.embeddings.token_embedding.weight",
    positions: "text_model.embeddings.position_embedding.weight",
    layers: LAYERS,
    final_norm: "text_model.final_layer_norm",
    family: Family {
        what: "a CLIP text tower",
        anchors: &[&["text_model.embeddings.token_embedding.weight"], &["text_model.final_layer_norm.weight"]],
        canonical: |name| tower_name(name, "text_model.", "text_projection.weight"),
        usual_prefixes: &[],
    },
    project: |list, width, dim| without_bias(list.take("text_projection.weight", &[dim, width]), width, dim),
    poolings: CAUSAL,
};

/// Numbers of the shared space where a configuration does not say it.
const PROJECTION_DIM: usize = 512;

/// The part with a tower's configuration: files of early versions may have a second one, which transformers prefers.
pub(super) fn tower_config(top: &Fields<'_>, usual: &'static str, early: &'static str) -> &'static str {
    if top.has(early) { early } else { usual }
}

/// The names of one tower and its projection; those of the other tower are passed over.
fn tower_name(name: &str, tower: &str, projection: &str) -> Option<String> {
    let is_own = (name.starts_with(tower) && !name.ends_with("position_ids")) || name == projection;
    is_own.then(|| name.to_owned())
}

/// The image tower of `model_type: clip`, `chinese_clip` and `metaclip_2`.
///
/// # Errors
/// When the configuration is not usable, or has no such pooling.
pub(in crate::families) fn image(
    config: &Map<String, Value>,
    path: &Path,
    pooling: Option<ImagePooling>,
) -> Result<ImageReader, ModelError> {
    let (top, empty) = (Fields::new(config, path), Map::new());
    let fields = top.part(tower_config(&top, "vision_config", "vision_config_dict"), &empty);
    let width = fields.size("hidden_size", 768)?;
    let shape = image_shape(
        width,
        fields.heads("num_attention_heads", 12, width)?,
        fields.activation("hidden_act", Activation::QuickGelu)?,
        fields.number("layer_norm_eps", 1e-5)?,
    );
    let sizes = ImageSizes {
        layers: LayerSizes {
            n_layers: fields.size("num_hidden_layers", 12)?,
            inner: fields.size("intermediate_size", 3072)?,
            has_projection_bias: true,
        },
        image: fields.size("image_size", 224)?,
        patch: fields.size("patch_size", 32)?,
    };
    let dim = top.size("projection_dim", PROJECTION_DIM)?;
    image_reader(&IMAGE, (shape, sizes, dim), pooling, path)
}

/// The text tower of `model_type: clip` and `metaclip_2`.
///
/// # Errors
/// When the configuration is not usable, or has no such pooling.
pub(in crate::families) fn text(
    config: &Map<String, Value>,
    path: &Path,
    pooling: Option<Pooling>,
) -> Result<TextReader, ModelError> {
    let (top, empty) = (Fields::new(config, path), Map::new());
    let fields = top.part(tower_config(&top, "text_config", "text_config_dict"), &empty);
    let width = fields.size("hidden_size", 512)?;
    let shape = LayerShape {
        width,
        n_heads: fields.heads("num_attention_heads", 8, width)?,
        activation: fields.activation("hidden_act", Activation::QuickGelu)?,
        epsilon: fields.number("layer_norm_eps", 1e-5)?,
        norms: NormPlace::Before,
        is_causal: true,
    };
    let sizes = LayerSizes {
        n_layers: fields.size("num_hidden_layers", 12)?,
        inner: fields.size("intermediate_size", 2048)?,
        has_projection_bias: true,
    };
    let n_words = fields.size("vocab_size", 49408)?;
    let n_positions = fields.size("max_position_embeddings", 77)?;
    let dim = top.size("projection_dim", PROJECTION_DIM)?;
    // OpenAI's files say 2, which is wrong, and transformers then takes the highest id. MetaCLIP 2's say 2 and mean it.
    let end = match fields.size("eos_token_id", 49407)? {
        2 if top.text("model_type") != Some("metaclip_2") => TextPool::HighestId,
        end => TextPool::FirstOf(end as u32),
    };
    text_reader(
        &TEXT,
        (TextSizes { shape, layers: sizes, n_words, n_positions, end, is_padded: false }, dim),
        pooling,
        path,
    )
}
