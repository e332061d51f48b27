//! Typed params: the struct of a stage kind, and the messages when the spec does not fit it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use pipeline_spec::{SpecError, SpecPath, params};
use serde::Deserialize;

use crate::{parse, render};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Pooling {
    Cls,
    Mean,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    a: u8,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    model: String,
    temperature: f64,
    epochs: u32,
    seed: u64,
    signed: i16,
    small: f32,
    workers: NonZeroU32,
    pooling: Pooling,
    shuffle: bool,
    max_samples: Option<usize>,
    size: [u32; 2],
    k: Vec<usize>,
    env: BTreeMap<String, String>,
    inner: Inner,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            model: "bert".into(),
            temperature: 0.07,
            epochs: 2,
            seed: 0,
            signed: 0,
            small: 0.0,
            workers: NonZeroU32::MIN,
            pooling: Pooling::Cls,
            shuffle: false,
            max_samples: None,
            size: [224, 224],
            k: vec![1, 5, 10],
            env: BTreeMap::new(),
            inner: Inner { a: 0 },
        }
    }
}

/// Reads `line` as the params of a stage, in line 4 after six spaces.
fn read(line: &str) -> Result<Params, SpecError> {
    let spec = parse(&format!("vars: {{ n: 5 }}\nstages:\n  a: {{ kind: k, params: {{\n      {line} }} }}\n"))?;
    params(&spec.stages[0].params)
}

#[test]
fn values_of_the_right_type_are_taken() {
    let read = |line| read(line).unwrap_or_else(|error| panic!("{}", render(&error)));
    assert_eq!(read(""), Params::default());
    assert_eq!(read("temperature: 1").temperature, 1.0);
    assert_eq!(read("temperature: 1e-3").temperature, 1e-3);
    assert_eq!(read("small: 0.5").small, 0.5);
    assert_eq!(read("seed: 9223372036854775807").seed, i64::MAX as u64);
    assert_eq!(read("signed: -5").signed, -5);
    assert_eq!(read("workers: 3").workers.get(), 3);
    assert_eq!(read("pooling: mean").pooling, Pooling::Mean);
    assert_eq!(read("max_samples: 5").max_samples, Some(5));
    assert_eq!(read("max_samples: null").max_samples, None);
    assert_eq!(read("size: [1, 2]").size, [1, 2]);
    assert_eq!(read("k: []").k, Vec::<usize>::new());
    assert_eq!(read("env: { A: '1' }").env["A"], "1");
    assert_eq!(read("model: '5'").model, "5");
    assert_eq!(read("inner: { a: 255 }").inner.a, 255);
}

#[test]
fn other_values_are_pointed_at() {
    for (line, at, expected) in [
        ("temprature: 1", "temprature", "unknown param `temprature`\nhelp: did you mean `temperature`?"),
        ("inner: { b: 1 }", "b", "unknown param `b`\nhelp: the only known one is `a`"),
        ("inner: {}", "{", "param `a` is missing"),
        ("temperature: hot", "hot", "expected a number, found the text `hot`"),
        ("temperature: '0.5'", "'0.5'", "expected a number, found the text `0.5`\nhelp: remove the quotes: 0.5"),
        ("temperature: .nan", ".nan", "expected a finite number, found the number NaN"),
        (
            "temperature: null",
            "null",
            "expected a number, found nothing\nhelp: write a value, or remove the key to have the default",
        ),
        ("small: 1e300", "1e300", "expected a number that fits into 32 bits, found the number 1e300"),
        ("epochs: 2.0", "2.0", "expected a whole number, found the number 2.0\nhelp: write 2"),
        ("epochs: -1", "-1", "expected a whole number of at least 0, found the number -1"),
        ("epochs: 10_000", "10_000", "expected a whole number, found the text `10_000`\nhelp: write 10000"),
        (
            "epochs: '${n}'",
            "'${n}'",
            "expected a whole number, found the text `5`\nhelp: a var is text: set the number itself instead",
        ),
        ("inner: { a: 256 }", "256", "expected a whole number from 0 to 255, found the number 256"),
        ("workers: 0", "0", "expected a nonzero u32, found integer `0`"),
        ("pooling: clss", "clss", "expected `cls` or `mean`, found the text `clss`\nhelp: did you mean `cls`?"),
        ("pooling: 5", "5", "expected `cls` or `mean`, found the number 5"),
        ("shuffle: yes", "yes", "expected `true` or `false`, found the text `yes`\nhelp: write true"),
        ("max_samples: all", "all", "expected a whole number, found the text `all`"),
        ("size: [1]", "[", "expected a list of 2 values, found one of 1\nhelp: for equal values, write `[1, 1]`"),
        ("size: 5", "5", "expected a list of 2 values, found the number 5\nhelp: for equal values, write `[5, 5]`"),
        ("epochs: [7]", "[", "expected a whole number, found a list\nhelp: remove the brackets: 7"),
        ("size: [1, 2, 3]", "[", "expected a list of 2 values, found one of 3"),
        ("k: 5", "5", "expected a list, found the number 5\nhelp: for a list of one, write `[5]`"),
        ("k: [1, x]", "x", "expected a whole number, found the text `x`"),
        ("env: { A: 1 }", "1", "expected text, found the number 1\nhelp: put it in quotes: \"1\""),
        ("env: [A]", "[", "expected a map, found a list"),
        ("inner: [1]", "[", "expected a map, found a list"),
        ("model: true", "true", "expected text, found `true`\nhelp: put it in quotes: \"true\""),
        ("model: { a: b }", "{", "expected text, found a map"),
    ] {
        let rendered = render(&read(line).expect_err(line));
        let column = 6 + line.rfind(at).unwrap();
        let marks = format!("{}{}", " ".repeat(column), "^".repeat(at.chars().count()));
        let expected = format!("demo.yaml:4:{}\n      {line} }} }}\n{marks} {expected}", column + 1);
        assert_eq!(rendered, expected, "\n--- found\n{rendered}\n--- expected\n{expected}");
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    path: SpecPath,
    #[serde(default)]
    more: Vec<SpecPath>,
}

#[test]
fn paths_come_out_absolute() {
    let spec = parse(
        "vars: { data: ../data }\nstages: { a: { kind: k, params: { path: '${data}/./x', more: [a/../b, /c, ''] } } \
        }\n",
    )
    .unwrap();
    let error = params::<Load>(&spec.stages[0].params).unwrap_err();
    assert_eq!(error.message, "a path must not be empty");

    let spec = parse(
        "vars: { data: ../data }\nstages: { a: { kind: k, params: { path: '${data}/./x', more: [a/../b, /c] } } }\n",
    )
    .unwrap();
    let load: Load = params(&spec.stages[0].params).unwrap();
    assert_eq!(load.path.path(), Path::new("/data/data/x"));
    assert_eq!(load.path.written(), "../data/./x");
    assert_eq!(load.more[0].path(), Path::new("/data/pipelines/b"));
    assert_eq!(load.more[1].path(), Path::new("/c"));
}

#[test]
fn a_missing_param_points_at_the_params_or_else_at_the_stage() {
    let missing = |text: &str| {
        let spec = parse(text).unwrap();
        render(&params::<Load>(&spec.stages[0].params).unwrap_err())
    };
    assert_eq!(
        missing("stages:\n  abc:\n    kind: k\n    params: {}\n"),
        "demo.yaml:4:5\n    params: {}\n    ^^^^^^ param `path` is missing"
    );
    assert_eq!(missing("stages:\n  abc:\n    kind: k\n"), "demo.yaml:2:3\n  abc:\n  ^^^ param `path` is missing");
}
