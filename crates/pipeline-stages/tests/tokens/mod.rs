//! `pooling: tokens` of the encoder stages: every vector of every row, cut, cached and shared like features.

mod training;

use std::collections::BTreeMap;

use pipeline_data::{DataError, read_token_parts};
use pipeline_kernels::f32_to_half;

use crate::bench::{self, Bench};

/// Both encoders over the tiny data set, with these params.
fn encoders(params: &str) -> Bench {
    Bench::new(&format!(
        "
vars: {{ data: ../../../../tests/fixtures/data/mini, models: ../../../../tests/fixtures/tiny }}
stages:
  queries: {{ kind: load-queries, params: {{ path: '${{data}}/MR_valid_queries.jsonl' }} }}
  images: {{ kind: decode-images, params: {{ path: '${{data}}/MR_train_imgs.tsv', size: [64, 96], max_samples: 20 }} }}
  text: {{ kind: extract-text, inputs: {{ queries: queries }}, params: {{ model: '${{models}}/bert'{params} }} }}
  vectors: {{ kind: extract-image, inputs: {{ images: images }}, params: {{ model: '${{models}}/resnet'{params} }} }}
"
    ))
}

/// The vectors of all tokens of a stage's rows, by id.
fn tokens(bench: &Bench, stage: &str) -> BTreeMap<String, Vec<Vec<f32>>> {
    let artifact = bench.artifact(stage);
    let mut rows = BTreeMap::new();
    for file in artifact.tree.files.keys().filter(|file| file.starts_with("part-")) {
        read_token_parts(&artifact.file(file).unwrap(), |part| {
            for (row_idx, id) in part.ids.into_iter().enumerate() {
                let mut buffer = Vec::new();
                let vectors = part.tokens.row(row_idx, &mut buffer).chunks_exact(part.tokens.width());
                rows.insert(id.unwrap(), vectors.map(<[f32]>::to_vec).collect());
            }
            Ok::<_, DataError>(())
        })
        .unwrap();
    }
    rows
}

fn bits(vector: &[f32]) -> Vec<u32> {
    vector.iter().map(|value| value.to_bits()).collect()
}

fn mean(tokens: &[Vec<f32>]) -> Vec<f32> {
    let sum = |col: usize| tokens.iter().map(|token| f64::from(token[col])).sum::<f64>();
    (0..tokens[0].len()).map(|col| (sum(col) / tokens.len() as f64) as f32).collect()
}

fn description(bench: &Bench, stage: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(bench.artifact(stage).file("_features.json").unwrap()).unwrap()).unwrap()
}

#[test]
fn poolings_are_those_of_the_tokens_bit_for_bit() {
    let bench = encoders(", pooling: tokens").run_all();
    let (texts, images) = (tokens(&bench, "text"), tokens(&bench, "vectors"));
    let mut cls = encoders("");
    ["queries", "images", "text", "vectors"].iter().for_each(|stage| cls.run(stage).unwrap());
    let (cls, avg) = (cls.vectors("text"), cls.vectors("vectors"));
    assert!(texts.keys().eq(cls.keys()) && images.keys().eq(avg.keys()));
    assert!(texts.values().any(|tokens| tokens.len() > 10), "padding would show in shorter texts");
    assert!(texts.values().any(|tokens| tokens.len() < 8));
    for (id, tokens) in &texts {
        assert_eq!(bits(&tokens[0]), cls[id], "{id}");
    }
    for (id, cells) in &images {
        assert_eq!(cells.len(), 2 * 3, "a cell for each 32×32 pixels");
        assert_eq!(bits(&mean(cells)), avg[id], "{id}");
    }
    let mut means = encoders(", pooling: mean");
    ["queries", "text"].iter().for_each(|stage| means.run(stage).unwrap());
    assert!(means.vectors("text").iter().all(|(id, vector)| *vector == bits(&mean(&texts[id]))));
    assert_eq!(description(&bench, "text")["tokens"], serde_json::json!({"has_class": true, "n_before_mean": 0}));
    assert_eq!(description(&bench, "vectors")["tokens"], serde_json::json!({"has_class": false, "n_before_mean": 0}));
    assert_eq!(description(&bench, "text")["space"]["pooling"], "tokens");
}

#[test]
fn half_precision_rounds_every_number_and_is_part_of_the_key() {
    let (single, half) =
        (encoders(", pooling: tokens").run_all(), encoders(", pooling: tokens, precision: f16").run_all());
    for stage in ["text", "vectors"] {
        let (single_rows, half_rows) = (tokens(&single, stage), tokens(&half, stage));
        assert!(single_rows.keys().eq(half_rows.keys()));
        for (id, tokens) in &single_rows {
            let rounded = tokens.iter().flatten().map(|value| f32_to_half(*value));
            assert!(rounded.eq(half_rows[id].iter().flatten().map(|value| f32_to_half(*value))), "{stage} {id}");
        }
        let bytes =
            |bench: &Bench| std::fs::metadata(bench.artifact(stage).file("part-00000.parquet").unwrap()).unwrap().len();
        assert!(bytes(&half) * 10 < bytes(&single) * 6, "{stage}");
        assert_eq!(single.stage(stage).params().get("precision"), None);
        assert_eq!(half.stage(stage).params()["precision"], "\"f16\"");
        assert_eq!(description(&half, stage)["dtype"], "f16");
        assert_eq!(description(&half, stage)["space"]["precision"], "f16");
        assert_eq!(description(&single, stage)["space"].get("precision"), None);
    }
    let said = encoders(", pooling: tokens, precision: f32");
    assert_eq!(said.stage("text").params(), single.stage("text").params(), "the usual precision is no other key");
}

#[test]
fn rounding_of_products_is_an_allowance_in_the_key_that_a_processor_does_not_take() {
    let (single, rounded) = (encoders("").run_all(), encoders(", precision: bf16").run_all());
    for stage in ["text", "vectors"] {
        let rows = |bench: &Bench| std::fs::read(bench.artifact(stage).file("part-00000.parquet").unwrap()).unwrap();
        assert_eq!(rows(&single), rows(&rounded), "{stage} is computed in f32");
        assert_eq!(single.stage(stage).params().get("precision"), None);
        assert_eq!(rounded.stage(stage).params()["precision"], "\"bf16\"");
        assert_eq!(description(&rounded, stage)["dtype"], "f32");
        assert_eq!(description(&rounded, stage)["space"]["precision"], "bf16");
    }
    let said = encoders(", precision: f32");
    assert_eq!(said.stage("text").params(), single.stage("text").params(), "the usual precision is no other key");
}

#[test]
fn precision_without_tokens_is_refused_at_its_place() {
    let spec = pipeline_spec::parse(
        "
stages:
  queries: { kind: load-queries, params: { path: a.jsonl } }
  text: { kind: extract-text, inputs: { queries: queries }, params: { model: bert, precision: f16 } }
",
        &bench::spec_file(),
    )
    .unwrap();
    let error = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err().unwrap();
    assert!(error.to_string().contains("`precision: f16` needs `pooling: tokens`"), "{error}");
}

#[test]
fn tokens_have_the_same_bytes_in_any_batch_and_on_any_number_of_threads() {
    let expected = encoders(", pooling: tokens").run_all();
    for (batch_rows, n_threads) in [(1, 1), (3, 2), (500, 3)] {
        let bench = encoders(&format!(", pooling: tokens, batch_rows: {batch_rows}")).with_threads(n_threads).run_all();
        for stage in ["text", "vectors"] {
            assert_eq!(bench.artifact(stage).tree, expected.artifact(stage).tree, "{stage}: {batch_rows}, {n_threads}");
        }
    }
}
