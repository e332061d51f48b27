//! The way from an image to pixels: as the spec says, or `like` a model.

use std::collections::BTreeMap;
use std::path::Path;

use crate::bench::{self, Bench};
use pipeline_core::Stage;

/// Images of odd shapes, one of them transparent, as a file of `decode-images`.
fn odd_shapes(folder: &Path) -> String {
    let mut lines = String::new();
    for entry in std::fs::read_dir(bench::fixtures().join("shapes")).unwrap() {
        let path = entry.unwrap().path();
        let base64 = pipeline_data::encode_base64(&std::fs::read(&path).unwrap());
        lines += &format!("{}\t{base64}\n", path.file_name().unwrap().to_str().unwrap());
    }
    let path = folder.join("images.tsv");
    std::fs::write(&path, lines).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A model folder of which only the files beside the weights count.
fn model(folder: &Path, name: &str, text: &str) -> String {
    let folder = folder.join("model");
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).unwrap();
    let weights = if name == "open_clip_config.json" { "open_clip_model.safetensors" } else { "model.safetensors" };
    std::fs::write(folder.join(weights), "").unwrap();
    std::fs::write(folder.join(name), text).unwrap();
    folder.to_str().unwrap().to_owned()
}

fn spec(path: &str, params: &str) -> Result<pipeline_spec::PipelineSpec, pipeline_spec::SpecError> {
    let yaml = format!("stages:\n  images: {{ kind: decode-images, params: {{ path: '{path}', {params} }} }}\n");
    pipeline_spec::parse(&yaml, &bench::spec_file())
}

fn decoded(path: &str, params: &str) -> Bench {
    Bench::of(spec(path, params).unwrap())
}

fn manifest(stage: &dyn Stage) -> String {
    let params = stage.params().into_iter().filter(|(name, _)| name != "max_samples");
    params.map(|(name, json)| format!("{name}={json}")).collect::<Vec<_>>().join(" ")
}

/// The digests of the levels of every image, by id.
fn levels(bench: &Bench) -> BTreeMap<String, String> {
    let artifact = bench.artifact("images");
    let shard = pipeline_data::read_pixels(&artifact.file("part-00000.parquet").unwrap()).unwrap();
    let digest = |pixels: Vec<u8>| {
        use sha2::{Digest, Sha256};
        Sha256::digest(pixels).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    shard.rows.into_iter().map(|row| (row.id, digest(row.pixels.unwrap()))).collect()
}

#[test]
fn pixels_like_those_of_a_model_are_the_pixels_of_its_library() {
    let folder = tempfile::tempdir().unwrap();
    let path = odd_shapes(folder.path());
    for golden in bench::read_json("goldens/levels.json").as_array().unwrap() {
        let model = model(folder.path(), golden["file"].as_str().unwrap(), &golden["text"].to_string());
        let bench = decoded(&path, &format!("like: '{model}'")).run_all();
        let expected: BTreeMap<String, String> = serde_json::from_value(golden["levels"].clone()).unwrap();
        assert_eq!(levels(&bench), expected, "{}", golden["library"]);
    }
}

#[test]
fn a_manifest_has_what_like_comes_to_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let dinov2 = r#"{"image_processor_type": "BitImageProcessor", "crop_size": 42, "size": {"shortest_edge": 48}}"#;
    let convnext = r#"{"image_processor_type": "ConvNextImageProcessor", "size": 224}"#;
    let vit = r#"{"image_processor_type": "ViTImageProcessor"}"#;
    let timm = r#"{"architecture": "resnet50", "input_size": [3, 224, 224], "crop_pct": 1.0}"#;
    let processor = "preprocessor_config.json";
    for (name, text, same, expected) in [
        (
            processor,
            dinov2,
            "size: [42, 42], resize: bicubic, fit: crop, edge: 48",
            r#"edge=48 fit="crop" resize="bicubic" size=[42,42]"#,
        ),
        (
            processor,
            convnext,
            "resize: bicubic, fit: crop, edge: 256, crop_offset: down",
            r#"edge=256 fit="crop" resize="bicubic" size=[224,224]"#,
        ),
        (processor, vit, "alpha: drop, fit: squash", r#"resize="bilinear" size=[224,224]"#),
        (
            "config.json",
            timm,
            "resize: bicubic, fit: crop, edge: 224, crop_offset: half-even",
            r#"crop_offset="half-even" fit="crop" resize="bicubic" size=[224,224]"#,
        ),
    ] {
        let model = model(folder.path(), name, text);
        for params in [format!("like: '{model}'"), same.to_owned()] {
            assert_eq!(manifest(decoded("images.tsv", &params).stage("images")), expected, "{params}");
        }
        let white = decoded("images.tsv", &format!("like: '{model}', alpha: white"));
        assert_eq!(manifest(white.stage("images")), format!("alpha=\"white\" {expected}"));
        let stage = white.stage("images");
        assert!(stage.places().contains(&Path::new(&model).join(name)), "{:?}", stage.places());
        assert!(stage.reads().contains(&Path::new(&model).join(name)), "{:?}", stage.reads());
    }
}

#[test]
fn params_that_contradict_each_other_are_refused_where_they_stand() {
    for (params, expected) in [
        ("like: resnet50, size: [32, 32]", "`size` cannot stand beside `like`, which says it already"),
        ("like: resnet50, crop_offset: down", "`crop_offset` cannot stand beside `like`, which says it already"),
        ("edge: 256", "`edge` has a meaning only with `fit: crop`"),
        ("fit: squash, crop_offset: half-even", "`crop_offset` has a meaning only with `fit: crop`"),
        ("fit: crop, size: [32, 48]", "`fit: crop` needs `edge` where `size` is no square"),
        ("fit: crop, edge: 0", "`edge` must be from 1 to 16384"),
        ("shard_mib: 65", "`shard_mib` must be from 1 to 64: the size of a shard in MiB, on the average"),
    ] {
        let spec = spec("images.tsv", params).unwrap();
        let error = pipeline_stages::build(&spec, &Default::default()).err().unwrap();
        assert_eq!(error.message, expected, "{params}");
    }
}

#[test]
fn a_model_that_says_too_little_is_a_mistake_and_a_missing_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = odd_shapes(folder.path());
    let timm = |mode: &str| format!(r#"{{"architecture": "a", "input_size": [3, 9, 9], {mode}}}"#);
    for (name, text, expected) in [
        ("config.json", r#"{"model_type": "resnet"}"#.to_owned(), "no file of the model says their size and fit"),
        ("config.json", timm(r#""crop_mode": "border""#), "they are resized by timm's `crop_mode: border` of 0.875"),
        ("config.json", timm(r#""interpolation": "nearest""#), "their resize is `nearest`, which is not done here"),
        ("preprocessor_config.json", "{".to_owned(), "cannot be used"),
    ] {
        let model = model(folder.path(), name, &text);
        let bench = decoded(&path, &format!("like: '{model}'"));
        let error = bench.stage("images").check().unwrap_err();
        assert!(error.message.contains(expected), "{error}");
        assert!(error.help.is_none_or(|help| help.contains("instead of `like`")));
        assert!(bench.stage("images").sources().is_err());
    }
    let missing = decoded(&path, "like: /nowhere/to/be/found");
    missing.stage("images").check().unwrap();
    let error = missing.stage("images").sources().unwrap_err();
    assert_eq!(error.message, "there is no image model");
    assert_eq!(manifest(missing.stage("images")), "like=null");
}
