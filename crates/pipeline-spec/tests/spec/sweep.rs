//! `sweep:` and the axes from the command line.

use std::fs;
use std::time::{Duration, Instant};

use pipeline_spec::{Axis, Draft, SpecError};

const STAGES: &str = "stages: { a: { kind: k, params: { p: 1, path: x } }, b: { kind: k } }\n";

fn targets(spec: &pipeline_spec::PipelineSpec) -> Vec<String> {
    let values = |axis: &Axis| axis.values().iter().map(|value| value.to_yaml()).collect::<Vec<_>>().join(" ");
    spec.sweep.iter().map(|axis| format!("{}: {}", axis.target(), values(axis))).collect()
}

/// The place, the message and the help for a mistake in a sweep.
fn check(sweep: &str, expect: &str) {
    let error = crate::parse(&format!("{STAGES}sweep: {sweep}\n")).unwrap_err();
    assert_eq!(reported(&error), expect);
}

fn reported(error: &SpecError) -> String {
    let place = error.span.as_ref().unwrap();
    let help = error.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("{}:{} {error}{help}", place.line, place.column)
}

#[test]
fn axes_keep_the_order_of_the_file() {
    let spec =
        crate::parse(&format!("{STAGES}sweep: {{ b.params.z: [2, 1.5], a.params.p: ['x y', [1], ~] }}\n")).unwrap();
    assert_eq!(targets(&spec), ["b.params.z: 2 1.5", "a.params.p: \"x y\" [1] null"]);
}

#[test]
fn a_wrong_sweep_is_reported_with_its_place() {
    check("{ c.params.p: [1] }", "2:10 unknown stage `c`; known are `a`, `b`");
    check("{ vars.p: [1] }", "2:10 unknown var `p`");
    check(
        "{ a.p: [1] }",
        "2:10 `a.p` names neither a param nor a var; write `STAGE.params.NAME` or `vars.NAME`, with names of the spec",
    );
    check("{ a.params.p: [] }", "2:22 sweep axis `a.params.p` has no values");
    check("{ a.params.p: [1, 2, 0x1] }", "2:29 sweep axis `a.params.p` has the number 1 twice");
    check("{ a.params.p: [{ x: [1], y: 2 }, { y: 2, x: [1] }] }", "2:41 sweep axis `a.params.p` has a map twice");
    check("{ a.params.p: [0.0, 1.0, -0.0] }", "2:33 sweep axis `a.params.p` has the number -0.0 twice");
    check("{ a.params.p: [x, [x, 1], y, [x, 1]] }", "2:37 sweep axis `a.params.p` has a list twice");
    check(
        "{ a.params.p: 3 }",
        "2:22 sweep axis `a.params.p` must be a list, found the number 3; write its values in brackets: `[0.03, 0.07]`",
    );
}

#[test]
fn an_axis_of_a_hundred_thousand_values_is_checked_in_one_pass() {
    let values: Vec<String> = (0..100_000).map(|value| value.to_string()).collect();
    let started = Instant::now();
    let spec = crate::parse(&format!("{STAGES}sweep: {{ a.params.p: [{}] }}\n", values.join(", "))).unwrap();
    assert_eq!(spec.sweep[0].values().len(), values.len());
    // Comparing each value with all earlier ones would take minutes.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn the_command_line_adds_axes_and_replaces_those_of_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spec.yaml");
    fs::write(&path, format!("{STAGES}sweep: {{ a.params.p: [1, 2], b.params.q: [3] }}\n")).unwrap();
    let axes: Vec<Axis> =
        ["a.params.p=[7]", "a.params.path=[w, ../z]"].iter().map(|axis| axis.parse().unwrap()).collect();
    let spec = Draft::read(&path).unwrap().build(&[], &axes).unwrap();
    assert_eq!(targets(&spec), ["a.params.p: 7", "b.params.q: 3", "a.params.path: w ../z"]);
    let point = Draft::read(&path).unwrap().build(&[spec.sweep[2].override_with(1).unwrap()], &[]).unwrap();
    assert!(Draft::read(&path).unwrap().without_sweep().build(&[], &[]).unwrap().sweep.is_empty());
    let written = point.stages[0].params.get("path").unwrap();
    assert_eq!((written.as_str(), &**written.folder()), (Some("../z"), folder.path()));
    let error = "a.params.p".parse::<Axis>().unwrap_err();
    assert_eq!(reported(&error), "1:1 `a.params.p` has no `=`; write `STAGE.params.NAME=[VALUE, …]`");
}

#[test]
fn stages_are_defined_alike_if_they_are_alike_wherever_they_stand() {
    let definition = |text: &str| crate::parse(text).unwrap().stages[0].definition();
    let one = definition("stages: { a: { kind: k, params: { p: 0.10, q: '${v}' } } }\nvars: { v: w }\n");
    let two = definition("vars: { v: w }\nstages:\n  a:\n    params: { p: 1e-1, q: '${v}' } # same\n    kind: k\n");
    assert_eq!(one, two);
    for other in ["{ p: 0.1, q: x }", "{ p: '0.1', q: '${v}' }", "{ p: 0.1 }"] {
        assert_ne!(one, definition(&format!("vars: {{ v: w }}\nstages: {{ a: {{ kind: k, params: {other} }} }}\n")));
    }
    assert_ne!(
        one,
        definition("vars: { v: w }\nstages: { a: { kind: k, params: { p: 0.1, q: '${v}' }, retain: false } }\n")
    );
}
