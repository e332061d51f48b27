//! `sweep:` and the axes from the command line.

use std::fs;
use std::time::{Duration, Instant};

use pipeline_spec::{Axis, AxisValues, Draft, Draw, SpecError};

const STAGES: &str = "stages: { a: { kind: k, params: { p: 1, path: x } }, b: { kind: k } }\n";

fn targets(spec: &pipeline_spec::PipelineSpec) -> Vec<String> {
    let values = |axis: &Axis| crate::listed(axis).iter().map(|value| value.to_yaml()).collect::<Vec<_>>().join(" ");
    spec.sweep.axes.iter().map(|axis| format!("{}: {}", axis.target(), values(axis))).collect()
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
    check("{ a.p: [1] }", "2:10 `a.p` names neither a param nor a var; did you mean `a.params.p`?");
    check("{ p: [1] }", "2:10 unknown key `p`; did you mean `a.params.p`?");
    check("{ a.params.p: { values: [1, 2] } }", "2:24 unknown key `values`; write the list itself: `[1, 2]`");
    check(
        "{ a.params.p: { min: 1, max: 2 } }",
        "2:24 unknown key `min`; write `{ uniform: [1, 2] }`; `log_uniform` draws evenly from the logarithms",
    );
    check(
        "[a.params.p]",
        "2:8 `sweep` must be a map, found a list; write `sweep: { STAGE.params.NAME: [VALUE, VALUE] }`",
    );
    check(
        "{ a.params.p: [] }",
        "2:22 sweep axis `a.params.p` has no values; list what to try, `[0.03, 0.07]`, or write a range, \
         `{ uniform: [0.03, 0.07] }`",
    );
    check(
        "{ a.params.p: [1, 2, 0x1] }",
        "2:29 sweep axis `a.params.p` has the number 1 twice; remove it: each value is tried once",
    );
    check(
        "{ a.params.p: [{ x: [1], y: 2 }, { y: 2, x: [1] }] }",
        "2:41 sweep axis `a.params.p` has a map twice; remove it: each value is tried once",
    );
    check(
        "{ a.params.p: [0.0, 1.0, -0.0] }",
        "2:33 sweep axis `a.params.p` has the number -0.0 twice; remove it: each value is tried once",
    );
    check(
        "{ a.params.p: [x, [x, 1], y, [x, 1]] }",
        "2:37 sweep axis `a.params.p` has a list twice; remove it: each value is tried once",
    );
    check(
        "{ a.params.p: 3 }",
        "2:22 sweep axis `a.params.p` must be a list or a range, found the number 3; write its values in brackets, \
         `[3]`, or a range, `{ uniform: [0.03, 0.07] }`",
    );
}

/// The values at these fractions of a range, as YAML.
fn at(range: &str, fractions: &[f64]) -> Vec<String> {
    let axis: Axis = format!("a.params.p={range}").parse().unwrap();
    let AxisValues::Range(range) = axis.values() else { panic!("{range} is a list") };
    let value = |fraction: &f64| range.value_at((fraction * 4_294_967_296.0) as u32).to_yaml();
    let [low, high] = range.ends().map(|end| end.to_yaml());
    [vec![low], fractions.iter().map(value).collect(), vec![high]].concat()
}

#[test]
fn values_of_a_range_are_round_numbers_between_its_ends() {
    let fractions = [0.0, 0.25, 0.5, 0.75, 0.999_999_9];
    for (range, expect) in [
        ("{ uniform: [0.02, 0.2] }", "0.02 0.02 0.065 0.11 0.155 0.2 0.2"),
        ("{ uniform: [-1, 1] }", "-1.0 -1.0 -0.5 0.0 0.5 1.0 1.0"),
        ("{ uniform: [0, 123456] }", "0.0 0.0 30900.0 61700.0 92600.0 123456.0 123456.0"),
        ("{ log_uniform: [1e-5, 1e-1] }", "1e-5 1e-5 0.0001 0.001 0.01 0.1 0.1"),
        ("{ log_uniform: [1, 3] }", "1.0 1.0 1.316 1.732 2.28 3.0 3.0"),
        ("{ uniform: [0.1, 0.5], step: 0.1 }", "0.1 0.1 0.2 0.3 0.4 0.5 0.5"),
        ("{ uniform: [0, 1], step: 0.4 }", "0.0 0.0 0.0 0.4 0.8 0.8 0.8"),
        ("{ int_uniform: [1, 4] }", "1 1 2 3 4 4 4"),
        ("{ int_uniform: [8, 64], step: 8 }", "8 8 24 40 56 64 64"),
        ("{ int_log_uniform: [1, 15] }", "1 1 2 4 8 15 15"),
    ] {
        assert_eq!(at(range, &fractions).join(" "), expect, "{range}");
    }
}

#[test]
fn a_wrong_range_is_reported_with_its_place() {
    let cases = [
        ("{ log_unform: [1, 2] }", "2:24 unknown key `log_unform`; did you mean `log_uniform`?"),
        (
            "{ step: 1 }",
            "2:22 sweep axis `a.params.p` has no range; write a range, `{ log_uniform: [1e-5, 1e-2] }`, or a list of \
            values",
        ),
        (
            "{ uniform: [0, 1], log_uniform: [1, 2] }",
            "2:41 sweep axis `a.params.p` has both `uniform` and `log_uniform`; an axis has one range",
        ),
        (
            "{ uniform: [0, 1, 2] }",
            "2:33 `uniform` must be a list of two numbers, found a list of 3; write its lowest and its highest value \
             in brackets: `[0.03, 0.07]`",
        ),
        ("{ uniform: [0, a] }", "2:37 an end of `uniform` must be a number, found the text `a`"),
        ("{ uniform: [0, .inf] }", "2:37 an end of `uniform` must be a number, found the number inf"),
        ("{ uniform: [1, 1.0] }", "2:33 `uniform` is empty: both ends are 1; one value is a list: `[1]`"),
        ("{ uniform: [2, 1] }", "2:33 `uniform` has its higher end first; write `[1, 2]`"),
        (
            "{ log_uniform: [0, 1] }",
            "2:38 `log_uniform` must begin above 0, found the number 0; only numbers above 0 have a logarithm; \
             `uniform` and `int_uniform` may begin at 0",
        ),
        (
            "{ log_uniform: [1, 1.01] }",
            "2:37 `log_uniform` is too narrow: its ends differ by less than 10%; so narrow a range is as good as \
            `uniform`",
        ),
        (
            "{ int_uniform: [1, 2.5] }",
            "2:41 an end of `int_uniform` must be a whole number, found the number 2.5; `uniform` draws numbers with a \
             fraction",
        ),
        (
            "{ log_uniform: [1, 2], step: 1 }",
            "2:45 `log_uniform` takes no `step`; `uniform` and `int_uniform` do; a list holds any values: `[16, 32, \
            64]`",
        ),
        (
            "{ int_uniform: [1, 5], step: 0 }",
            "2:51 `step` must lead from one end towards the other, found the number 0; a number above 0 and at most \
             the width of the range; a whole one for `int_uniform`",
        ),
    ];
    for (range, expect) in cases {
        check(&format!("{{ a.params.p: {range} }}"), expect);
    }
}

#[test]
fn a_wrong_draw_is_reported_with_its_place() {
    let axis = "a.params.p: [1, 2]";
    let halving = |text: &str| format!("{{ {axis}, halving: {text} }}");
    for (sweep, expect) in [
        (format!("{{ {axis}, drw: random }}"), "2:30 unknown key `drw`; did you mean `draw`?"),
        (
            format!("{{ {axis}, seeds_of: 1 }}"),
            "2:30 unknown key `seeds_of`; axes are named `STAGE.params.NAME` or `vars.NAME`",
        ),
        (format!("{{ {axis}, draw: sobel }}"), "2:36 unknown draw `sobel`; did you mean `sobol`?"),
        (
            format!("{{ {axis}, points: 0 }}"),
            "2:38 `points` must be a whole number from 1 to 10000, found the number 0",
        ),
        (format!("{{ {axis}, seed: -1 }}"), "2:36 `seed` must be a whole number of at least 0, found the number -1"),
        (
            "{ draw: random, points: 3 }".to_owned(),
            "2:1 `sweep` has no axes; name what to try: `projection.params.temperature: [0.03, 0.07]`",
        ),
        (
            halving("{ rungs: [1, 2] }"),
            "2:39 `halving` has no `resource`; name the param that grows: `resource: projection.params.epochs`",
        ),
        (
            halving("{ resource: a.params.e }"),
            "2:39 `halving` has no `rungs`; list its values from rung to rung: `rungs: [2, 6, 18]`",
        ),
        (halving("{ resource: c.params.e, rungs: [1, 2] }"), "2:51 unknown stage `c`; known are `a`, `b`"),
        (
            halving("{ resource: a.params.e, rungs: [2, 1] }"),
            "2:74 the values of `rungs` must be whole numbers that rise, found the number 1; write the values of the \
             resource from rung to rung: `[2, 6, 18]`",
        ),
        (
            halving("{ resource: a.params.e, rungs: [1, 2], factr: 3 }"),
            "2:78 unknown key `factr`; did you mean `factor`?",
        ),
        (
            halving("{ resource: a.params.e, rungs: [1, 2], factor: 1 }"),
            "2:86 `factor` must be a whole number of at least 2, found the number 1",
        ),
        (
            halving("{ resource: a.params.e, rungs: [1, 2], metric: c.loss }"),
            "2:86 unknown stage `c`; known are `a`, `b`",
        ),
        (
            halving("{ resource: a.params.p, rungs: [1, 2] }"),
            "2:51 `a.params.p` is both an axis and the resource of `halving`; take one of them out",
        ),
    ] {
        check(&sweep, expect);
    }
}

#[test]
fn an_overlay_replaces_an_axis_and_changes_how_points_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("base.yaml", &format!("{STAGES}sweep: {{ a.params.p: {{ uniform: [0, 1] }}, points: 8, seed: 1 }}\n"));
    write("over.yaml", "extends: base.yaml\nsweep: { a.params.p: { log_uniform: [1, 9] }, points: 9, seed: ~ }\n");
    let spec = pipeline_spec::load(&folder.path().join("over.yaml"), &[]).unwrap();
    let AxisValues::Range(range) = spec.sweep.axes[0].values() else { panic!("the axis is a range") };
    assert_eq!(range.node().to_yaml(), "{ log_uniform: [1, 9] }");
    assert_eq!((spec.sweep.points, spec.sweep.seed, spec.sweep.draw), (Some(9), None, None));
}

#[test]
fn a_resolved_sweep_reads_back_as_the_same_one() {
    let sweep = "{ a.params.p: { log_uniform: [1e-5, 0.1] }, a.params.q: { int_uniform: [1, 9], step: 2 }, b.params.r: [x], \
                 draw: sobol, points: 24, seed: 7, \
                 halving: { resource: a.params.e, rungs: [1, 3], factor: 2, metric: a.valid_mean_recall } }";
    let spec = crate::parse(&format!("{STAGES}sweep: {sweep}\n")).unwrap();
    let yaml = pipeline_spec::resolved_yaml(&spec);
    let again = crate::parse(&yaml).unwrap();
    assert_eq!(pipeline_spec::resolved_yaml(&again), yaml);
    assert_eq!(again.sweep.draw, Some(Draw::Sobol));
    let halving = again.sweep.halving.unwrap();
    let metric = halving.metric.as_ref().unwrap();
    assert_eq!(
        (halving.factor, halving.rungs().len(), metric.stage.as_str(), &*metric.metric),
        (2, 2, "a", "valid_mean_recall")
    );
}

#[test]
fn an_axis_of_a_hundred_thousand_values_is_checked_in_one_pass() {
    let values: Vec<String> = (0..100_000).map(|value| value.to_string()).collect();
    let started = Instant::now();
    let spec = crate::parse(&format!("{STAGES}sweep: {{ a.params.p: [{}] }}\n", values.join(", "))).unwrap();
    assert_eq!(crate::listed(&spec.sweep.axes[0]).len(), values.len());
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
    let axis = &spec.sweep.axes[2];
    let second = axis.override_with(crate::listed(axis)[1].clone());
    let point = Draft::read(&path).unwrap().build(&[second.unwrap()], &[]).unwrap();
    assert!(Draft::read(&path).unwrap().without_sweep().build(&[], &[]).unwrap().sweep.is_empty());
    let written = point.stages[0].params.get("path").unwrap();
    assert_eq!((written.as_str(), &**written.folder()), (Some("../z"), folder.path()));
    let error = "a.params.p".parse::<Axis>().unwrap_err();
    assert_eq!(
        reported(&error),
        "1:1 `a.params.p` has no `=`; write `STAGE.params.NAME=[VALUE, …]` or `STAGE.params.NAME={uniform: [LOW, \
        HIGH]}`"
    );
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

#[test]
fn a_number_is_the_same_value_with_and_without_a_fraction() {
    let error = |text: &str| text.parse::<Axis>().unwrap_err().to_string();
    assert!(error("a.params.p=[1, 1.0]").contains("the number 1.0 twice, once as a fraction"));
    assert!(error("a.params.p=[0.0, 2, 0]").contains("twice"));
    assert!("a.params.p=[1, 1.5, 2.0]".parse::<Axis>().is_ok());
    // In a text they are two.
    assert!("vars.p=[1, 1.0]".parse::<Axis>().is_ok());
}
