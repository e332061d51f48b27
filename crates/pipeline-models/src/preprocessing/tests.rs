//! The files that describe pixels: every form that is followed, and those that are refused.

use super::*;
use crate::weights::fixtures;
use std::path::Path;

/// Files beside weights of this name, found by it.
fn files(folder: &Path, model: &str, beside: &[(&str, &str)]) -> ImageModelFiles {
    let weights = folder.join(model);
    std::fs::write(&weights, "").unwrap();
    beside.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
    let open_clip = Some(folder.join("open_clip_config.json")).filter(|path| path.is_file());
    ImageModelFiles { open_clip, ..ImageModelFiles::beside(vec![weights.clone()], weights.to_str().unwrap()) }
}

fn read(beside: &[(&str, &str)]) -> Result<(Preprocessing, ImageExpectations), ModelError> {
    let folder = tempfile::tempdir().unwrap();
    Preprocessing::read(&files(folder.path(), "m.pth", beside), &Preprocessing::IMAGENET)
}

const CONFIG: &str = "config.json";
const PROCESSOR: &str = "preprocessor_config.json";

#[test]
fn mean_and_deviation_are_those_of_the_files() {
    let half = ([0.5; 3], [0.5; 3]);
    let imagenet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let clip = (Preprocessing::CLIP.mean, Preprocessing::CLIP.std);
    let timm = r#"{"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#;
    let flat = r#"{"architecture": "resnet18", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}"#;
    let transformers = r#"{"image_mean": [0.5, 0.5, 0.5], "image_std": 0.5, "rescale_factor": 0.00392156862745098}"#;
    let wrapper = r#"{"image_processor_type": "TimmWrapperImageProcessor",
        "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#;
    let vit = r#"{"feature_extractor_type": "ViTFeatureExtractor"}"#;
    let nested = r#"{"image_processor": {"image_processor_type": "CLIPImageProcessor"}}"#;
    for (beside, expected, factor) in [
        (vec![], imagenet, 1.0 / 255.0),
        (vec![(CONFIG, r#"{"architecture": "resnet18"}"#)], imagenet, 1.0 / 255.0),
        (vec![(CONFIG, timm)], half, 1.0 / 255.0),
        (vec![(CONFIG, flat)], half, 1.0 / 255.0),
        (vec![(PROCESSOR, transformers)], half, 1.0 / 255.0),
        (vec![(CONFIG, timm), (PROCESSOR, transformers)], half, 1.0 / 255.0),
        (vec![(PROCESSOR, wrapper)], half, 1.0 / 255.0),
        (vec![(PROCESSOR, vit)], half, 1.0 / 255.0),
        (vec![(CONFIG, r#"{"model_type": "dinov2"}"#), (PROCESSOR, "{}")], clip, 1.0 / 255.0),
        (vec![("processor_config.json", nested), (PROCESSOR, vit)], clip, 1.0 / 255.0),
        (vec![("processor_config.json", "{}"), (PROCESSOR, vit)], half, 1.0 / 255.0),
        (vec![("open_clip_config.json", r#"{"model_cfg": {}}"#)], clip, 1.0 / 255.0),
        (vec![(PROCESSOR, r#"{"do_normalize": false}"#)], ([0.0; 3], [1.0; 3]), 1.0 / 255.0),
        (vec![(PROCESSOR, r#"{"do_normalize": false, "do_rescale": false}"#)], ([0.0; 3], [1.0; 3]), 1.0),
    ] {
        let (found, _) = read(&beside).unwrap();
        assert_eq!(found, Preprocessing { factor, mean: expected.0, std: expected.1 }, "{beside:?}");
    }
}

#[test]
fn what_cannot_be_followed_of_the_pixels_is_refused() {
    let timm = r#"{"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#;
    for (beside, named) in [
        (vec![(PROCESSOR, "{}")], "no `image_mean`"),
        (vec![(PROCESSOR, r#"{"image_mean": [0.5], "image_std": [0.5]}"#)], "`image_mean` is [0.5]"),
        (vec![(PROCESSOR, r#"{"image_mean": [0, 0, 0], "image_std": [1, 0, 1]}"#)], "`image_std` is [1,0,1]"),
        (vec![(PROCESSOR, r#"{"do_flip_channel_order": true}"#)], "`do_flip_channel_order`"),
        (vec![(PROCESSOR, r#"{"rescale_factor": -1}"#)], "`rescale_factor` is -1"),
        (vec![(CONFIG, r#"{"architecture": "resnet18", "mean": "grey"}"#)], "`mean` is \"grey\""),
        (
            vec![(CONFIG, timm), (PROCESSOR, r#"{"image_mean": [0.4, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#)],
            "its mean is [0.5, 0.5, 0.5], and [0.4, 0.5, 0.5] in",
        ),
    ] {
        let error = read(&beside).unwrap_err().to_string();
        assert!(error.contains(named), "{beside:?}: {error}");
    }
}

fn down(edge: u64) -> ExpectedFit {
    ExpectedFit::Crop { edge, offset: ExpectedOffset::Down }
}

fn half_even(edge: u64) -> ExpectedFit {
    ExpectedFit::Crop { edge, offset: ExpectedOffset::HalfEven }
}

/// Every form in which a library writes how it decodes.
#[test]
fn how_a_library_decodes_is_known_from_its_files() {
    let squash = ExpectedFit::Squash;
    let open_clip = "open_clip_config.json";
    for (name, text, size, filter, fit) in [
        (
            PROCESSOR,
            r#"{"feature_extractor_type": "ChineseCLIPFeatureExtractor", "do_center_crop": false,
                "resample": 3, "size": {"height": 42, "width": 40}}"#,
            [42, 40],
            "bicubic",
            squash.clone(),
        ),
        (
            PROCESSOR,
            r#"{"feature_extractor_type": "ChineseCLIPFeatureExtractor", "do_center_crop": true,
                "crop_size": 42, "size": 43}"#,
            [42, 42],
            "bicubic",
            down(43),
        ),
        (
            PROCESSOR,
            r#"{"feature_extractor_type": "CLIPFeatureExtractor", "crop_size": 48, "size": 48}"#,
            [48, 48],
            "bicubic",
            down(48),
        ),
        (
            PROCESSOR,
            r#"{"image_processor_type": "CLIPImageProcessorFast", "crop_size": {"height": 336,
                "width": 336}, "size": {"shortest_edge": 336}}"#,
            [336, 336],
            "bicubic",
            down(336),
        ),
        (PROCESSOR, r#"{"image_processor_type": "CLIPImageProcessor"}"#, [224, 224], "bicubic", down(224)),
        (
            PROCESSOR,
            r#"{"image_processor_type": "SiglipImageProcessor", "resample": 2, "size": {"height": 32, "width": 32}}"#,
            [32, 32],
            "bilinear",
            squash.clone(),
        ),
        (
            PROCESSOR,
            r#"{"feature_extractor_type": "ViTFeatureExtractor", "size": 32}"#,
            [32, 32],
            "bilinear",
            squash.clone(),
        ),
        (
            PROCESSOR,
            r#"{"image_processor_type": "ViTImageProcessor", "resample": 1, "size": [30, 32]}"#,
            [30, 32],
            "lanczos",
            squash.clone(),
        ),
        (
            PROCESSOR,
            r#"{"image_processor_type": "BitImageProcessor", "crop_size": {"height": 42, "width": 42},
                "size": {"shortest_edge": 48}}"#,
            [42, 42],
            "bicubic",
            down(48),
        ),
        (
            PROCESSOR,
            r#"{"feature_extractor_type": "ConvNextFeatureExtractor", "crop_pct": 0.9, "size": 96}"#,
            [96, 96],
            "bicubic",
            down(106),
        ),
        (
            PROCESSOR,
            r#"{"image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.9, "size": {"shortest_edge": 384}}"#,
            [384, 384],
            "bicubic",
            squash.clone(),
        ),
        (
            PROCESSOR,
            r#"{"image_mean": 0.5, "image_std": 0.5, "size": {"shortest_edge": 224}, "crop_pct": 0.875,
                "resample": 3}"#,
            [224, 224],
            "bicubic",
            down(256),
        ),
        (
            PROCESSOR,
            r#"{"image_mean": 0.5, "image_std": 0.5, "size": {"height": 8, "width": 9}, "resample": 5}"#,
            [8, 9],
            "hamming",
            squash.clone(),
        ),
        (
            CONFIG,
            r#"{"architecture": "resnet50", "pretrained_cfg": {"input_size": [3, 160, 160],
                "interpolation": "bilinear", "crop_pct": 0.95}}"#,
            [160, 160],
            "bilinear",
            half_even(168),
        ),
        (CONFIG, r#"{"architecture": "resnet50", "input_size": [3, 224, 224]}"#, [224, 224], "bicubic", half_even(256)),
        (
            CONFIG,
            r#"{"architecture": "vit_base_patch16_224", "model_args": {"img_size": 32},
                "pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.9}}"#,
            [32, 32],
            "bicubic",
            half_even(35),
        ),
        (
            CONFIG,
            r#"{"architecture": "convnext_tiny", "pretrained_cfg": {"input_size": [3, 288, 288],
                "crop_pct": 1.0, "crop_mode": "squash"}}"#,
            [288, 288],
            "bicubic",
            squash.clone(),
        ),
        (
            open_clip,
            r#"{"model_cfg": {"vision_cfg": {"image_size": 45}}, "preprocess_cfg": {"size": 9,
                "resize_mode": "squash"}}"#,
            [45, 45],
            "bicubic",
            squash.clone(),
        ),
        (
            open_clip,
            r#"{"model_cfg": {"vision_cfg": {"image_size": [32, 32]}},
                "preprocess_cfg": {"interpolation": "bilinear"}}"#,
            [32, 32],
            "bilinear",
            half_even(32),
        ),
        (open_clip, r#"{"model_cfg": {}}"#, [224, 224], "bicubic", half_even(224)),
    ] {
        let (_, found) = read(&[(name, text)]).unwrap();
        let expected = ImageExpectations { size: Some(size), interpolation: Some(filter.into()), fit: Some(fit) };
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_way_of_decoding_that_is_not_said_or_not_known_is_neither_squash_nor_crop() {
    for (name, text, expected) in [
        (CONFIG, r#"{"model_type": "resnet"}"#, None),
        (CONFIG, r#"{"architecture": "resnet50", "mean": 0.5}"#, None),
        (PROCESSOR, r#"{"image_mean": 0.5, "image_std": 0.5, "size": 224}"#, None),
        (PROCESSOR, r#"{"image_processor_type": "CLIPImageProcessor", "do_resize": false}"#, None),
        (PROCESSOR, r#"{"image_processor_type": "CLIPImageProcessor", "do_center_crop": false}"#, Some("not cropped")),
        (
            PROCESSOR,
            r#"{"image_processor_type": "ViTImageProcessor", "size": 256, "do_center_crop": true, "crop_size": 224}"#,
            Some("squashed to [256, 256] and then cropped to [224, 224]"),
        ),
        (
            CONFIG,
            r#"{"architecture": "resnet50", "pretrained_cfg": {"input_size": [3, 9, 9], "crop_mode": "border"}}"#,
            Some("`crop_mode: border` of 0.875"),
        ),
        (CONFIG, r#"{"architecture": "resnet50", "pretrained_cfg": {"input_size": [3, 9, 30]}}"#, Some("no square")),
        (
            "open_clip_config.json",
            r#"{"model_cfg": {}, "preprocess_cfg": {"resize_mode": "longest"}}"#,
            Some("`resize_mode: longest`"),
        ),
    ] {
        let (_, found) = read(&[(name, text)]).unwrap();
        match (found.fit, expected) {
            (None, None) => {}
            (Some(ExpectedFit::Other(what)), Some(part)) => assert!(what.contains(part), "{text}: {what}"),
            (fit, _) => panic!("{text}: {fit:?}"),
        }
    }
}

fn write(path: &Path, tensors: &[(&str, &[usize])]) {
    let tensor = |(name, shape): &(&str, &[usize])| ((*name).to_owned(), fixtures::noise(name, shape.to_vec(), 1.0));
    fixtures::write(path, &tensors.iter().map(tensor).collect());
}

#[test]
fn a_checkpoint_of_chinese_clip_says_the_size_by_its_shapes() {
    let words = ("module.bert.embeddings.word_embeddings.weight", [9, 4].as_slice());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip_cn.pt");
    let vit =
        [("module.visual.conv1.weight", [12, 3, 8, 8].as_slice()), ("module.visual.positional_embedding", &[17, 12])];
    let resnet = [
        ("module.visual.conv1.weight", [4, 3, 3, 3].as_slice()),
        ("module.visual.attnpool.positional_embedding", &[5, 12]),
    ];
    for (visual, side) in [(vit, Some(32)), (resnet, Some(64)), (vit.map(|(name, _)| (name, [7, 1].as_slice())), None)]
    {
        write(&path, &[words, visual[0], visual[1]]);
        let found = image_expectations(&ImageModelFiles::beside(vec![path.clone()], "clip_cn")).unwrap();
        let squashed = ImageExpectations {
            size: side.map(|side| [side, side]),
            interpolation: side.map(|_| "bicubic".into()),
            fit: side.map(|_| ExpectedFit::Squash),
        };
        assert_eq!(found, squashed, "{visual:?}");
    }
    write(&path, &[("conv1.weight", &[4, 3, 7, 7])]);
    assert_eq!(
        image_expectations(&ImageModelFiles::beside(vec![path.clone()], "plain")).unwrap(),
        ImageExpectations::default()
    );
}

#[test]
fn every_level_is_bit_equal_to_torchvision() {
    let table = Preprocessing::default().table();
    let golden = &fixtures::tensors("goldens/pixel_table.safetensors")["normalized_level"];
    assert_eq!(fixtures::bits(table.channels().as_flattened()), fixtures::bits(&golden.values));
}
