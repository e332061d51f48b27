//! Trainings on tokens: the pools, what the heads remember of them, and what is refused.

use pipeline_models::checkpoint::Checkpoint;
use pipeline_models::heads::Heads;

use crate::bench::{self, Bench};

/// A training and an evaluation on these features: params of the text encoder, of the image encoder, and of the
/// training.
fn training(text: &str, images: &str, params: &str) -> String {
    format!(
        "
vars: {{ data: ../../../../tests/fixtures/data/mini, models: ../../../../tests/fixtures/tiny }}
stages:
  queries: {{ kind: load-queries, params: {{ path: '${{data}}/MR_valid_queries.jsonl' }} }}
  pixels: {{ kind: decode-images, params: {{ path: '${{data}}/MR_valid_imgs.tsv', size: [64, 96] }} }}
  text: {{ kind: extract-text, inputs: {{ queries: queries }}, params: {{ model: '${{models}}/bert'{text} }} }}
  images: {{ kind: extract-image, inputs: {{ images: pixels }}, params: {{ model: '${{models}}/resnet'{images} }} }}
  heads:
    kind: train-projection
    inputs:
      {{ queries: queries, text: text, images: images, valid_queries: queries, valid_text: text, valid_images: images }}
    params: {{ projection_dim: 16{params} }}
  evaluation:
    kind: evaluate-recall
    inputs: {{ queries: queries, text: text, images: images, projection: heads }}
"
    )
}

fn run(text: &str, images: &str, params: &str) -> Bench {
    Bench::new(&training(text, images, params)).run_all()
}

fn heads(bench: &Bench, file: &str) -> Heads {
    Checkpoint::read(&bench.artifact("heads").file(file).unwrap()).unwrap().heads.unwrap()
}

fn metrics(bench: &Bench) -> String {
    std::fs::read_to_string(bench.artifact("evaluation").file("metrics.json").unwrap()).unwrap()
}

#[test]
fn a_pool_that_learns_nothing_is_the_pooling_of_the_encoder() {
    for (pooling, pool) in [("cls", "cls"), ("mean", "mean")] {
        let pooled = run(&format!(", pooling: {pooling}"), "", "");
        let tokens = run(", pooling: tokens", ", pooling: tokens", &format!(", text_pool: {pool}, image_pool: mean"));
        assert_eq!(heads(&tokens, "projection.safetensors"), heads(&pooled, "projection.safetensors"), "{pool}");
        assert_eq!(metrics(&tokens), metrics(&pooled), "{pool}");
    }
}

#[test]
fn an_attentive_pool_is_learnt_and_stored_with_the_heads() {
    for texts in [", pooling: tokens", ", pooling: tokens, precision: f16"] {
        let bench = run(texts, ", pooling: tokens", ", epochs: 3");
        let trained = heads(&bench, "projection.safetensors");
        assert_eq!(trained, heads(&bench, "projection.pth"));
        let widths = [&trained.text, &trained.image].map(|head| head.attention.as_ref().unwrap().len());
        assert_eq!(widths, [trained.text.d_features(), trained.image.d_features()]);
        let params = bench.stage("heads").params();
        assert_eq!(
            [&params["text_pool"], &params["image_pool"], &params["attention_lr"]],
            ["\"attentive\"", "\"attentive\"", "0.01"]
        );
        // Held-out queries are those of the evaluation, and both measure the same heads.
        let evaluated: serde_json::Value = serde_json::from_str(&metrics(&bench)).unwrap();
        let held_out = bench.report("heads").metrics["valid_mean_recall"];
        assert!((evaluated["mean_recall"].as_f64().unwrap() - held_out).abs() < 1e-12, "{evaluated} and {held_out}");
    }
    let mut still = Bench::new(&training(", pooling: tokens", "", ", attention_lr: 0, epochs: 3"));
    still.stages().iter().for_each(|stage| still.run(stage).unwrap());
    let start = Bench::new(&training(", pooling: tokens", "", ", epochs: 0")).run_all();
    let vector = |bench: &Bench| heads(bench, "projection.safetensors").text.attention.unwrap();
    assert_eq!(vector(&still), vector(&start), "without a learning rate it stays");
    assert_ne!(
        heads(&still, "projection.safetensors").text.output,
        heads(&start, "projection.safetensors").text.output
    );
}

#[test]
fn pooled_features_have_the_params_that_they_always_had() {
    let bench = Bench::new(&training("", "", ""));
    let params = bench.stage("heads").params();
    for name in ["text_pool", "image_pool", "attention_lr"] {
        assert_eq!(params.get(name), None);
    }
}

#[test]
fn what_does_not_go_together_is_refused_before_anything_runs() {
    for (text, images, params, expect) in [
        (
            "",
            "",
            ", text_pool: mean",
            "`text_pool` pools tokens, but input `text` has one vector for each text (pooling `cls`)",
        ),
        (
            "",
            "",
            ", image_pool: mean",
            "`image_pool` pools tokens, but input `images` has one vector for each image (pooling `avg`)",
        ),
        ("", ", pooling: tokens", ", image_pool: cls", "these tokens have no class token"),
        (", pooling: tokens", "", ", fusion: passthrough", "needs `fusion: projection`"),
        (", pooling: tokens", "", ", fit: ridge", "needs `fit: contrastive`"),
        (", pooling: tokens", "", ", text_pool: mean, attention_lr: 0.1", "`attention_lr` needs tokens"),
        (", pooling: tokens", "", ", attention_lr: -1", "`attention_lr` must be a number of at least 0"),
    ] {
        let spec = pipeline_spec::parse(&training(text, images, params), &bench::spec_file()).unwrap();
        let error = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err().unwrap().to_string();
        assert!(error.contains(expect), "{error} instead of {expect}");
    }
    // The same without steps, where nothing is learnt.
    run(", pooling: tokens", "", ", fit: ridge, text_pool: mean");
}

/// The evaluation of heads on other features than those of their training.
fn evaluated_on(text: &str, other: &str) -> String {
    let spec = training(text, "", "").replace(
        "  evaluation:",
        &format!(
            "  other: {{ kind: extract-text, inputs: {{ queries: queries }}, params: {{ model: \
            '${{models}}/bert'{other} }} }}
  evaluation:"
        ),
    );
    let spec = spec.replace(
        "text: text, images: images, projection: heads }",
        "text: other, images: images, projection: heads }\n    params: { allow_mismatch: true }",
    );
    let mut bench = Bench::new(&spec);
    let stages = bench.stages();
    stages.iter().filter(|stage| *stage != "evaluation").for_each(|stage| bench.run(stage).unwrap());
    bench.run("evaluation").err().map_or("none".to_owned(), |error| error.to_string())
}

#[test]
fn heads_of_tokens_take_tokens_alone_and_those_of_vectors_none() {
    let tokens = ", pooling: tokens";
    assert_eq!(
        evaluated_on(tokens, ""),
        "the heads pool tokens (`attentive`), and input `text` has one vector for each row"
    );
    assert_eq!(
        evaluated_on("", tokens),
        "input `text` has the vectors of all tokens (`pooling: tokens`), and the heads were trained on one for each row"
    );
    assert_eq!(evaluated_on(tokens, ", pooling: tokens, precision: f16"), "none", "allowed by `allow_mismatch`");
    let spec = training(tokens, "", "").replace("valid_text: text", "valid_text: other").replace(
        "  heads:\n",
        "  other: { kind: extract-text, inputs: { queries: queries }, params: { model: '${models}/bert', pooling: \
        tokens, precision: f16 } }\n  heads:\n",
    );
    let spec = pipeline_spec::parse(&spec, &bench::spec_file()).unwrap();
    let error = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err().unwrap().to_string();
    assert!(error.contains("whose `precision` is"), "{error}");
}
