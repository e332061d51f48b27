//! `--set`: one value changed from the command line.

use std::fs;
use std::path::Path;

use pipeline_spec::{Override, PipelineSpec, SpecError, SpecPath, Value};
use serde::Deserialize;

use crate::render;

const SPEC: &str = "\
vars: { data: data, n: 1 }
stages:
  train: { kind: k, params: { lr: 1e-3, nested: { a: 1 }, path: '${data}/x' } }
  train.params.v2: { kind: k }
  bare: { kind: k }
";

fn load(settings: &[&str]) -> Result<PipelineSpec, SpecError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spec.yaml");
    fs::write(&path, SPEC).unwrap();
    let overrides = settings.iter().map(|text| text.parse()).collect::<Result<Vec<Override>, _>>()?;
    pipeline_spec::load(&path, &overrides)
}

#[test]
fn values_are_yaml_and_land_where_the_target_says() {
    for (setting, stage_idx, at, expected) in [
        ("train.params.lr=0.07", 0, &["lr"][..], Value::Float(0.07)),
        ("train.params.lr=\"x\"", 0, &["lr"], Value::Str("x".into())),
        ("train.params.lr=a=b c", 0, &["lr"], Value::Str("a=b c".into())),
        ("train.params.new=5", 0, &["new"], Value::Int(5)),
        ("train.params.lr=", 0, &["lr"], Value::Null),
        ("train.params.nested.b=2", 0, &["nested", "b"], Value::Int(2)),
        ("train.params.deep.er=2", 0, &["deep", "er"], Value::Int(2)),
        ("train.params.nested={c: 3}", 0, &["nested", "c"], Value::Int(3)),
        ("train.params.v2.params.x=1", 1, &["x"], Value::Int(1)),
        ("bare.params.x=true", 2, &["x"], Value::Bool(true)),
        ("vars.data=new", 0, &["path"], Value::Str("new/x".into())),
        ("vars.data=0.10", 0, &["path"], Value::Str("0.10/x".into())),
    ] {
        let spec = load(&[setting]).unwrap_or_else(|error| panic!("{setting}: {error}"));
        let mut node = &spec.stages[stage_idx].params;
        for name in at {
            node = node.get(name).unwrap_or_else(|| panic!("{setting}: no {name}"));
        }
        assert_eq!(node.value, expected, "{setting}");
    }
}

#[test]
fn the_last_of_two_values_holds_and_lists_replace() {
    let spec = load(&["train.params.lr=1", "train.params.lr=[1, 5]"]).unwrap();
    assert!(matches!(&spec.stages[0].params.get("lr").unwrap().value, Value::List(items) if items.len() == 2));
}

#[test]
fn mistakes_point_into_the_argument() {
    for (setting, expected) in [
        (
            "train.params.lr",
            "--set:1:1\ntrain.params.lr\n^^^^^^^^^^^^^^^ `train.params.lr` has no `=`\n\
             help: write `STAGE.params.NAME=VALUE` or `vars.NAME=VALUE`",
        ),
        (
            "train.lr=1",
            "--set:1:1\ntrain.lr=1\n^^^^^^^^ `train.lr` names neither a param nor a var\n\
             help: write `STAGE.params.NAME` or `vars.NAME`, with names of the spec",
        ),
        ("trian.params.lr=1", "--set:1:1\ntrian.params.lr=1\n^^^^^ unknown stage `trian`\nhelp: did you mean `train`?"),
        ("vars.dta=1", "--set:1:1\nvars.dta=1\n^^^^^^^^ unknown var `dta`\nhelp: did you mean `data`?"),
        ("train.params.lr=[1", "--set:1:17\ntrain.params.lr=[1\n                ^ `[` is never closed"),
        (
            "train.params.lr.x=1",
            "--set:1:1\ntrain.params.lr.x=1\n^^^^^^^^^^^^^^^^^ `lr` holds the number 0.001, so nothing can be set \
            below it",
        ),
        (
            "train.params.path=${dta}",
            "--set:1:19\ntrain.params.path=${dta}\n                  ^^^^^^ unknown var `dta`\n\
             help: did you mean `data`?",
        ),
    ] {
        let rendered = render(&load(&[setting]).expect_err(setting));
        assert_eq!(rendered, expected, "\n--- found\n{rendered}");
    }
}

#[derive(Deserialize)]
struct Paths {
    path: SpecPath,
}

#[test]
fn paths_from_the_command_line_are_relative_to_the_folder_of_the_spec() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("base.yaml"), SPEC).unwrap();
    let main = folder.path().join("sub/main.yaml");
    fs::write(&main, "extends: ../base.yaml\n").unwrap();
    for (setting, expected) in [
        ("train.params.path=x", "sub/x"),
        ("train.params.path=${data}/y", "data/y"),
        ("vars.data=d", "sub/d/x"),
        ("vars.data=/abs", "/abs/x"),
    ] {
        let spec = pipeline_spec::load(&main, &[setting.parse().unwrap()]).unwrap();
        let paths: Paths = pipeline_spec::params(&only(&spec.stages[0].params, "path")).unwrap();
        assert_eq!(paths.path.path(), folder.path().join(Path::new(expected)), "{setting}");
    }
}

/// The map with only one of its entries.
fn only(node: &pipeline_spec::Node, name: &str) -> pipeline_spec::Node {
    let entry = node.entry(name).unwrap().clone();
    pipeline_spec::Node::new(Value::Map(vec![entry]), node.span.clone())
}

#[test]
fn a_sweep_gives_overrides_that_keep_the_folder_of_their_file() {
    let spec =
        crate::parse("sweep: { a.params.p: [x, ../y] }\nstages: { a: { kind: k, params: { p: z } } }\n").unwrap();
    let axis = &spec.sweep.axes[0];
    let value = axis.override_with(crate::listed(axis)[1].clone()).unwrap();
    assert_eq!(&**value.value().folder(), Path::new("/data/pipelines"));
}
