//! CLIP under OpenAI's names: open_clip's folders, and the checkpoints of cn_clip, which describe themselves by their
//! tensors alone.

use std::path::Path;

use serde_json::{Map, Value};

use super::{CAUSAL, ImageDialect, TextDialect, TextSizes, image_reader, image_shape, text_reader};
use crate::families::bert;
use crate::families::fields::Fields;
use crate::families::pooling::{ImagePooling, Pooling};
use crate::families::reader::{ImageReader, TextReader, text_pooling};
use crate::tower::read::{ImageNames, ImageSizes, LayerNames, LayerSizes, Projections, transposed};
use crate::tower::{Activation, HeadStep, LayerShape, NormPlace, TextPool, TokenPositions};
use crate::weights::{Checklist, Family, ModelError};

const LAYERS: LayerNames = LayerNames {
    start: "transformer.resblocks.",
    attention_norm: "ln_1",
    projections: Projections::Fused { weight: "attn.in_proj_weight", bias: "attn.in_proj_bias" },
    attention_output: "attn.out_proj",
    output_norm: "ln_2",
    intermediate: "mlp.c_fc",
    output: "mlp.c_proj",
    scales: None,
};

static IMAGE: ImageDialect = ImageDialect {
    names: ImageNames {
        prefix: "visual.",
        patches: "conv1",
        has_patch_bias: false,
        class: Some("class_embedding"),
        positions: "positional_embedding",
        has_first_axis: false,
        first_norm: Some("ln_pre"),
        layers: LAYERS,
        final_norm: Some("ln_post"),
    },
    family: Family {
        what: "a CLIP image tower under OpenAI's names",
        anchors: &[&["visual.conv1.weight"], &["visual.class_embedding"]],
        canonical: |name| name.starts_with("visual.").then(|| name.to_owned()),
        usual_prefixes: &[],
    },
    project: |list, width, dim| transposed(list, "visual.proj", width, dim),
};

static TEXT: TextDialect = TextDialect {
    prefix: "",
    words: "token_embedding.weight",
    positions: "positional_embedding",
    layers: LAYERS,
    final_norm: "ln_final",
    family: Family {
        what: "a CLIP text tower under OpenAI's names",
        anchors: &[&["token_embedding.weight"], &["ln_final.weight"]],
        canonical: |name| {
            let starts = ["token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection"];
            starts.iter().any(|start| name.starts_with(start)).then(|| name.to_owned())
        },
        // Newer files of open_clip have a module of their own for it.
        usual_prefixes: &["text."],
    },
    project: |list, width, dim| transposed(list, "text_projection", width, dim),
    poolings: CAUSAL,
};

const CN_TEXT: Family = Family {
    what: "the text tower of a Chinese-CLIP checkpoint",
    anchors: &[&["bert.embeddings.word_embeddings.weight"], &["text_projection"]],
    canonical: |name| {
        let is_bert = name.starts_with("bert.") && !name.starts_with("bert.pooler.") && !name.ends_with("position_ids");
        (is_bert || name == "text_projection").then(|| name.to_owned())
    },
    usual_prefixes: &[],
};

/// Added to the variance in layer norms.
const EPSILON: f64 = 1e-5;
/// The width of a head where nothing says it.
const HEAD_WIDTH: usize = 64;

/// Fields of `vision_cfg` that are followed, or change no feature.
const FREE_OF_IMAGES: &[&str] = &[
    "image_size",
    "layers",
    "width",
    "patch_size",
    "head_width",
    "mlp_ratio",
    "patch_dropout",
    "attn_pooler_queries",
    "attn_pooler_heads",
    "n_queries",
];

/// Fields of `text_cfg` that are followed, or change no feature.
const FREE_OF_TEXTS: &[&str] = &[
    "context_length",
    "vocab_size",
    "width",
    "heads",
    "layers",
    "mlp_ratio",
    "hf_tokenizer_name",
    "pad_id",
    "eos_id",
    "bos_id",
];

/// Refuses whatever else `model_cfg` says.
fn only_plain(model: &Fields<'_>) -> Result<(), ModelError> {
    let free =
        ["embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text", "init_logit_scale", "init_logit_bias"];
    model.only("model_cfg", &free, &[("nonscalar_logit_scale", false.into())])
}

/// The image tower of an open_clip folder.
///
/// # Errors
/// When the configuration is not usable, or has no such pooling.
pub(in crate::families) fn open_clip_image(
    config: &Map<String, Value>,
    path: &Path,
    pooling: Option<ImagePooling>,
) -> Result<ImageReader, ModelError> {
    let (top, empty) = (Fields::new(config, path), Map::new());
    let model = top.part("model_cfg", &empty);
    let fields = model.part("vision_cfg", &empty);
    only_plain(&model)?;
    fields.only(
        "vision_cfg",
        FREE_OF_IMAGES,
        &[
            ("attentional_pool", false.into()),
            ("pool_type", "tok".into()),
            ("final_ln_after_pool", false.into()),
            ("no_ln_pre", false.into()),
            ("input_patchnorm", false.into()),
            ("global_average_pool", false.into()),
            ("output_tokens", false.into()),
            ("pos_embed_type", "learnable".into()),
        ],
    )?;
    let width = fields.size("width", 768)?;
    let head_width = fields.size("head_width", HEAD_WIDTH)?;
    let shape = image_shape(width, heads(&fields, width, head_width)?, activation(&model)?, EPSILON);
    let sizes = ImageSizes {
        layers: LayerSizes {
            n_layers: fields.size("layers", 12)?,
            inner: inner(width, fields.number("mlp_ratio", 4.0)?),
            has_projection_bias: true,
        },
        image: fields.size("image_size", 224)?,
        patch: fields.size("patch_size", 16)?,
    };
    image_reader(&IMAGE, (shape, sizes, model.size("embed_dim", 512)?), pooling, path)
}

/// The text tower of an open_clip folder.
///
/// # Errors
/// When the configuration is not usable, or has no such pooling.
pub(in crate::families) fn open_clip_text(
    config: &Map<String, Value>,
    path: &Path,
    pooling: Option<Pooling>,
) -> Result<TextReader, ModelError> {
    let (top, empty) = (Fields::new(config, path), Map::new());
    let model = top.part("model_cfg", &empty);
    let fields = model.part("text_cfg", &empty);
    only_plain(&model)?;
    fields.only(
        "text_cfg",
        FREE_OF_TEXTS,
        &[
            ("pool_type", "argmax".into()),
            ("no_causal_mask", false.into()),
            ("embed_cls", false.into()),
            ("final_ln_after_pool", false.into()),
            ("proj_bias", false.into()),
            ("proj_type", "linear".into()),
            ("output_tokens", false.into()),
        ],
    )?;
    let width = fields.size("width", 512)?;
    let shape = LayerShape {
        width,
        n_heads: fields.heads("heads", 8, width)?,
        activation: activation(&model)?,
        epsilon: EPSILON,
        norms: NormPlace::Before,
        is_causal: true,
    };
    let sizes = LayerSizes {
        n_layers: fields.size("layers", 12)?,
        inner: inner(width, fields.number("mlp_ratio", 4.0)?),
        has_projection_bias: true,
    };
    let (n_words, n_positions) = (fields.size("vocab_size", 49408)?, fields.size("context_length", 77)?);
    let dim = model.size("embed_dim", 512)?;
    let sizes = TextSizes { shape, layers: sizes, n_words, n_positions, end: TextPool::HighestId, is_padded: false };
    text_reader(&TEXT, (sizes, dim), pooling, path)
}

/// The image tower of a checkpoint of cn_clip: a vision transformer whose sizes follow from its tensors.
///
/// # Errors
/// When tensors have no usable shapes, or the tower has no such pooling.
pub(in crate::families) fn cn_clip_image(
    list: &Checklist,
    path: &Path,
    pooling: Option<ImagePooling>,
) -> Result<ImageReader, ModelError> {
    let shapes = Shapes { list, path };
    let [width, _, patch, _] = shapes.axes("visual.conv1.weight")?;
    let [n_positions, _] = shapes.axes("visual.positional_embedding")?;
    let [inner, _] = shapes.axes("visual.transformer.resblocks.0.mlp.c_fc.weight")?;
    let [_, dim] = shapes.axes("visual.proj")?;
    let n_layers = shapes.n_layers("visual.transformer.resblocks.", "ln_1.weight");
    let shape = image_shape(width, shapes.heads(width, image_head_width(width))?, Activation::QuickGelu, EPSILON);
    let sizes = ImageSizes {
        layers: LayerSizes { n_layers, inner, has_projection_bias: true },
        image: n_positions.saturating_sub(1).isqrt() * patch,
        patch,
    };
    image_reader(&IMAGE, (shape, sizes, dim), pooling, path)
}

/// The text tower of a checkpoint of cn_clip: a BERT with a projection.
///
/// # Errors
/// When tensors have no usable shapes, or the tower has no such pooling.
pub(in crate::families) fn cn_clip_text(
    list: &Checklist,
    path: &Path,
    pooling: Option<Pooling>,
) -> Result<TextReader, ModelError> {
    let shapes = Shapes { list, path };
    let [n_words, width] = shapes.axes("bert.embeddings.word_embeddings.weight")?;
    let [n_positions, _] = shapes.axes("bert.embeddings.position_embeddings.weight")?;
    let [n_segments, _] = shapes.axes("bert.embeddings.token_type_embeddings.weight")?;
    let [inner, _] = shapes.axes("bert.encoder.layer.0.intermediate.dense.weight")?;
    let [_, dim] = shapes.axes("text_projection")?;
    let sizes = bert::BertSizes {
        width,
        n_layers: shapes.n_layers("bert.encoder.layer.", "attention.output.dense.weight"),
        n_heads: shapes.heads(width, HEAD_WIDTH)?,
        inner,
        n_words,
        n_positions,
        n_segments,
        activation: Activation::Gelu,
        epsilon: 1e-12,
    };
    use Pooling::{Cls, Mean, Projected, Tokens};
    let pooling = text_pooling(pooling, Projected, &[Cls, Mean, Projected], path)?;
    Ok(TextReader {
        pooling,
        dim: if pooling == Projected { dim } else { width },
        has_class: true,
        n_words,
        max_length: n_positions,
        padding: None,
        family: &CN_TEXT,
        read: Box::new(move |list| {
            let projection = transposed(list, "text_projection", width, dim);
            let mut tower = bert::read_tower(list, "bert.", &sizes, TokenPositions::FromZero);
            match pooling {
                Projected => tower.head.push(HeadStep::Dense(projection)),
                Mean => tower.pool = TextPool::Mean,
                Tokens => tower.pool = TextPool::Tokens,
                _ => {}
            }
            tower
        }),
    })
}

/// The checkpoint of cn_clip in `weights`, opened for its text tower.
pub(in crate::families) const fn cn_text_family() -> &'static Family {
    &CN_TEXT
}

/// The checkpoint of cn_clip in `weights`, opened for its image tower.
pub(in crate::families) fn image_family() -> &'static Family {
    &IMAGE.family
}

/// open_clip's towers are of the exact `gelu` unless they say otherwise.
fn activation(model: &Fields<'_>) -> Result<Activation, ModelError> {
    Ok(if model.flag("quick_gelu", false)? { Activation::QuickGelu } else { Activation::Gelu })
}

fn heads(fields: &Fields<'_>, width: usize, head_width: usize) -> Result<usize, ModelError> {
    match width.is_multiple_of(head_width) {
        true => Ok(width / head_width),
        false => Err(fields.wrong(format!("the width {width} is not a multiple of `head_width` {head_width}"))),
    }
}

fn inner(width: usize, ratio: f64) -> usize {
    (width as f64 * ratio) as usize
}

/// The width of a head of a vision tower: 64, but for ViT-H's.
pub(in crate::families) const fn image_head_width(width: usize) -> usize {
    if width == 1280 { 80 } else { HEAD_WIDTH }
}

/// The shapes of the tensors of a checkpoint.
struct Shapes<'a> {
    list: &'a Checklist,
    path: &'a Path,
}

impl Shapes<'_> {
    /// The axes of a tensor.
    fn axes<const N: usize>(&self, name: &str) -> Result<[usize; N], ModelError> {
        let shape = self.list.shape(name).and_then(|shape| <[usize; N]>::try_from(shape).ok());
        let shape = shape.filter(|axes| axes.iter().all(|axis| *axis > 0));
        shape.ok_or_else(|| self.wrong(format!("it has no `{name}` of {N} axes, from which its sizes would follow")))
    }

    /// The layers that are there, from the first on.
    fn n_layers(&self, start: &str, part: &str) -> usize {
        (0..).take_while(|layer_idx| self.list.has(&format!("{start}{layer_idx}.{part}"))).count()
    }

    fn heads(&self, width: usize, head_width: usize) -> Result<usize, ModelError> {
        match width.is_multiple_of(head_width) || width < head_width {
            true => Ok((width / head_width).max(1)),
            false => {
                Err(self.wrong(format!("its width {width} is not a multiple of {head_width}, the width of a head")))
            }
        }
    }

    fn wrong(&self, what: String) -> ModelError {
        ModelError::Unsupported { path: self.path.to_owned(), what }
    }
}
