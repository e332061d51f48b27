//! Models of OpenCLIP whose towers are of other libraries.

use serde_json::Value;

use crate::weights::Description;

/// The reason why a model of OpenCLIP is not computed, if its towers are not both OpenAI's.
pub(super) fn variant(model: &Description) -> Option<String> {
    let part = |part: &str, name: &str| model.open_clip_part(part)?.get(name)?.as_str();
    if let Some(timm) = part("vision_cfg", "timm_model_name") {
        return Some(format!("its image tower is timm's `{timm}` inside open_clip; {}", way_out(timm, model)));
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

/// The sizes of the vocabularies of SigLIP 2 and of the multilingual SigLIP.
const SIGLIP2_WORDS: u64 = 256_000;
const MULTILINGUAL_WORDS: u64 = 250_000;

fn way_out(timm: &str, model: &Description) -> String {
    let text = |name: &str| model.open_clip_part("text_cfg").and_then(|text| text.get(name));
    let words = text("vocab_size").and_then(Value::as_u64);
    let release = match words {
        Some(SIGLIP2_WORDS) => Siglip::Second,
        Some(MULTILINGUAL_WORDS) => Siglip::Multilingual,
        _ => Siglip::First,
    };
    // A text tower of transformers makes another model of it.
    match siglip_of_the_hub(timm, release).filter(|_| text("hf_model_name").is_none()) {
        Some(hub) => format!("`{hub}` on the hub is the same model in the form that is read"),
        None => IMPORT.to_owned(),
    }
}

/// A release of SigLIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Siglip {
    First,
    Multilingual,
    Second,
}

/// The models of each release on the hub of Google's, after the name of the release.
const SIGLIPS: &[(Siglip, &[&str])] = &[
    (
        Siglip::First,
        &[
            "base-patch16-224",
            "base-patch16-256",
            "base-patch16-384",
            "base-patch16-512",
            "large-patch16-256",
            "large-patch16-384",
            "so400m-patch14-224",
            "so400m-patch14-384",
        ],
    ),
    (Siglip::Multilingual, &["base-patch16-256-multilingual", "so400m-patch16-256-i18n"]),
    (
        Siglip::Second,
        &[
            "base-patch16-224",
            "base-patch16-256",
            "base-patch16-384",
            "base-patch16-512",
            "base-patch32-256",
            "large-patch16-256",
            "large-patch16-384",
            "large-patch16-512",
            "so400m-patch14-224",
            "so400m-patch14-384",
            "so400m-patch16-256",
            "so400m-patch16-384",
            "so400m-patch16-512",
            "giant-opt-patch16-256",
            "giant-opt-patch16-384",
        ],
    ),
];

/// The name on the hub of the SigLIP that timm calls `vit_SIZE_patchP_siglip_IMAGE`.
pub(super) fn siglip_of_the_hub(timm: &str, release: Siglip) -> Option<String> {
    let (shape, image) = timm.split('.').next()?.strip_prefix("vit_")?.split_once("_siglip_")?;
    // 27 patches of 14 pixels make 378, of which the hub's name has the 384 that they are cut from.
    let image = if image == "378" { "384" } else { image };
    let own = format!("{}-{image}", shape.replace("giantopt", "giant-opt").replace('_', "-"));
    let (_, there) = SIGLIPS.iter().find(|(known, _)| *known == release)?;
    let is_own = |name: &&&str| match release {
        Siglip::Multilingual => name.strip_prefix(own.as_str()).is_some_and(|rest| rest.starts_with('-')),
        Siglip::First | Siglip::Second => **name == own,
    };
    let name = there.iter().find(is_own)?;
    Some(format!("google/{}-{name}", if release == Siglip::Second { "siglip2" } else { "siglip" }))
}
