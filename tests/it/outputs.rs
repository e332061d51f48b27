//! Outputs of programs come back unchanged, and publishing replaces only published files.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use crate::project::{Project, make_fifo};

/// A spec of `command` stages, each given as name, script, outputs and the rest of its line.
fn spec(stages: &[(&str, &str, &str, &str)]) -> String {
    let line = |(name, script, outputs, rest): &(&str, &str, &str, &str)| {
        format!("  {name}: {{ kind: command, params: {{ run: [sh, -c, '{script}'], outputs: [{outputs}] }}{rest} }}\n")
    };
    format!("stages:\n{}", stages.iter().map(line).collect::<String>())
}

#[test]
fn a_program_that_one_stage_builds_is_run_by_the_next_and_where_it_is_published() {
    let project = Project::with_spec(&spec(&[
        ("build", r##"printf "#!/bin/sh\necho hi\n" > tool; chmod +x tool"##, "tool", ", publish: { tool: bin/tool }"),
        ("links", "mkdir -p d/empty; echo x > d/f.1; ln -s f.1 d/f", "d", ""),
        (
            "use",
            r#""$INPUT_BUILD/tool" > o; cat "$INPUT_LINKS/d/f" >> o; ls -d "$INPUT_LINKS/d/empty""#,
            "o",
            ", inputs: { build: build, links: links }",
        ),
    ]));
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    let folder = project.run(&["path", "spec.yaml", "use"]).stdout.replace("[FOLDER]/", "");
    assert!(folder.contains("trees"), "{folder}");
    let tool = Command::new(project.path("bin/tool")).output().unwrap();
    assert_eq!(tool.stdout, b"hi\n");
    fs::set_permissions(project.path("bin/tool"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    assert!(Command::new(project.path("bin/tool")).status().unwrap().success());
}

#[test]
fn what_an_output_cannot_be_is_refused_by_name() {
    for (script, outputs, expect) in [
        ("mkdir d; ln -s /etc/hostname d/f", "d", "the link `d/f` leads to `/etc/hostname`"),
        ("mkdir d b; echo x > b/1; ln -s ../b/1 d/f", "d", "the link `d/f` leads to `../b/1`"),
        ("mkfifo p", "p", "`p` is a named pipe"),
        ("mkdir r; ln -s r d; echo x > d/f", "d/f", "the output `d/f` lies behind the link `d`"),
    ] {
        let project = Project::with_spec(&spec(&[("a", script, outputs, "")]));
        let reply = project.run(&["run", "spec.yaml"]);
        assert_eq!(reply.code, Some(3));
        assert!(reply.stderr.contains(expect), "{}", reply.stderr);
    }
}

/// Checks that `validate` refuses the spec with `message`, at `place`.
fn refused(spec: &str, place: &str, message: &str) {
    let project = Project::with_spec(spec);
    project.write("data.txt", "precious");
    let reply = project.run(&["validate", "spec.yaml"]);
    assert_eq!(reply.code, Some(2), "{reply:?}");
    assert!(reply.stderr.contains(message), "{}", reply.stderr);
    assert!(reply.stderr.contains(&format!("spec.yaml:{place}")), "{}", reply.stderr);
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(2));
    assert_eq!(project.read("data.txt"), "precious");
}

#[test]
fn publishing_over_what_the_spec_needs_is_a_mistake_in_the_spec() {
    let reads = |path: &str| {
        format!("stages:\n  r: {{ kind: command, params: {{ run: [x], sources: [{path}], outputs: [o] }} }}\n")
    };
    let publishes = |path: &str| {
        format!("  p: {{ kind: command, params: {{ run: [x], outputs: [o] }}, publish: {{ o: {path} }} }}\n")
    };
    let check = |source: &str, path: &str, message: &str| {
        refused(&(reads(source) + &publishes(path)), "3:73", message);
    };
    check("data.txt", "data.txt", "stage `r` reads it as a source");
    check("not-there.txt", "./sub/../not-there.txt", "stage `r` reads it as a source");
    check(".", "out/o", "of stage `r`");
    check("data.txt", "spec.yaml", "it is a file of the spec");
    check("data.txt", "artifacts/o", "it lies in the store");
    let queries = "stages:\n  q: { kind: load-queries, params: { path: data.txt } }\n";
    refused(&(queries.to_owned() + &publishes("data.txt")), "3:73", "stage `q` reads it as a source");
    let help = "if `r` is to read it, name `p` among its inputs, where its kind takes it";
    check("pub.txt", "pub.txt", help);
}

#[test]
fn publishing_what_no_output_declares_is_a_mistake_in_the_spec() {
    let made = spec(&[("a", "echo 1 > out.txt", "out.txt", ", publish: { out.text: x }")]);
    refused(&made, "2:", "stage `a` makes no `out.text` that could be published");
    refused(&made, "2:", "did you mean `out.txt`?");
    let queries = "stages:\n  q: { kind: load-queries, params: { path: data.txt }, publish: { rows.csv: x } }\n";
    refused(queries, "2:67", "it makes `part-*.parquet`, `rejects.jsonl`");
    let nested =
        spec(&[("a", "x", "site", ", publish: { site: public }"), ("b", "x", "o", ", publish: { o: public/o }")]);
    refused(&nested, "3:", "stage `a` publishes to `");
}

#[test]
fn folders_are_published_and_files_of_others_stay() {
    let site = |files: &str| spec(&[("a", files, "site", ", publish: { site: public }")]);
    let project = Project::with_spec(&site("mkdir site; echo 1 > site/a; echo 1 > site/b"));
    project.write("public/mine", "mine");
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    assert_eq!((project.read("public/a"), project.read("public/b")), ("1\n".into(), "1\n".into()));
    assert!(project.run(&["run", "spec.yaml"]).stderr.contains("nothing ran"));
    project.write("spec.yaml", &site("mkdir site; echo 2 > site/a"));
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    assert_eq!((project.read("public/a"), project.path("public/b").exists()), ("2\n".into(), false));
    project.write("spec.yaml", &site("mkdir site; echo theirs > site/mine"));
    let reply = project.run(&["run", "spec.yaml"]);
    assert_eq!((reply.code, project.read("public/mine")), (Some(3), "mine".into()));
    assert!(reply.stderr.contains("is not a file that this program has written"), "{}", reply.stderr);
    assert_eq!(project.run(&["run", "spec.yaml", "--overwrite"]).code, Some(0));
    assert_eq!(project.read("public/mine"), "theirs\n");
}

#[test]
fn a_trial_publishes_only_when_a_person_says_so() {
    let project = Project::with_spec(
        "vars: { text: first, other: x }\nstages:
  a: { kind: command, params: { run: [sh, -c, 'echo ${text} > o'], outputs: [o] }, publish: { o: a.txt } }
  b: { kind: command, inputs: { a: a }, params: { run: [sh, -c, 'cat $INPUT_A/o > o'], outputs: [o] }, publish: { o: \
        b.txt } }
  c: { kind: command, params: { run: [sh, -c, 'echo ${other} > o'], outputs: [o] }, publish: { o: c.txt } }\n",
    );
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    let trial = ["run", "spec.yaml", "--set", "vars.text=second"];
    let texts = || ["a.txt", "b.txt", "c.txt"].map(|name| project.read(name).trim_end().to_owned());
    for _ in 0..2 {
        fs::remove_file(project.path("c.txt")).unwrap();
        let reply = project.run(&trial);
        assert_eq!(reply.code, Some(0));
        let note = "note: `--set` changes `a`, `b`, so their files are not published; `--publish` publishes them";
        assert!(reply.stderr.contains(note), "{}", reply.stderr);
        assert_eq!(texts(), ["first", "first", "x"]);
    }
    assert!(project.run(&["status", "spec.yaml", "--set", "vars.text=second"]).stderr.contains("all up to date"));
    assert_eq!(project.run(&[&trial[..], &["--publish"]].concat()).code, Some(0));
    assert_eq!(texts(), ["second", "second", "x"]);
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    assert_eq!(texts(), ["first", "first", "x"]);
    // Setting a value that it already has changes nothing.
    let same = project.run(&["run", "spec.yaml", "--set", "vars.text=first"]);
    assert!(!same.stderr.contains("not published"), "{}", same.stderr);
}

#[test]
fn a_file_option_replaces_no_file_of_others_no_source_no_link_and_no_pipe() {
    let project = Project::with_spec(&format!(
        "{}  r: {{ kind: command, params: {{ run: [touch, o], sources: [data.txt], outputs: [o] }} }}\n",
        spec(&[("a", "echo 1 > o", "o", ", publish: { o: pipe2 }")])
    ));
    project.write("data.txt", "precious");
    make_fifo(&project.path("pipe2"));
    let reader = Command::new("cat").arg(project.path("pipe2")).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    assert_eq!(reader.wait_with_output().unwrap().stdout, b"1\n");
    assert!(fs::metadata(project.path("pipe2")).unwrap().file_type().is_fifo());

    project.write("notes.html", "mine");
    for (file, message) in [
        ("data.txt", "stage `r` reads it as a source"),
        ("spec.yaml", "it is a file of the spec"),
        ("artifacts/x.html", "it lies in the store"),
        ("notes.html", "is not a file that this program has written"),
    ] {
        let before = project.read(file);
        for subject in ["spec.yaml", "last"] {
            let reply = project.run(&["report", subject, "-o", file]);
            assert_eq!((reply.code, project.read(file)), (Some(2), before.clone()), "{reply:?}");
            let is_known = subject == "spec.yaml" || file != "spec.yaml";
            assert!(!is_known || reply.stderr.contains(message), "{}", reply.stderr);
        }
    }
    assert_eq!(project.run(&["report", "-o", "data.txt", "--force"]).code, Some(2));
    assert_eq!(project.run(&["report", "-o", "notes.html", "--force"]).code, Some(0));
    assert_eq!(project.run(&["report", "-o", "notes.html"]).code, Some(0));
    project.write("target", "");
    symlink("target", project.path("link")).unwrap();
    assert_eq!(project.run(&["report", "-o", "link"]).code, Some(0));
    assert!(project.path("link").is_symlink() && project.read("target").contains("<html"));
    // Like `/dev/stdout`.
    symlink("/proc/self/fd/1", project.path("stdout")).unwrap();
    let through = Command::new("sh")
        .args(["-c", "\"$0\" report last -o stdout | cat"])
        .arg(env!("CARGO_BIN_EXE_pipeline"))
        .current_dir(project.path(""))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&through.stdout).contains("<html"), "{through:?}");
}

#[test]
fn events_that_cannot_be_written_are_reported_and_the_run_goes_on() {
    let project = Project::with_spec(&spec(&[("a", "echo 1 > o", "o", "")]));
    for _ in 0..2 {
        let Ok(full) = fs::File::options().write(true).open("/dev/full") else { return };
        let output = project.command(&["run", "spec.yaml", "--json"]).stdout(full).output().unwrap();
        let reply = project.reply(&output);
        assert_eq!(reply.code, Some(2));
        assert!(reply.stderr.contains("cannot write to stdout"), "{}", reply.stderr);
    }
    assert!(project.run(&["status", "spec.yaml"]).stderr.contains("all up to date"));
}
