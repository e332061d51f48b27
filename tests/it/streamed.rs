//! Training and evaluation with less memory than their features take.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::process::Command;

use crate::notebook::fixtures;
use crate::project::{Project, Reply, with_default_signals};
use crate::recorded;

const SPEC: &str = r#"stages:
  queries: { kind: load-queries, params: { path: queries.jsonl } }
  text: { kind: import-text-features, inputs: { queries: queries }, params: { path: text.npy, ids: text.txt } }
  images: { kind: import-image-features, params: { path: images.npy, ids: images.txt } }
  projection:
    kind: train-projection
    inputs: { queries: queries, text: text, images: images, valid_queries: queries, valid_text: text, valid_images: images }
    params: { projection_dim: 32, batch_size: 1000, epochs: 1 }
  evaluate: { kind: evaluate-recall, inputs: { queries: queries, text: text, images: images, projection: projection } }
"#;

const N_IMAGES: usize = 40_000;
const D_IMAGE: usize = 1024;
const N_TEXTS: usize = 4_000;
const D_TEXT: usize = 64;

/// The memory of a run, in KiB: the program itself takes some 90,000.
const LIMIT_KIB: usize = 128 << 10;

/// Writes irregular numbers as `NAME.npy`, and the numbers of the rows as `NAME.txt`.
fn write_side(project: &Project, name: &str, n_rows: usize, dim: usize) {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n_rows}, {dim}), }}");
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    write!(header, "{:>1$}", "\n", length - header.len()).unwrap();
    let mut file = BufWriter::new(File::create(project.path(&format!("{name}.npy"))).unwrap());
    file.write_all(b"\x93NUMPY\x01\x00").unwrap();
    file.write_all(&(length as u16).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    for idx in 0..n_rows * dim {
        let noise = (idx as u32).wrapping_mul(2_654_435_769).rotate_left(15).wrapping_mul(2_246_822_519);
        file.write_all(&(noise as f32 / u32::MAX as f32 - 0.5).to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
    project.write(&format!("{name}.txt"), &(0..n_rows).fold(String::new(), |ids, row| ids + &row.to_string() + "\n"));
}

/// The reply of the program under a limit of the shell's `ulimit`.
fn with_limit(project: &Project, args: &[&str], limit: &str) -> Reply {
    let command = with_default_signals(&project.command(args));
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit {limit} && exec \"$@\""), "sh"]);
    limited.arg(command.get_program()).args(command.get_args()).current_dir(project.path("")).env_clear();
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    project.reply(&limited.output().unwrap())
}

#[test]
fn the_limit_of_open_files_is_raised_for_features_in_many_files() {
    let count = "stages: { count: { kind: command, params: { run: [sh, -c, 'ulimit -n > out'], outputs: [out] } } }";
    let project = Project::with_spec(count);
    let reply = with_limit(&project, &["run", "spec.yaml"], "-S -n 64");
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let path = recorded::json(&project, &["path", "spec.yaml", "count", "--json"]);
    let n_files = fs::read_to_string(format!("{}/out", path["folder"].as_str().unwrap())).unwrap();
    assert!(n_files.trim().parse::<u64>().map_or(n_files.trim() == "unlimited", |n| n > 64), "{n_files}");
}

#[test]
fn features_larger_than_memory_give_the_same_heads_and_ranks() {
    let project = Project::with_spec(SPEC);
    write_side(&project, "images", N_IMAGES, D_IMAGE);
    write_side(&project, "text", N_TEXTS, D_TEXT);
    let mut queries = String::new();
    for idx in 0..N_TEXTS {
        let image = idx * 9 % N_IMAGES;
        writeln!(queries, r#"{{"query_id": {idx}, "query_text": "text {idx}", "item_ids": [{image}]}}"#).unwrap();
    }
    project.write("queries.jsonl", &queries);
    recorded::run(&project, &[]);
    let expect = recorded::artifacts(&project);
    assert!(LIMIT_KIB << 10 < N_IMAGES * D_IMAGE * size_of::<f32>(), "the limit is below the features of one side");
    let args = ["run", "spec.yaml", "--threads", "2", "--force", "projection", "--force", "evaluate"];
    let reply = with_limit(&project, &args, &format!("-d {LIMIT_KIB}"));
    assert!(reply.code == Some(0) && reply.stderr.contains("2 ran, 3 reused"), "{reply:?}");
    assert_eq!(recorded::artifacts(&project), expect);
}

/// All layers of the encoder are left out, so that the tokens are quickly made. Only few of the texts train layers.
const TOKENS: &str = r#"stages:
  queries: { kind: load-queries, params: { path: queries.jsonl } }
  text: { kind: extract-text, inputs: { queries: queries }, params: { model: MODEL, layers: -2, max_length: 512 } }
  images: { kind: import-image-features, params: { path: images.npy, ids: images.txt } }
  few-images: { kind: import-image-features, params: { path: few-images.npy, ids: few-images.txt } }
  attentive:
    kind: train-projection
    inputs: { queries: queries, text: text, images: images, valid_queries: queries, valid_text: text, valid_images: images }
    params: { projection_dim: 16, batch_size: 500, epochs: 1 }
  top:
    kind: train-top
    inputs: { queries: queries, text: text, images: few-images }
    params: { text_model: MODEL, projection_dim: 16, batch_size: 2, epochs: 1 }
  evaluate: { kind: evaluate-recall, inputs: { queries: queries, text: text, images: images, projection: attentive } }
"#;

const N_LONG_TEXTS: usize = 1200;

#[test]
fn tokens_larger_than_memory_give_the_same_pool_and_the_same_layers() {
    let model = fixtures().join("tiny/bert");
    let project = Project::with_spec(&TOKENS.replace("MODEL", model.to_str().unwrap()));
    write_side(&project, "images", 60, D_IMAGE);
    write_side(&project, "few-images", 1, D_IMAGE);
    let mut queries = String::new();
    for idx in 0..N_LONG_TEXTS {
        let text: String = (0..510).map(|place| ['上', '下', '不', '中'][(idx * 7 + place * idx) % 4]).collect();
        writeln!(queries, r#"{{"query_id": {idx}, "query_text": "{text}", "item_ids": [{}]}}"#, idx % 60).unwrap();
    }
    project.write("queries.jsonl", &queries);
    recorded::run(&project, &[]);
    let expect = recorded::artifacts(&project);
    let tokens = recorded::json(&project, &["path", "spec.yaml", "text", "--json"]);
    let files = fs::read_dir(tokens["folder"].as_str().unwrap()).unwrap();
    let n_bytes: u64 = files.map(|file| fs::metadata(file.unwrap().path()).unwrap().len()).sum();
    assert!(n_bytes > LIMIT_KIB as u64 * 1024, "the limit is below the tokens: {n_bytes}");
    let forced = ["attentive", "top", "evaluate"].into_iter().flat_map(|stage| ["--force", stage]);
    let args: Vec<&str> = ["run", "spec.yaml", "--threads", "2", "--jobs", "1"].into_iter().chain(forced).collect();
    let reply = with_limit(&project, &args, &format!("-d {LIMIT_KIB}"));
    assert!(reply.code == Some(0) && reply.stderr.contains("3 ran, 4 reused"), "{reply:?}");
    assert_eq!(recorded::artifacts(&project), expect);
}
