//! Data sets as people have them: folders with tables of captions, tars of WebDataset, Parquet of Hugging Face.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::damage;
use crate::notebook::fixtures;
use crate::project::{Project, copy, make_fifo};
use crate::recorded;

fn pipelines() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines")
}

pub fn run(project: &Project, args: &[&str]) -> String {
    let reply = project.run(&[&["run"], args].concat());
    assert_eq!(reply.code, Some(0), "{}", reply.stderr);
    format!("{}\n{}", reply.stdout, reply.stderr)
}

/// The shards of a stage's artifact.
pub fn shards(project: &Project, spec: &str, stage: &str) -> Vec<PathBuf> {
    let folder = project.command(&["path", spec, stage]).output().unwrap();
    assert!(folder.status.success(), "{folder:?}");
    let folder = PathBuf::from(String::from_utf8(folder.stdout).unwrap().trim());
    let mut shards: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    shards.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    shards.sort();
    shards
}

pub fn image_ids(project: &Project, spec: &str, stage: &str) -> Vec<String> {
    let rows = |path: &PathBuf| pipeline_data::read_pixels(path).unwrap().rows;
    shards(project, spec, stage).iter().flat_map(rows).map(|row| row.id).collect()
}

pub fn queries(project: &Project, spec: &str, stage: &str) -> Vec<pipeline_data::QueryRow> {
    shards(project, spec, stage).iter().flat_map(|path| pipeline_data::read_query_shard(path).unwrap()).collect()
}

#[test]
fn the_example_of_own_images_trains_and_no_image_is_in_two_parts() {
    let project = Project::new();
    copy(&pipelines().join("demo/encoders"), &project.path("pipelines/demo/encoders"));
    copy(&pipelines().join("examples"), &project.path("pipelines/examples"));
    fs::create_dir(project.path("artifacts")).unwrap();
    let spec = "pipelines/examples/own-images.yaml";
    // The same stages, whose pixels are kept to be looked at.
    let kept = "pipelines/examples/kept.yaml";
    let stages = "{ train-images: { retain: true }, valid-images: { retain: true } }";
    project.write(kept, &format!("extends: own-images.yaml\nstages: {stages}\n"));
    assert!(run(&project, &[kept]).contains("MeanRecall"));
    let parts = || ["train", "valid"].map(|part| image_ids(&project, kept, &format!("{part}-images")));
    let parts_before = parts();
    let [train, valid] = parts_before.clone().map(BTreeSet::from_iter);
    assert!(train.is_disjoint(&valid) && train.len() + valid.len() == 72 && valid.len() > 10, "{parts_before:?}");
    for (part, ids) in [("train", &train), ("valid", &valid)] {
        let queries = queries(&project, kept, &format!("{part}-queries"));
        let named: BTreeSet<String> = queries.into_iter().flat_map(|row| row.image_ids.unwrap()).collect();
        assert_eq!(&named, ids, "the captions of {part} are those of its images");
    }
    assert!(run(&project, &[kept]).contains("nothing ran"));

    // An image more changes the part of no other.
    let png = fs::read(fixtures().join("images/2x3.png")).unwrap();
    fs::write(project.path("pipelines/examples/photos/0.png"), png).unwrap();
    let captions = project.read("pipelines/examples/photos/captions.csv");
    project.write("pipelines/examples/photos/captions.csv", &format!("{captions}0.png,\"a \"\"new\"\" one\"\n"));
    run(&project, &[kept]);
    let parts_after = parts();
    let moved = |before: &[String], after: &[String]| after.iter().filter(|id| *id != "0.png").ne(before);
    assert!(!moved(&parts_before[0], &parts_after[0]) && !moved(&parts_before[1], &parts_after[1]), "{parts_after:?}");
    assert_eq!(parts_after.iter().flatten().filter(|id| *id == "0.png").count(), 1);

    // Its report has thumbnails of the files in the folder: the pixels may be dropped.
    run(&project, &[spec]);
    let reply = project.run(&["report", "-o", "report.html"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let report = project.read("report.html");
    assert!(report.contains("data:image/jpeg;base64,") && !report.contains("No thumbnails"), "{reply:?}");
    let reply = project.run(&["search", spec, "手", "--html", "found.html"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    assert!(project.read("found.html").contains("data:image/"), "{reply:?}");
}

/// A bitmap of one pixel.
pub fn bitmap(colour: u32) -> Vec<u8> {
    let mut bytes = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
    bytes.resize(54, 0);
    bytes.extend_from_slice(&colour.to_le_bytes()[..3]);
    bytes.push(0);
    bytes
}

/// A tar of some files.
pub fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn a_tar_that_is_added_costs_its_own_index_and_the_shards_of_its_images() {
    let spec = |pattern: &str, size: u32| {
        format!("stages:\n  a: {{ kind: decode-images, params: {{ path: '{pattern}', size: [{size}, 4] }} }}\n")
    };
    let project = Project::with_spec(&spec("*.tar", 4));
    let add = |name: &str, colours: std::ops::Range<u32>| {
        let files: Vec<_> = colours.map(|colour| (format!("{colour:05}.bmp"), bitmap(colour))).collect();
        fs::write(project.path(name), tar_of(&files)).unwrap();
    };
    let n_indexes = || {
        let folder = project.path("artifacts/store-v1/actions");
        let text = |name: &PathBuf| fs::read_to_string(folder.join(name)).unwrap();
        recorded::files_below(&folder).iter().filter(|name| text(name).contains("decode-images/index")).count()
    };
    add("0.tar", 0..1000);
    add("1.tar", 1000..2000);
    recorded::run(&project, &[]);
    assert_eq!(n_indexes(), 2);
    add("2.tar", 2000..2100);
    let run = recorded::run(&project, &[]);
    let finished = run.events.iter().find(|event| event["event"] == "stage-finished").unwrap();
    assert!(finished["n_shards_computed"].as_u64().unwrap() <= 3, "{finished}");
    assert_eq!((n_indexes(), image_ids(&project, "spec.yaml", "a").len()), (3, 2100));
    // Other pixels of the same files.
    project.write("spec.yaml", &spec("{0,2}.tar", 8));
    recorded::run(&project, &[]);
    assert_eq!((n_indexes(), image_ids(&project, "spec.yaml", "a").len()), (3, 1100));
    // A lost index is made again, and damage is found.
    let artifacts = recorded::artifacts(&project);
    for entry in recorded::files_below(&project.path("artifacts/store-v1/objects")) {
        let path = project.path("artifacts/store-v1/objects").join(entry);
        let content = fs::read(&path).unwrap();
        if !content.starts_with(b"PAR1") {
            damage::overwrite_silently(&path, &vec![0; content.len()]);
        }
    }
    recorded::run(&project, &["--force", "a"]);
    assert_eq!(recorded::artifacts(&project), artifacts);
}

#[test]
fn ten_images_more_in_a_folder_cost_the_shards_that_they_are_in() {
    let project = Project::with_spec("stages:\n  a: { kind: decode-images, params: { path: photos, size: [4, 4] } }\n");
    for idx in 0..3000 {
        let path = project.path(&format!("photos/{}/{idx:04}.bmp", idx % 3));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bitmap(idx)).unwrap();
    }
    let counts = |reply: &str| {
        let mut events = reply.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let sharded = events.rfind(|event| event["event"] == "stage-sharded");
        sharded.map(|event| (event["n_shards"].as_u64().unwrap(), event["n_missing"].as_u64().unwrap()))
    };
    let (n_shards, n_missing) = counts(&run(&project, &["spec.yaml", "--json"])).unwrap();
    assert!(n_shards > 10 && n_missing == n_shards, "{n_missing} of {n_shards}");
    assert_eq!(counts(&run(&project, &["spec.yaml", "--json"])), None, "nothing ran");
    for idx in 0..10 {
        fs::write(project.path(&format!("photos/1/1000{idx}.bmp")), bitmap(90_000 + idx)).unwrap();
    }
    let planned = project.run(&["run", "spec.yaml", "--dry-run"]);
    let (n_shards, n_missing) = counts(&run(&project, &["spec.yaml", "--json"])).unwrap();
    assert!((1..=3).contains(&n_missing), "{n_missing} of {n_shards}");
    assert!(planned.stdout.contains(&format!("{n_missing} of {n_shards} shards")), "{planned:?}");
    // A table beside the images is part of the folder, and of no shard.
    project.write("photos/metadata.csv", "file_name,text\n");
    assert_eq!(counts(&run(&project, &["spec.yaml", "--json"])).unwrap(), (n_shards, 0));

    make_fifo(&project.path("photos/pipe.bmp"));
    project.write("photos/clip.mp4", "");
    project.write("photos/.pipelineignore", "2/\n");
    let reply = run(&project, &["spec.yaml"]);
    assert!(reply.contains("`pipe.bmp`: it is a FIFO and not a regular file"), "{reply}");
    assert!(reply.contains("1 file is no image by name and passed over, such as `clip.mp4`"), "{reply}");
    assert_eq!(image_ids(&project, "spec.yaml", "a").len(), 2010, "ignored files are no images");
}

#[test]
fn tars_and_parquet_join_their_captions_and_show_what_changed() {
    let project = Project::with_spec(
        "stages:
  tars: { kind: decode-images, params: { path: 'data/samples-{0..1}.tar', size: [4, 4] } }
  tars-captions: { kind: load-queries, params: { path: 'data/samples-*.tar' } }
  hub: { kind: decode-images, params: { path: 'data/hub-*.parquet', size: [4, 4] } }
  hub-captions: { kind: load-queries, params: { path: 'data/hub-*.parquet' } }
  valid: { kind: decode-images, params: { path: 'data/hub-*.parquet', split: { column: split, value: valid }, size: \
        [4, 4] } }
  flickr: { kind: load-queries, params: { path: data/flickr.csv, split: { column: split, value: valid } } }
  named: { kind: decode-images, inputs: { queries: flickr }, params: { path: data/photos, size: [4, 4] } }
",
    );
    copy(&fixtures().join("data/forms"), &project.path("data"));
    run(&project, &["spec.yaml"]);
    let ids = |stage: &str| image_ids(&project, "spec.yaml", stage);
    let named = |stage: &str| -> BTreeSet<String> {
        queries(&project, "spec.yaml", stage).into_iter().flat_map(|row| row.image_ids.unwrap()).collect()
    };
    for (images, captions) in [("tars", "tars-captions"), ("hub", "hub-captions")] {
        assert_eq!(BTreeSet::from_iter(ids(images)), named(captions), "{images}");
    }
    assert_eq!(ids("valid"), ["dogs/2.small.png", "红/4.webp"]);
    assert_eq!(ids("named"), ids("valid"), "only the images that the queries name");
    let pixels = |stage: &str| -> Vec<_> {
        let rows = |path: &PathBuf| pipeline_data::read_pixels(path).unwrap().rows;
        shards(&project, "spec.yaml", stage).iter().flat_map(rows).map(|row| row.pixels).collect()
    };
    assert_eq!(pixels("tars"), pixels("hub"));
    assert!(run(&project, &["spec.yaml"]).contains("nothing ran"));

    // Each file is a source by its name; a file more matches the pattern with a star, and not the braces.
    fs::copy(project.path("data/samples-0.tar"), project.path("data/samples-2.tar")).unwrap();
    let why = project.run(&["why", "spec.yaml", "tars-captions"]).stdout;
    assert!(why.contains("source.path/samples-2.tar"), "{why}");
    // Sources that are gone stand for their last content.
    fs::remove_file(project.path("data/samples-2.tar")).unwrap();
    fs::rename(project.path("data"), project.path("unmounted")).unwrap();
    let reply = run(&project, &["spec.yaml"]);
    assert!(reply.contains("nothing ran, 7 reused, 7 warnings"), "{reply}");
}

#[test]
fn mistakes_about_data_are_found_before_anything_runs() {
    let project = Project::new();
    copy(&fixtures().join("data/forms"), &project.path("data"));
    fs::create_dir_all(project.path("empty/deeper")).unwrap();
    project.write("empty/notes.txt", "");
    project.write("captions.txt", "image,caption\n1.jpg,A child .\n");
    fs::create_dir(project.path("tables")).unwrap();
    fs::copy(project.path("data/hub-0.parquet"), project.path("tables/train-0.parquet")).unwrap();
    let decode = |params: &str| format!("stages:\n  a: {{ kind: decode-images, params: {{ {params} }} }}\n");
    let load = |params: &str| format!("stages:\n  a: {{ kind: load-queries, params: {{ {params} }} }}\n");
    for (spec, message) in [
        (decode("path: empty"), "has no images by their names"),
        (decode("path: 'data/shard-*.tar'"), "no file matches"),
        (decode("path: 'data/samples-{0..3}.tar'"), "samples-2.tar` is missing, one of 4 files"),
        (decode("path: data/hub-0.parquet, columns: { image: img }"), "no column `img`"),
        (decode("path: data/hub-0.parquet, columns: { id: splt }"), "did you mean `split`?"),
        (decode("path: data/hub-0.parquet, image_id: stem"), "`image_id` has no meaning"),
        (decode("path: data/photos, split: { column: split, value: train }"), "needs a table"),
        (decode("path: data/photos, split: { part: trian, of: { train: 1 } }"), "did you mean `train`?"),
        (decode("path: data/photos, split: { part: a, of: { a: 0.5, b: 0.4 } }"), "sum to 0.9"),
        (decode("path: data/photos, split: { part: a }"), "`of` has no part `a`"),
        (decode("path: data/photos, split: { column: x }"), "needs either `value` or `values`"),
        (decode("path: data/flickr.csv.tar"), "cannot be read"),
        (decode("path: data/hub-0.parquet, split: { column: split, value: tarin }"), "which has `train`"),
        (load("path: data/photos"), "metadata.csv"),
        (load("path: data/flickr.csv, columns: { text: caption }"), "no column `caption`"),
        (load("path: data/flickr.csv, split: { column: set, value: train }"), "no column `set`"),
        (load("path: data/samples-0.tar, columns: { text: json.captoin }"), "did you mean `json.caption`?"),
        (load("path: data/hub-0.parquet, columns: { text: sentences }"), "no column `sentences`"),
        (load("path: data/metadata.jsonl, split: { column: x, value: y }"), "cannot be read"),
        (
            load("path: data/flickr.csv, split: { column: split, value: vaild }"),
            "no row has `vaild` in the column `split`, which has `train`, `valid`",
        ),
        (load("path: captions.txt"), "is read where its name ends in `.csv`"),
        (load("path: captions.txt, columns: { text: caption }"), "is read where its name ends in `.csv`"),
        (load("path: tables"), "`path: [FOLDER]/tables/*.parquet` names its .parquet files"),
        (decode("path: tables"), "`path: [FOLDER]/tables/*.parquet` names its .parquet files"),
        (decode("path: 'data/*'"), "stands for several files, and must end in .tar or .parquet"),
        (load("path: data/photos/metadata.csv, image_id: place"), "`image_id: place` has no meaning"),
        (
            load("path: data/names.parquet, image_id: place, columns: { item_ids: image }"),
            "and places by `image_id: place`",
        ),
        (
            load("path: data/samples-0.tar, image_id: place, columns: { item_ids: json.split }"),
            "and places by `image_id: place`",
        ),
        (decode("path: data/photos, image_id: place"), "`image_id: place` has no meaning"),
        (decode("path: data/hub-0.parquet, image_id: place, columns: { id: split }"), "names the ids"),
    ] {
        project.write("spec.yaml", &spec);
        let validated = project.run(&["validate", "spec.yaml"]);
        let reply = if validated.code == Some(0) { project.run(&["run", "spec.yaml"]) } else { validated };
        assert!(reply.code != Some(0) && reply.stderr.contains(message), "{spec}: {reply:?}");
        assert!(!reply.stderr.contains("internal error"), "{reply:?}");
    }
}

#[test]
fn images_that_no_caption_meets_are_shown_beside_what_the_captions_name() {
    let project = Project::with_spec(
        "stages:
  queries: { kind: load-queries, params: { path: captions.csv } }
  images: { kind: decode-images, inputs: { queries: queries }, params: { path: data/photos } }
",
    );
    copy(&fixtures().join("data/forms"), &project.path("data"));
    project.write("captions.csv", "image,caption\nphotos/dogs/1.jpg,a dog\n");
    let reply = project.run(&["run", "spec.yaml"]);
    assert_eq!(reply.code, Some(3), "{reply:?}");
    let message =
        "none of the 1 images that the queries name, such as `photos/dogs/1.jpg`; the first image is `cats/3.png`";
    assert!(reply.stderr.contains(message) && reply.stderr.contains("`image_id`"), "{reply:?}");
    // Names alone meet.
    let by_name = ["--set", "queries.params.image_id=name", "--set", "images.params.image_id=name"];
    run(&project, &["spec.yaml", by_name[0], by_name[1], by_name[2], by_name[3]]);
}
