//! Supported and refused settings in the files beside a ResNet's weights.

use super::*;

/// Files beside weights with this name, found by it.
fn files(folder: &Path, model: &str, beside: &[(&str, &str)]) -> ImageModelFiles {
    let weights = folder.join(model);
    std::fs::write(&weights, "").unwrap();
    beside.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
    ImageModelFiles::beside(vec![weights.clone()], weights.to_str().unwrap())
}

fn read(config: &str) -> Result<ResNetConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), "model.safetensors", &[("config.json", config)]);
    ResNetConfig::read(&files).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })
}

#[test]
fn variants_with_other_computations_are_told_apart_by_name() {
    for plain in ["resnet18", "resnet50.a1_in1k", "wide_resnet50_2", "tv_resnet152", "resnet200"] {
        assert!(is_plain_resnet(plain), "{plain}");
    }
    for other in ["resnet50d", "resnetaa50", "resnetblur50", "seresnet50", "resnet50_gn", "resnext50_32x4d", "vit"] {
        assert!(!is_plain_resnet(other), "{other}");
    }
}

#[test]
fn depths_come_from_arguments_before_the_name() {
    for (text, expected) in [
        (r#"{"architecture": "resnet50"}"#, Some(vec![3, 4, 6, 3])),
        (r#"{"architecture": "resnet50", "model_args": {"layers": [1, 2, 1, 1]}}"#, Some(vec![1, 2, 1, 1])),
        (r#"{"model_type": "resnet", "depths": [2, 2, 2, 2]}"#, Some(vec![2, 2, 2, 2])),
        ("{}", None),
    ] {
        assert_eq!(read(text).unwrap().depths(), expected, "{text}");
    }
}

#[test]
fn arguments_that_change_the_architecture_are_refused_and_others_are_not() {
    let with = |argument: &str| read(&format!(r#"{{"architecture": "resnet50", "model_args": {{{argument}}}}}"#));
    for free in [
        r#""num_classes": 0, "drop_path_rate": 0.1, "base_width": 128"#,
        r#""in_chans": 3, "cardinality": 1, "output_stride": 32, "stem_type": "", "act_layer": "relu""#,
        r#""avg_down": false, "aa_layer": null, "block_args": {}, "channels": [8, 16, 32, 32]"#,
    ] {
        with(free).unwrap();
    }
    for (argument, named) in [
        (r#""avg_down": true"#, "`model_args.avg_down` is true"),
        (r#""output_stride": 16"#, "`model_args.output_stride` is 16"),
        (r#""act_layer": "silu""#, "`model_args.act_layer`"),
        (r#""aa_layer": "avg""#, "`model_args.aa_layer`"),
        (r#""stem_type": "deep""#, "`model_args.stem_type`"),
        (r#""replace_stem_pool": true"#, "`model_args.replace_stem_pool`"),
        (r#""block_args": {"attn_layer": "se"}"#, "`model_args.block_args`"),
        (r#""norm_layer": "groupnorm""#, "`model_args.norm_layer`"),
        (r#""global_pool": "max""#, "`model_args.global_pool`"),
        (r#""in_chans": 1"#, "`model_args.in_chans`"),
        (r#""unheard_of": 3"#, "`model_args.unheard_of`"),
        (r#""layers": [1.5, 2, 1, 1]"#, "`model_args.layers`"),
        (r#""layers": [1000000000, 1, 1, 1]"#, "depths"),
        (r#""layers": [1, 1]"#, "depths"),
    ] {
        let error = with(argument).unwrap_err();
        assert!(error.contains(named), "{argument}: {error}");
    }
}

#[test]
fn a_configuration_that_would_be_computed_wrongly_is_refused() {
    for (text, named) in [
        (r#"{"model_type": "chinese_clip", "depths": "many"}"#, "`model_type` is `chinese_clip`"),
        (r#"{"architecture": "vit_tiny_patch16_224"}"#, "`architecture` is `vit_tiny_patch16_224`"),
        (r#"{"architecture": "resnet50", "global_pool": "catavgmax"}"#, "`global_pool`"),
        (r#"{"model_type": "resnet", "hidden_act": "silu"}"#, "`hidden_act`"),
        (r#"{"model_type": "resnet", "num_channels": 1}"#, "`num_channels`"),
        (r#"{"model_type": "resnet", "downsample_in_first_stage": true}"#, "downsamples"),
        (r#"{"model_type": "resnet", "depths": [9223372036854775808, 1, 1, 1]}"#, "depths"),
        (r#"{"model_type": "resnet", "depths": [-1, 1, 1, 1]}"#, "-1"),
        (r#"{"model_type": "timm_wrapper", "architecture": "resnet18", "do_pooling": false}"#, "`do_pooling`"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(named), "{text}: {error}");
    }
}

#[test]
fn weights_without_a_configuration_are_what_their_name_says() {
    let folder = tempfile::tempdir().unwrap();
    for (name, named) in [
        ("resnet50-11ad3fa6.pth", None),
        ("model.safetensors", None),
        ("resnetaa50_a1h-4cf422b3.pth", Some("ResNet with anti-aliasing")),
        ("resnetblur50-84f4748f.pth", Some("blurred pooling")),
        ("clip_cn_rn50.pt", Some("Chinese-CLIP")),
    ] {
        let error = ResNetConfig::read(&files(folder.path(), name, &[])).err().map(|error| error.to_string());
        match named {
            None => assert_eq!(error, None, "{name}"),
            Some(named) => assert!(error.as_deref().is_some_and(|error| error.contains(named)), "{name}: {error:?}"),
        }
    }
    let found = files(folder.path(), "model.safetensors", &[]);
    let error = ResNetConfig::read(&ImageModelFiles { model: "resnetaa50".into(), ..found }).unwrap_err().to_string();
    assert!(error.contains("`resnetaa50`"), "{error}");
    let says = [("config.json", r#"{"architecture": "resnet50"}"#)];
    ResNetConfig::read(&files(folder.path(), "resnetaa50.pth", &says)).unwrap();
}
