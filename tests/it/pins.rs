//! The pinned manifests of all kinds and of their shards: a changed key discards users' caches.
//!
//! `PIPELINE_WRITE_GOLDENS=1` rewrites the golden. Do so only for a new kind, or with a kind's `version` raised for a
//! stated reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, Manifest};
use serde_json::Value;

use crate::notebook::fixtures;
use crate::project::Project;

/// Stages of every kind, most of them with several shards. The params differ from the defaults where they can.
const SPEC: &str = r#"stages:
  queries: { kind: load-queries, params: { path: queries.jsonl } }
  images: { kind: decode-images, params: { path: images.tsv, max_samples: 590, size: [32, 32], resize: bicubic } }
  captions:
    kind: load-queries
    params:
      path: "[FIXTURES]/data/forms/flickr.csv"
      columns: { text: raw, id: sentids, item_ids: filename }
      image_id: path
      group: text
      split: { column: split, values: [train, valid] }
  samples: { kind: load-queries, params: { path: "[FIXTURES]/data/forms/samples-{0..1}.tar" } }
  photos:
    kind: decode-images
    inputs: { queries: captions }
    params: { path: "[FIXTURES]/data/forms/photos", image_id: path, size: [8, 8] }
  part:
    kind: decode-images
    params: { path: "[FIXTURES]/data/forms/samples-*.tar", split: { part: a, of: { a: 0.5, b: 0.5 }, seed: 2 }, size: [8, 8] }
  hub:
    kind: decode-images
    params: { path: "[FIXTURES]/data/forms/hub-*.parquet", columns: { image: image }, size: [9, 9] }
  texts:
    kind: extract-text
    inputs: { queries: queries }
    params: { model: "[FIXTURES]/tiny/bert", max_length: 12, pooling: mean, lower_case: true, batch_rows: 64 }
  words:
    kind: extract-text
    inputs: { queries: queries }
    params: { model: "[FIXTURES]/tiny/bert", max_length: 12, pooling: tokens, precision: f16 }
  trunk:
    kind: extract-text
    inputs: { queries: queries }
    params: { model: "[FIXTURES]/tiny/bert", max_length: 12, layers: -1 }
  cells: { kind: extract-image, inputs: { images: images }, params: { model: "[FIXTURES]/tiny/resnet", pooling: tokens } }
  pictures: { kind: extract-image, inputs: { images: images }, params: { model: "[FIXTURES]/tiny/resnet", batch_rows: 4 } }
  given-texts:
    kind: import-text-features
    inputs: { queries: queries }
    params: { path: texts.jsonl, id_column: name, vector_column: numbers, encoder: other }
  given-pictures:
    kind: import-image-features
    params: { path: pictures.jsonl, id_part: file-stem, encoder: other }
  written:
    kind: command
    params:
      run: [sh, -c, 'cp "$SPEC_DIR/pictures.jsonl" vectors.jsonl']
      outputs: [vectors.jsonl]
      sources: [pictures.jsonl]
  taken: { kind: import-image-features, inputs: { from: written } }
  heads:
    kind: train-projection
    inputs: { queries: queries, text: given-texts, images: given-pictures }
    params: { projection_dim: 4, epochs: 1, seed: 3 }
  layers:
    kind: train-top
    inputs: { queries: queries, text: trunk, images: given-pictures }
    params: { text_model: "[FIXTURES]/tiny/bert", text_pooling: mean, lr_top: 0.001, lr_decay: 0.5, epochs: 1, seed: 3 }
  evaluation:
    kind: evaluate-recall
    inputs: { queries: queries, text: given-texts, images: given-pictures, projection: heads }
  program:
    kind: command
    inputs: { queries: queries }
    params: { run: [sh, -c, 'ls "$INPUT_QUERIES" > list.txt'], outputs: [list.txt], sources: [images.tsv] }
"#;

/// Stages whose numbers depend on the processor's order of additions: their digests are not pinned.
const COMPUTED: [&str; 8] = ["texts", "words", "trunk", "cells", "pictures", "heads", "layers", "evaluation"];

const N_IMAGES: usize = 600;

#[test]
fn every_kind_and_every_shard_has_the_manifest_that_it_always_had() {
    let project = project();
    let reply = project.run(&["run", "spec.yaml", "--json"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let pinned = pins(&reply.stdout, &records(&project));
    let golden = fixtures().join("goldens/pins.txt");
    if std::env::var_os("PIPELINE_WRITE_GOLDENS").is_some() {
        fs::write(&golden, &pinned).unwrap();
    }
    let expect = fs::read_to_string(&golden).unwrap();
    let changed: Vec<_> = differing_lines(&expect, &pinned).collect();
    assert!(changed.is_empty(), "these lines were, or are now, otherwise:\n{}", changed.join("\n"));
    let in_golden: BTreeSet<&str> = expect.lines().filter_map(|line| line.strip_prefix("kind = ")).collect();
    let kinds: Value = serde_json::from_str(&project.run(&["stages", "--json"]).stdout).unwrap();
    for kind in kinds.as_array().unwrap().iter().map(|kind| kind["kind"].to_string()) {
        assert!(in_golden.contains(kind.as_str()), "no stage of kind {kind} is pinned");
    }
}

fn project() -> Project {
    let project = Project::with_spec(&SPEC.replace("[FIXTURES]", fixtures().to_str().unwrap()));
    let tsv = fs::read_to_string(fixtures().join("data/mini/MR_valid_imgs.tsv")).unwrap();
    let mut images: Vec<&str> = tsv.lines().filter_map(|line| line.split_once('\t')).map(|(_, image)| image).collect();
    images.sort_by_key(|image| image.len());
    let (mut rows, mut queries) = (String::new(), String::new());
    let (mut texts, mut pictures) = (String::new(), String::new());
    for idx in 0..N_IMAGES {
        writeln!(rows, "{idx}\t{}", images[idx % 40]).unwrap();
        writeln!(pictures, r#"{{"image_id": "folder/{idx}.jpg", "feature": {}}}"#, vector(idx)).unwrap();
    }
    for idx in 0..5 * N_IMAGES {
        let image = idx % N_IMAGES;
        writeln!(queries, r#"{{"query_id": {idx}, "query_text": "query {image}", "item_ids": [{image}]}}"#).unwrap();
        writeln!(texts, r#"{{"name": "{idx}", "numbers": {}}}"#, vector(7 * idx)).unwrap();
    }
    for (name, text) in
        [("images.tsv", rows), ("queries.jsonl", queries), ("texts.jsonl", texts), ("pictures.jsonl", pictures)]
    {
        project.write(name, &text);
    }
    project
}

/// Numbers that decimal digits and `f32` represent alike.
fn vector(idx: usize) -> String {
    let numbers: Vec<String> = (0..4).map(|place| format!("{}.{}", (idx + place) % 13, 25 * (place % 4))).collect();
    format!("[{}]", numbers.join(", "))
}

/// All records of a store by their key.
fn records(project: &Project) -> BTreeMap<String, Value> {
    let mut files = Vec::new();
    collect(&project.path("artifacts/store-v1/actions"), &mut files);
    let read = |path: &PathBuf| {
        let record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        (record["content"]["key"].as_str().unwrap().to_owned(), record["content"].clone())
    };
    files.iter().map(read).collect()
}

/// The pinned text: every stage with its key, manifest and artifact, then its shards.
fn pins(events: &str, records: &BTreeMap<String, Value>) -> String {
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let finished: Vec<&Value> = events.iter().filter(|event| event["event"] == "stage-finished").collect();
    let computed: BTreeMap<&str, &str> = finished
        .iter()
        .map(|event| (event["artifact"].as_str().unwrap(), event["stage"].as_str().unwrap()))
        .filter(|(_, stage)| COMPUTED.contains(stage))
        .collect();
    let mut blocks = BTreeMap::new();
    for event in finished {
        let (stage, record) = (event["stage"].as_str().unwrap(), &records[event["key"].as_str().unwrap()]);
        blocks.insert(stage.to_owned(), block(stage, record, &computed));
        let Value::Object(tree) = &record["tree"] else { panic!("{record} has no files") };
        for (name, file) in tree {
            let shard = records.values().find(|shard| {
                shard["tree"]["shard"]["digest"] == file["digest"] && is_shard_of(shard, &record["manifest"]["kind"])
            });
            if let Some(shard) = shard {
                blocks.insert(format!("{stage}/{name}"), block(&format!("{stage}/{name}"), shard, &computed));
            }
        }
    }
    let n_shards = records.values().filter(|record| record["tree"].get("shard").is_some()).count();
    assert_eq!(blocks.keys().filter(|name| name.contains('/')).count(), n_shards, "a shard belongs to no stage");
    blocks.into_values().collect::<Vec<_>>().join("\n")
}

fn is_shard_of(shard: &Value, kind: &Value) -> bool {
    shard["manifest"]["kind"].as_str() == Some(&format!("{}/shard", kind.as_str().unwrap()))
}

fn block(name: &str, record: &Value, computed: &BTreeMap<&str, &str>) -> String {
    let manifest: Manifest = serde_json::from_value(record["manifest"].clone()).unwrap();
    let key = record["key"].as_str().unwrap();
    assert_eq!(manifest.key().to_string(), key, "the key of {name} is not the digest of its manifest");
    let mut text = manifest.text();
    let stage = name.split('/').next().unwrap();
    let mut head = format!("[{name}]\n");
    for (artifact, maker) in computed {
        text = text.replace(artifact, &format!("(artifact of {maker})"));
    }
    if text == manifest.text() {
        writeln!(head, "key {key}").unwrap();
    }
    if !COMPUTED.contains(&stage) {
        writeln!(head, "content {}", Digest::of(record["tree"].to_string().as_bytes())).unwrap();
    }
    head + &text
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

/// The lines that only one of two texts has, each with its block.
fn differing_lines<'a>(expect: &'a str, found: &'a str) -> impl Iterator<Item = String> + 'a {
    let blocks = |text: &'a str| -> BTreeSet<(&'a str, &'a str)> {
        let lines = text.split("\n\n").flat_map(|block| {
            let head = block.lines().next().unwrap_or_default();
            block.lines().map(move |line| (head, line))
        });
        lines.collect()
    };
    let (expect, found) = (blocks(expect), blocks(found));
    let both: Vec<String> = expect
        .symmetric_difference(&found)
        .map(|line| format!("{} {} {}", if expect.contains(line) { "-" } else { "+" }, line.0, line.1))
        .collect();
    both.into_iter()
}
