//! A project whose data has several shards, with a chain of programs that reads and publishes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::notebook::fixtures;
use crate::project::Project;

/// Stages of every sort: two that write shards, programs with sources and inputs, published files, dropped bytes.
const SPEC: &str = r#"stages:
  images: { kind: decode-images, params: { path: images.tsv, size: [4, 4] } }
  queries: { kind: load-queries, params: { path: queries.jsonl } }
  head:
    kind: command
    params: { run: [sh, -c, 'head -c 5 "$SPEC_DIR/in.txt" > head.txt'], outputs: [head.txt], sources: [in.txt] }
    publish: { head.txt: out/head.txt }
  digest:
    kind: command
    inputs: { head: head, images: images, queries: queries }
    retain: false
    params:
      run: [sh, -c, 'cat "$INPUT_HEAD/head.txt" "$INPUT_IMAGES"/*.parquet "$INPUT_QUERIES"/*.parquet | cksum > digest.txt']
      outputs: [digest.txt]
  report:
    kind: command
    inputs: { digest: digest, images: images }
    params: { run: [sh, -c, '(cat "$INPUT_DIGEST/digest.txt"; ls "$INPUT_IMAGES") > report.txt'], outputs: [report.txt] }
    publish: { report.txt: report.txt }
"#;

/// The published files.
pub const PUBLISHED: [&str; 2] = ["out/head.txt", "report.txt"];

/// A project with `n_images` images and ten times as many queries, not run yet.
pub fn sharded(n_images: usize) -> Project {
    let project = Project::with_spec(SPEC);
    project.write("in.txt", "AAAAAtail\n");
    let tsv = std::fs::read_to_string(fixtures().join("data/mini/MR_valid_imgs.tsv")).unwrap();
    let mut images: Vec<&str> = tsv.lines().filter_map(|line| line.split_once('\t')).map(|(_, image)| image).collect();
    images.sort_by_key(|image| image.len());
    let (mut rows, mut queries) = (String::new(), String::new());
    for idx in 0..n_images {
        writeln!(rows, "{idx}\t{}", images[idx % 20]).unwrap();
    }
    for idx in 0..10 * n_images {
        let image = idx % n_images;
        writeln!(queries, r#"{{"query_id": {idx}, "query_text": "query {idx}", "item_ids": [{image}]}}"#).unwrap();
    }
    project.write("images.tsv", &rows);
    project.write("queries.jsonl", &queries);
    project
}

/// The published files by name; missing ones are empty.
pub fn published(project: &Project) -> BTreeMap<&'static str, String> {
    PUBLISHED.iter().map(|name| (*name, project.read(name))).collect()
}
