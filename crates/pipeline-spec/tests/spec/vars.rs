//! `${var}` in kinds, inputs, params and published paths.

use pipeline_spec::Value;

/// The param `p` of the only stage.
fn param(vars: &str, written: &str) -> Value {
    let text = format!("vars: {vars}\nstages: {{ a: {{ kind: k, params: {{ p: {written} }} }} }}\n");
    let spec = crate::parse(&text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
    spec.stages[0].params.get("p").unwrap().value.clone()
}

#[test]
fn vars_are_replaced_and_what_is_no_var_stays() {
    for (vars, written, expected) in [
        ("{ d: data }", "'${d}/x.tsv'", "data/x.tsv"),
        ("{ d: data }", "'${d}'", "data"),
        ("{ d: data }", "'a ${d} b ${d}'", "a data b data"),
        ("{ d: data }", "$d $HOME $", "$d $HOME $"),
        ("{ d: data }", "'$${d} $$${d} $$d'", "${d} $${d} $$d"),
        ("{ d: data, e: '${d}/e', f: '${e}/f' }", "'${f}'", "data/e/f"),
        ("{ f: '${e}', e: later }", "'${f}'", "later"),
        ("{ n: 0.10 }", "'${n}'", "0.10"),
        ("{ n: 1e-3 }", "'${n}'", "1e-3"),
        ("{ b: true }", "'${b}'", "true"),
        ("{ empty: '' }", "'${empty}x'", "x"),
        ("{ literal: '$${d}' }", "'${literal}'", "${d}"),
    ] {
        assert_eq!(param(vars, written), Value::Str(expected.into()), "{vars} {written}");
    }
}

#[test]
fn vars_reach_kinds_inputs_and_nested_params() {
    let spec = crate::parse(
        "vars: { kind: load, stage: a, x: y }\n\
         stages:\n  a: { kind: '${kind}-queries' }\n  b: { kind: k, inputs: { i: '${stage}' }, params: { l: [{ m: \
        '${x}' }] } }\n",
    )
    .unwrap();
    assert_eq!(spec.stages[0].kind.value, "load-queries");
    assert_eq!(spec.stages[1].inputs[0].1.value.as_str(), "a");
    let Value::List(items) = &spec.stages[1].params.get("l").unwrap().value else { panic!("not a list") };
    assert_eq!(items[0].get("m").unwrap().as_str(), Some("y"));
}

#[test]
fn the_texts_of_vars_are_final() {
    let spec = crate::parse("vars: { a: 1, b: '${a}2' }\nstages: { s: { kind: k } }\n").unwrap();
    assert_eq!(spec.vars.into_iter().collect::<Vec<_>>(), [("a".into(), "1".into()), ("b".into(), "12".into())]);
}
