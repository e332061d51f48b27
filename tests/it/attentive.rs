//! Tokens from the extraction to the search, with a tiny Chinese-CLIP: an attentive pool, held-out data, every reader.

use serde_json::Value;

use crate::notebook::fixtures;
use crate::project::Project;

const SPEC: &str = r#"vars: { data: "[FIXTURES]/data/mini", clip: "[FIXTURES]/ladder/chinese_clip" }
stages:
  queries: { kind: load-queries, params: { path: "${data}/MR_valid_queries.jsonl" } }
  pixels: { kind: decode-images, params: { path: "${data}/MR_valid_imgs.tsv", like: "${clip}" } }
  text: { kind: extract-text, inputs: { queries: queries }, params: { model: "${clip}", pooling: tokens, precision: f16 } }
  images: { kind: extract-image, inputs: { images: pixels }, params: { model: "${clip}", pooling: cls } }
  heads:
    kind: train-projection
    inputs:
      { queries: queries, text: text, images: images, valid_queries: queries, valid_text: text, valid_images: images }
    params: { projection_dim: 8, epochs: 2 }
  evaluate:
    kind: evaluate-recall
    inputs: { queries: queries, text: text, images: images, projection: heads }
"#;

fn project() -> Project {
    Project::with_spec(&SPEC.replace("[FIXTURES]", fixtures().to_str().unwrap()))
}

#[test]
fn tokens_are_extracted_weighed_evaluated_and_searched() {
    let project = project();
    let reply = project.run(&["run", "spec.yaml"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let again = project.run(&["status", "spec.yaml"]);
    assert_eq!(again.stderr, "6 stages: all up to date", "{again:?}");

    // A query of the pool finds what the evaluation has found for it.
    project.run(&["predict", "spec.yaml", "-o", "predictions.jsonl"]);
    let predictions = std::fs::read_to_string(project.path("predictions.jsonl")).unwrap();
    let first: Value = serde_json::from_str(predictions.lines().next().unwrap()).unwrap();
    let queries = std::fs::read_to_string(fixtures().join("data/mini/MR_valid_queries.jsonl")).unwrap();
    let query: Value = serde_json::from_str(queries.lines().next().unwrap()).unwrap();
    let found = project.run(&["search", "spec.yaml", query["query_text"].as_str().unwrap(), "-k", "10", "--json"]);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    let ids = |list: &Value, id: fn(&Value) -> String| list.as_array().unwrap().iter().map(id).collect::<Vec<_>>();
    assert_eq!(
        ids(&found["results"], |image| image["id"].as_str().unwrap().to_owned()),
        ids(&first["item_ids"], |id| id.as_str().map_or(id.to_string(), str::to_owned)),
        "{found} and {first}"
    );

    // Tokens have no file of vectors, and their embeddings have.
    let refused = project.run(&["export", "spec.yaml", "text", "-o", "exports"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("the vectors of all tokens (`pooling: tokens`)"), "{refused:?}");
    let exported = project.run(&["export", "spec.yaml", "text", "--heads", "heads", "-o", "exports"]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    assert!(project.path("exports/text.npy").exists());
    assert_eq!(project.run(&["report", "spec.yaml", "-o", "report.html"]).code, Some(0));

    // Only the training and what is below it runs for another pool.
    let reply = project.run(&["run", "spec.yaml", "--set", "heads.params.text_pool=mean", "--dry-run"]);
    let plan = format!("{}\n{}", reply.stdout, reply.stderr);
    assert!(plan.contains("heads run") && plan.contains("text reuse"), "{plan}");
}

#[test]
fn a_pool_that_a_model_cannot_have_is_refused_at_its_line() {
    let project = project();
    let clip = fixtures().join("ladder/clip");
    let model = format!("text.params.model={}", clip.display());
    let reply = project.run(&["validate", "spec.yaml", "--set", &model, "--set", "heads.params.text_pool=cls"]);
    assert_eq!(reply.code, Some(2), "{reply:?}");
    assert!(reply.stderr.contains("these tokens have no class token; `attentive` and `mean` are there"), "{reply:?}");
}
