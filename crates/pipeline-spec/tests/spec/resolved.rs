//! The resolved spec that is kept with each run.

use std::fs;

use pipeline_spec::{CheckRule, Node, PipelineSpec, Value, resolved_yaml};

/// The meaning of a spec, without places.
fn meaning(spec: &PipelineSpec) -> Vec<String> {
    let mut meaning = vec![spec.name.clone(), format!("{:?} {:?}", spec.folder, spec.vars)];
    meaning.extend(spec.vars.keys().map(|name| format!("{name} {:?}", spec.var_path(name))));
    for stage in &spec.stages {
        let inputs: Vec<_> = stage.inputs.iter().map(|(slot, producer)| (&slot.value, &producer.value)).collect();
        let publish: Vec<_> = stage.publish.iter().map(|publish| (&publish.file.value, &publish.path)).collect();
        let kind = &stage.kind.value;
        meaning.push(format!("{} {kind} {inputs:?} {} {publish:?}", stage.id, stage.retain));
        meaning.push(texts(&stage.params));
    }
    meaning.extend(spec.sweep.axes.iter().map(|axis| {
        format!("{} {}", axis.target(), crate::listed(axis).iter().map(texts).collect::<Vec<_>>().join(" "))
    }));
    meaning.extend(spec.check.iter().map(
        |(metric, CheckRule { max_drop, max_rise, min_value, max_value, paired, .. })| {
            format!("{metric} {max_drop:?} {max_rise:?} {min_value:?} {max_value:?} {paired:?}")
        },
    ));
    meaning
}

/// The values; for texts also the paths that they would mean.
fn texts(node: &Node) -> String {
    match &node.value {
        Value::Str(text) => format!("{text:?} or {:?}", node.folder().join(text)),
        Value::List(items) => format!("[{}]", items.iter().map(texts).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(name, node)| format!("{}: {}", name.value, texts(node)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        value => format!("{value:?}"),
    }
}

#[test]
fn a_resolved_spec_reads_as_a_user_would_write_it() {
    let text = "\
vars: { data: ../data }
stages:
  queries: { kind: load-queries, params: { path: '${data}/q.jsonl', lr: 1e-3, k: [1, 5], note: 'yes' } }
  evaluate:
    kind: evaluate
    inputs: { queries: queries }
    retain: false
    publish: { m.json: ../out/m.json }
sweep: { queries.params.lr: [0.1, 1], vars.data: ['a b'] }
check: { mean_recall: { max_drop: 0.002 } }
";
    let spec = crate::parse(text).unwrap();
    assert_eq!(
        resolved_yaml(&spec),
        "\
name: demo
folder: /data/pipelines
vars:
  data: ../data
stages:
  queries:
    kind: load-queries
    params:
      path: ../data/q.jsonl
      lr: 0.001
      k: [1, 5]
      note: \"yes\"
  evaluate:
    kind: evaluate
    inputs:
      queries: queries
    retain: false
    publish:
      m.json: /data/out/m.json
sweep:
  queries.params.lr: [0.1, 1]
  vars.data: [\"a b\"]
check:
  mean_recall: { max_drop: 0.002 }
"
    );
}

#[test]
fn it_gives_the_same_spec_wherever_it_is_stored() {
    let folder = tempfile::Builder::new().prefix("a b é %!").tempdir().unwrap();
    fs::create_dir(folder.path().join("experiments")).unwrap();
    let base = "\
vars: { data: ../data, text: 'a: \"b\" # ${empty}', empty: '' }
stages:
  a:
    kind: k
    params: { path: x.tsv, var: '${data}/y', absolute: /z, shell: 'echo $${HOME} $HOME $$ ${data}', nested: { l: [q, \
    [r]], e: {} } }
    publish: { f: '../$${odd}/f' }
";
    let main = r##"
extends: ../base.yaml
stages:
  a: { params: { mine: m, path2: '${data}' }, publish: { g: g } }
  b:
    kind: other
    inputs: { "the slot": a }
    params:
      words:
        - [a, "null", "~", "", " ", "true", "1", "1e3", "0x1", ".inf", "- a", "a: b", "a #b", "#"]
        - ["[x", "{y", "!t", "&a", "*a", "@", "`", "%", "|", ">", "'"]
        - ["\"", "\\", "a\nb", "\tx", "é 猫 🐈", "\u0007\u0085\u2028\ufeff", "---"]
        - ["...", "?", ":", ",", "-", "<<", "=", "2024-01-01", "12:30", "$${x}", "yes"]
      numbers: [1, -1, 0.5, 1.0, 1e300, 1e-300, 9223372036854775807, -9223372036854775808, .inf, -.inf]
      other: [true, false, null, ~]
      "odd key: #": 1
      "1": one
sweep: { b.params.numbers: [[1], "${data}/s"], vars.data: [p] }
check: { m: { max_drop: 0, min_value: -0.25 }, p: { max_drop: 0.5, paired: { alpha: 0.01 } }, q: { max_drop: 1, paired: },
         r: { max_rise: 2, max_value: 3 } }
"##;
    fs::write(folder.path().join("base.yaml"), base).unwrap();
    let path = folder.path().join("experiments/main.yaml");
    fs::write(&path, main).unwrap();
    let spec = pipeline_spec::load(&path, &["a.params.set=here".parse().unwrap()]).unwrap();

    let yaml = resolved_yaml(&spec);
    let stored = folder.path().join("stored.yaml");
    fs::write(&stored, &yaml).unwrap();
    let again = pipeline_spec::load(&stored, &[]).unwrap_or_else(|error| panic!("{}\n{yaml}", crate::render(&error)));
    assert_eq!(meaning(&again), meaning(&spec), "{yaml}");
    assert_eq!(resolved_yaml(&again), yaml);
}
