//! Training: heads with a hidden layer, weights to start from, and what is refused.

mod options;
mod start;

use std::error::Error;

use crate::MINI;
use crate::bench::{self, Bench};

const PARAMS: &str = "projection_dim: 64, init_from: ../../../../tests/fixtures/goldens/mini/init.safetensors";

/// The small data set with other params of the training.
fn mini(params: &str) -> String {
    MINI.replace(PARAMS, params)
}

/// The message of a spec error and the place that it points to.
pub fn refused(yaml: &str) -> (String, String) {
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
    let (kept, given) = (bench.artifact("projection").file("projection.pth").unwrap(), bench::fixtures());
    let heads = |path: &std::path::Path| pipeline_models::checkpoint::Checkpoint::read(path).unwrap().heads;
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
        ("head: mlp, hidden_dim: 0", "`hidden_dim` must be a whole number from 1 to 65536", "0"),
        ("projection_dim: 65537", "`projection_dim` must be a whole number from 1 to 65536", "65537"),
        (
            "batch_size: 9223372036854775807",
            "`batch_size` must be a whole number from 1 to 65536",
            "9223372036854775807",
        ),
    ] {
        assert_eq!(refused(&mini(params)), (message.to_owned(), place.to_owned()));
    }
    let (message, place) = refused(&mini("head: mlp, fusion: passthrough"));
    assert_eq!(
        (message.as_str(), place.as_str()),
        ("`head` needs `fusion: projection`; `passthrough` has no heads", "mlp")
    );
}

#[test]
fn without_a_pair_nothing_is_trained_and_weights_of_chance_are_no_result() {
    let other_images = |params: &str| mini(params).replace("MR_train_imgs.tsv", "MR_valid_imgs.tsv");
    for params in ["projection_dim: 64", "projection_dim: 64, fit: ridge"] {
        let error = failed(&other_images(params));
        let problem = "no query with a text names an image that is there, so there is nothing to train on";
        assert!(error.starts_with(problem) && error.contains("the first query names `"), "{error}");
    }
    let bench = Bench::new(&other_images("projection_dim: 64, epochs: 0")).run_all();
    assert_eq!(bench.report("projection").n_rows, Some(0));
}

const HELD_OUT: &str = "valid_queries: valid-queries, valid_text: valid-text, valid_images: valid-vectors";

/// The small data set with other params of the training, which holds out the evaluated data.
fn validated(params: &str) -> String {
    mini(params).replace("images: train-vectors }", &format!("images: train-vectors, {HELD_OUT} }}"))
}

/// The named column of a stage's history, by line; `None` where it is empty.
fn column(bench: &Bench, stage: &str, name: &str) -> Vec<Option<f64>> {
    let history = std::fs::read_to_string(bench.artifact(stage).file("history.csv").unwrap()).unwrap();
    let mut lines = history.lines();
    let place = lines.next().unwrap().split(',').position(|column| column == name).unwrap();
    lines.map(|line| line.split(',').nth(place).unwrap().parse().ok()).collect()
}

#[test]
fn the_best_epoch_is_kept_and_is_what_an_evaluation_of_the_same_data_finds() {
    for (params, similarity) in [("", "cosine"), (", normalize: false, temperature: 3", "dot")] {
        let params = format!("projection_dim: 64, epochs: 20, patience: 2{params}");
        let yaml = validated(&params)
            .replace("projection: projection }", "projection: projection }\n    params: { similarity: DOT }");
        let bench = Bench::new(&yaml.replace("DOT", similarity)).run_all();
        let (report, found) = (bench.report("projection"), &bench.report("evaluate").metrics);
        assert_eq!(report.metrics["valid_mean_recall"], found["mean_recall"]);
        let means: Vec<f64> = column(&bench, "projection", "valid_mean_recall").into_iter().flatten().collect();
        let (best, n_epochs) = (report.metrics["best_epoch"] as usize, means.len());
        assert_eq!(means[best], found["mean_recall"]);
        assert!(n_epochs == 20 || n_epochs == best + 3, "{best} of {means:?}");
        for (column_name, metric) in [("valid_recall_at_1", "recall_at_1"), ("valid_recall_at_10", "recall_at_10")] {
            let values = column(&bench, "projection", column_name);
            assert_eq!(values[(best + 1) * 10 - 1], Some(found[metric]));
            assert_eq!(values.iter().flatten().count(), n_epochs);
        }
        let stopped = if n_epochs < 20 { format!("stopped after epoch {}, ", n_epochs - 1) } else { String::new() };
        let end = format!("; {stopped}kept epoch {best}, valid MeanRecall={:.4}", means[best]);
        assert!(report.headline.as_ref().unwrap().ends_with(&end), "{:?} and {end}", report.headline);
    }
}

#[test]
fn held_out_data_of_computed_heads_are_measured_once() {
    let bench = Bench::new(&validated("fit: ridge, projection_dim: 32")).run_all();
    let report = bench.report("projection");
    assert_eq!(report.metrics["valid_mean_recall"], bench.report("evaluate").metrics["mean_recall"]);
    assert!(!report.metrics.contains_key("best_epoch"));
    assert!(report.headline.as_ref().unwrap().contains("pairs, ridge regression; valid MeanRecall=0."));
}

#[test]
fn held_out_data_with_nothing_to_find_choose_no_epoch() {
    let data = tempfile::tempdir().unwrap();
    let empty = data.path().join("empty.jsonl");
    std::fs::write(&empty, "{\"query_id\": 1, \"query_text\": \"a\", \"item_ids\": []}\n").unwrap();
    let yaml = validated("projection_dim: 64").replace("${data}/MR_valid_queries.jsonl", &empty.display().to_string());
    let bench = Bench::new(&yaml).run_all();
    let warning =
        "the held-out data have no query that names its relevant images, so that the heads of the last epoch are kept";
    assert!(bench.warnings.iter().any(|found| found == warning), "{:?}", bench.warnings);
    assert!(!bench.report("projection").metrics.contains_key("best_epoch"));
    let history = std::fs::read_to_string(bench.artifact("projection").file("history.csv").unwrap()).unwrap();
    assert!(history.lines().next().unwrap().ends_with("temperature"), "no columns of nothing");
}

#[test]
fn held_out_data_are_given_whole_and_patience_needs_them() {
    let (message, place) = refused(&mini("patience: 3"));
    assert_eq!((message.as_str(), place.as_str()), ("`patience` needs held-out data to measure the heads on", "3"));
    let yaml = validated("projection_dim: 64").replace("valid_queries: valid-queries, ", "");
    let (message, place) = refused(&yaml);
    assert_eq!(
        (message.as_str(), place.as_str()),
        ("input `valid_text` needs `valid_queries` beside it", "valid_text")
    );
    let (message, place) = refused(&validated("fit: cca, patience: 3"));
    assert_eq!(
        (message.as_str(), place.as_str()),
        ("`patience` needs `fit: contrastive`; other fits take no steps", "3")
    );
}
