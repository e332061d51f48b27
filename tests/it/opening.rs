//! A run opens the shards of an input that it works on, and no others; damage is healed where it is found.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::damage;
use crate::notebook::fixtures;
use crate::project::{Project, copy};
use crate::random::Random;
use crate::recorded::{self, Recorded};

const N_IMAGES: usize = 1200;

/// Images in about ten shards, and their features. The encoder is copied, so that a test can change it.
fn project(max_samples: usize) -> Project {
    let project = Project::with_spec(&spec(max_samples, 8));
    let tsv = fs::read_to_string(fixtures().join("data/mini/MR_valid_imgs.tsv")).unwrap();
    let images: Vec<&str> = tsv.lines().filter_map(|line| line.split_once('\t')).map(|(_, image)| image).collect();
    let mut rows = String::new();
    for idx in 0..N_IMAGES {
        writeln!(rows, "{idx}\t{}", images[idx % images.len()]).unwrap();
    }
    project.write("images.tsv", &rows);
    copy(
        &PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/demo/encoders/resnet"),
        &project.path("resnet"),
    );
    project
}

fn spec(max_samples: usize, side: usize) -> String {
    format!(
        "stages:\n  images: {{ kind: decode-images, params: {{ path: images.tsv, size: [{side}, 8], max_samples: \
        {max_samples} }} }}\n  \
         features: {{ kind: extract-image, inputs: {{ images: images }}, params: {{ model: resnet }} }}\n"
    )
}

/// How many shards a stage has computed, of how many.
fn shards(run: &Recorded, stage: &str) -> (u64, u64) {
    let finished =
        run.events.iter().find(|event| event["event"] == "stage-finished" && event["stage"] == stage).unwrap();
    let count = |name: &str| finished[name].as_u64().unwrap();
    let n_computed = count("n_shards_computed");
    (n_computed, n_computed + count("n_shards_reused"))
}

/// The shards of pixels that were opened since all folders were removed: one file each.
fn opened(project: &Project) -> BTreeSet<PathBuf> {
    let trees = fs::read_dir(project.path("artifacts/store-v1/trees")).unwrap();
    trees.flat_map(|tree| fs::read_dir(tree.unwrap().path()).unwrap()).map(|file| file.unwrap().path()).collect()
}

fn close_all(project: &Project) {
    fs::remove_dir_all(project.path("artifacts/store-v1/trees")).unwrap();
}

#[test]
fn a_run_opens_the_shards_that_it_encodes_and_its_result_is_that_of_one_that_opens_all() {
    let project = project(800);
    recorded::run(&project, &[]);
    close_all(&project);
    project.write("spec.yaml", &spec(N_IMAGES, 8));
    let run = recorded::run(&project, &[]);
    let (n_computed, n_shards) = shards(&run, "features");
    assert!(0 < n_computed && n_computed < n_shards / 2 + 1, "{n_computed} of {n_shards}");
    assert_eq!(opened(&project).len() as u64, n_computed);

    let alone = self::project(N_IMAGES);
    let run = recorded::run(&alone, &[]);
    assert_eq!((shards(&run, "features"), opened(&alone).len() as u64), ((n_shards, n_shards), n_shards));
    assert_eq!(recorded::artifacts(&project), recorded::artifacts(&alone));
}

#[test]
fn of_many_shards_only_the_damaged_one_is_computed_again_and_no_result_is_lost() {
    let project = project(N_IMAGES);
    let before = recorded::run(&project, &[]);
    let expect = recorded::artifacts(&project);
    let last = opened(&project).into_iter().max().unwrap();
    damage::flip_bit(&last, &mut Random::new(7));
    close_all(&project);
    let run = recorded::run(&project, &["--force", "features"]);
    let (n_computed, n_shards) = shards(&run, "images");
    assert_eq!((n_computed, n_shards), (1, shards(&before, "images").1));
    assert_eq!(run.warnings().lines().filter(|warning| warning.contains("is computed again")).count(), 1);
    assert_eq!(recorded::artifacts(&project), expect);
    recorded::assert_intact(&project, "after the damage was healed");
}

/// The demo without training, its images with stored pixels or without.
fn zero_shot(has_pixels: bool) -> String {
    let pipelines = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pipelines").canonicalize().unwrap();
    let demo = pipelines.join("demo");
    let decode = "path: '${demo}/data/MR_valid_imgs.tsv', max_samples: 300, like: '${clip}'";
    let model = "model: '${clip}', pooling: projected";
    let (pixels, images) = match has_pixels {
        true => (
            format!("  images: {{ kind: decode-images, params: {{ {decode} }}, retain: false }}\n"),
            format!("{{ kind: extract-image, inputs: {{ images: images }}, params: {{ {model} }} }}"),
        ),
        false => (String::new(), format!("{{ kind: extract-image, params: {{ {model}, decode: {{ {decode} }} }} }}")),
    };
    format!(
        "vars: {{ demo: '{}', clip: '${{demo}}/encoders/chinese-clip' }}\nstages:\n{pixels}  \
         queries: {{ kind: load-queries, params: {{ path: '${{demo}}/data/MR_valid_queries.jsonl' }} }}\n  \
         text: {{ kind: extract-text, inputs: {{ queries: queries }}, params: {{ {model}, max_length: 52 }} }}\n  \
         vectors: {images}\n  \
         heads: {{ kind: train-projection, inputs: {{ queries: queries, text: text, images: vectors }}, params: {{ \
        fusion: \
         passthrough }} }}\n  \
         evaluate: {{ kind: evaluate-recall, inputs: {{ queries: queries, text: text, images: vectors, projection: \
        heads }} }}\n\
         check: {{ mean_recall: {{ max_drop: 0.0 }} }}\n",
        demo.display()
    )
}

#[test]
fn without_stored_pixels_nothing_else_is_different() {
    let project = Project::with_spec(&zero_shot(true));
    recorded::run(&project, &[]);
    assert_eq!(project.run(&["check", "spec.yaml", "--accept"]).code, Some(0));
    let vectors =
        |project: &Project| recorded::artifacts(project).into_iter().find(|(stage, _)| stage.contains("vectors"));
    let expect = vectors(&project);

    project.write("spec.yaml", &zero_shot(false));
    let run = recorded::run(&project, &[]);
    assert_eq!(run.started().into_iter().collect::<Vec<_>>(), ["vectors"], "the features are the same");
    assert_eq!(vectors(&project), expect);
    let reply = project.run(&["check", "spec.yaml"]);
    assert_eq!(reply.code, Some(0), "the pool is the same: {reply:?}");

    let rows = fs::read_to_string(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/demo/data/MR_valid_imgs.tsv"),
    );
    let row = rows.unwrap().lines().next().unwrap().to_owned();
    let (id, base64) = row.split_once('\t').unwrap();
    fs::write(project.path("image"), pipeline_data::decode_base64(base64.as_bytes()).unwrap()).unwrap();
    let reply = project.run(&["search", "spec.yaml", "--image", "image", "-k", "1", "--json"]);
    assert!(reply.stdout.contains(id), "{reply:?}");
    let reply = project.run(&["report", "-o", "report.html"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let report = project.read("report.html");
    assert!(report.contains("data:image/") && !report.contains("No pictures"), "{reply:?}");
}
