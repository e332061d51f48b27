//! Specs of ten thousand stages.

use std::fmt::Write;
use std::time::Instant;

/// A chain of `command` stages, each with its own params; about 1.8 MB for 10,000.
fn large_spec(n_stages: usize) -> String {
    let mut text = String::from("vars: { data: ../data }\nstages:\n");
    for idx in 0..n_stages {
        let input = if idx == 0 { String::new() } else { format!("    inputs: {{ previous: stage-{} }}\n", idx - 1) };
        write!(
            text,
            "  stage-{idx}:\n    kind: command\n{input}    params:\n      run: [sh, -c, 'echo {idx} > out.txt']\n      \
             outputs: [out.txt]\n      sources: ['${{data}}/{idx}']\n"
        )
        .unwrap();
    }
    text
}

#[test]
fn ten_thousand_stages_load_and_resolve() {
    let text = large_spec(10_000);
    let start = Instant::now();
    let spec = crate::parse(&text).unwrap();
    let loaded = start.elapsed();
    assert_eq!(spec.stages.len(), 10_000);
    let yaml = pipeline_spec::resolved_yaml(&spec);
    let resolved = start.elapsed() - loaded;
    println!("{} stages, {} bytes: load {loaded:?}, resolve {resolved:?}", spec.stages.len(), text.len());
    let again = crate::parse(&yaml).unwrap();
    assert_eq!(pipeline_spec::resolved_yaml(&again), yaml);
}

#[test]
fn a_large_overlay_and_a_cycle_of_ten_thousand_stages_are_found_in_one_pass() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.yaml");
    let main = folder.path().join("main.yaml");
    std::fs::write(&base, large_spec(10_000)).unwrap();
    let overlay = large_spec(10_000).replacen(
        "  stage-0:\n    kind: command\n",
        "  stage-0:\n    kind: command\n    inputs: { previous: stage-9999 }\n",
        1,
    );
    std::fs::write(&main, format!("extends: base.yaml\n{overlay}")).unwrap();
    let start = Instant::now();
    let error = pipeline_spec::load(&main, &[]).unwrap_err();
    println!("overlay and cycle: {:?}", start.elapsed());
    assert!(error.message.starts_with("stages read each other in a cycle: `stage-0 -> stage-9999 -> "));
}
