//! Ids that are not what they seem: paths and keys that come again, forms of letters, two texts of one id.

use std::fs;

use crate::forms::{bitmap, image_ids, queries, run, shards, tar_of};
use crate::notebook::fixtures;
use crate::project::{Project, copy};

/// The queries of a stage as `text -> images`.
fn named(project: &Project, stage: &str) -> Vec<String> {
    let named = |row: pipeline_data::QueryRow| format!("{} -> {}", row.text, row.image_ids.unwrap().join(" "));
    queries(project, "spec.yaml", stage).into_iter().map(named).collect()
}

fn refusal(project: &Project, args: &[&str]) -> String {
    let reply = project.run(&[&["run", "spec.yaml"], args].concat());
    assert_eq!(reply.code, Some(3), "{reply:?}");
    reply.stderr
}

#[test]
fn different_images_of_one_path_are_refused_and_places_tell_them_apart() {
    let project = Project::with_spec(
        "stages:
  images: { kind: decode-images, params: { path: data/basenames.parquet, size: [4, 4] } }
  captions: { kind: load-queries, params: { path: data/basenames.parquet } }
",
    );
    copy(&fixtures().join("data/forms"), &project.path("data"));
    let reply = refusal(&project, &[]);
    assert!(reply.contains("row 1 and row 3 are different images with the id `1.png`"), "{reply}");
    assert!(reply.contains("`image_id: place` here and in `load-queries`"), "{reply}");

    let places = ["--set", "images.params.image_id=place", "--set", "captions.params.image_id=place"];
    let spec = project.read("spec.yaml").replace("data/basenames.parquet", "data/basenames.parquet, image_id: place");
    let reply = run(&project, &[&["spec.yaml"], places.as_slice()].concat());
    let repeated = "1 row repeats the bytes of an earlier row, and each is an image of its own by `image_id: place`, \
                    the first at row 2";
    assert!(reply.contains(repeated), "{reply}");
    project.write("spec.yaml", &spec);
    assert!(run(&project, &["spec.yaml"]).contains("nothing ran"));
    let place = |row: usize| format!("basenames.parquet#{row}");
    assert_eq!(image_ids(&project, "spec.yaml", "images"), [0, 1, 2, 3].map(place));
    let texts = ["a cat", "the cat", "a dot", "x"];
    let expect: Vec<_> = texts.iter().enumerate().map(|(row, text)| format!("{text} -> {}", place(row))).collect();
    assert_eq!(named(&project, "captions"), expect);
    // The name of the file is in the ids, and so in the key.
    fs::rename(project.path("data/basenames.parquet"), project.path("data/other.parquet")).unwrap();
    project.write("spec.yaml", &spec.replace("basenames", "other"));
    run(&project, &["spec.yaml"]);
    assert_eq!(image_ids(&project, "spec.yaml", "images")[3], "other.parquet#3");
    assert_eq!(named(&project, "captions")[3], "x -> other.parquet#3");

    // A column of ids says itself what belongs together.
    let columns = ["--set", "images.params.image_id=null", "--set", "images.params.columns={image: image, id: sku}"];
    let reply = run(&project, &[&["spec.yaml"], columns.as_slice()].concat());
    assert!(reply.contains("1 row skipped") && reply.contains("has another image with the id `cat`"), "{reply}");

    // Ids with a decimal point never meet others; data URLs are base64.
    let columns = ["--set", "images.params.image_id=null", "--set", "images.params.columns={image: url, id: number}"];
    let reply = refusal(&project, &[columns.as_slice(), &["--keep-going"]].concat());
    assert!(reply.contains("`number` is the decimal number `0.0`") && reply.contains("Int64"), "{reply}");
    let urls = "images.params.columns={image: url, id: text}";
    run(&project, &["spec.yaml", columns[0], columns[1], columns[2], urls]);
}

#[test]
fn keys_that_restart_in_each_tar_are_refused_and_places_tell_them_apart() {
    let project = Project::with_spec(
        "stages:
  images: { kind: decode-images, params: { path: 'shard-{0..1}.tar', size: [1, 1] } }
  captions: { kind: load-queries, params: { path: 'shard-{0..1}.tar' } }
",
    );
    let tar = |shard: u32, keys: &[u32]| {
        let sample = |key: &u32| {
            let caption = format!("{key} of {shard}").into_bytes();
            [(format!("{key}.bmp"), bitmap(10 * shard + key)), (format!("{key}.txt"), caption)]
        };
        let files: Vec<_> = keys.iter().flat_map(sample).collect();
        fs::write(project.path(&format!("shard-{shard}.tar")), tar_of(&files)).unwrap();
    };
    (0..2).for_each(|shard| tar(shard, &[1, 2]));
    let reply = refusal(&project, &["--keep-going"]);
    assert!(reply.contains("2 images with the id of another image"), "{reply}");
    assert!(reply.contains("member 1 of `shard-0.tar` and member 1 of `shard-1.tar`"), "{reply}");
    assert!(reply.contains("2 samples have the key of an earlier sample"), "{reply}");
    assert!(reply.contains("such as `shard-1.tar/0001`"), "{reply}");

    let spec = project.read("spec.yaml").replace(".tar'", ".tar', image_id: place");
    project.write("spec.yaml", &spec);
    run(&project, &["spec.yaml"]);
    assert_eq!(
        named(&project, "captions"),
        ["1 of 0 -> shard-0.tar/1", "2 of 0 -> shard-0.tar/2", "1 of 1 -> shard-1.tar/1", "2 of 1 -> shard-1.tar/2"]
    );
    let ids = image_ids(&project, "spec.yaml", "images");
    assert_eq!(ids, ["shard-0.tar/1", "shard-0.tar/2", "shard-1.tar/1", "shard-1.tar/2"]);

    // A key twice in one tar: both captions stay, and other images are refused.
    tar(1, &[1, 1]);
    let images = [("1.bmp".to_owned(), bitmap(7)), ("1.txt".to_owned(), b"a".to_vec())];
    let twice = [images.clone(), [images[0].clone(), ("1.txt".to_owned(), b"b".to_vec())]].concat();
    fs::write(project.path("shard-0.tar"), tar_of(&twice)).unwrap();
    let reply = run(&project, &["spec.yaml"]);
    assert!(reply.contains("2 samples have the key of an earlier sample"), "{reply}");
    assert!(reply.contains("within a tar, each sample needs a key of its own"), "{reply}");
    assert_eq!(named(&project, "captions")[..2], ["a -> shard-0.tar/1", "b -> shard-0.tar/1"]);
    let other = [twice[..2].to_vec(), vec![("1.bmp".to_owned(), bitmap(8))]].concat();
    fs::write(project.path("shard-0.tar"), tar_of(&other)).unwrap();
    let reply = refusal(&project, &["--keep-going"]);
    assert!(reply.contains("a key that comes again in a tar must be another one there"), "{reply}");
    assert!(reply.contains("1 member skipped, the first at member 3 of `shard-0.tar`: no text"), "{reply}");
}

#[test]
fn places_need_no_column_of_images_and_are_named_where_they_meet_none() {
    let project = Project::with_spec(
        "stages:
  captions: { kind: load-queries, params: { path: data/names.parquet, image_id: place } }
  images:
    kind: decode-images
    inputs: { queries: captions }
    params: { path: data/basenames.parquet, columns: { id: sku }, size: [1, 1] }
",
    );
    copy(&fixtures().join("data/forms"), &project.path("data"));
    let reply = refusal(&project, &[]);
    assert!(reply.contains("the queries name, such as `names.parquet#0`; the first image is `cat`"), "{reply}");
    assert!(reply.contains("`image_id: place` must stand in both stages, or in neither"), "{reply}");
    let names: Vec<_> =
        named(&project, "captions").iter().map(|named| named.split(" -> ").nth(1).unwrap().to_owned()).collect();
    let expect: Vec<_> = (0..names.len()).map(|row| format!("names.parquet#{row}")).collect();
    assert!(names.len() > 1 && names == expect, "{names:?}");
}

#[test]
fn samples_that_name_one_image_by_a_column_have_keys_of_their_own() {
    let project = Project::with_spec(
        "stages: { captions: { kind: load-queries, params: { path: a.tar, columns: { text: \
                            json.caption, item_ids: json.image } } } }\n",
    );
    let sample = |key: u32| (format!("{key}.json"), format!("{{\"caption\": \"{key}\", \"image\": 7}}").into_bytes());
    fs::write(project.path("a.tar"), tar_of(&[sample(1), sample(2)])).unwrap();
    let reply = run(&project, &["spec.yaml"]);
    assert!(!reply.contains("the key of an earlier sample"), "{reply}");
    assert_eq!(named(&project, "captions"), ["1 -> 7", "2 -> 7"]);
}

#[test]
fn a_split_of_which_one_value_has_rows_is_not_called_empty() {
    let project = Project::with_spec(
        "stages:
  captions: { kind: load-queries, params: { path: a.csv, split: { column: split, values: [train, val] } } }
  other: { kind: load-queries, params: { path: b.csv } }
  images:
    kind: decode-images
    inputs: { queries: other }
    params: { path: 'data/hub-*.parquet', split: { column: split, values: [train, val] }, size: [1, 1] }
",
    );
    copy(&fixtures().join("data/forms"), &project.path("data"));
    project.write("a.csv", "image,text,split\n1.jpg,,train\n2.jpg,,train\n");
    project.write("b.csv", "image,text\nnowhere.jpg,a\n");
    let reply = refusal(&project, &["--keep-going"]);
    assert!(reply.contains("none of its 2 rows can be used") && reply.contains("`text` is empty"), "{reply}");
    assert!(reply.contains("none of the 1 images that the queries name, such as `nowhere.jpg`"), "{reply}");
    assert!(!reply.contains("no row has `val`"), "{reply}");
}

#[test]
fn a_data_url_is_the_image_in_it_and_an_empty_field_is_named() {
    let project =
        Project::with_spec("stages: { images: { kind: decode-images, params: { path: images.txt, size: [1, 1] } } }\n");
    let image = pipeline_data::encode_base64(&bitmap(0x0a0b0c));
    project.write("images.txt", &format!("5\t{image}\n6\tdata:image/bmp;base64,{image}\n7\t\n"));
    let reply = run(&project, &["spec.yaml"]);
    assert!(reply.contains("1 row skipped, the first at line 3 of `images.txt`: no image after the tab"), "{reply}");
    project.write("images.txt", &format!("5\t{image}\n6\tdata:image/bmp;base64,{image}\n\t{image}\n"));
    let reply = run(&project, &["spec.yaml"]);
    assert!(reply.contains("1 row skipped, the first at line 3 of `images.txt`: no id before the tab"), "{reply}");
    let shards = shards(&project, "spec.yaml", "images");
    let rows = pipeline_data::read_pixels(&shards[0]).unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["5", "6"]);
    assert!(rows[0].pixels.is_some() && rows[0].pixels == rows[1].pixels && rows[0].digest == rows[1].digest);
}

#[test]
fn ids_that_look_the_same_and_are_of_another_unicode_form_are_named() {
    let project = Project::with_spec(
        "stages:
  captions: { kind: load-queries, params: { path: captions.csv } }
  images: { kind: decode-images, inputs: { queries: captions }, params: { path: photos, size: [1, 1] } }
",
    );
    fs::create_dir(project.path("photos")).unwrap();
    for name in ["cafe\u{301}.bmp", "plain.bmp"] {
        fs::write(project.path(&format!("photos/{name}")), bitmap(7)).unwrap();
    }
    let note = "`caf\u{e9}.bmp` is there in another Unicode form";
    project.write("captions.csv", "image,text\ncaf\u{e9}.bmp,a\n");
    assert!(refusal(&project, &[]).contains(note));
    project.write("captions.csv", "image,text\ncaf\u{e9}.bmp,a\nplain.bmp,b\n");
    let reply = run(&project, &["spec.yaml"]);
    assert!(reply.contains("1 of 2 images that the queries name is not there") && reply.contains(note), "{reply}");
}

#[test]
fn a_vector_stands_for_one_text_and_queries_without_a_line_are_named() {
    let project = Project::with_spec(
        "stages:
  queries: { kind: load-queries, params: { path: queries.jsonl } }
  text: { kind: import-text-features, inputs: { queries: queries }, params: { path: text.jsonl } }
  images: { kind: import-image-features, params: { path: images.jsonl } }
  projection:
    kind: train-projection
    inputs: { queries: queries, text: text, images: images }
    params: { fusion: passthrough }
  evaluate:
    kind: evaluate-recall
    inputs: { queries: queries, text: text, images: images, projection: projection }
",
    );
    let query =
        |id: u32, text: &str| format!("{{\"query_id\": {id}, \"query_text\": \"{text}\", \"item_ids\": [1, 1]}}\n");
    project.write("text.jsonl", "{\"text_id\": 1, \"feature\": [1, 0]}\n{\"text_id\": 2, \"feature\": [0, 1]}\n");
    project.write("images.jsonl", "{\"image_id\": 1, \"feature\": [1, 0]}\n{\"image_id\": 2, \"feature\": [0, 1]}\n");
    project.write("queries.jsonl", &[query(1, "a"), query(2, "b"), query(1, "c")].concat());
    let reply = refusal(&project, &[]);
    assert!(reply.contains("`1` is `a` in row 1 and `c` in row 3"), "{reply}");
    // The same text again is no fault.
    project.write("queries.jsonl", &[query(1, "a"), query(2, ""), query(1, "a")].concat());
    run(&project, &["spec.yaml"]);
    let reply = project.run(&["predict", "spec.yaml"]);
    assert_eq!(reply.stdout.lines().count(), 2, "{reply:?}");
    assert!(reply.stderr.contains("1 query has an empty text and no line, the first is `2`"), "{reply:?}");
}
