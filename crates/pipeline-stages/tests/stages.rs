//! The built-in stages without an engine: what enters their manifests and what bytes they leave.

#![allow(clippy::unwrap_used, missing_docs, reason = "a failed step of a test is a failed test")]

mod bench;

use bench::Bench;

const MINI: &str = "
vars: { data: ../../../../tests/fixtures/data/mini, models: ../../../../tests/fixtures/tiny }
stages:
  train-queries: { kind: load-queries, params: { path: '${data}/MR_train_queries.jsonl' } }
  valid-queries: { kind: load-queries, params: { path: '${data}/MR_valid_queries.jsonl' } }
  train-images: { kind: decode-images, params: { path: '${data}/MR_train_imgs.tsv' } }
  valid-images: { kind: decode-images, params: { path: '${data}/MR_valid_imgs.tsv' } }
  train-text: { kind: extract-text, inputs: { queries: train-queries }, params: { model: '${models}/bert' } }
  valid-text: { kind: extract-text, inputs: { queries: valid-queries }, params: { model: '${models}/bert' } }
  train-vectors: { kind: extract-image, inputs: { images: train-images }, params: { model: '${models}/resnet' } }
  valid-vectors: { kind: extract-image, inputs: { images: valid-images }, params: { model: '${models}/resnet' } }
  projection:
    kind: train-projection
    inputs: { queries: train-queries, text: train-text, images: train-vectors }
    params: { projection_dim: 64, init_from: ../../../../tests/fixtures/goldens/mini/init.safetensors }
  evaluate:
    kind: evaluate-recall
    inputs: { queries: valid-queries, text: valid-text, images: valid-vectors, projection: projection }
";

/// The params of every kind with its defaults: a change here makes every cached result of the kind stale.
#[test]
fn the_manifest_of_each_kind_is_as_it_was() {
    let bench = Bench::new(MINI);
    let params = |stage: &str| {
        let stage = bench.stage(stage);
        let lines = stage.params().into_iter().map(|(name, json)| format!("{name}={json}"));
        let sources = stage.sources().unwrap().into_iter().map(|source| format!("source {}", source.name));
        let head = format!("{} {}", stage.kind(), stage.version());
        std::iter::once(head).chain(lines).chain(sources).collect::<Vec<_>>().join("; ")
    };
    let expect = [
        ("train-queries", "load-queries 1; source path"),
        ("train-images", "decode-images 1; max_samples=null; resize=\"bilinear\"; size=[224,224]; source path"),
        (
            "train-text",
            "extract-text 1; lower_case=null; max_length=128; pooling=\"cls\"; source model/config; source \
             model/vocab; source model/tokenizer-config; source model/weights",
        ),
        ("train-vectors", "extract-image 1; source model/config; source model/weights"),
        (
            "projection",
            "train-projection 1; batch_size=16; epochs=2; fusion=\"projection\"; lr=0.001; normalize=true; \
             projection_dim=64; seed=0; shuffle=false; temperature=0.07; weight_decay=0.0001; source init_from",
        ),
        ("evaluate", "evaluate-recall 1; k=[1,5,10]; similarity=\"cosine\""),
    ];
    for (stage, lines) in expect {
        assert_eq!(params(stage), lines, "{stage}");
    }
}

/// The notebook on the mini data set, from the golden start: the goldens are PyTorch's.
#[test]
fn the_mini_data_set_gives_the_notebooks_numbers() {
    let bench = Bench::new(MINI).run_all();
    let golden = bench::read_json("goldens/mini/result.json");
    let golden = &golden["runs"]["2 epochs"];
    let history = std::fs::read_to_string(bench.artifact("projection").folder.join("history.csv")).unwrap();
    let losses: Vec<f64> =
        history.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse().unwrap()).collect();
    let wanted: Vec<f64> = golden["step_losses"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|epoch| epoch.as_array().unwrap())
        .map(|loss| loss.as_f64().unwrap())
        .collect();
    assert_eq!(losses.len(), wanted.len());
    // The features differ by up to 1e-5 and the losses of 20 steps by up to 2e-5: both are stated in the encoders' tests.
    for (step_idx, (loss, wanted)) in losses.iter().zip(&wanted).enumerate() {
        assert!((loss - wanted).abs() < 2e-5, "step {step_idx}: {loss}, PyTorch {wanted}");
    }
    let metrics = &bench.report("evaluate").metrics;
    for (ours, theirs) in [
        ("recall_at_1", "recall@1"),
        ("recall_at_5", "recall@5"),
        ("recall_at_10", "recall@10"),
        ("mean_recall", "mean_recall"),
        ("n_queries", "queries"),
    ] {
        let wanted = golden["metrics"][theirs].as_f64().unwrap();
        assert!((metrics[ours] - wanted).abs() < 1e-12, "{ours}: {}, PyTorch {wanted}", metrics[ours]);
    }
}

#[test]
fn every_file_is_the_same_for_any_number_of_threads() {
    let one = Bench::new(MINI).with_threads(1).run_all();
    let three = Bench::new(MINI).with_threads(3).run_all();
    for stage in one.stages() {
        assert_eq!(one.artifact(&stage).tree, three.artifact(&stage).tree, "{stage}");
    }
}

/// Bytes that are the same on every processor. Features, heads and rankings are not, to the last bit: the test above
/// compares those with PyTorch.
#[test]
fn the_bytes_of_queries_and_pixels_are_as_they_were() {
    let mut bench = Bench::new(MINI);
    for (stage, digest) in [
        ("train-queries", "5a47fcceb42c5ce6667e293ef93b2ca87500e8440241cf911fb29a2689932b6e"),
        ("valid-images", "60d205c06f75795ad390d7ddb6d2e8803dd05b6cc6e710e5a0dc78e32acd18c3"),
    ] {
        bench.run(stage).unwrap();
        let found = bench.artifact(stage).tree.digest().hex();
        assert_eq!(found, digest, "raise the version of the kind of `{stage}` if this is meant");
    }
}
