//! Models of timm whose names are near those of plain ones.

use super::of_open_clip::{Siglip, siglip_of_the_hub};
use crate::weights::Description;

/// Sizes of plain ViTs.
const VIT_SIZES: &[&str] = &["tiny", "small", "base", "large", "huge"];
/// Endings of plain ViTs' names from before weights had tags.
const VIT_ENDINGS: &[&str] = &["in21k", "sam", "dino"];
/// Sizes of plain ConvNeXts.
const CONVNEXT_SIZES: &[&str] =
    &["atto", "femto", "pico", "nano", "tiny", "small", "base", "large", "xlarge", "xxlarge"];
/// Endings of plain ConvNeXts' names from before weights had tags.
const CONVNEXT_ENDINGS: &[&str] = &["in22k", "in22ft1k", "384"];

/// Beginnings of other families' names, and what sets them apart.
const RELATED: &[(&str, &str)] = &[
    ("convnextv2", "its blocks have response norms"),
    ("deit3", "its blocks have layer scales"),
    ("beit", "its blocks have relative positions"),
    ("eva", "its blocks have gates or rotary positions"),
];

/// Words in the names of vision transformers, and what sets such models apart.
const VIT_WORDS: &[(&str, &str)] = &[
    ("clip", "there are norms before its blocks"),
    ("siglip", "there are attention pools after its blocks"),
    ("dinov2", "its blocks have layer scales"),
    ("dinov3", "its blocks have rotary positions"),
    ("reg", "its blocks have registers"),
    ("relpos", "its blocks have relative positions"),
    ("rope", "its blocks have rotary positions"),
];

/// The reason why timm's `architecture` is a variant of a known family that is not computed, if it is one.
pub(super) fn variant(model: &Description) -> Option<String> {
    let name = model.architecture()?;
    let why = of_name(name)?;
    let hub = of_the_hub(model, name).map(|hub| format!("; `{hub}` is the same model in the form that is read"));
    Some(format!("`architecture` is `{name}`: {why}{}", hub.unwrap_or_default()))
}

/// The name on the hub of a model that another library saves in a form that is read.
fn of_the_hub(model: &Description, name: &str) -> Option<String> {
    let tag = model.config()?.get("pretrained_cfg").and_then(|config| config.get("tag")?.as_str()).unwrap_or_default();
    let release = match tag {
        "webli" => Siglip::First,
        "webli_i18n" => Siglip::Multilingual,
        "v2_webli" => Siglip::Second,
        _ => return dinov2_of_the_hub(name).filter(|_| tag.is_empty() || tag == "lvd142m"),
    };
    siglip_of_the_hub(name, release)
}

fn dinov2_of_the_hub(name: &str) -> Option<String> {
    let (size, _) = name.strip_prefix("vit_")?.strip_suffix("_dinov2")?.split_once("_patch14")?;
    ["small", "base", "large"].contains(&size).then(|| format!("facebook/dinov2-{size}"))
}

fn of_name(name: &str) -> Option<String> {
    let not_yet = |(_, why): &(&str, &str)| format!("{why}, which are not computed yet");
    if let Some(related) = RELATED.iter().find(|(start, _)| name.starts_with(start)) {
        return Some(not_yet(related));
    }
    if let Some(rest) = name.strip_prefix("vit_") {
        let words: Vec<&str> = rest.split('_').collect();
        // A number may follow, as in `reg4`.
        let has = |word: &str| words.iter().any(|part| part.strip_prefix(word).is_some_and(is_number_or_empty));
        let not_plain = || (!is_plain_vit(&words)).then(|| not_plain("vit_{tiny, small, base, large, huge}_patch…"));
        return VIT_WORDS.iter().find(|(word, _)| has(word)).map(not_yet).or_else(not_plain);
    }
    let words: Vec<&str> = name.strip_prefix("convnext_")?.split('_').collect();
    (!is_plain_convnext(&words)).then(|| not_plain("convnext_{atto, …, xxlarge}"))
}

fn is_number_or_empty(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn not_plain(plain: &str) -> String {
    format!("it is a variant that is not computed; plain ones are called `{plain}`")
}

/// A size, the patch's side, the image's, and perhaps an old ending.
fn is_plain_vit(words: &[&str]) -> bool {
    let is_number = |text: &str| !text.is_empty() && is_number_or_empty(text);
    match words {
        [size, patch, image, endings @ ..] => {
            VIT_SIZES.contains(size)
                && patch.strip_prefix("patch").is_some_and(is_number)
                && is_number(image)
                && endings.iter().all(|ending| VIT_ENDINGS.contains(ending))
        }
        _ => false,
    }
}

fn is_plain_convnext(words: &[&str]) -> bool {
    match words {
        [size, endings @ ..] => {
            CONVNEXT_SIZES.contains(size) && endings.iter().all(|ending| CONVNEXT_ENDINGS.contains(ending))
        }
        [] => false,
    }
}
