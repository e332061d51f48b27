//! `extends`: experiments that state only their changes.

use std::fs;
use std::path::Path;

use pipeline_spec::{PipelineSpec, SpecError, StageSpec, Value};
use tempfile::TempDir;

use crate::render;

const BASELINE: &str = "\
name: baseline
vars: { data: ../data, models: ../models }
stages:
  queries:
    kind: load-queries
    params: { path: '${data}/q.jsonl' }
  features:
    kind: extract-text
    inputs: { queries: queries }
    params: { model: bert, pooling: cls, nested: { a: 1, b: 2 }, k: [1, 5] }
    publish: { f.parquet: ../out/f.parquet }
  evaluate:
    kind: evaluate
    inputs: { text: features }
check: { mean_recall: { max_drop: 0.002 }, recall_at_1: { min_value: 1 } }
";

/// A folder with `baseline.yaml` and `experiments/hot.yaml`.
fn write(experiment: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("experiments")).unwrap();
    fs::write(folder.path().join("baseline.yaml"), BASELINE).unwrap();
    fs::write(folder.path().join("experiments/hot.yaml"), experiment).unwrap();
    folder
}

fn load(folder: &TempDir) -> Result<PipelineSpec, SpecError> {
    pipeline_spec::load(&folder.path().join("experiments/hot.yaml"), &[])
}

fn load_experiment(experiment: &str) -> Result<PipelineSpec, SpecError> {
    load(&write(experiment))
}

fn stage<'a>(spec: &'a PipelineSpec, name: &str) -> &'a StageSpec {
    spec.stage(&name.parse().unwrap()).expect(name)
}

fn stage_names(spec: &PipelineSpec) -> Vec<&str> {
    spec.stages.iter().map(|stage| stage.id.as_str()).collect()
}

#[test]
fn an_extended_spec_that_is_not_there_is_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main.yaml");
    fs::write(folder.path().join("base.yaml"), "stages: { a: { kind: k } }\n").unwrap();
    let general = Some("`extends` names another spec by its path from the folder of this one, such as `../demo.yaml`");
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub.yaml"), "stages: { a: { kind: k } }\n").unwrap();
    for (written, help) in [
        ("base", Some("did you mean `base.yaml`?")),
        ("bsae.yaml", Some("did you mean `base.yaml`?")),
        ("x", general),
        ("sub", Some("did you mean `sub.yaml`?")),
    ] {
        fs::write(&path, format!("extends: {written}\n")).unwrap();
        assert_eq!(pipeline_spec::load(&path, &[]).unwrap_err().help.as_deref(), help, "{written}");
    }
}

#[test]
fn an_experiment_says_only_what_it_changes() {
    let spec = load_experiment(
        "extends: ../baseline.yaml\nstages:\n  features: { params: { pooling: mean, nested: { b: 3 }, k: [10] } }\n",
    )
    .unwrap();
    assert_eq!(spec.name, "hot");
    assert_eq!(stage_names(&spec), ["queries", "features", "evaluate"]);
    let features = stage(&spec, "features");
    let param = |name: &str| &features.params.get(name).unwrap().value;
    assert_eq!(*param("model"), Value::Str("bert".into()));
    assert_eq!(*param("pooling"), Value::Str("mean".into()));
    assert_eq!(features.params.get("nested").unwrap().get("a").unwrap().value, Value::Int(1));
    assert_eq!(features.params.get("nested").unwrap().get("b").unwrap().value, Value::Int(3));
    assert!(matches!(param("k"), Value::List(items) if items.len() == 1));
    assert_eq!(spec.check.len(), 2);
}

#[test]
fn values_keep_the_file_in_which_they_stand() {
    let folder = write("extends: ../baseline.yaml\nstages: { features: { params: { pooling: mean } } }\n");
    let spec = load(&folder).unwrap();
    let features = stage(&spec, "features");
    let file = |name: &str| features.params.get(name).unwrap().span.file.path().to_owned();
    assert_eq!(file("pooling"), folder.path().join("experiments/hot.yaml"));
    assert_eq!(file("model"), folder.path().join("baseline.yaml"));
}

#[test]
fn null_removes_a_stage_an_input_a_rule_and_an_empty_section_changes_nothing() {
    let spec = load_experiment(
        "extends: ../baseline.yaml\n\
         stages:\n  evaluate: null\n  features: { inputs: { queries: null, other: queries }, params: , publish: { \
        f.parquet: ~ } }\n\
         check: { recall_at_1: }\nvars:\n",
    )
    .unwrap();
    assert_eq!(stage_names(&spec), ["queries", "features"]);
    let features = stage(&spec, "features");
    assert_eq!(features.inputs.len(), 1);
    assert_eq!(features.inputs[0].0.value, "other");
    assert_eq!(features.params.get("pooling").unwrap().value, Value::Str("cls".into()));
    assert!(features.publish.is_empty());
    assert_eq!(spec.check.keys().collect::<Vec<_>>(), ["mean_recall"]);
}

#[test]
fn a_param_can_be_set_to_null() {
    let spec =
        load_experiment("extends: ../baseline.yaml\nstages: { features: { params: { model: null } } }\n").unwrap();
    assert_eq!(stage(&spec, "features").params.get("model").unwrap().value, Value::Null);
}

#[test]
fn a_stage_of_another_kind_keeps_neither_params_nor_inputs() {
    let spec =
        load_experiment("extends: ../baseline.yaml\nstages: { features: { kind: command, params: { run: [x] } } }\n")
            .unwrap();
    let features = stage(&spec, "features");
    assert_eq!(features.kind.value, "command");
    assert!(features.inputs.is_empty());
    assert!(features.params.get("model").is_none());
    assert_eq!(features.publish.len(), 1);
}

#[test]
fn relative_paths_start_in_the_folder_of_their_file_and_with_a_var_in_that_of_the_var() {
    let folder = write(
        "extends: ../baseline.yaml\nvars: { data: mine }\n\
         stages: { evaluate: { publish: { m.json: m.json, n.json: '${models}/n.json' } } }\n",
    );
    let spec = load(&folder).unwrap();
    let root = folder.path();
    assert_eq!(spec.file, root.join("experiments/hot.yaml"));
    assert_eq!(&*spec.folder, root.join("experiments"));
    assert_eq!(spec.var_path("data").unwrap(), root.join("experiments/mine"));
    assert_eq!(spec.var_path("models").unwrap(), root.parent().unwrap().join("models"));
    let path = stage(&spec, "queries").params.get("path").unwrap();
    assert_eq!(&**path.folder(), root.join("experiments"));
    let published: Vec<&Path> =
        spec.stages.iter().flat_map(|stage| &stage.publish).map(|publish| &*publish.path).collect();
    assert_eq!(
        published,
        [
            &*root.parent().unwrap().join("out/f.parquet"),
            &root.join("experiments/m.json"),
            &root.parent().unwrap().join("models/n.json")
        ]
    );
}

#[test]
fn a_folder_key_moves_where_the_paths_of_its_file_start() {
    let spec = crate::parse(
        "folder: ../elsewhere\nvars: { d: x }\nstages: { a: { kind: k, publish: { f: f, g: '${d}/g', h: /h } } }\n",
    )
    .unwrap();
    let paths: Vec<&Path> = spec.stages[0].publish.iter().map(|publish| &*publish.path).collect();
    assert_eq!(paths, [Path::new("/data/elsewhere/f"), Path::new("/data/elsewhere/x/g"), Path::new("/h")]);
}

#[test]
fn mistakes_between_files_name_the_file_at_fault() {
    for (experiment, expected) in [
        (
            "extends: ../basline.yaml\n",
            "hot.yaml:1:10\nextends: ../basline.yaml\n         ^^^^^^^^^^^^^^^ cannot read `ROOT/basline.yaml`\n\
             caused by: No such file or directory (os error 2)\nhelp: did you mean `../baseline.yaml`?",
        ),
        (
            "extends: ../baseline.yaml\nstages: { evaluat: }\n",
            "hot.yaml:2:11\nstages: { evaluat: }\n          ^^^^^^^ there is no stage `evaluat` to remove\n\
             help: did you mean `evaluate`?",
        ),
        (
            "extends: ../baseline.yaml\nstages: { features: }\n",
            "baseline.yaml:14:21\n    inputs: { text: features }\n                    ^^^^^^^^ unknown stage \
            `features`\n\
             help: the only known one is `queries`",
        ),
        (
            "extends: ../baseline.yaml\nvars: { data: null }\n",
            "baseline.yaml:6:22\n    params: { path: '${data}/q.jsonl' }\n                     ^^^^^^^ unknown var \
            `data`\n\
             help: the only known one is `models`",
        ),
        (
            "extends: hot.yaml\n",
            "hot.yaml:1:10\nextends: hot.yaml\n         ^^^^^^^^ specs extend each other in a cycle: \
             `ROOT/experiments/hot.yaml -> ROOT/experiments/hot.yaml`",
        ),
    ] {
        let folder = write(experiment);
        let rendered = render(&load(&folder).expect_err(experiment));
        let rendered = rendered.replace(folder.path().to_str().unwrap(), "ROOT");
        assert_eq!(rendered, expected, "\n--- found\n{rendered}\n--- for\n{experiment}");
    }
}

#[test]
fn sixteen_specs_may_extend_each_other_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    for idx in 0..=17 {
        let text = format!("extends: {}.yaml\n", idx + 1);
        fs::write(folder.path().join(format!("{idx}.yaml")), text).unwrap();
    }
    fs::write(folder.path().join("18.yaml"), "stages: { a: { kind: x } }\n").unwrap();
    assert!(pipeline_spec::load(&folder.path().join("2.yaml"), &[]).is_ok());
    let error = pipeline_spec::load(&folder.path().join("1.yaml"), &[]).unwrap_err();
    assert_eq!(error.message, "more than 16 specs extend each other");
}
