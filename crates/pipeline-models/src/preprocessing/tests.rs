//! What is followed and what is refused of the files that describe pixels.

use super::*;
use crate::weights::fixtures;

/// Files beside weights of this name, found by it.
fn files(folder: &Path, model: &str, beside: &[(&str, &str)]) -> ImageModelFiles {
    let weights = folder.join(model);
    std::fs::write(&weights, "").unwrap();
    beside.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
    ImageModelFiles::beside(&weights, weights.to_str().unwrap())
}

#[test]
fn mean_and_deviation_are_those_of_the_files() {
    let half = ([0.5; 3], [0.5; 3]);
    let imagenet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let (config, processor) = ("config.json", "preprocessor_config.json");
    let timm = r#"{"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#;
    let flat = r#"{"architecture": "resnet18", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}"#;
    let transformers = r#"{"image_mean": [0.5, 0.5, 0.5], "image_std": 0.5, "rescale_factor": 0.00392156862745098}"#;
    let wrapper = r#"{"image_processor_type": "TimmWrapperImageProcessor", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#;
    for (beside, expected, factor) in [
        (vec![], imagenet, 1.0 / 255.0),
        (vec![(config, r#"{"architecture": "resnet18"}"#)], imagenet, 1.0 / 255.0),
        (vec![(config, timm)], half, 1.0 / 255.0),
        (vec![(config, flat)], half, 1.0 / 255.0),
        (vec![(processor, transformers)], half, 1.0 / 255.0),
        (vec![(config, timm), (processor, transformers)], half, 1.0 / 255.0),
        (vec![(processor, wrapper)], half, 1.0 / 255.0),
        (vec![(processor, r#"{"do_normalize": false}"#)], ([0.0; 3], [1.0; 3]), 1.0 / 255.0),
        (vec![(processor, r#"{"do_normalize": false, "do_rescale": false}"#)], ([0.0; 3], [1.0; 3]), 1.0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (found, _) = Preprocessing::read(&files(folder.path(), "m.pth", &beside)).unwrap();
        assert_eq!(found, Preprocessing { factor, mean: expected.0, std: expected.1 }, "{beside:?}");
    }
}

#[test]
fn what_cannot_be_followed_of_the_pixels_is_refused() {
    let (config, processor) = ("config.json", "preprocessor_config.json");
    let timm = r#"{"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#;
    for (beside, named) in [
        (vec![(processor, "{}")], "no `image_mean`"),
        (vec![(processor, r#"{"image_mean": [0.5], "image_std": [0.5]}"#)], "`image_mean` is [0.5]"),
        (vec![(processor, r#"{"image_mean": [0, 0, 0], "image_std": [1, 0, 1]}"#)], "`image_std` is [1,0,1]"),
        (vec![(processor, r#"{"do_flip_channel_order": true}"#)], "`do_flip_channel_order`"),
        (vec![(processor, r#"{"rescale_factor": -1}"#)], "`rescale_factor` is -1"),
        (vec![(config, r#"{"architecture": "resnet18", "mean": "grey"}"#)], "`mean` is \"grey\""),
        (
            vec![(config, timm), (processor, r#"{"image_mean": [0.4, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#)],
            "its mean is [0.5, 0.5, 0.5], and [0.4, 0.5, 0.5] in",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = Preprocessing::read(&files(folder.path(), "m.pth", &beside)).unwrap_err().to_string();
        assert!(error.contains(named), "{beside:?}: {error}");
    }
}

#[test]
fn how_a_model_expects_its_images_is_known() {
    let timm = r#"{"architecture": "resnet50", "pretrained_cfg": {"input_size": [3, 160, 160], "interpolation": "bicubic", "crop_pct": 0.95}}"#;
    let transformers =
        r#"{"image_mean": 0.5, "image_std": 0.5, "size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3}"#;
    let bicubic = |edge: u64, crop: f64| ImageExpectations {
        size: Some([edge, edge]),
        interpolation: Some("bicubic".into()),
        crop: Some(crop),
    };
    for (name, text, expected) in [
        ("config.json", timm, bicubic(160, 0.95)),
        ("preprocessor_config.json", transformers, bicubic(224, 0.875)),
        ("config.json", r#"{"model_type": "resnet"}"#, ImageExpectations::default()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (_, found) = Preprocessing::read(&files(folder.path(), "m.pth", &[(name, text)])).unwrap();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn every_level_is_bit_equal_to_torchvision() {
    let table = Preprocessing::default().table();
    let golden = &fixtures::tensors("goldens/pixel_table.safetensors")["normalized_level"];
    assert_eq!(fixtures::bits(table.channels().as_flattened()), fixtures::bits(&golden.values));
}
