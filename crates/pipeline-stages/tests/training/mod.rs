//! Training: heads with a hidden layer, weights to start from, and what is refused.

use std::error::Error;

use crate::MINI;
use crate::bench::{self, Bench};

const PARAMS: &str = "projection_dim: 64, init_from: ../../../../tests/fixtures/goldens/mini/init.safetensors";

/// The small data set with other params of the training.
fn mini(params: &str) -> String {
    MINI.replace(PARAMS, params)
}

/// The message of a spec error and what it points to.
fn refused(yaml: &str) -> (String, String) {
    let spec = pipeline_spec::parse(yaml, &bench::spec_file()).unwrap();
    let error = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err().unwrap();
    (error.to_string(), error.span.unwrap().text().to_owned())
}

/// Runs everything up to the training, which fails, and returns its errors in one line.
fn failed(yaml: &str) -> String {
    let mut bench = Bench::new(yaml);
    for stage in ["train-queries", "train-images", "train-text", "train-vectors"] {
        bench.run(stage).unwrap();
    }
    let error = bench.run("projection").unwrap_err();
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let start = bench::fixtures().canonicalize().unwrap();
    format!("{error}{cause}").replace(&format!("{}/", start.display()), "")
}

#[test]
fn heads_with_a_hidden_layer_are_pytorchs_from_the_seed_on() {
    let bench = Bench::new(&mini("head: mlp, hidden_dim: 48, projection_dim: 24, epochs: 5")).run_all();
    let golden = bench::read_json("goldens/mini_mlp/result.json");
    let difference = bench.largest_loss_difference("projection", &golden["step_losses"]);
    println!("largest difference of a loss: {difference:e}");
    assert!(difference < 2e-5, "{difference}");
    assert!(bench.report("evaluate").metrics["n_queries"] == 188.0);
}

#[test]
fn weights_to_start_from_are_as_deep_and_wide_as_the_params_say() {
    let start = "../../../../tests/fixtures/goldens";
    let trained = format!("init_from: {start}/mini_mlp/projection.pth");
    let bench =
        Bench::new(&mini(&format!("head: mlp, hidden_dim: 48, projection_dim: 24, epochs: 0, {trained}"))).run_all();
    let (kept, given) = (bench.artifact("projection").folder.join("projection.pth"), bench::fixtures());
    let heads = |path: &std::path::Path| pipeline_nn::checkpoint::Checkpoint::read(path).unwrap().heads;
    assert_eq!(heads(&kept), heads(&given.join("goldens/mini_mlp/projection.pth")));

    for (params, problem) in [
        (format!("projection_dim: 24, {trained}"), "has a hidden layer, and `head: linear` has none"),
        (
            format!("head: mlp, projection_dim: 64, init_from: {start}/mini/init.safetensors"),
            "is linear, and `head: mlp` has a hidden layer",
        ),
        (
            format!("head: mlp, projection_dim: 24, {trained}"),
            "has the shape [48, 64] and [24, 48], but [24, 64] and [24, 24] is needed",
        ),
    ] {
        let error = failed(&mini(&params));
        assert!(error.ends_with(&format!("their text head {problem}")), "{error}");
    }
}

#[test]
fn params_of_heads_that_make_no_sense_are_errors_of_the_spec() {
    for (params, message, place) in [
        ("head: mlp, fit: ridge", "`head` needs `fit: contrastive`; other fits compute linear heads", "mlp"),
        ("head: mlp, hidden_dim: 0", "`hidden_dim` must be at least 1", "0"),
    ] {
        assert_eq!(refused(&mini(params)), (message.to_owned(), place.to_owned()));
    }
    let (message, place) = refused(&mini("head: mlp, fusion: passthrough"));
    assert_eq!(
        (message.as_str(), place.as_str()),
        ("`head` needs `fusion: projection`; `passthrough` has no heads", "mlp")
    );
}
