//! Ids that are not what they seem: paths and keys that come again, forms of letters, two texts of one id.

use std::fs;

use crate::forms::{bitmap, run};
use crate::project::Project;

fn refusal(project: &Project, args: &[&str]) -> String {
    let reply = project.run(&[&["run", "spec.yaml"], args].concat());
    assert_eq!(reply.code, Some(3), "{reply:?}");
    reply.stderr
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
