//! The built-in stages without an engine: their manifests and the bytes of their artifacts.

#![allow(clippy::unwrap_used, missing_docs, reason = "a failed step of a test is a failed test")]

mod belonging;
mod bench;
mod encoders;
mod from_files;
mod imports;
mod models;
mod pixels;
mod tokens;
mod training;
mod unfreezing;

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
        ("train-queries", "load-queries 3; source path"),
        ("train-images", "decode-images 2; max_samples=null; resize=\"bilinear\"; size=[224,224]; source path"),
        (
            "train-text",
            "extract-text 4; lower_case=null; max_length=128; pooling=\"cls\"; source model/config; source \
             model/vocab; source model/tokenizer-config; source model/weights",
        ),
        ("train-vectors", "extract-image 5; source model/config; source model/weights"),
        (
            "projection",
            "train-projection 5; batch_size=16; epochs=2; fit=\"contrastive\"; fusion=\"projection\"; \
             head=\"linear\"; hidden_dim=null; learn_temperature=false; lr=0.001; lr_schedule=\"constant\"; \
            normalize=true; pairs=\"first\"; patience=0; penalty=0.01; \
             positives=\"own\"; projection_dim=64; seed=0; shuffle=false; temperature=0.07; warmup_steps=0; \
            weight_decay=0.0001; source init_from",
        ),
        ("evaluate", "evaluate-recall 5; image_to_text=false; k=[1,5,10]; similarity=\"cosine\""),
    ];
    for (stage, lines) in expect {
        assert_eq!(params(stage), lines, "{stage}");
    }
    let all = MINI.replace("projection_dim: 64", "projection_dim: 64, pairs: all");
    let params = Bench::new(&all).stage("projection").params();
    assert_eq!((params["pairs"].as_str(), params["pairs_once"].as_str()), ("\"all\"", "true"));
}

/// The notebook on the mini data set, from the golden start: the goldens are PyTorch's.
#[test]
fn the_mini_data_set_gives_the_notebooks_numbers() {
    let bench = Bench::new(MINI).run_all();
    let golden = bench::read_json("goldens/mini/result.json");
    let golden = &golden["runs"]["2 epochs"];
    // The features differ by up to 1e-5 and the losses of 20 steps by up to 2e-5: both are stated in the encoders'
    // tests.
    let difference = bench.largest_loss_difference("projection", &golden["step_losses"]);
    assert!(difference < 2e-5, "{difference}");
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

/// An empty input is a mistake, since a stage without rows would look like a successful one.
#[test]
fn a_file_of_which_nothing_can_be_used_is_an_error_that_says_what_it_looks_like() {
    let data = tempfile::tempdir().unwrap();
    let refused = |stage: &str, file: &str, text: &str| {
        std::fs::write(data.path().join(file), text).unwrap();
        let from = "data: ../../../../tests/fixtures/data/mini";
        let yaml = MINI.replace(from, &format!("data: {}", data.path().display()));
        let error = Bench::new(&yaml).run(stage).unwrap_err();
        (error.to_string().replace(&format!("{}/", data.path().display()), ""), error.help.unwrap())
    };
    let queries = |text: &str| refused("train-queries", "MR_train_queries.jsonl", text);
    let images = |text: &str| refused("train-images", "MR_train_imgs.tsv", text);
    assert_eq!(queries("").0, "`MR_train_queries.jsonl` has no queries: it is empty");
    assert_eq!(queries("\n \n").0, "`MR_train_queries.jsonl` has no queries: all its lines are blank");
    let (message, help) = queries("id,text\n1,a\n");
    let expect = "`MR_train_queries.jsonl` has no queries: none of its 2 lines can be used, the first at line 1: not JSON \
                  from column 1";
    assert_eq!(message, expect);
    assert!(
        help.starts_with(
            "it looks like comma-separated text: a table of captions is read where its name ends in `.csv`"
        ),
        "{help}"
    );
    let (message, help) = queries("{\"query_id\": 1}\n");
    assert!(
        message.ends_with("its only line, line 1, cannot be used: no text: neither `query_text` nor `text`"),
        "{message}"
    );
    assert!(help.starts_with("`load-queries` reads"), "{help}");
    assert!(images("").0.ends_with("has no images: it is empty"));
    let (message, help) = images("{\"image_id\": 1}\n{\"image_id\": 2}\n");
    assert!(
        message.ends_with("none of its 2 rows can be used, the first at line 1: no tab between id and image"),
        "{message}"
    );
    assert!(help.starts_with("it looks like JSON objects, one a line; `decode-images` reads"), "{help}");
    let (message, help) = images("1\tAAAA\n");
    assert!(message.ends_with("its only row, line 1, cannot be used: not an image of a known kind"), "{message}");
    assert!(help.starts_with("`decode-images` reads"), "{help}");
}

/// MUGE's test split has no labels: it can be ranked, but there is nothing to measure.
#[test]
fn queries_without_labels_are_ranked_and_not_measured() {
    let data = tempfile::tempdir().unwrap();
    let mini = bench::fixtures().join("data/mini");
    for entry in std::fs::read_dir(&mini).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), data.path().join(entry.file_name())).unwrap();
    }
    let file = data.path().join("MR_valid_queries.jsonl");
    let labelled = std::fs::read_to_string(&file).unwrap();
    let without = |text: &str| text.replace("item_ids", "other_ids");
    let yaml = MINI.replace("data: ../../../../tests/fixtures/data/mini", &format!("data: {}", data.path().display()));
    let yaml =
        yaml.replace("projection: projection }", "projection: projection }\n    params: { image_to_text: true }");
    let n_lines = labelled.lines().count();

    std::fs::write(&file, without(&labelled)).unwrap();
    let bench = Bench::new(&yaml).run_all();
    let report = bench.report("evaluate");
    assert_eq!(report.n_rows, Some(n_lines as u64), "every query is ranked");
    assert!(report.headline.as_ref().unwrap().starts_with("no labels, so that no recall is measured"));
    let names: Vec<&str> = report.metrics.keys().map(String::as_str).collect();
    assert_eq!(names, ["i2t_n_images", "i2t_pool_size", "n_answerable", "n_queries", "pool_size"]);
    assert!(bench.warnings.iter().any(|warning| warning.starts_with("no labels: ")), "{:?}", bench.warnings);

    let (first, rest) = labelled.split_once('\n').unwrap();
    std::fs::write(&file, format!("{}\n{rest}", without(first))).unwrap();
    let bench = Bench::new(&yaml).run_all();
    assert_eq!(bench.report("evaluate").metrics["n_queries"], (n_lines - 1) as f64);
    let expect = format!("1 of {n_lines} queries name no relevant images and do not count");
    assert!(bench.warnings.contains(&expect), "{:?}", bench.warnings);

    // Ids in another form match nothing: the warning shows both.
    std::fs::write(&file, labelled.replace("[2", "[92").replace(", 2", ", 92")).unwrap();
    let bench = Bench::new(&yaml).run_all();
    let expect =
        format!("{n_lines} of {n_lines} queries have no relevant image among the 150 of the pool and count as misses");
    let warning = bench.warnings.iter().find(|warning| warning.starts_with(&expect)).expect("a warning");
    assert!(warning.contains(" (the first query names `9"), "{warning}");
}

#[test]
fn every_file_is_the_same_for_any_number_of_threads() {
    let one = Bench::new(MINI).with_threads(1).run_all();
    let three = Bench::new(MINI).with_threads(3).run_all();
    for stage in one.stages() {
        assert_eq!(one.artifact(&stage).tree, three.artifact(&stage).tree, "{stage}");
    }
}

/// Bytes that are the same on every processor, with FMA or without. Features, heads and rankings differ in the last
/// bits: the test above compares those with PyTorch.
#[test]
fn the_bytes_of_queries_and_pixels_are_as_they_were() {
    let mut bench = Bench::new(MINI);
    for (stage, digest) in [
        ("train-queries", "5a47fcceb42c5ce6667e293ef93b2ca87500e8440241cf911fb29a2689932b6e"),
        ("valid-images", "b5824a6c581f9098d8a665d2b685ec7f71e36ccdaf9ee6a55ddb8ac59dd643cd"),
    ] {
        bench.run(stage).unwrap();
        let found = bench.artifact(stage).tree.digest().hex();
        assert_eq!(found, digest, "raise the version of the kind of `{stage}` if this is meant");
    }
}

/// The shipped demo, with its own start, which is PyTorch's for the seed 0.
#[test]
fn the_demo_gives_pytorchs_losses_ranks_and_recall() {
    let spec = pipeline_spec::load(&bench::fixtures().join("../../pipelines/demo.yaml"), &[]).unwrap();
    let bench = Bench::of(spec).run_all();
    let golden = bench::read_json("goldens/demo/result.json");
    let difference = bench.largest_loss_difference("projection", &golden["step_losses"]);
    println!("largest difference of a loss: {difference:e}");
    assert!(difference < 2e-5, "{difference}");
    let wanted = golden["metrics"]["mean_recall"].as_f64().unwrap();
    let found = bench.report("evaluate").metrics["mean_recall"];
    assert!((found - wanted).abs() < 1e-12, "{found}, PyTorch {wanted}");
    let rankings = pipeline_data::read_rankings(&bench.artifact("evaluate").file("rankings.parquet").unwrap()).unwrap();
    let golden = golden["rankings"].as_array().unwrap();
    assert_eq!(rankings.len(), golden.len());
    let (mut n_equal, mut n_same_rank) = (0, 0);
    for (ranking, golden) in rankings.iter().zip(golden) {
        assert_eq!(ranking.query_text, golden["text"].as_str().unwrap());
        // PyTorch's reference counts the images with a higher score. Here an image with the same score also counts when
        // its row is lower: the data have equal images. So a rank can only be the same or slightly larger.
        let (rank, wanted) = (u64::from(ranking.rank.unwrap()), golden["rank"].as_u64().unwrap());
        assert!((wanted.saturating_sub(1)..=wanted + 5).contains(&rank), "{}: {rank}, {wanted}", ranking.query_text);
        n_same_rank += usize::from(rank == wanted);
        n_equal += usize::from(same_top(ranking, golden));
    }
    println!("of {}: {n_equal} top tens and {n_same_rank} ranks are PyTorch's to the last place", rankings.len());
    assert!(n_same_rank + 30 >= rankings.len(), "only {n_same_rank} ranks are PyTorch's");
    assert!(n_equal + 30 >= rankings.len(), "only {n_equal} top tens are PyTorch's");
}

/// Whether the ids of a top ten are PyTorch's; where they differ, PyTorch's scores must be too close to distinguish.
fn same_top(ranking: &pipeline_eval::RankingRow, golden: &serde_json::Value) -> bool {
    let ids: Vec<_> = golden["top_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let scores: Vec<_> = golden["top_scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
    for (place, (found, score)) in ranking.top_ids.iter().zip(&ranking.top_scores).enumerate() {
        // Features that differ by 1e-6 give scores that do.
        assert!((f64::from(*score) - scores[place]).abs() < 5e-6, "{}: {score}", ranking.query_text);
        if found != ids[place] {
            let theirs = ids.iter().position(|id| id == found).map_or(scores[9], |place| scores[place]);
            assert!((theirs - scores[place]).abs() < 5e-6, "{}: place {place}", ranking.query_text);
        }
    }
    ranking.top_ids == ids
}
