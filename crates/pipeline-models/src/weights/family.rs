//! The architecture of a model by its name alone.

/// Beginnings of the names of architectures of which ResNets are none, or a variant whose weights may fit a plain one.
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
    ("deit", "DeiT"),
    ("beit", "BEiT"),
    ("eva02", "EVA-02"),
    ("dinov2-with-registers", "DINOv2 with registers"),
    ("dinov3", "DINOv3"),
    ("swin", "Swin transformer"),
    ("convnextv2", "ConvNeXt V2"),
    ("efficientnet", "EfficientNet"),
    ("tf_efficientnet", "EfficientNet"),
    ("mobilenet", "MobileNet"),
    ("densenet", "DenseNet"),
    ("regnet", "RegNet"),
    ("vgg1", "VGG"),
];

/// Beginnings of the names of image models that are computed where their files say what they are.
const DESCRIBED_IMAGE_NAMES: &[(&str, &str)] = &[
    ("clip_cn", "Chinese-CLIP model"),
    ("cn_clip", "Chinese-CLIP model"),
    ("chinese-clip", "Chinese-CLIP model"),
    ("rn50", "CLIP model"),
    ("rn101", "CLIP model"),
    ("vit_", "vision transformer"),
    ("vit-", "vision transformer"),
    ("dinov2", "vision transformer"),
    ("siglip", "SigLIP model"),
    ("convnext", "ConvNeXt"),
];

/// Beginnings of the names of text models that are of no family although they may be taken for one.
const OTHER_TEXT_NAMES: &[(&str, &str)] = &[
    ("distilbert", "DistilBERT"),
    ("albert", "ALBERT"),
    ("electra", "ELECTRA"),
    ("ernie", "ERNIE"),
    ("nezha", "NEZHA"),
];

/// Beginnings of the names of models of both sides that are computed on neither.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("qwen", "Qwen, a language model"),
    ("gme-", "GME, made of a language model"),
    ("gte-qwen", "Qwen, a language model"),
    ("gte-multilingual", "model with code of its own"),
    ("jina-clip", "model with code of its own"),
    ("jina-embeddings", "model with code of its own"),
    ("m2-encoder", "model with code of its own"),
    ("fg-clip2", "NaFlex model, which takes images of any size"),
];

/// The architecture of image models of this name or path, if it is one that is not computed.
pub fn image_family_of_name(name: &str) -> Option<String> {
    let name = last_part(name);
    of_neither_side(&name).or_else(|| {
        let bare = without_source(&name);
        by_beginning(bare, OTHER_IMAGE_NAMES).or_else(|| variant(bare))
    })
}

/// The architecture of a checkpoint of this name that nothing describes, if it is no plain ResNet.
pub(crate) fn undescribed_image_family(name: &str) -> Option<String> {
    image_family_of_name(name).or_else(|| by_beginning(without_source(&last_part(name)), DESCRIBED_IMAGE_NAMES))
}

/// The architecture of text models of this name or path, if it is one that is not computed.
pub fn text_family_of_name(name: &str) -> Option<String> {
    let name = last_part(name);
    of_neither_side(&name).or_else(|| by_beginning(&name, OTHER_TEXT_NAMES))
}

fn of_neither_side(name: &str) -> Option<String> {
    let naflex = || name.contains("naflex").then(|| "NaFlex model, which takes images of any size".to_owned());
    by_beginning(name, OTHER_NAMES).or_else(naflex)
}

/// The name without the source of weights that timm and torchvision put before it.
fn without_source(name: &str) -> &str {
    ["tv_", "gluon_", "ssl_", "swsl_", "ig_"].iter().find_map(|part| name.strip_prefix(part)).unwrap_or(name)
}

fn last_part(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_lowercase()
}

fn by_beginning(name: &str, table: &[(&str, &str)]) -> Option<String> {
    table.iter().find(|(start, _)| name.starts_with(start)).map(|(_, architecture)| (*architecture).to_owned())
}

/// `resnet50d`, `resnet50_gn` and the like: what follows the depth says how such a ResNet differs from a plain one.
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
            assert_eq!((image_family_of_name(plain), undescribed_image_family(plain)), (None, None), "{plain}");
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
            "facebook/dinov2-with-registers-base",
            "google/siglip2-base-patch16-naflex",
            "timm/convnextv2_tiny.fcmae_ft_in1k",
            "jinaai/jina-clip-v2",
        ] {
            assert!(image_family_of_name(other).is_some(), "{other}");
        }
        for described in
            ["RN50.pt", "clip_cn_rn50.pt", "ViT-B-32", "vit_base_patch16_224", "facebook/dinov2-base", "convnext_tiny"]
        {
            assert_eq!(image_family_of_name(described), None, "{described}");
            assert!(undescribed_image_family(described).is_some(), "{described}");
        }
        for plain in [
            "bert-base-chinese",
            "hfl/chinese-roberta-wwm-ext",
            "chinese-macbert-base",
            "BAAI/bge-small-zh",
            "BAAI/bge-m3",
            "FacebookAI/xlm-roberta-base",
            "OFA-Sys/chinese-clip-vit-base-patch16",
            "clip_cn_vit-b-16.pt",
            "thenlper/gte-base-zh",
        ] {
            assert_eq!(text_family_of_name(plain), None, "{plain}");
        }
        for other in ["nghuyong/ernie-3.0-base-zh", "Qwen/Qwen3-VL-Embedding-2B", "jinaai/jina-clip-v2"] {
            assert!(text_family_of_name(other).is_some(), "{other}");
        }
    }
}
