//! Encoder stages: the independence of a row's vector, and the number of its computations.

use std::path::Path;

use crate::bench::{self, Bench};

/// The rows of a data set: ids, and images in base64 or texts.
type Rows = Vec<(String, String)>;

/// The number of repetitions at which the queries fill more than one shard.
const N_TIMES: usize = 60;

fn images() -> Rows {
    let text = std::fs::read_to_string(bench::fixtures().join("data/mini/MR_train_imgs.tsv")).unwrap();
    let row = |line: &str| line.split_once('\t').map(|(id, image)| (id.to_owned(), image.to_owned())).unwrap();
    text.lines().map(row).collect()
}

fn queries() -> Rows {
    let text = std::fs::read_to_string(bench::fixtures().join("data/mini/MR_train_queries.jsonl")).unwrap();
    let row = |line: &str| {
        let query: serde_json::Value = serde_json::from_str(line).unwrap();
        (query["query_id"].to_string(), query["query_text"].as_str().unwrap().to_owned())
    };
    text.lines().map(row).collect()
}

/// All rows, then all again with other ids, and so on.
fn repeated(rows: &Rows, n_times: usize) -> Rows {
    let copies = (0..n_times).flat_map(|copy| rows.iter().map(move |(id, row)| (format!("{copy}-{id}"), row.clone())));
    copies.collect()
}

/// The two encoder stages `text` and `vectors` over these rows, not run yet.
fn encoders(folder: &Path, queries: &Rows, images: &Rows, batch_rows: usize) -> Bench {
    let query = |(id, text): &(String, String)| {
        format!("{}\n", serde_json::json!({ "query_id": id, "query_text": text, "item_ids": [] }))
    };
    std::fs::write(folder.join("queries.jsonl"), queries.iter().map(query).collect::<String>()).unwrap();
    let image = |(id, image): &(String, String)| format!("{id}\t{image}\n");
    std::fs::write(folder.join("images.tsv"), images.iter().map(image).collect::<String>()).unwrap();
    Bench::new(&format!(
        "
vars: {{ data: {}, models: ../../../../tests/fixtures/tiny }}
stages:
  queries: {{ kind: load-queries, params: {{ path: '${{data}}/queries.jsonl' }} }}
  images: {{ kind: decode-images, params: {{ path: '${{data}}/images.tsv', size: [64, 64] }} }}
  text:
    kind: extract-text
    inputs: {{ queries: queries }}
    params: {{ model: '${{models}}/bert', batch_rows: {batch_rows} }}
  vectors:
    kind: extract-image
    inputs: {{ images: images }}
    params: {{ model: '${{models}}/resnet', batch_rows: {batch_rows} }}
",
        folder.display()
    ))
}

fn n_shards(bench: &Bench, stage: &str) -> usize {
    bench.artifact(stage).tree.files.keys().filter(|file| file.starts_with("part-")).count()
}

fn headline<'a>(bench: &'a Bench, stage: &str) -> &'a str {
    bench.report(stage).headline.as_deref().unwrap_or_default()
}

#[test]
fn equal_images_and_texts_are_encoded_once() {
    let folder = tempfile::tempdir().unwrap();
    let (queries, images) = (queries(), images());
    let once = encoders(folder.path(), &queries, &images, 16).run_all();
    let often = encoders(folder.path(), &repeated(&queries, N_TIMES), &repeated(&images, 2), 16).run_all();
    assert!(!headline(&once, "text").contains("encoded"), "{}", headline(&once, "text"));
    assert_eq!(headline(&once, "vectors"), "");
    let ending = "150 rows encoded, 8850 more are equal to one of them";
    assert!(headline(&often, "text").ends_with(ending), "{}", headline(&often, "text"));
    assert_eq!(headline(&often, "vectors"), "150 rows encoded, 150 more are equal to one of them");
    for (stage, n_times) in [("text", N_TIMES), ("vectors", 2)] {
        assert!(n_shards(&often, stage) > 1, "{stage}: equal rows of other shards are to be met");
        let (once, often) = (once.vectors(stage), often.vectors(stage));
        assert_eq!(often.len(), n_times * once.len());
        assert!(often.iter().all(|(id, vector)| *vector == once[id.split_once('-').unwrap().1]), "{stage}");
    }
}

/// The trap of equal rows: a shard is shared by its key, so the other work of its run must not matter.
#[test]
fn a_shard_has_the_same_bytes_whichever_others_are_computed_in_its_run() {
    let (folder, other_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (queries, images) = (repeated(&queries(), N_TIMES), repeated(&images(), 2));
    let together = encoders(folder.path(), &queries, &images, 16).run_all();
    for shard_idx in 0..together.shards.len() {
        let mut others = together.shards.clone();
        let missing = others.remove(shard_idx);
        let alone = encoders(other_folder.path(), &queries, &images, 16).with_remembered(&others).run_all();
        assert!(alone.shards.iter().any(|shard| shard.key == missing.key), "it is computed again");
        for stage in together.stages() {
            assert_eq!(alone.artifact(&stage).tree, together.artifact(&stage).tree, "{stage}");
        }
    }
}

#[test]
fn a_vector_depends_on_its_row_and_not_on_shards_batches_or_threads() {
    let folder = tempfile::tempdir().unwrap();
    let (queries, images) = (repeated(&queries(), N_TIMES), images());
    let expected = encoders(folder.path(), &queries, &images, 16).run_all();
    assert!(n_shards(&expected, "text") > 1 && n_shards(&expected, "vectors") > 1, "rows are to be cut differently");
    let backwards = |rows: &Rows| -> Rows { rows.iter().rev().cloned().collect() };
    let some = |rows: &Rows| -> Rows { rows.iter().skip(5).step_by(3).cloned().collect() };
    for (batch_rows, n_threads) in [(1, 1), (3, 2), (16, 3), (16, 1), (500, 2)] {
        for (queries, images) in [(backwards(&queries), backwards(&images)), (some(&queries), some(&images))] {
            let bench = encoders(folder.path(), &queries, &images, batch_rows).with_threads(n_threads).run_all();
            for (stage, n_rows) in [("text", queries.len()), ("vectors", images.len())] {
                let (vectors, expected) = (bench.vectors(stage), expected.vectors(stage));
                assert_eq!(vectors.len(), n_rows);
                let differs = vectors.iter().find(|(id, vector)| expected[*id] != **vector);
                let case = format!("{stage}: batches of {batch_rows}, {n_threads} threads");
                assert_eq!(differs.map(|(id, _)| id), None, "{case}");
            }
        }
    }
}
