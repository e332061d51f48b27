//! Chinese-CLIP without training, from the specs of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::project::Project;

/// The results that transformers' `ChineseCLIPModel` gives on the demo with the same tiny model, texts cut to 52
/// tokens.
const RESULT: &str = "Recall@1=0.0023, Recall@5=0.0207, Recall@10=0.0310, MeanRecall=0.0180 (N=871); pool 600 images, \
                      871 queries answerable";

fn pipelines() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines").canonicalize().unwrap()
}

#[test]
fn recall_of_the_tiny_chinese_clip_is_that_of_pytorch_and_its_pool_can_be_searched() {
    let project = Project::new();
    let spec = pipelines().join("zero-shot-demo.yaml");
    let store = project.path("artifacts");
    let on_store = |words: &[&str]| {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        words.extend(["--artifacts".to_owned(), store.display().to_string()]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        project.run(&words)
    };
    let spec = spec.to_str().unwrap();
    let reply = on_store(&["run", spec]);
    assert!(reply.stdout.contains(RESULT), "{}{}", reply.stdout, reply.stderr);
    assert!(reply.stderr.contains("of tokens are single bytes or unknown"), "{}", reply.stderr);
    let found = on_store(&["search", spec, "笑脸", "-k", "3", "--json"]);
    assert!(found.stdout.contains("\"pool_size\": 600"), "{}{}", found.stdout, found.stderr);
}

#[test]
fn every_spec_of_the_ladder_is_valid_where_its_model_may_be_missing() {
    let project = Project::new();
    let ladder = fs::read_dir(pipelines().join("ladder")).unwrap().map(|entry| entry.unwrap().path());
    let specs = ladder
        .chain(["zero-shot.yaml", "heads-on-clip.yaml", "attentive-demo.yaml"].map(|name| pipelines().join(name)));
    for spec in specs {
        let text = fs::read_to_string(&spec).unwrap();
        let is_short = text.lines().count() <= 10 || spec.parent() == Some(&pipelines());
        assert!(is_short, "{} is a rung of more than 10 lines", spec.display());
        let reply = project.run(&["validate", spec.to_str().unwrap()]);
        assert!(reply.stderr.contains("no mistakes"), "{}: {}{}", spec.display(), reply.stdout, reply.stderr);
    }
}
