//! timm's ViTs: `vit_{tiny,small,base,large,huge}_patchP_SIZE`.

use std::path::Path;

use serde_json::{Map, Value};

use crate::families::fields::Fields;
use crate::families::pooling::ImagePooling;
use crate::families::reader::{ImageReader, image_pooling};
use crate::tower::read::{ImageNames, ImageSizes, LayerNames, LayerSizes, Projections, image_tower, norm};
use crate::tower::{Activation, HeadStep, ImagePool, LayerShape, NormPlace};
use crate::weights::{Checklist, Family, ModelError};

const LAYERS: LayerNames = LayerNames {
    start: "blocks.",
    attention_norm: "norm1",
    projections: Projections::Fused { weight: "attn.qkv.weight", bias: "attn.qkv.bias" },
    attention_output: "attn.proj",
    output_norm: "norm2",
    intermediate: "mlp.fc1",
    output: "mlp.fc2",
    scales: None,
};

const NAMES: ImageNames = ImageNames {
    prefix: "",
    patches: "patch_embed.proj",
    has_patch_bias: true,
    class: Some("cls_token"),
    positions: "pos_embed",
    has_first_axis: true,
    first_norm: None,
    layers: LAYERS,
    final_norm: Some("norm"),
};

/// With the mean over patches the norm comes after it and has another name.
const AVERAGED_NAMES: ImageNames = ImageNames { final_norm: None, ..NAMES };

/// The names of a ViT's tensors.
pub(in crate::families) const TIMM_VIT: Family = Family {
    what: "a ViT of timm",
    anchors: &[&["cls_token"], &["blocks.0.attn.qkv.weight"]],
    canonical: |name| {
        // Classifiers alone are passed over, so that whatever else a variant has is noticed.
        let is_classifier = ["head.", "head_dist.", "pre_logits."].iter().any(|start| name.starts_with(start));
        (!is_classifier).then(|| name.to_owned())
    },
    usual_prefixes: &["timm_model."],
};

/// Added to the variance in layer norms.
const EPSILON: f64 = 1e-6;

/// Arguments that change no feature, or whose effect follows from the weights.
const FREE: &[&str] = &[
    "img_size",
    "patch_size",
    "embed_dim",
    "depth",
    "num_heads",
    "num_classes",
    "mlp_ratio",
    "global_pool",
    "qkv_bias",
    "fc_norm",
    "drop_rate",
    "pos_drop_rate",
    "patch_drop_rate",
    "proj_drop_rate",
    "attn_drop_rate",
    "drop_path_rate",
    "weight_init",
    "fix_init",
    "pretrained",
    "dynamic_img_size",
    "strict_img_size",
];

/// The values of other arguments in a plain ViT.
fn plain() -> Vec<(&'static str, Value)> {
    let flags = [("class_token", true), ("final_norm", true), ("proj_bias", true), ("pre_norm", false)];
    let off = ["no_embed_class", "reg_tokens", "qk_norm", "scale_attn_norm", "scale_mlp_norm", "dynamic_img_pad"];
    let flags = flags.into_iter().map(|(name, value)| (name, Value::from(value)));
    let off = off.into_iter().map(|name| (name, Value::from(false)));
    let others = [("in_chans", Value::from(3)), ("reg_tokens", Value::from(0)), ("pos_embed", "learn".into())];
    flags.chain(off).chain(others).chain([("act_layer", "gelu".into())]).collect()
}

/// The heads of an architecture that is built without `num_heads`, whatever its width.
fn own_heads(architecture: &str, width: usize) -> usize {
    let heads = [("tiny", 3), ("small", 6), ("base", 12), ("large", 16), ("huge", 16)];
    let named = heads.iter().find(|(size, _)| architecture.starts_with(&format!("vit_{size}_")));
    named.map_or((width / 64).max(1), |(_, heads)| *heads)
}

/// A model of timm, of which `list` has the tensors' shapes: they say what `config.json` may leave out.
///
/// # Errors
/// When the configuration is not usable, contradicts the tensors, or has no such pooling.
pub(in crate::families) fn vit(
    config: &Map<String, Value>,
    path: &Path,
    list: &Checklist,
    pooling: Option<ImagePooling>,
) -> Result<ImageReader, ModelError> {
    let (top, empty) = (Fields::new(config, path), Map::new());
    let args = top.part("model_args", &empty);
    let wrong = |what: &str| top.wrong(what.to_owned());
    args.only("model_args", FREE, &plain())?;
    let axes = |name: &str| list.shape(name).filter(|axes| !axes.contains(&0)).map(<[usize]>::to_vec);
    let Some([width, _, patch, _]) = axes("patch_embed.proj.weight").and_then(|axes| <[usize; 4]>::try_from(axes).ok())
    else {
        return Err(wrong("its weights have no `patch_embed.proj.weight` of four axes"));
    };
    let Some([_, n_positions, _]) = axes("pos_embed").and_then(|axes| <[usize; 3]>::try_from(axes).ok()) else {
        return Err(wrong("its weights have no `pos_embed` of three axes"));
    };
    let Some([inner, _]) = axes("blocks.0.mlp.fc1.weight").and_then(|axes| <[usize; 2]>::try_from(axes).ok()) else {
        return Err(wrong("its weights have no `blocks.0.mlp.fc1.weight` of two axes"));
    };
    let n_layers = (0..).take_while(|idx| list.has(&format!("blocks.{idx}.norm1.weight"))).count();
    let shape = LayerShape {
        width,
        n_heads: args.heads("num_heads", own_heads(top.text("architecture").unwrap_or_default(), width), width)?,
        activation: Activation::Gelu,
        epsilon: EPSILON,
        norms: NormPlace::Before,
        is_causal: false,
    };
    let layers = LayerSizes { n_layers, inner, has_projection_bias: args.flag("qkv_bias", true)? };
    let image = n_positions.saturating_sub(1).isqrt() * patch;
    let sizes = ImageSizes { layers, image, patch };
    use ImagePooling::{Avg, Cls, Mean, Tokens};
    let has_norm_of_mean = list.has("fc_norm.weight");
    let global_pool = args.text("global_pool").or_else(|| top.text("global_pool"));
    let (own, there): (_, &[ImagePooling]) = match global_pool {
        Some("avg") | None if has_norm_of_mean => (Avg, &[Avg]),
        Some("avg") => (Avg, &[Avg, Cls, Mean]),
        Some("token" | "") | None if !has_norm_of_mean => (Cls, &[Cls, Mean]),
        other => {
            let norm = if has_norm_of_mean { "with" } else { "without" };
            let pool = other.unwrap_or("token");
            return Err(top.wrong(format!("`global_pool` is `{pool}` {norm} `fc_norm`, which is not computed yet")));
        }
    };
    let pooling = image_pooling(pooling, own, there, path)?;
    Ok(ImageReader {
        pooling,
        dim: width,
        has_class: true,
        image,
        patch,
        interpolates: false,
        can_interpolate: false,
        family: &TIMM_VIT,
        read: Box::new(move |list| match pooling {
            // Without a norm of its own, the mean is that of the patches after the last norm.
            Avg if has_norm_of_mean => {
                let head = vec![HeadStep::Norm(norm(list, "fc_norm", width))];
                image_tower(list, &AVERAGED_NAMES, shape, &sizes, (ImagePool::Mean, head))
            }
            Tokens if has_norm_of_mean => {
                norm(list, "fc_norm", width);
                image_tower(list, &AVERAGED_NAMES, shape, &sizes, (ImagePool::Tokens, Vec::new()))
            }
            Tokens => image_tower(list, &NAMES, shape, &sizes, (ImagePool::Tokens, Vec::new())),
            Avg | Mean => image_tower(list, &NAMES, shape, &sizes, (ImagePool::Mean, Vec::new())),
            _ => image_tower(list, &NAMES, shape, &sizes, (ImagePool::Class, Vec::new())),
        }),
    })
}
