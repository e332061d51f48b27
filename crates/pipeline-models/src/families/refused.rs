//! Models that no family computes, each with the reason and, where there is one, the way out.

mod of_open_clip;
mod of_timm;

use serde_json::Value;

use super::mark::TOWERS;
use crate::encoder::EncoderSide;
use crate::weights::{Description, ModelError, Said};

/// Families of transformers that may be taken for one that is computed, and what sets them apart.
const RELATED: &[(&str, &str)] = &[
    ("siglip2", NAFLEX),
    ("siglip2_text_model", NAFLEX),
    ("siglip2_vision_model", NAFLEX),
    ("fgclip2", NAFLEX),
    ("clip_text_model", TOWER),
    ("clip_vision_model", TOWER),
    ("chinese_clip_text_model", TOWER),
    ("chinese_clip_vision_model", TOWER),
    ("siglip_text_model", TOWER),
    ("siglip_vision_model", TOWER),
];
const NAFLEX: &str = "it takes images of any size (NaFlex); fixed-size SigLIP 2 models say `siglip`";
const TOWER: &str = "it is one tower saved alone; the folder of the whole model is read";

/// Families of image encoders of transformers that may be taken for one that is computed.
const RELATED_OF_IMAGES: &[(&str, &str)] = &[
    ("dinov2_with_registers", "its blocks have registers, which are not computed yet"),
    ("dinov3_vit", "its blocks have registers and rotary positions, which are not computed yet"),
    ("convnextv2", "its blocks have response norms, which are not computed yet"),
];

/// Beginnings of `model_type` of language models.
const LANGUAGE_MODELS: &[&str] =
    &["qwen", "llama", "llava", "mistral", "gemma", "phi", "internlm", "internvl", "minicpm", "gpt", "glm"];

/// The reason why a model is a variant of a known family that is not computed, if it is one.
pub(super) fn variant(model: &Description, side: EncoderSide) -> Option<String> {
    match (&model.said, side) {
        (Said::Config(_), EncoderSide::Text) => quantized(model).or_else(|| related(model, RELATED)),
        (Said::Config(_), EncoderSide::Image) => quantized(model)
            .or_else(|| related(model, RELATED))
            .or_else(|| related(model, RELATED_OF_IMAGES))
            .or_else(|| gates(model))
            .or_else(|| of_timm::variant(model)),
        (Said::OpenClip(_), _) => of_open_clip::variant(model),
        (Said::Tensors(_), _) => of_tensors(model),
    }
}

fn related(model: &Description, families: &[(&str, &str)]) -> Option<String> {
    let family = model.text("model_type")?;
    let (_, why) = families.iter().find(|(name, _)| *name == family)?;
    Some(format!("`model_type` is `{family}`: {why}"))
}

/// Numbers that stand for others mean nothing without the program that has packed them.
fn quantized(model: &Description) -> Option<String> {
    let is_quantized = model.config()?.get("quantization_config").is_some_and(|config| !config.is_null());
    is_quantized.then(|| "`quantization_config` says that the weights are quantized".to_owned())
}

fn gates(model: &Description) -> Option<String> {
    let has_gates = model.config()?.get("use_swiglu_ffn") == Some(&Value::Bool(true));
    has_gates.then(|| "`use_swiglu_ffn` is true: its blocks have gates, which are not computed yet".to_owned())
}

/// A checkpoint in OpenAI's form says too little without its configuration: heads and activations show in no tensor.
fn of_tensors(model: &Description) -> Option<String> {
    let is_clip = model.has_tensor("visual.proj") || model.has_tensor("visual.attnpool.c_proj.weight");
    (is_clip && !model.is_cn_clip()).then(|| {
        "its tensors are those of OpenAI's CLIP (`visual.…`), and no `open_clip_config.json` lies beside it".to_owned()
    })
}

/// The error about a model of no known family.
pub(super) fn unknown(model: &Description, side: EncoderSide, families: String) -> ModelError {
    let named = said(model).unwrap_or_else(|| "nothing in it says which family it is of".to_owned());
    let reason = language_model(model).or_else(|| own_code(model)).map(|reason| format!(", and {reason}"));
    let named = named + &reason.unwrap_or_default();
    ModelError::UnknownFamily { path: model.path.clone(), named, side: side.name(), families }
}

/// The words of a model about its own family.
fn said(model: &Description) -> Option<String> {
    let of = |name: &str| Some(format!("`{name}` is `{}`", model.text(name)?));
    let class = || Some(format!("`architectures` is `{}`", model.class()?));
    let tower = || {
        let tower = TOWERS.iter().find(|name| model.config().is_some_and(|config| config.contains_key(**name)))?;
        Some(format!("it has a `{tower}`, so it is a model of several encoders"))
    };
    // transformers' wrapper of timm has both; the first one says more.
    of("architecture").or_else(|| of("model_type")).or_else(class).or_else(tower)
}

/// Models that bring code of their own compute something else, under a known name or another.
fn own_code(model: &Description) -> Option<String> {
    let code = model.config()?.get("auto_map")?.as_object()?.get("AutoModel")?;
    Some(format!("`auto_map` names code of its own, {code}, and no code of a model is run"))
}

/// Whether a model brings code of its own, whatever family it says it is of.
pub(super) fn has_own_code(model: &Description) -> bool {
    own_code(model).is_some()
}

fn language_model(model: &Description) -> Option<String> {
    let is_named = |name: &str| LANGUAGE_MODELS.iter().any(|start| name.starts_with(start));
    let writes = |class: &str| class.ends_with("ForCausalLM") || class.ends_with("ForConditionalGeneration");
    let is_one = model.text("model_type").is_some_and(is_named) || model.class().is_some_and(writes);
    is_one.then(|| "an embedder made of a language model is not computed here".to_owned())
}

#[cfg(test)]
mod tests;
