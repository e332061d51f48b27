//! Settings that change the numbers of a model and show in no tensor.

use super::*;

/// Each changes the numbers of the tiny model, and leaves the shapes of its weights as they are.
#[test]
fn a_setting_that_changes_what_is_computed_is_refused_by_name() {
    let set = |mut config: Value, at: &str, value: Value| {
        let (parent, name) = at.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[name] = value;
        config.as_object().unwrap().clone()
    };
    let of = |model: &str, file: &str| Value::Object(config(&path(model).join(file)));
    let file = path("open_clip").join("open_clip_config.json");
    for (at, value) in [
        ("/model_cfg/text_cfg/pool_type", "last".into()),
        ("/model_cfg/text_cfg/no_causal_mask", true.into()),
        ("/model_cfg/text_cfg/norm_kwargs", serde_json::json!({"eps": 1e-3})),
    ] {
        let config = set(of("open_clip", "open_clip_config.json"), at, value);
        let error = clip::openai::open_clip_text(&config, &file, None).err().unwrap().to_string();
        assert!(error.contains(&at[11..].replace('/', ".")), "{at}: {error}");
    }
    for (at, value) in [
        ("/model_cfg/vision_cfg/pool_type", "avg".into()),
        ("/model_cfg/vision_cfg/act_kwargs", serde_json::json!({"approximate": "tanh"})),
    ] {
        let config = set(of("open_clip", "open_clip_config.json"), at, value);
        let error = clip::openai::open_clip_image(&config, &file, None).err().unwrap().to_string();
        assert!(error.contains(&at[11..].replace('/', ".")), "{at}: {error}");
    }
    let (file, weights) = (path("vit_timm").join("config.json"), [path("vit_timm").join("model.safetensors")]);
    for (at, value) in [("/model_args/act_layer", "quick_gelu"), ("/model_args/global_pool", "map")] {
        let list = open(&weights, &vit::timm::TIMM_VIT).unwrap();
        let config = set(of("vit_timm", "config.json"), at, value.into());
        let error = vit::timm::vit(&config, &file, &list, None).err().unwrap().to_string();
        assert!(error.contains(at.rsplit_once('/').unwrap().1), "{at}: {error}");
    }
    let config = set(of("convnext_timm", "config.json"), "/model_args/act_layer", "gelu_tanh".into());
    let error = convnext::ConvNeXtReader::timm(&config, &path("convnext_timm"), None).err().unwrap().to_string();
    assert!(error.contains("model_args.act_layer"), "{error}");
}
