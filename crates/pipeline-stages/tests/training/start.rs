//! Heads on features that share a space before a step is made: no heads, unit matrices, and the pull to the start.

use std::path::Path;

use pipeline_kernels::Matrix;

use super::{HELD_OUT, column, mini, refused};
use crate::bench::Bench;

/// Imported features of as many texts and images, of which a text is near its image, and trainings on them by name.
fn space(folder: &Path, widths: [usize; 2], trainings: &[(&str, &str)]) -> String {
    const N_ROWS: usize = 60;
    let number = |seed: usize, place: usize| (((seed * 977 + place) as f32 * 0.737).sin() * 43.7).fract();
    let image = |seed: usize, col: usize| number(seed, col);
    // Every third number of a text says little of its image.
    let text = |seed: usize, col: usize| {
        image(seed, col) + if col.is_multiple_of(3) { 2.0 } else { 0.4 } * number(seed + 7919, col)
    };
    let write = |name: &str, dim: usize, first: usize, value: &dyn Fn(usize, usize) -> f32| {
        let values: Vec<f32> = (0..N_ROWS * dim).map(|place| value(first + place / dim, place % dim)).collect();
        pipeline_data::write_npy(&folder.join(format!("{name}.npy")), &Matrix::new(N_ROWS, dim, values)).unwrap();
        let ids: String = (0..N_ROWS).map(|row| format!("{}\n", first + row)).collect();
        std::fs::write(folder.join(format!("{name}.ids")), ids).unwrap();
    };
    let mut stages = String::new();
    for (split, first) in [("train", 1), ("valid", 501)] {
        write(&format!("{split}-text"), widths[0], first, &text);
        write(&format!("{split}-images"), widths[1], first, &image);
        let query = |id: usize| format!("{{\"query_id\": {id}, \"query_text\": \"{id}\", \"item_ids\": [{id}]}}\n");
        let queries: String = (first..first + N_ROWS).map(query).collect();
        std::fs::write(folder.join(format!("{split}.jsonl")), queries).unwrap();
        let given = |side: &str| {
            format!("params: {{ path: '${{data}}/{split}-{side}.npy', ids: '${{data}}/{split}-{side}.ids' }}")
        };
        stages.push_str(&format!(
            "  {split}-queries: {{ kind: load-queries, params: {{ path: '${{data}}/{split}.jsonl' }} }}
  {split}-text: {{ kind: import-text-features, inputs: {{ queries: {split}-queries }}, {} }}
  {split}-vectors: {{ kind: import-image-features, {} }}
",
            given("text"),
            given("images")
        ));
    }
    for (name, params) in trainings {
        let held_out = if params.contains("passthrough") { String::new() } else { format!(", {HELD_OUT}") };
        let trained = format!("queries: train-queries, text: train-text, images: train-vectors{held_out}");
        let evaluated = format!("queries: valid-queries, text: valid-text, images: valid-vectors, projection: {name}");
        stages.push_str(&format!(
            "  {name}: {{ kind: train-projection, inputs: {{ {trained} }}, params: {{ {params} }} }}
  {name}-found: {{ kind: evaluate-recall, inputs: {{ {evaluated} }} }}
"
        ));
    }
    format!("vars: {{ data: '{}' }}\nstages:\n{stages}", folder.display())
}

fn recall(bench: &Bench, training: &str) -> f64 {
    bench.report(&format!("{training}-found")).metrics["mean_recall"]
}

fn headline<'a>(bench: &'a Bench, training: &str) -> &'a str {
    bench.report(training).headline.as_deref().unwrap()
}

#[test]
fn a_training_begins_where_the_features_are_and_keeps_that_unless_it_becomes_better() {
    let folder = tempfile::tempdir().unwrap();
    let trainings = [
        ("zero-shot", "fusion: passthrough"),
        ("untrained", "start: identity, epochs: 0"),
        ("better", "start: identity, anchor: 1e-3, epochs: 30, lr: 1e-2"),
        ("worse", "start: identity, projection_dim: 12, epochs: 9, lr: 10, patience: 2"),
    ];
    let bench = Bench::new(&space(folder.path(), [12, 12], &trainings)).run_all();
    let zero_shot = recall(&bench, "zero-shot");
    println!("{zero_shot}: {:?}", trainings.map(|(name, _)| (recall(&bench, name), headline(&bench, name))));
    assert_eq!(recall(&bench, "untrained"), zero_shot);
    assert_eq!(column(&bench, "untrained", "valid_mean_recall"), [Some(zero_shot)]);
    assert_eq!(bench.report("untrained").metrics["best_epoch"], 0.0);

    let found = column(&bench, "better", "valid_mean_recall");
    assert_eq!((found[0], column(&bench, "better", "loss")[0]), (Some(zero_shot), None), "the start has no loss");
    assert!(recall(&bench, "better") > zero_shot);
    let best = bench.report("better").metrics["best_epoch"];
    let end = format!("; kept epoch {best}, valid MeanRecall={:.4} (start {zero_shot:.4})", recall(&bench, "better"));
    assert!(headline(&bench, "better").ends_with(&end), "{}", headline(&bench, "better"));

    assert_eq!(recall(&bench, "worse"), zero_shot);
    let end = format!("; stopped after epoch 2, kept the start (epoch 0), valid MeanRecall={zero_shot:.4}");
    assert!(headline(&bench, "worse").ends_with(&end), "{}", headline(&bench, "worse"));
    let epochs: Vec<f64> = column(&bench, "worse", "epoch").into_iter().flatten().collect();
    assert_eq!(epochs, [0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
    let percent = 100.0 * zero_shot;
    let note = format!("no epoch was better than the start (MeanRecall {percent:.1}%): its heads are kept");
    assert_eq!(bench.warnings, [note]);
}

#[test]
fn features_of_different_widths_need_heads_that_are_no_unit_matrices() {
    let folder = tempfile::tempdir().unwrap();
    let widths = "needs features of one width, but the text's have 12 numbers and the images' 10";
    for (params, widths_of_files, message) in [
        ("fusion: passthrough", [12, 10], format!("`fusion: passthrough` {widths}")),
        ("start: identity", [12, 10], format!("`start: identity` {widths}")),
        (
            "start: identity, projection_dim: 10",
            [12, 12],
            "`start: identity` needs `projection_dim: 12` and not 10: the text's have 12 numbers and the images' 12"
                .to_owned(),
        ),
    ] {
        let mut bench = Bench::new(&space(folder.path(), widths_of_files, &[("heads", params)]));
        let names = bench.stages();
        names.iter().take_while(|name| *name != "heads").for_each(|name| bench.run(name).unwrap());
        let error = bench.run("heads").unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    // What models show is said before anything runs, and how each side is pooled.
    let widths = "needs features of one width, but the text's have 64 numbers (pooling `cls`) and the images' 128 \
                  (pooling `avg`)";
    for (params, place) in [("fusion: passthrough", "passthrough"), ("start: identity", "identity")] {
        assert_eq!(refused(&mini(params)), (format!("`{params}` {widths}"), place.to_owned()));
    }
}

#[test]
fn a_start_that_cannot_be_is_an_error_of_the_spec() {
    let init = "init_from: ../../../../tests/fixtures/goldens/mini/init.safetensors";
    for (params, place, message) in [
        (
            "start: identity, fusion: passthrough",
            "identity",
            "`start` needs `fusion: projection`; `passthrough` has no heads",
        ),
        ("start: identity, fit: cca", "identity", "`start` needs `fit: contrastive`; other fits start from nothing"),
        (
            "start: identity, head: mlp",
            "identity",
            "`start` needs `head: linear`; two layers do not begin as a unit matrix",
        ),
        (
            &format!("start: identity, {init}"),
            "identity",
            "`start` cannot stand beside `init_from`, which gives the initial weights",
        ),
        ("anchor: -1", "-1", "`anchor` must be a number of at least 0"),
        ("anchor: 1e-3, fit: ridge", "1e-3", "`anchor` needs `fit: contrastive`; other fits take no steps"),
        (
            "anchor: 1e-3, fusion: passthrough",
            "1e-3",
            "`anchor` needs `fusion: projection`; `passthrough` trains nothing",
        ),
    ] {
        assert_eq!(refused(&mini(params)), (message.to_owned(), place.to_owned()));
    }
}

/// The key of a training changes where its bytes do, and nowhere else.
#[test]
fn the_manifest_says_what_a_training_starts_from_and_whether_that_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let init = "init_from: x.safetensors";
    for (params, is_held_out, lines) in [
        ("epochs: 3", true, "projection_dim=512"),
        ("start: random, anchor: 0", true, "projection_dim=512"),
        (init, false, "projection_dim=512"),
        (init, true, "measures_start=true projection_dim=512"),
        ("anchor: 0.001", true, "anchor=0.001 measures_start=true projection_dim=512"),
        ("anchor: 0.001", false, "anchor=0.001 projection_dim=512"),
        ("start: identity", true, "measures_start=true projection_dim=null start=\"identity\""),
        ("start: identity, projection_dim: 12", false, "projection_dim=12 start=\"identity\""),
    ] {
        let yaml = space(folder.path(), [12, 12], &[("heads", params)]);
        let yaml = if is_held_out { yaml } else { yaml.replace(&format!(", {HELD_OUT}"), "") };
        let bench = Bench::new(&yaml);
        let said = ["anchor", "measures_start", "projection_dim", "start"];
        let found = bench.stage("heads").params().into_iter().filter(|(name, _)| said.contains(&name.as_str()));
        let found: Vec<String> = found.map(|(name, json)| format!("{name}={json}")).collect();
        assert_eq!(found.join(" "), lines, "{params}");
    }
}

#[test]
fn whether_a_start_is_measured_is_no_param() {
    let (message, _) = refused(&mini("measures_start: true"));
    assert!(message.contains("unknown") && message.contains("measures_start"), "{message}");
}
