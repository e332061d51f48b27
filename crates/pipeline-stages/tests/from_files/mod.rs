//! `extract-image` with `decode`: features of files of images without stored pixels.

use std::path::Path;

use pipeline_core::Tree;

use crate::bench::{self, Bench};

/// A TSV of a few shards in a folder, with or without a row that is no image.
fn write_images(folder: &Path, has_fault: bool) {
    let text = std::fs::read_to_string(bench::fixtures().join("data/mini/MR_train_imgs.tsv")).unwrap();
    let images: Vec<&str> = text.lines().filter_map(|line| line.split_once('\t')).map(|(_, image)| image).collect();
    let mut rows: Vec<String> = (0..700).map(|idx| format!("{idx}\t{}\n", images[idx % images.len()])).collect();
    if has_fault {
        rows[350] = "350\tbm9uZQ==\n".to_owned();
    }
    std::fs::write(folder.join("images.tsv"), rows.concat()).unwrap();
}

/// Features by way of stored pixels, and without.
fn spec(folder: &Path, params: &str, more: &str) -> String {
    format!(
        "
vars: {{ model: ../../../../tests/fixtures/tiny/resnet, path: {}/images.tsv }}
stages:
  images: {{ kind: decode-images, params: {{ path: '${{path}}', {params} }} }}
  through: {{ kind: extract-image, inputs: {{ images: images }}, params: {{ model: '${{model}}', {more} }} }}
  direct: {{ kind: extract-image, params: {{ model: '${{model}}', decode: {{ path: '${{path}}', {params} }}, {more} }} \
        }}
",
        folder.display()
    )
}

fn tree<'a>(bench: &'a Bench, stage: &str) -> &'a Tree {
    &bench.artifact(stage).tree
}

#[test]
fn features_without_stored_pixels_are_the_same_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path(), false);
    for params in ["size: [64, 64]", "size: [32, 48], fit: crop, edge: 64, max_samples: 300, alpha: white"] {
        let bench = Bench::new(&spec(folder.path(), params, "batch_rows: 4")).run_all();
        assert_eq!(tree(&bench, "direct"), tree(&bench, "through"), "{params}");
        assert!(tree(&bench, "direct").files.len() > 3, "more than one shard");
    }
}

#[test]
fn tokens_without_stored_pixels_are_the_same_vectors() {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path(), false);
    let spec = spec(folder.path(), "size: [64, 64], max_samples: 100", "pooling: tokens, precision: f16");
    let bench = Bench::new(&spec).run_all();
    let files = |stage: &str| tree(&bench, stage).files.clone();
    assert_eq!(files("direct"), files("through"));
}

#[test]
fn an_image_that_cannot_be_decoded_is_listed_and_changes_no_other_vector() {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path(), true);
    let bench = Bench::new(&spec(folder.path(), "size: [64, 64]", "")).run_all();
    let mut direct = tree(&bench, "direct").clone();
    assert_eq!(direct.files.remove("rejects.jsonl"), tree(&bench, "images").files.get("rejects.jsonl").copied());
    assert_eq!(&direct, tree(&bench, "through"));
    assert_eq!((bench.report("direct").n_rows, bench.report("direct").n_rejected), (Some(699), 1));
    let skipped = bench.warnings.iter().filter(|warning| warning.starts_with("1 row skipped, the first at line 351"));
    assert_eq!(skipped.count(), 2, "{:?}", bench.warnings);

    std::fs::write(folder.path().join("images.tsv"), "1\tbm9uZQ==\n").unwrap();
    let mut bench = Bench::new(&spec(folder.path(), "size: [64, 64]", ""));
    let error = bench.run("direct").unwrap_err().to_string();
    assert!(error.contains("its only row, line 1, cannot be used"), "{error}");
}

#[test]
fn shards_depend_on_the_geometry_and_the_model_and_not_on_what_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path(), false);
    let keys = |params: &str| {
        let mut bench = Bench::new(&spec(folder.path(), params, ""));
        bench.run("direct").unwrap();
        bench.shards.iter().map(|shard| shard.key).collect::<Vec<_>>()
    };
    let (all, some, other) = (keys("size: [64, 64]"), keys("size: [64, 64], max_samples: 500"), keys("size: [64, 32]"));
    assert_eq!(some[..some.len() - 1], all[..some.len() - 1]);
    assert!(other.iter().all(|key| !all.contains(key)));

    let bench = Bench::new(&spec(folder.path(), "size: [64, 64], max_samples: 500", ""));
    let direct = bench.stage("direct");
    let lines: Vec<String> = direct.params().into_iter().map(|(name, json)| format!("{name}={json}")).collect();
    let expect = ["decode.max_samples=500", "decode.resize=\"bilinear\"", "decode.size=[64,64]", "decode.version=2"];
    assert_eq!(lines, expect);
    let sources: Vec<String> = direct.sources().unwrap().into_iter().map(|source| source.name).collect();
    assert_eq!(sources, ["model/config", "model/weights", "path"]);
}

#[test]
fn images_come_from_a_stage_or_from_files() {
    for (features, message) in [
        ("params: { model: m }", "stage `f` has no input `images`: the decoded images to encode"),
        (
            "inputs: { images: i }, params: { model: m, decode: { path: x.tsv } }",
            "`decode` cannot stand beside the input `images`: both are images",
        ),
        (
            "inputs: { images: i, queries: q }, params: { model: m }",
            "`queries` choose among the images of `decode`, which is not there",
        ),
        (
            "inputs: { images: i }, params: { model: m, shard_mib: 16 }",
            "`shard_mib` needs `decode`: with the input `images`, shards are those of the decoded images",
        ),
        (
            "params: { model: m, shard_mib: 16, decode: { path: x.tsv, shard_mib: 16 } }",
            "`shard_mib` has no meaning in `decode`, since no pixels are stored",
        ),
        ("params: { model: m, shard_mib: 0, decode: { path: x.tsv } }", "`shard_mib` must be from 1 to 64"),
        ("params: { model: m, decode: { path: x.tsv, size: [0, 1] } }", "`size` must be [height, width]"),
        ("params: { model: m, decode: { path: x.tsv, sise: [1, 1] } }", "unknown param `sise`"),
    ] {
        let yaml = format!(
            "stages:\n  q: {{ kind: load-queries, params: {{ path: q.jsonl }} }}\n  i: {{ kind: decode-images, params: \
            {{ path: \
             x.tsv }} }}\n  f: {{ kind: extract-image, {features} }}\n"
        );
        let spec = pipeline_spec::parse(&yaml, &bench::spec_file()).unwrap();
        let error = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err().unwrap();
        assert!(error.to_string().contains(message), "{features}: {error}");
    }
}

#[test]
fn shards_of_a_size_in_mib_have_the_same_rows_in_other_files() {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path(), false);
    let usual = Bench::new(&spec(folder.path(), "size: [64, 64]", "")).run_all();
    let yaml = spec(folder.path(), "size: [64, 64], shard_mib: 1", "");
    let sized = Bench::new(&yaml.replace("64], shard_mib: 1 }, ", "64] }, shard_mib: 1, ")).run_all();
    let n_shards =
        |bench: &Bench, stage: &str| tree(bench, stage).files.keys().filter(|name| name.starts_with("part-")).count();
    // Pixels are 12 KiB each, so that 85 images are a MiB.
    let of_pixels = n_shards(&sized, "images");
    assert!((6..=13).contains(&of_pixels) && of_pixels > n_shards(&usual, "images"), "{of_pixels}");
    assert_eq!(n_shards(&sized, "through"), of_pixels);
    assert_eq!(n_shards(&sized, "direct"), 1, "vectors are small");
    for stage in ["through", "direct"] {
        assert_eq!(sized.vectors(stage), usual.vectors(stage), "{stage}");
    }
    let params = |bench: &Bench, stage: &str| bench.stage(stage).params().get("shard_mib").cloned();
    assert_eq!(["images", "through", "direct"].map(|stage| params(&usual, stage)), [None, None, None]);
    let mib = Some("1".to_owned());
    assert_eq!(["images", "through", "direct"].map(|stage| params(&sized, stage)), [mib.clone(), None, mib]);
}
