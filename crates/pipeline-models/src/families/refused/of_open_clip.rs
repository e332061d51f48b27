//! Models of OpenCLIP whose towers are of other libraries.

use serde_json::Value;

use crate::weights::Description;

/// The reason why a model of OpenCLIP is not computed, if its towers are not both OpenAI's.
pub(super) fn variant(model: &Description) -> Option<String> {
    let part = |part: &str, name: &str| model.open_clip_part(part)?.get(name)?.as_str();
    if let Some(timm) = part("vision_cfg", "timm_model_name") {
        let vocabulary = model.open_clip_part("text_cfg").and_then(|text| text.get("vocab_size")?.as_u64());
        return Some(format!("its image tower is timm's `{timm}` inside open_clip; {}", way_out(timm, vocabulary)));
    }
    if let Some(hub) = part("text_cfg", "hf_model_name") {
        return Some(format!("its text tower is transformers' `{hub}` inside open_clip; {IMPORT}"));
    }
    let is_coca = model.open_clip_part("multimodal_cfg").is_some()
        || model.open_clip_part("text_cfg").is_some_and(|text| text.get("embed_cls") == Some(&Value::Bool(true)));
    if is_coca {
        return Some(format!("it is a CoCa, whose image tower has an attention pool of its own; {IMPORT}"));
    }
    let is_whole =
        ["vision_cfg", "text_cfg"].iter().all(|name| model.open_clip_part(name).is_some_and(Value::is_object));
    (!is_whole).then(|| "it has no `model_cfg` with a `vision_cfg` and a `text_cfg`".to_owned())
}

const IMPORT: &str = "its vectors can be brought in by `import-text-features` and `import-image-features`";

fn way_out(timm: &str, vocabulary: Option<u64>) -> String {
    match siglip_of_the_hub(timm, vocabulary) {
        Some(hub) => format!("`{hub}` on the hub is the same model in the form that is read"),
        None => IMPORT.to_owned(),
    }
}

/// The sizes of the vocabularies of SigLIP 2 and of the multilingual SigLIP.
const SIGLIP2_WORDS: u64 = 256_000;
const MULTILINGUAL_WORDS: u64 = 250_000;

/// The name on the hub of the SigLIP that timm calls `vit_SIZE_patchP_siglip_IMAGE`.
pub(super) fn siglip_of_the_hub(timm: &str, vocabulary: Option<u64>) -> Option<String> {
    let (shape, image) = timm.split('.').next()?.strip_prefix("vit_")?.split_once("_siglip_")?;
    let is_side = !image.is_empty() && image.bytes().all(|byte| byte.is_ascii_digit());
    let version = if vocabulary == Some(SIGLIP2_WORDS) { "siglip2" } else { "siglip" };
    let multilingual = if vocabulary == Some(MULTILINGUAL_WORDS) { "-multilingual" } else { "" };
    is_side.then(|| format!("google/{version}-{}-{image}{multilingual}", shape.replace('_', "-")))
}
