//! The options of the loss and of the steps.

use super::{column, mini, refused};
use crate::MINI;
use crate::bench::{self, Bench};

/// Trainings with these params, by name, on texts of which every other also has the image of the one before.
fn trainings(trainings: &[(&str, &str)]) -> Bench {
    let queries = std::fs::read_to_string(bench::fixtures().join("data/mini/MR_train_queries.jsonl")).unwrap();
    let mut queries: Vec<serde_json::Value> = queries.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for idx in (1..queries.len()).step_by(2) {
        let before = queries[idx - 1]["item_ids"][0].clone();
        queries[idx]["item_ids"].as_array_mut().unwrap().push(before);
    }
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("queries.jsonl");
    let lines: Vec<_> = queries.iter().map(|query| query.to_string()).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let inputs = "inputs: { queries: train-queries, text: train-text, images: train-vectors }";
    let stages = trainings.iter().map(|(name, params)| {
        format!("  {name}: {{ kind: train-projection, {inputs}, params: {{ projection_dim: 24, {params} }} }}\n")
    });
    let (mini, _) = MINI.split_once("  projection:").unwrap();
    let yaml = format!("{mini}{}", stages.collect::<String>());
    Bench::new(&yaml.replace("${data}/MR_train_queries.jsonl", &file.display().to_string())).run_all()
}

#[test]
fn a_training_tells_its_temperature_and_learning_rates() {
    let bench = trainings(&[
        ("learnt", "learn_temperature: true"),
        ("cosine", "epochs: 1, lr_schedule: cosine, warmup_steps: 2"),
        ("short", "epochs: 1, warmup_steps: 11"),
        ("own", "pairs: all"),
        ("mask", "pairs: all, positives: mask"),
        ("all", "pairs: all, positives: all"),
        ("mask-first", "positives: mask"),
        ("first", "positives: own"),
    ]);
    let report = bench.report("learnt");
    let (temperature, temperatures) = (report.metrics["temperature"], column(&bench, "learnt", "temperature"));
    assert_eq!((temperatures[0], temperatures.len()), (Some(0.07), 20));
    assert!(temperature != 0.07 && (0.01..1.0).contains(&temperature), "{temperature}");
    let headline = report.headline.as_ref().unwrap();
    assert!(headline.ends_with(&format!(", learnt temperature {temperature:.4}")), "{headline}");
    assert!(!bench.report("cosine").metrics.contains_key("temperature"));

    let rates: Vec<f64> = column(&bench, "cosine", "lr").into_iter().flatten().collect();
    assert_eq!(rates[..3], [5e-4, 1e-3, 1e-3]);
    assert!(rates.len() == 10 && rates[2..].windows(2).all(|pair| pair[0] > pair[1]), "{rates:?}");
    let warning = "the learning rate never reaches `lr`: `warmup_steps` is 11, but the steps are 10";
    assert_eq!(bench.warnings, [warning]);

    // Texts share images: with one pair per text, no two pairs of the training do.
    let losses = |name| column(&bench, name, "loss");
    assert!(losses("own") != losses("mask") && losses("own") != losses("all") && losses("mask") != losses("all"));
    assert_eq!(losses("first"), losses("mask-first"));
}

#[test]
fn what_is_said_of_steps_where_none_are_taken_is_an_error_of_the_spec() {
    for (params, at, message) in [
        (
            "lr_schedule: cosine, fit: ridge",
            "cosine",
            "`lr_schedule` needs `fit: contrastive`; other fits take no steps",
        ),
        ("positives: all, fit: cca", "all", "`positives` needs `fit: contrastive`; other fits take no steps"),
        (
            "learn_temperature: true, fusion: passthrough",
            "true",
            "`learn_temperature` needs `fusion: projection`; `passthrough` trains nothing",
        ),
        (
            "learn_temperature: true, temperature: 1.5",
            "1.5",
            "`temperature` must be between 0.01 and 1 to be learnt (`learn_temperature`)",
        ),
        ("warmup_steps: 9, fit: cca", "9", "`warmup_steps` needs `fit: contrastive`; other fits take no steps"),
        (
            "warmup_steps: 9, fusion: passthrough",
            "9",
            "`warmup_steps` needs `fusion: projection`; `passthrough` trains nothing",
        ),
    ] {
        assert_eq!(refused(&mini(params)), (message.to_owned(), at.to_owned()));
    }
}
