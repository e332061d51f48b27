//! Determines the family of a model, from its `config.json` or from its name alone.

use std::path::Path;

use serde_json::{Map, Value};

use super::read_config;

/// The content of a configuration file.
type Config = Map<String, Value>;

/// The reason why this configuration is not of a BERT; `None` if it is.
pub(crate) fn of_text(config: &Config) -> Option<String> {
    if let Some(other) = text(config, "model_type").filter(|family| *family != "bert") {
        return Some(format!("`model_type` is `{other}` instead of `bert`"));
    }
    if let Some(code) = own_code(config) {
        return Some(code);
    }
    if config.contains_key("model_type") {
        return None;
    }
    if let Some(other) = text(config, "architecture") {
        return Some(format!("`architecture` is `{other}`, which is not a text encoder of transformers"));
    }
    let class = class(config).filter(|class| !class.starts_with("Bert"));
    class.map(|other| format!("`architectures` is `{other}` instead of a `Bert…`")).or_else(|| towers(config))
}

/// The reason why this configuration is not of a ResNet; `None` if it is. Does not check the variant.
pub(crate) fn of_image(config: &Config) -> Option<String> {
    if let Some(other) = text(config, "model_type").filter(|family| !matches!(*family, "resnet" | "timm_wrapper")) {
        return Some(format!("`model_type` is `{other}` instead of `resnet`"));
    }
    if let Some(code) = own_code(config) {
        return Some(code);
    }
    if config.contains_key("model_type") || config.contains_key("architecture") {
        return None;
    }
    let class = class(config).filter(|class| !class.starts_with("ResNet"));
    class.map(|other| format!("`architectures` is `{other}` instead of a `ResNet…`")).or_else(|| towers(config))
}

/// As [`of_text`], for a file; `None` when the file is missing or not a configuration, which other code reports.
pub(super) fn of_text_file(path: &Path) -> Option<String> {
    of_text(&read_config(path).ok()?)
}

/// As [`of_image`], for a file; `None` when the file is missing or not a configuration, which other code reports.
pub(super) fn of_image_file(path: &Path) -> Option<String> {
    of_image(&read_config(path).ok()?)
}

fn text<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
    config.get(name)?.as_str()
}

fn class(config: &Config) -> Option<&str> {
    config.get("architectures")?.as_array()?.first()?.as_str()
}

/// Refuses models with their own code, which compute something else under a known name.
fn own_code(config: &Config) -> Option<String> {
    let code = config.get("auto_map")?.as_object()?.get("AutoModel")?;
    Some(format!("`auto_map` names code of its own, {code}, and no code of a model is run"))
}

/// Models of two towers, such as CLIP's.
fn towers(config: &Config) -> Option<String> {
    let tower = ["vision_config", "text_config", "vision_cfg", "text_cfg", "model_cfg"].into_iter();
    let tower = tower.into_iter().find(|name| config.contains_key(*name))?;
    Some(format!("it has a `{tower}`, so it is a model of several encoders"))
}

/// Prefixes of architecture names that are not ResNets, or are variants whose weights might fit a plain one.
const OTHER_IMAGE_NAMES: &[(&str, &str)] = &[
    ("resnetaa", "ResNet with anti-aliasing"),
    ("resnetblur", "ResNet with blurred pooling"),
    ("resnetrs", "ResNet-RS"),
    ("resnetv2", "ResNet v2"),
    ("resnext", "ResNeXt"),
    ("resnest", "ResNeSt"),
    ("res2ne", "Res2Net"),
    ("seresne", "SE-ResNet"),
    ("senet", "SENet"),
    ("legacy_se", "SENet"),
    ("ecaresne", "ECA-ResNet"),
    ("skresne", "SK-ResNet"),
    ("gcresne", "GC-ResNet"),
    ("lambda_resne", "LambdaResNet"),
    ("bat_resne", "BAT-ResNeXt"),
    ("nf_resne", "normalizer-free ResNet"),
    ("clip_cn", "Chinese-CLIP model"),
    ("cn_clip", "Chinese-CLIP model"),
    ("chinese-clip", "Chinese-CLIP model"),
    ("rn50", "CLIP model"),
    ("rn101", "CLIP model"),
    ("vit_", "vision transformer"),
    ("vit-", "vision transformer"),
    ("deit", "vision transformer"),
    ("beit", "vision transformer"),
    ("eva02", "vision transformer"),
    ("dinov2", "vision transformer"),
    ("dinov3", "vision transformer"),
    ("siglip", "SigLIP model"),
    ("swin", "Swin transformer"),
    ("convnext", "ConvNeXt"),
    ("efficientnet", "EfficientNet"),
    ("tf_efficientnet", "EfficientNet"),
    ("mobilenet", "MobileNet"),
    ("densenet", "DenseNet"),
    ("regnet", "RegNet"),
    ("vgg1", "VGG"),
];

/// Prefixes of the names of text models that are not BERTs but may be taken for one.
const OTHER_TEXT_NAMES: &[(&str, &str)] = &[
    ("clip_cn", "Chinese-CLIP model"),
    ("chinese-clip", "Chinese-CLIP model"),
    ("clip-vit", "CLIP model"),
    ("siglip", "SigLIP model"),
    ("roberta-", "RoBERTa"),
    ("xlm-roberta", "XLM-RoBERTa"),
    ("bge-m3", "XLM-RoBERTa"),
    ("distilbert", "DistilBERT"),
    ("albert", "ALBERT"),
    ("electra", "ELECTRA"),
    ("ernie", "ERNIE"),
    ("nezha", "NEZHA"),
    ("qwen", "Qwen"),
];

/// The architecture of image models with this name or path, if they are not plain ResNets.
pub fn image_family_of_name(name: &str) -> Option<String> {
    let name = last_part(name);
    let bare = ["tv_", "gluon_", "ssl_", "swsl_", "ig_"].iter().find_map(|part| name.strip_prefix(part));
    let bare = bare.unwrap_or(&name);
    by_beginning(bare, OTHER_IMAGE_NAMES).or_else(|| variant(bare))
}

/// The architecture of text models with this name or path, if they are not BERTs.
pub fn text_family_of_name(name: &str) -> Option<String> {
    by_beginning(&last_part(name), OTHER_TEXT_NAMES)
}

fn last_part(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_lowercase()
}

fn by_beginning(name: &str, table: &[(&str, &str)]) -> Option<String> {
    table.iter().find(|(start, _)| name.starts_with(start)).map(|(_, architecture)| (*architecture).to_owned())
}

/// `resnet50d`, `resnet50_gn` and the like: the suffix after the depth names the difference from a plain ResNet.
fn variant(name: &str) -> Option<String> {
    let rest = name.strip_prefix("resnet")?;
    let suffix = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let depth = &rest[..rest.len() - suffix.len()];
    let end = suffix.find(|next: char| !next.is_ascii_alphanumeric() && next != '_').unwrap_or(suffix.len());
    let first = suffix[..end].trim_start_matches('_').split('_').next().unwrap_or_default();
    let is_joined = !suffix.starts_with('_');
    let differs = match is_joined {
        true => matches!(first, "c" | "d" | "s" | "t" | "vd" | "x4" | "x16" | "x64"),
        false => matches!(first, "gn" | "clip" | "v1c" | "v1d" | "v1e" | "v1s"),
    };
    let joint = if is_joined { "" } else { "_" };
    (!depth.is_empty() && differs).then(|| format!("`resnet{depth}{joint}{first}`, a variant of ResNet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_configuration_of_another_family_is_named() {
        for (text, expected) in [
            (r#"{"model_type": "bert"}"#, None),
            (r#"{"model_type": "bert", "architectures": ["BertForMaskedLM"]}"#, None),
            (r#"{"architectures": ["BertModel"]}"#, None),
            ("{}", None),
            (r#"{"model_type": "chinese_clip", "text_config": {}}"#, Some("`model_type` is `chinese_clip`")),
            (r#"{"model_type": "xlm-roberta"}"#, Some("`model_type` is `xlm-roberta`")),
            (r#"{"architectures": ["RobertaModel"]}"#, Some("`architectures` is `RobertaModel`")),
            (r#"{"architecture": "resnet50"}"#, Some("`architecture` is `resnet50`")),
            (r#"{"model_type": "bert", "auto_map": {"AutoModel": "modeling.Own"}}"#, Some("`auto_map`")),
            (r#"{"text_config": {}}"#, Some("`text_config`")),
        ] {
            let found = of_text(&config(text));
            let fits = match expected {
                Some(part) => found.as_deref().is_some_and(|found| found.contains(part)),
                None => found.is_none(),
            };
            assert!(fits, "{text}: {found:?}");
        }
        for (text, expected) in [
            (r#"{"model_type": "resnet"}"#, None),
            (r#"{"architecture": "resnet50.a1_in1k"}"#, None),
            (r#"{"model_type": "timm_wrapper", "architectures": ["TimmWrapperModel"]}"#, None),
            (r#"{"model_type": "dinov2"}"#, Some("`model_type` is `dinov2`")),
            (r#"{"architectures": ["ViTModel"]}"#, Some("`architectures` is `ViTModel`")),
            (r#"{"model_cfg": {"vision_cfg": {}}}"#, Some("`model_cfg`")),
        ] {
            let found = of_image(&config(text));
            let fits = match expected {
                Some(part) => found.as_deref().is_some_and(|found| found.contains(part)),
                None => found.is_none(),
            };
            assert!(fits, "{text}: {found:?}");
        }
    }

    #[test]
    fn names_of_other_architectures_are_known_and_names_of_ones_own_are_free() {
        for plain in [
            "resnet50",
            "resnet50.a1_in1k",
            "resnet50-11ad3fa6",
            "resnet50_a1_0-14fe96d1",
            "timm/resnet101.a1h_in1k",
            "tv_resnet152",
            "gluon_resnet50_v1b-0ebe02e2",
            "wide_resnet50_2-32ee1156",
            "resnet50_best",
            "resnet-50",
            "my_resnet",
            "/models/vit/resnet18",
            "teacher",
            "model",
        ] {
            assert_eq!(image_family_of_name(plain), None, "{plain}");
        }
        for other in [
            "resnetaa50",
            "resnetaa50_a1h-4cf422b3",
            "/models/resnetblur50-84f4748f.pth",
            "timm/seresnet50.a1_in1k",
            "resnext50_32x4d",
            "ssl_resnext50_32x4d",
            "resnet50d_ra2-464e36ba",
            "gluon_resnet50_v1d",
            "resnet50_gn_a1h2-8fe6c4d0",
            "RN50.pt",
            "clip_cn_rn50.pt",
            "ViT-B-32",
            "vit_base_patch16_224",
        ] {
            assert!(image_family_of_name(other).is_some(), "{other}");
        }
        for plain in ["bert-base-chinese", "hfl/chinese-roberta-wwm-ext", "chinese-macbert-base", "BAAI/bge-small-zh"] {
            assert_eq!(text_family_of_name(plain), None, "{plain}");
        }
        for other in ["xlm-roberta-base", "OFA-Sys/chinese-clip-vit-base-patch16", "clip_cn_vit-b-16.pt"] {
            assert!(text_family_of_name(other).is_some(), "{other}");
        }
    }
}
