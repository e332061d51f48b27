//! Each model that no family computes, by what its files say, and the sentence about it.

use std::path::PathBuf;

use serde_json::Value;

use super::super::{check_image, check_text, supported};
use crate::encoder::EncoderSide;
use crate::weights::{Description, ModelError, Said};

/// A model with this `config.json`, or `open_clip_config.json` where it has a `model_cfg`.
fn described(text: &str) -> Description {
    let Ok(Value::Object(config)) = serde_json::from_str(text) else { panic!("{text}") };
    let said = if config.contains_key("model_cfg") { Said::OpenClip(config) } else { Said::Config(config) };
    Description { path: PathBuf::from("m"), said }
}

/// A model without a configuration, with these tensors.
fn of_tensors(names: &[&str]) -> Description {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Description { path: PathBuf::from("m.pt"), said: Said::Tensors(names) }
}

/// The sentence about a model after the words that all have; nothing where a family knows it.
fn refusal(model: &Description, side: EncoderSide) -> Option<String> {
    let checked = match side {
        EncoderSide::Text => check_text(model),
        EncoderSide::Image => check_image(model),
    };
    let text = checked.err().map(|error: ModelError| error.to_string())?;
    let (_, said) = text.split_once(" describes a model that is not supported: ").unwrap_or_else(|| panic!("{text}"));
    Some(said.to_owned())
}

#[test]
fn every_family_is_known_by_what_its_files_say() {
    let both = [
        r#"{}"#,
        r#"{"model_type": "chinese_clip", "text_config": {}}"#,
        r#"{"model_type": "clip"}"#,
        r#"{"model_type": "metaclip_2"}"#,
        r#"{"model_type": "siglip"}"#,
        r#"{"model_cfg": {"vision_cfg": {}, "text_cfg": {}}}"#,
        r#"{"model_cfg": {"vision_cfg": {"layers": [3, 4, 6, 3]}, "text_cfg": {}}}"#,
    ];
    let text = [
        r#"{"model_type": "bert", "architectures": ["BertForMaskedLM"]}"#,
        r#"{"architectures": ["BertModel"]}"#,
        r#"{"model_type": "roberta"}"#,
        r#"{"model_type": "xlm-roberta"}"#,
    ];
    let image = [
        r#"{"model_type": "resnet"}"#,
        r#"{"architectures": ["ResNetForImageClassification"]}"#,
        r#"{"architecture": "resnet50.a1_in1k"}"#,
        r#"{"architecture": "wide_resnet50_2"}"#,
        r#"{"model_type": "timm_wrapper", "architectures": ["TimmWrapperModel"]}"#,
        r#"{"model_type": "timm_wrapper", "architecture": "vit_base_patch16_224.augreg2_in21k_ft_in1k"}"#,
        r#"{"model_type": "vit"}"#,
        r#"{"model_type": "dinov2", "use_swiglu_ffn": false}"#,
        r#"{"model_type": "convnext"}"#,
        r#"{"architecture": "vit_huge_patch14_224"}"#,
        r#"{"architecture": "vit_base_patch16_224_in21k"}"#,
        r#"{"architecture": "convnext_tiny.in12k_ft_in1k"}"#,
        r#"{"architecture": "convnext_base_384_in22ft1k"}"#,
    ];
    for model in both.iter().chain(&text) {
        assert_eq!(refusal(&described(model), EncoderSide::Text), None, "{model}");
    }
    for model in both.iter().chain(&image) {
        assert_eq!(refusal(&described(model), EncoderSide::Image), None, "{model}");
    }
    let own = ["state_dict.bert.embeddings.word_embeddings.weight", "state_dict.visual.layer1.0.conv1.weight"];
    for tensors in [&own[..], &["layer1.0.conv1.weight"], &[]] {
        assert_eq!(refusal(&of_tensors(tensors), EncoderSide::Image), None, "{tensors:?}");
    }
    assert_eq!(refusal(&of_tensors(&own), EncoderSide::Text), None);
}

#[test]
fn a_model_of_no_family_is_named_with_the_families_and_the_way_out() {
    let out = |side| {
        format!(
            "; {side} models are of {}; vectors of any other tool can be brought in by `import-{side}-features`",
            supported(if side == "text" { EncoderSide::Text } else { EncoderSide::Image })
        )
    };
    for (model, said) in [
        (r#"{"model_type": "ernie"}"#, "`model_type` is `ernie`"),
        (r#"{"architecture": "efficientnet_b0"}"#, "`architecture` is `efficientnet_b0`"),
        (r#"{"model_type": "timm_wrapper", "architecture": "swin_tiny"}"#, "`architecture` is `swin_tiny`"),
        (r#"{"architectures": ["ViltModel"]}"#, "`architectures` is `ViltModel`"),
        (r#"{"text_config": {}}"#, "it has a `text_config`, so it is a model of several encoders"),
        (
            r#"{"model_type": "jina_clip", "auto_map": {"AutoModel": "own.Model"}}"#,
            "`model_type` is `jina_clip`, and `auto_map` names code of its own, \"own.Model\", and no code of a \
            model is run",
        ),
        (
            r#"{"model_type": "bert", "auto_map": {"AutoModel": "own.Bert"}}"#,
            "`model_type` is `bert`, and `auto_map` names code of its own, \"own.Bert\", and no code of a model is \
            run",
        ),
        (
            r#"{"model_type": "qwen3_vl"}"#,
            "`model_type` is `qwen3_vl`, and an embedder made of a language model is not computed here",
        ),
        (
            r#"{"model_type": "qwen2_vl", "auto_map": {"AutoModel": "gme.Model"}}"#,
            "`model_type` is `qwen2_vl`, and an embedder made of a language model is not computed here",
        ),
    ] {
        for (name, side) in [("text", EncoderSide::Text), ("image", EncoderSide::Image)] {
            assert_eq!(refusal(&described(model), side), Some(said.to_owned() + &out(name)), "{model}");
        }
    }
    let text = refusal(&described(r#"{"architecture": "vit_base_patch16_clip_224"}"#), EncoderSide::Text);
    assert_eq!(text, Some("`architecture` is `vit_base_patch16_clip_224`".to_owned() + &out("text")));
}

#[test]
fn a_variant_that_no_family_computes_is_refused_with_what_sets_it_apart() {
    let naflex = "it takes images of any size (NaFlex); fixed-size SigLIP 2 models say `siglip`";
    for (model, said) in [
        (r#"{"model_type": "siglip2"}"#, format!("`model_type` is `siglip2`: {naflex}")),
        (r#"{"model_type": "fgclip2"}"#, format!("`model_type` is `fgclip2`: {naflex}")),
        (
            r#"{"model_type": "clip_vision_model"}"#,
            "`model_type` is `clip_vision_model`: it is one tower saved alone; the folder of the whole model is read"
                .into(),
        ),
        (
            r#"{"model_type": "dinov2", "use_swiglu_ffn": true}"#,
            "`use_swiglu_ffn` is true: its blocks have gates, which are not computed yet".into(),
        ),
        (
            r#"{"model_type": "dinov2_with_registers"}"#,
            "`model_type` is `dinov2_with_registers`: its blocks have registers, which are not computed yet".into(),
        ),
        (
            r#"{"model_type": "vit", "quantization_config": {"quant_method": "fp8"}}"#,
            "`quantization_config` says that the weights are quantized".into(),
        ),
        (
            r#"{"model_type": "convnextv2"}"#,
            "`model_type` is `convnextv2`: its blocks have response norms, which are not computed yet".into(),
        ),
    ] {
        assert_eq!(refusal(&described(model), EncoderSide::Image), Some(said), "{model}");
    }
    for (architecture, said) in [
        ("vit_base_patch16_clip_224.openai", "there are norms before its blocks, which are not computed yet"),
        ("vit_so400m_patch14_siglip_384", "there are attention pools after its blocks, which are not computed yet"),
        (
            "vit_base_patch14_dinov2",
            "its blocks have layer scales, which are not computed yet; `facebook/dinov2-base` is the same model in the \
             form that is read",
        ),
        ("vit_giant_patch14_dinov2", "its blocks have layer scales, which are not computed yet"),
        ("vit_medium_patch16_reg4_gap_256", "its blocks have registers, which are not computed yet"),
        ("deit3_base_patch16_224", "its blocks have layer scales, which are not computed yet"),
        ("beitv2_base_patch16_224", "its blocks have relative positions, which are not computed yet"),
        ("eva02_base_patch14_224", "its blocks have gates or rotary positions, which are not computed yet"),
        ("convnextv2_tiny", "its blocks have response norms, which are not computed yet"),
        (
            "vit_giant_patch14_224",
            "it is a variant that is not computed; plain ones are called `vit_{tiny, small, base, large, huge}_patch…`",
        ),
        ("vit_base_patch16_224_miil", "it is a variant that is not computed; plain ones are called `vit_{tiny,"),
        ("convnext_tiny_hnf", "it is a variant that is not computed; plain ones are called `convnext_{atto,"),
        ("convnext_large_mlp", "it is a variant that is not computed; plain ones are called `convnext_{atto,"),
    ] {
        let model = described(&format!(r#"{{"architecture": "{architecture}"}}"#));
        let found = refusal(&model, EncoderSide::Image).unwrap();
        let name = architecture.split('.').next().unwrap();
        assert!(found.starts_with(&format!("`architecture` is `{name}`: {said}")), "{architecture}: {found}");
    }
}

#[test]
fn a_siglip_of_timm_is_named_as_the_hub_names_its_release() {
    for (architecture, tag, expected) in [
        ("vit_so400m_patch14_siglip_384", "webli", Some("siglip-so400m-patch14-384")),
        ("vit_so400m_patch14_siglip_378", "v2_webli", Some("siglip2-so400m-patch14-384")),
        ("vit_so400m_patch16_siglip_256", "webli_i18n", Some("siglip-so400m-patch16-256-i18n")),
        ("vit_giantopt_patch16_siglip_384", "v2_webli", Some("siglip2-giant-opt-patch16-384")),
        ("vit_base_patch16_siglip_gap_224", "webli", None),
        ("vit_base_patch16_siglip_224", "of_mine", None),
        ("vit_base_patch32_siglip_256", "webli", None),
    ] {
        let model = format!(r#"{{"architecture": "{architecture}", "pretrained_cfg": {{"tag": "{tag}"}}}}"#);
        let found = refusal(&described(&model), EncoderSide::Image).unwrap();
        let hub = found.split_once("; `google/").map(|(_, rest)| rest.split_once('`').unwrap().0);
        assert_eq!(hub, expected, "{found}");
    }
}

#[test]
fn a_model_of_open_clip_with_towers_of_other_libraries_is_refused_on_both_sides() {
    let import = "its vectors can be brought in by `import-text-features` and `import-image-features`";
    let siglip = "its image tower is timm's `vit_base_patch16_siglip_224` inside open_clip; ";
    for (vision, text, said) in [
        (
            r#"{"timm_model_name": "vit_base_patch16_siglip_224"}"#,
            r#"{"vocab_size": 32000}"#,
            format!("{siglip}`google/siglip-base-patch16-224` on the hub is the same model in the form that is read"),
        ),
        (
            r#"{"timm_model_name": "vit_base_patch16_siglip_224"}"#,
            r#"{"vocab_size": 256000}"#,
            format!("{siglip}`google/siglip2-base-patch16-224` on the hub is the same model in the form that is read"),
        ),
        (
            r#"{"timm_model_name": "vit_base_patch16_siglip_256"}"#,
            r#"{"vocab_size": 250000}"#,
            "its image tower is timm's `vit_base_patch16_siglip_256` inside open_clip; \
             `google/siglip-base-patch16-256-multilingual` on the hub is the same model in the form that is read"
                .into(),
        ),
        (
            r#"{"timm_model_name": "vit_base_patch16_siglip_224"}"#,
            r#"{"hf_model_name": "facebook/nllb-200-distilled-600M"}"#,
            format!("{siglip}{import}"),
        ),
        (
            r#"{"timm_model_name": "convnext_base"}"#,
            "{}",
            format!("its image tower is timm's `convnext_base` inside open_clip; {import}"),
        ),
        (
            "{}",
            r#"{"hf_model_name": "xlm-roberta-base"}"#,
            format!("its text tower is transformers' `xlm-roberta-base` inside open_clip; {import}"),
        ),
        (
            "{}",
            r#"{"embed_cls": true}"#,
            format!("it is a CoCa, whose image tower has an attention pool of its own; {import}"),
        ),
        ("3", "{}", "it has no `model_cfg` with a `vision_cfg` and a `text_cfg`".to_owned()),
    ] {
        let model = described(&format!(r#"{{"model_cfg": {{"vision_cfg": {vision}, "text_cfg": {text}}}}}"#));
        for side in [EncoderSide::Text, EncoderSide::Image] {
            assert_eq!(refusal(&model, side).as_deref(), Some(said.as_str()), "{vision} {text}");
        }
    }
    let openai = of_tensors(&["visual.proj", "token_embedding.weight"]);
    let said = "its tensors are those of OpenAI's CLIP (`visual.…`), and no `open_clip_config.json` lies beside it";
    assert_eq!(refusal(&openai, EncoderSide::Image).as_deref(), Some(said));
}
