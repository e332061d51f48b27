//! Mistakes in one file, each with the message that the user reads.

use std::fs;
use std::path::Path;

use crate::{parse, render};

/// Specs and, after `--->`, the message about each.
const MISTAKES: &str = include_str!("mistakes.txt");

#[test]
fn every_mistake_points_at_its_place_and_says_what_to_do() {
    let cases: Vec<&str> = MISTAKES.split("\n==========\n").collect();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    for case in cases {
        let (text, expected) = case.split_once("\n--->\n").expect("a spec and its error");
        let rendered = render(&parse(text).expect_err(text));
        assert_eq!(rendered, expected.trim_end(), "\n--- found\n{rendered}\n--- for\n{text}");
    }
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_no_position() {
    let error = parse("\u{feff}name: é\r\nstages:\r\n  a: { knd: x }\r\n").unwrap_err();
    assert_eq!(
        render(&error),
        "demo.yaml:3:8\n  a: { knd: x }\n       ^^^ unknown key `knd`\nhelp: did you mean `kind`?"
    );
    let error = parse("\u{feff}naem: x\n").unwrap_err();
    assert_eq!(error.span.unwrap().to_string(), "/data/pipelines/demo.yaml:1:1");
}

#[test]
fn a_file_that_is_not_there_or_not_text_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    let error = pipeline_spec::load(&path, &[]).unwrap_err();
    assert_eq!(error.message, format!("cannot read `{}`", path.display()));
    assert!(error.span.is_none());
    assert!(render(&error).ends_with("caused by: No such file or directory (os error 2)"));

    fs::write(&path, b"name: x\nstages: { \xc3\xa9\xff: {} }\n").unwrap();
    let error = pipeline_spec::load(&path, &[]).unwrap_err();
    assert_eq!(
        render(&error),
        "a.yaml:2:12\nstages: { é\u{fffd}: {} }\n           ^ the file is not UTF-8 text\nhelp: save it as UTF-8"
    );

    let error = pipeline_spec::load(folder.path(), &[]).unwrap_err();
    assert!(error.message.starts_with("cannot read"), "{error}");
}

#[test]
fn what_is_no_regular_file_is_not_read_as_a_spec() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    for (base, cause) in [("/dev/zero", "a device"), (".", "a folder")] {
        fs::write(&path, format!("extends: {base}\n")).unwrap();
        let rendered = render(&pipeline_spec::load(&path, &[]).unwrap_err());
        assert!(rendered.starts_with("a.yaml:1:10\n"), "{rendered}");
        assert!(
            rendered.contains(&format!("caused by: it is {cause} and not a regular file\nhelp: `extends`")),
            "{rendered}"
        );
    }
    fs::File::create(&path).unwrap().set_len((16 << 20) + 1).unwrap();
    let error = pipeline_spec::load(&path, &[]).unwrap_err();
    assert_eq!(error.message, format!("`{}` is longer than 16 MiB", path.display()));
}

#[test]
fn hostile_files_are_refused_at_once() {
    let deep = format!("stages: {}", "{a: ".repeat(100_000));
    assert_eq!(parse(&deep).unwrap_err().message, "lists and maps are nested more than 64 deep");

    let mut bomb = String::from("vars:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let repeated = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("  a{level}: &a{level} [{repeated}]\n"));
    }
    assert_eq!(parse(&bomb).unwrap_err().message, "aliases copy more than 64 MiB of values");
    let many = format!("vars: [{}]\n", "1,".repeat(1_000_001));
    assert_eq!(parse(&many).unwrap_err().message, "the file has more than 1000000 values");

    let mut tower = String::from("vars:\n  a0: &a0 [x]\n");
    for level in 1..100 {
        tower.push_str(&format!("  a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert_eq!(parse(&tower).unwrap_err().message, "lists and maps are nested more than 64 deep");

    // Few values, but long ones: repeated by aliases, by keys that are aliases, by nested anchors, by vars.
    let text = "x".repeat(50_000);
    let long = format!("vars:\n  a: &a {text}\n  b: [{}]\n", vec!["*a"; 2_000].join(", "));
    let keys = format!("vars:\n  a: &a {text}\n  b: [{}]\n", vec!["{*a : 1}"; 2_000].join(", "));
    let towers: Vec<String> = (0..40)
        .map(|tower| {
            let anchors: String = (0..60).map(|level| format!("&a{tower}.{level} [")).collect();
            format!("{anchors}{text}{}", "]".repeat(60))
        })
        .collect();
    let anchors = format!("vars: [{}]\n", towers.join(", "));
    for text in [long, keys, anchors] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.message, "aliases copy more than 64 MiB of values");
        assert!(error.span.is_some());
    }
    let items = vec!["\"${a}\""; 2_000].join(", ");
    let vars = format!("vars: {{ a: {text} }}\nstages: {{ s: {{ kind: x, params: {{ p: [{items}] }} }} }}\n");
    assert_eq!(parse(&vars).unwrap_err().message, "vars make the spec longer than 64 MiB");

    let mut vars = String::from("stages: { a: { kind: x } }\nvars:\n  v0: xxxxxxxxxx\n");
    for level in 1..20 {
        vars.push_str(&format!("  v{level}: \"{}\"\n", format!("${{v{}}}", level - 1).repeat(10)));
    }
    assert_eq!(parse(&vars).unwrap_err().message, "vars make this text longer than 65536 bytes");
}

#[test]
fn the_file_is_named_as_the_user_named_it() {
    let error = pipeline_spec::parse("nme: x", Path::new("pipelines/demo.yaml")).unwrap_err();
    assert_eq!(error.span.unwrap().to_string(), "pipelines/demo.yaml:1:1");
}
