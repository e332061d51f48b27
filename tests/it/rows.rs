//! The cost of ten rows: the rows' content determines the cuts of shards, and all shards except those around a change
//! are reused.

use std::collections::BTreeMap;
use std::fs;

use crate::notebook::fixtures;
use crate::project::Project;
use crate::recorded;

const SPEC: &str = r#"stages:
  queries: { kind: load-queries, params: { path: queries.jsonl } }
  images: { kind: decode-images, params: { path: images.tsv, size: [16, 16] } }
  text: { kind: extract-text, inputs: { queries: queries }, params: { model: "MODELS/bert" } }
  vectors: { kind: extract-image, inputs: { images: images }, params: { model: "MODELS/resnet" } }
"#;

/// Enough for many shards of every stage, made of few distinct texts and images: rows differ by their ids.
const N_IMAGES: usize = 4_000;
const N_QUERIES: usize = 16_000;

fn image_rows(ids: impl Iterator<Item = usize>) -> Vec<String> {
    let tsv = fs::read_to_string(fixtures().join("data/mini/MR_valid_imgs.tsv")).unwrap();
    let mut images: Vec<&str> = tsv.lines().filter_map(|line| line.split_once('\t')).map(|(_, image)| image).collect();
    images.sort_by_key(|image| image.len());
    ids.map(|id| format!("{id}\t{}\n", images[id % 20])).collect()
}

fn query_rows(ids: impl Iterator<Item = usize>) -> Vec<String> {
    ids.map(|id| format!("{{\"query_id\": {id}, \"query_text\": \"query {}\", \"item_ids\": [{id}]}}\n", id % 50))
        .collect()
}

/// The shards that each stage reused and computed in a run with these rows.
fn run(project: &Project, images: &[String], queries: &[String], more: &[&str]) -> BTreeMap<String, (u64, u64)> {
    project.write("images.tsv", &images.concat());
    project.write("queries.jsonl", &queries.concat());
    let count = |event: &serde_json::Value, name: &str| event[name].as_u64().unwrap();
    let finished = recorded::run(project, more).events.into_iter().filter(|event| event["event"] == "stage-finished");
    finished
        .map(|event| {
            let stage = event["stage"].as_str().unwrap().to_owned();
            (stage, (count(&event, "n_shards_reused"), count(&event, "n_shards_computed")))
        })
        .collect()
}

#[test]
fn ten_rows_cost_at_most_three_shards_of_each_stage() {
    let project = Project::with_spec(&SPEC.replace("MODELS", &fixtures().join("tiny").display().to_string()));
    let (images, queries) = (image_rows(0..N_IMAGES), query_rows(0..N_QUERIES));
    let (new_images, new_queries) = (image_rows(90_000..90_010), query_rows(90_000..90_010));
    let first = run(&project, &images, &queries, &[]);
    assert_eq!(first.len(), 4);
    assert!(first.values().all(|(n_reused, n_computed)| *n_reused == 0 && *n_computed >= 5), "{first:?}");

    let with = |rows: &[String], at: usize, new: &[String]| [&rows[..at], new, &rows[at..]].concat();
    let without = |rows: &[String], at: usize| [&rows[..at], &rows[at + 10..]].concat();
    let cases = [
        ("appended", with(&images, N_IMAGES, &new_images), with(&queries, N_QUERIES, &new_queries)),
        ("inserted", with(&images, N_IMAGES / 2, &new_images), with(&queries, N_QUERIES / 2, &new_queries)),
        ("deleted", without(&images, N_IMAGES / 3), without(&queries, N_QUERIES / 3)),
    ];
    for (case, images, queries) in cases {
        let shards = run(&project, &images, &queries, &[]);
        assert_eq!(shards.len(), 4, "{case}: {shards:?}");
        for (stage, (n_reused, n_computed)) in &shards {
            assert!((1..=3).contains(n_computed), "{case}: {stage} computed {n_computed} shards");
            assert!(n_reused + 3 >= first[stage].1, "{case}: {stage} reused {n_reused} of {}", first[stage].1);
        }
    }
}

#[test]
fn experiments_with_more_images_share_all_shards_but_the_last() {
    let project = Project::with_spec(&SPEC.replace("MODELS", &fixtures().join("tiny").display().to_string()));
    let (images, queries) = (image_rows(0..N_IMAGES), query_rows(0..100));
    let first = run(&project, &images, &queries, &["--set", "images.params.max_samples=500"]);
    let more = run(&project, &images, &queries, &["--set", "images.params.max_samples=1000"]);
    for stage in ["images", "vectors"] {
        let (n_reused, n_computed) = more[stage];
        assert_eq!(n_reused, first[stage].1 - 1, "{stage}: {first:?} {more:?}");
        assert!(n_computed >= 1);
    }
    assert!(!more.contains_key("queries") && !more.contains_key("text"), "{more:?}");
}
