//! Exchange with other tools: exports, imports, event files, predictions.

use crate::notebook::{notebook, notebook_with_features, run};
use crate::project::Project;

/// The notebook's project with all of its features exported to `given/FORMAT/STAGE`.
fn exported(format: &str) -> Project {
    let project = notebook_with_features();
    run(&project, &[]);
    for stage in ["train-text", "valid-text", "train-features", "valid-features"] {
        let folder = format!("given/{stage}");
        let reply = project.run(&["export", "spec.yaml", stage, "-o", &folder, "--format", format]);
        assert_eq!((reply.code, reply.stdout.as_str()), (Some(0), ""), "{reply:?}");
    }
    project
}

/// The notebook's spec, whose encoders are replaced by imports of `given/STAGE/SIDE.ENDING`.
fn with_imports(project: &Project, ending: &str) -> String {
    let import = |stage: &str, slot: &str| {
        let side = if slot.is_empty() { "images" } else { "text" };
        let kind = if slot.is_empty() { "import-image-features" } else { "import-text-features" };
        let ids = if ending == "npy" { format!(", ids: given/{stage}/{side}.ids.txt") } else { String::new() };
        format!("  {stage}: {{ kind: {kind}, {slot}params: {{ path: given/{stage}/{side}.{ending}{ids} }} }}\n")
    };
    let spec = project.read("spec.yaml");
    let lines = spec.lines().filter(|line| !line.contains("kind: decode-images")).map(|line| {
        let stage = line.trim().split(':').next().unwrap_or_default();
        match stage {
            "train-text" => import(stage, "inputs: { queries: train-queries }, "),
            "valid-text" => import(stage, "inputs: { queries: valid-queries }, "),
            "train-features" | "valid-features" => import(stage, ""),
            _ => format!("{line}\n"),
        }
    });
    lines.collect()
}

#[test]
fn features_that_were_exported_and_imported_give_the_same_result() {
    for (format, ending) in [("npy", "npy"), ("parquet-lists", "parquet")] {
        let project = exported(format);
        let expect = run(&project, &[]).stdout;
        project.write("imported.yaml", &with_imports(&project, ending));
        let reply = project.run(&["run", "imported.yaml"]);
        assert_eq!((reply.code, &reply.stdout), (Some(0), &expect), "{reply:?}");
        assert!(reply.stderr.contains("vectors of 64 numbers"), "{}", reply.stderr);
        let again = project.run(&["run", "imported.yaml"]);
        assert!(again.stderr.contains("nothing ran"), "{}", again.stderr);
    }
}

#[test]
fn embeddings_that_were_exported_and_imported_need_no_heads() {
    let project = notebook_with_features();
    let expect = run(&project, &[]).stdout;
    for (stage, folder) in [("evaluate", "given"), ("train-text", "train"), ("train-features", "train")] {
        let heads: &[&str] = if folder == "train" { &["--heads", "projection"] } else { &[] };
        let args = [&["export", "spec.yaml", stage, "-o", folder, "--format", "parquet-lists"], heads].concat();
        assert_eq!(project.run(&args).code, Some(0));
    }
    let mut lines: Vec<String> =
        project.read("spec.yaml").lines().filter(|line| line.contains("load-queries")).map(str::to_owned).collect();
    for (stage, folder, queries) in [("train", "train", "train-queries"), ("valid", "given", "valid-queries")] {
        lines.push(format!(
            "  {stage}-text: {{ kind: import-text-features, inputs: {{ queries: {queries} }}, params: {{ path: \
            {folder}/text.parquet }} }}"
        ));
        lines.push(format!(
            "  {stage}-images: {{ kind: import-image-features, params: {{ path: {folder}/images.parquet }} }}"
        ));
    }
    lines.push("  heads: { kind: train-projection, inputs: { queries: train-queries, text: train-text, images: train-images }, params: { fusion: passthrough } }".into());
    lines.push("  evaluate: { kind: evaluate-recall, inputs: { queries: valid-queries, text: valid-text, images: valid-images, projection: heads } }".into());
    let spec = project.read("spec.yaml");
    let head: Vec<&str> = spec.lines().take_while(|line| !line.contains("kind:")).collect();
    project.write("embedded.yaml", &format!("{}\n{}\n", head.join("\n"), lines.join("\n")));
    let reply = project.run(&["run", "embedded.yaml"]);
    assert_eq!((reply.code, reply.stdout), (Some(0), expect), "{}", reply.stderr);
}

#[test]
fn an_export_overwrites_only_on_request_and_never_exports_what_is_stale() {
    let project = notebook();
    let export = |more: &[&str]| project.run(&[&["export", "spec.yaml", "valid-text", "-o", "out"], more].concat());
    let stale = export(&[]);
    assert_eq!(stale.code, Some(1));
    assert!(stale.stderr.contains("help: `pipeline run spec` first"), "{}", stale.stderr);
    run(&project, &[]);
    assert_eq!(export(&[]).stderr, "out/text.npy, out/text.ids.txt: 188 vectors");
    let refused = export(&[]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("`out/text.npy` is there already\nhelp: `--force` overwrites it"), "{refused:?}");
    let overwritten: serde_json::Value = serde_json::from_str(&export(&["--force", "--json"]).stdout).unwrap();
    let written = serde_json::json!([{ "files": ["out/text.npy", "out/text.ids.txt"], "n_vectors": 188 }]);
    assert_eq!(overwritten, serde_json::json!({ "stage": "valid-text", "written": written }));
    assert_eq!(export(&["--format", "safetensors", "--force"]).code, Some(0));
    let ids = project.read("out/text.ids.txt");
    assert_eq!((ids.lines().count(), ids.lines().next()), (188, Some("100001")));
    let npy = std::fs::read(project.path("out/text.npy")).unwrap();
    assert_eq!(npy.len(), 128 + 188 * 64 * 4);
    assert!(npy.starts_with(b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (188, 64), }"));
    let names: Vec<_> =
        std::fs::read_dir(project.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "nothing unfinished is left: {names:?}");
    let queries = project.run(&["export", "spec.yaml", "valid-queries", "-o", "out"]);
    assert_eq!(queries.code, Some(2));
    assert!(queries.stderr.contains("stage `valid-queries` has no vectors to export"), "{}", queries.stderr);
}

#[test]
fn the_curves_of_a_training_are_an_event_file() {
    let project = notebook_with_features();
    run(&project, &[]);
    let history = text_of(&project, "projection", "history.csv");
    // A curve for each column except `step`.
    let (n_steps, n_curves) = (history.lines().count() - 1, history.lines().next().unwrap().matches(',').count());
    let metrics: serde_json::Value = serde_json::from_str(&text_of(&project, "evaluate", "metrics.json")).unwrap();
    let n_metrics = metrics.as_object().unwrap().len();
    for (stage, n_scalars) in [("projection", n_curves * n_steps), ("evaluate", n_metrics)] {
        let reply = project.run(&["export", "spec.yaml", stage, "-o", "logs", "--format", "tensorboard"]);
        assert_eq!(reply.code, Some(0), "{reply:?}");
        assert!(reply.stderr.ends_with(&format!(".{stage}: {n_scalars} scalars")), "{}", reply.stderr);
    }
    let images = project.run(&["export", "spec.yaml", "valid-features", "-o", "logs", "--format", "tensorboard"]);
    assert_eq!(images.code, Some(2));
    assert!(images.stderr.contains("has no history and no metrics"), "{}", images.stderr);
}

/// A file of a stage's artifact.
fn text_of(project: &Project, stage: &str, file: &str) -> String {
    let folder = project.command(&["path", "spec.yaml", stage]).output().unwrap().stdout;
    let folder = String::from_utf8(folder).unwrap();
    std::fs::read_to_string(std::path::Path::new(folder.trim()).join(file)).unwrap()
}

#[test]
fn predictions_come_in_both_dialects_of_muge() {
    let project = notebook_with_features();
    run(&project, &[]);
    let muge = project.run(&["predict", "spec.yaml"]).stdout;
    let chinese_clip = project.run(&["predict", "spec.yaml", "--format", "chinese-clip"]).stdout;
    assert_eq!(muge.replace("query_id", "text_id").replace("item_ids", "image_ids"), chinese_clip);
    assert!(chinese_clip.starts_with("{\"text_id\":100001,\"image_ids\":["), "{}", &chinese_clip[..60]);
    let written = project.run(&["predict", "spec.yaml", "-o", "out.jsonl", "--json"]).stdout;
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    let expect = serde_json::json!({ "stage": "evaluate", "file": "out.jsonl", "n_predictions": 188, "warnings": [] });
    assert_eq!(written, expect);
    assert_eq!(project.run(&["predict", "spec.yaml", "--json"]).code, Some(2), "stdout has the predictions");
}
