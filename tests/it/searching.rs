//! `search`: the pool of an evaluation, queried by texts and images.

use crate::notebook::{fixtures, notebook_with_features, run};
use crate::project::Project;

/// The results of `search --json`: ids, best first.
fn found(project: &Project, args: &[&str]) -> Vec<String> {
    let output = project.command(&[&["search", "spec.yaml", "--json"], args].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["stage"], &json["pool_size"]), (&"evaluate".into(), &150.into()));
    json["results"].as_array().unwrap().iter().map(|found| found["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_query_of_the_valid_set_finds_what_the_evaluation_has_ranked() {
    finds_what_was_ranked(&notebook_with_features(), &[]);
}

#[test]
fn heads_with_a_hidden_layer_find_what_they_have_ranked() {
    let params = ["head=mlp", "projection_dim=24", "hidden_dim=48"].map(|param| format!("projection.params.{param}"));
    let start = fixtures().join("goldens/mini_mlp/projection.pth");
    let start = format!("projection.params.init_from={}", start.display());
    let settings = ["--set", &params[0], "--set", &params[1], "--set", &params[2], "--set", &start];
    finds_what_was_ranked(&notebook_with_features(), &settings);
}

#[test]
fn layers_that_were_trained_find_what_they_have_ranked() {
    let project = notebook_with_features();
    let spec = project.read("spec.yaml");
    let (before, after) = spec.split_once("    kind: train-projection\n").unwrap();
    let (_, after) = after.split_once("  evaluate:\n").unwrap();
    let training = r#"    kind: train-top
    inputs: { queries: train-queries, text: train-text, images: train-features }
    params: { text_model: "${models}/bert", projection_dim: 64, lr_top: 1e-3 }
  evaluate:
"#;
    let texts = r#"{ model: "${models}/bert", layers: -1 }"#;
    project.write("spec.yaml", &format!("{before}{training}{after}").replace(r#"{ model: "${models}/bert" }"#, texts));
    finds_what_was_ranked(&project, &[]);
    let export = |more: &[&str]| project.run(&[&["export", "spec.yaml", "valid-text", "-o", "out"], more].concat());
    let reply = export(&[]);
    assert!(reply.stderr.contains("has the vectors of all tokens"), "{}", reply.stderr);
    let reply = export(&["--heads", "projection"]);
    assert!(reply.code == Some(0) && project.path("out/text.npy").exists(), "{reply:?}");
    let reply = project.run(&["report", "spec.yaml", "-o", "report.html"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    assert!(project.read("report.html").contains("<circle"), "a map of queries and images");
}

fn finds_what_was_ranked(project: &Project, settings: &[&str]) {
    run(project, settings);
    let predictions = project.run(&[&["predict", "spec.yaml"], settings].concat()).stdout;
    let queries = std::fs::read_to_string(fixtures().join("data/mini/MR_valid_queries.jsonl")).unwrap();
    let rows = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (predictions, queries) = (rows(&predictions), rows(&queries));
    let query = |id: &serde_json::Value| queries.iter().find(|query| query["query_id"] == *id).unwrap();
    for prediction in predictions.iter().step_by(17) {
        let text = query(&prediction["query_id"])["query_text"].as_str().unwrap();
        let expect: Vec<_> = prediction["item_ids"].as_array().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found(project, &[&[text], settings].concat()), expect, "{text}");
    }
}

#[test]
fn what_is_not_up_to_date_is_not_searched() {
    let project = notebook_with_features();
    let search = |more: &[&str]| project.run(&[&["search", "spec.yaml", "红"], more].concat());
    let before = search(&[]);
    assert_eq!((before.code, before.stdout.as_str()), (Some(1), ""));
    assert!(before.stderr.contains("is not up to date\nhelp: `pipeline run spec` first"), "{before:?}");
    run(&project, &[]);
    let reply = search(&["-k", "3"]);
    assert_eq!((reply.code, reply.stderr.as_str()), (Some(0), "of 150 images of `evaluate`"));
    assert_eq!(
        reply.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>(),
        ["rank", "1", "2", "3"]
    );
    let stale = search(&["--set", "projection.params.temperature=0.05"]);
    assert_eq!(stale.code, Some(1));
    assert!(stale.stderr.contains("stage `projection` is not up to date"), "{}", stale.stderr);
    assert_eq!(search(&["--stage", "projection"]).code, Some(2));
    assert_eq!(project.run(&["search", "spec.yaml", ""]).code, Some(2));
    assert_eq!(project.run(&["search", "spec.yaml"]).code, Some(2));
}

#[test]
fn an_image_of_the_pool_finds_itself() {
    let project = notebook_with_features();
    run(&project, &[]);
    let rows = std::fs::read_to_string(fixtures().join("data/mini/MR_valid_imgs.tsv")).unwrap();
    for line in rows.lines().step_by(40) {
        let (id, base64) = line.split_once('\t').unwrap();
        std::fs::write(project.path("image"), pipeline_data::decode_base64(base64.as_bytes()).unwrap()).unwrap();
        assert_eq!(found(&project, &["--image", "image", "-k", "2"])[0], id);
    }
    project.write("image", "no image");
    let reply = project.run(&["search", "spec.yaml", "--image", "image"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.starts_with("error: cannot search for `image`"), "{}", reply.stderr);
}

#[test]
fn a_page_holds_its_thumbnails_and_no_text_of_a_user_becomes_a_tag() {
    let project = notebook_with_features();
    run(&project, &[]);
    let reply = project.run(&["search", "spec.yaml", "<b>红</b>", "-k", "4", "--html", "page.html"]);
    assert_eq!((reply.code, reply.stderr.as_str()), (Some(0), "page.html: 4 images\nof 150 images of `evaluate`"));
    let page = project.read("page.html");
    assert_eq!(page.matches("src=\"data:image/").count(), 4);
    assert!(page.contains("<h1>&lt;b&gt;红&lt;/b&gt;</h1>") && !page.contains("<b>"), "{}", &page[..2000]);
    assert!(!page.contains("http") && !page.contains("<script"), "nothing is loaded from elsewhere");
}

#[test]
fn imported_features_have_no_encoder_to_search_with() {
    let project = notebook_with_features();
    run(&project, &[]);
    let export = project.run(&["export", "spec.yaml", "valid-text", "-o", "given", "--format", "parquet-lists"]);
    assert_eq!(export.code, Some(0));
    let import = "  valid-text: { kind: import-text-features, inputs: { queries: valid-queries }, params: { path: given/text.parquet } }";
    let spec = project.read("spec.yaml");
    let lines = spec.lines().map(|line| if line.trim().starts_with("valid-text:") { import } else { line });
    project.write("spec.yaml", &lines.collect::<Vec<_>>().join("\n"));
    // The heads are trained on features of an encoder.
    let allow = ["--set", "evaluate.params.allow_mismatch=true"];
    run(&project, &allow);
    let reply = project.run(&["search", "spec.yaml", "红", allow[0], allow[1]]);
    assert_eq!(reply.code, Some(2));
    let expect =
        "a text cannot be searched for: stage `valid-text` is of kind `import-text-features`, not `extract-text`";
    assert!(reply.stderr.contains(expect), "{}", reply.stderr);
}
