//! The programs of `command`: contained, read to their end, bounded in time, watched.

use serde_json::Value;

use crate::project::{Project, Reply, is_alive, signal, wait_for_end};

/// A project of one stage with these params.
fn project(params: &str) -> Project {
    Project::with_spec(&format!("stages:\n  a: {{ kind: command, params: {{ {params} }} }}\n"))
}

/// A project whose stage runs a script by `sh` and leaves `out`.
fn script(text: &str) -> Project {
    project(&format!("run: [sh, -c, {}], outputs: [out]", Value::from(text)))
}

fn run(project: &Project) -> Reply {
    project.run(&["run", "spec.yaml"])
}

#[test]
fn what_a_program_leaves_running_is_ended_with_it() {
    for start in ["", "setsid "] {
        let project = script(&format!(
            "{start}sh -c 'trap \"\" TERM; echo $$ > \"$SPEC_DIR/left\"; while :; do sleep 1; done' > /dev/null 2>&1 &
             while ! [ -s \"$SPEC_DIR/left\" ]; do :; done; echo done > out"
        ));
        let reply = run(&project);
        assert_eq!(reply.code, Some(0), "{reply:?}");
        assert!(reply.stderr.contains("warning: a: `sh` ended and left `sh`, `sleep` running"), "{reply:?}");
        assert!(!is_alive(project.read("left").trim().parse().unwrap()), "with `{start}`");
    }
}

#[test]
fn what_ends_by_itself_right_after_the_program_is_heard_and_no_reason_to_warn() {
    let project = script("echo 1 > out; { read line; echo \"tee: $line\"; } < \"$SPEC_DIR/words\" & exit 0");
    project.write("words", "the end\n");
    let reply = run(&project);
    assert!(reply.stderr.contains("| a tee: the end") && !reply.stderr.contains("warning"), "{reply:?}");
}

#[test]
fn a_program_has_no_terminal_to_ask_on() {
    let project = script("read -r stat < /proc/$$/stat; set -- $stat; echo \"session $6, terminal $7\"; : > out");
    let reply = run(&project);
    let own = std::fs::read_to_string("/proc/self/stat").unwrap();
    let own_session = own.split(' ').nth(5).unwrap();
    assert!(reply.stderr.contains(", terminal 0"), "{reply:?}");
    assert!(!reply.stderr.contains(&format!("session {own_session},")), "{reply:?}");
}

#[test]
fn a_program_whose_guard_is_killed_goes_with_it() {
    let project = script("echo \"$$ $PPID\"; exec sleep 1000");
    let mut started = project.start(&["run", "spec.yaml"]);
    let line = started.until("| ");
    let numbers: Vec<u32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    signal("KILL", numbers[1]);
    started.until("the process that guards the program was ended");
    assert_eq!(started.code(), Some(3));
    wait_for_end(numbers[0]);
}

#[test]
fn the_end_of_a_long_output_is_kept_and_the_rest_bounded() {
    let project = script("yes 'a line of some length' | head -n 300000; echo the reason; exit 3");
    let reply = run(&project);
    assert_eq!(reply.code, Some(3), "{}", reply.stderr.len());
    assert!(reply.stderr.contains("\nthe reason"), "the error quotes the end");
    assert!(reply.stderr.contains("lines left out]\n"), "what is left out is counted");
    assert!(project.read("artifacts/last").is_empty(), "a folder has no text");
    let runs = std::fs::read_dir(project.path("artifacts/runs")).unwrap();
    let events = runs.map(|run| std::fs::metadata(run.unwrap().path().join("events.jsonl")).unwrap().len()).max();
    assert!(events.unwrap() < 8 << 20, "{events:?}");
    assert!(std::fs::read_dir(project.path("artifacts/runs")).unwrap().count() == 1);
}

#[test]
fn a_progress_bar_shows_while_it_is_drawn() {
    let project = script("printf '\\r 1%%'; read go < \"$SPEC_DIR/go\"; printf '\\r100%%\\n'; : > out");
    crate::project::make_fifo(&project.path("go"));
    let mut started = project.start(&["run", "spec.yaml"]);
    // Its first text arrives although the program does not continue before.
    started.until("1%");
    project.write("go", "x\n");
    started.until("100%");
    assert_eq!(started.code(), Some(0));
    let shown = project.run(&["runs", "last"]).stderr;
    assert!(shown.contains("| a 100%") && !shown.contains(" 1%"), "{shown}");
}

#[test]
fn a_program_that_takes_too_long_is_stopped_and_may_be_tried_again() {
    let project = project("run: [sleep, '1000'], outputs: [out], timeout: 0.1s");
    let reply = run(&project);
    assert_eq!(reply.code, Some(3), "{reply:?}");
    assert!(reply.stderr.contains("`sleep` did not end within [TIME] and was stopped"), "{reply:?}");

    // The first try leaves a file, which the second must not find.
    let flaky = "ls; echo \"$SPEC_DIR\"; : > junk; if [ -e \"$SPEC_DIR/tried\" ]; then : > out; else : > \"$SPEC_DIR/tried\"; echo busy; exit 5; fi";
    let once_more = "spec.yaml --set a.params.retries=2 --set a.params.timeout=1m";
    let project = script(flaky);
    let reply = project.run(&["run"].into_iter().chain(once_more.split(' ')).collect::<Vec<_>>());
    assert_eq!(reply.code, Some(0), "{reply:?}");
    assert!(reply.stderr.contains("| a [`sh` exited with 5: busy; try 2 of 3 begins in 0.5 s]"), "{reply:?}");
    assert!(!reply.stderr.contains("| a junk"), "{reply:?}");
    // Neither changes the stage.
    assert!(run(&project).stderr.contains("nothing ran"));
}

#[test]
fn mistakes_are_shown_where_they_stand() {
    for (params, message, help) in [
        (
            "run: python train.py, outputs: [o]",
            "`run` is a text, but must be a list",
            "write `run: [python, train.py]`",
        ),
        ("run: 'cat a | wc', outputs: [o]", "`run` is a text, but must be a list", "[sh, -c, 'cat a | wc']"),
        ("run: ['python train.py'], outputs: [o]", "is no program, but a whole command", "`run: [python, train.py]`"),
        ("run: [./spec.yaml], outputs: [o]", "`./spec.yaml` may not be executed", "make it a program: `chmod +x"),
        ("run: [a], outputs: o", "expected a list", "write `[o]`"),
        ("run: [a], outputs: [./o]", "the output `./o` has parts that change nothing", "write `o`"),
        ("run: [a], outputs: [/o]", "the output `/o` is an absolute path", "`publish` copies them elsewhere"),
        ("run: [a], outputs: [o], timeout: 30", "a time with its unit, such as `90s`", "found"),
        ("run: [a], outputs: [o], timeout: soon", "a time with its unit, such as `90s`", "soon"),
        ("run: [a], outputs: [o], retries: -1", "expected a whole number of at least 0", "-1"),
        ("run: [a], outputs: [o], env: { SPEC_DIR: x }", "`SPEC_DIR` is set by this program", "SPEC_DIR"),
        ("run: [a], outputs: [o], env: { A=B: x }", "`A=B` cannot name a variable", "A=B"),
        ("run: [a], outputs: [o], env: { T: null }, pass_env: [T]", "`T` stands in `env`, too", "one of them"),
        ("run: [a], outputs: [o], pass_env: ['*']", "`*` cannot name a variable", "*"),
        ("run: [sh, -c, 'cat ${INPUT_B}/o'], outputs: [o]", "unknown var `INPUT_B`", "`$INPUT_B`, or `$${INPUT_B}`"),
    ] {
        let reply = project(params).run(&["validate", "spec.yaml"]);
        assert_eq!(reply.code, Some(2), "{params}: {reply:?}");
        assert!(reply.stderr.contains(message) && reply.stderr.contains(help), "{params}: {}", reply.stderr);
        assert!(reply.stderr.contains("spec.yaml:2:"), "{params}: {}", reply.stderr);
    }
}

#[test]
fn inputs_that_would_share_a_variable_are_refused() {
    for (one, two) in [("train-text", "train_text"), ("图片", "文本"), ("a.b", "A-B")] {
        let reply = Project::with_spec(&format!(
            "stages:\n  x: {{ kind: command, params: {{ run: [touch, o], outputs: [o] }} }}\n  \
             y: {{ kind: command, inputs: {{ {one}: x, {two}: x }}, params: {{ run: [touch, o], outputs: [o] }} }}\n"
        ))
        .run(&["validate", "spec.yaml"]);
        assert_eq!(reply.code, Some(2), "{reply:?}");
        assert!(reply.stderr.contains(&format!("the inputs `{one}` and `{two}` would both be `$INPUT_")), "{reply:?}");
    }
}

#[test]
fn programs_and_scripts_that_run_names_are_watched() {
    let outside = tempfile::tempdir().unwrap();
    let tool = outside.path().join("tool").display().to_string();
    for (run_param, script) in [
        ("[./tool]", "tool"),
        ("[tools/tool.sh]", "tools/tool.sh"),
        ("[sh, '[FOLDER]/x.sh']", "x.sh"),
        ("[sh, -eu, lib/x.sh]", "lib/x.sh"),
        ("[sh, -c, '\"$SPEC_DIR/x.sh\" > out']", "x.sh"),
        ("[sh, -c, '. \"$SPEC_DIR\"/lib/x.sh > out']", "lib/x.sh"),
        ("[sh, -c, 'exec ${SPEC_DIR}/tool']", "tool"),
        ("[nice, '[TOOL]']", tool.as_str()),
        ("['[TOOL]']", tool.as_str()),
    ] {
        let project = Project::new();
        let folder = project.path("").display().to_string();
        let params = run_param.replace("[FOLDER]", folder.trim_end_matches('/')).replace("[TOOL]", &tool);
        // As in a shell: `$${` is a `${` that is not one of the spec.
        let params = params.replace("${SPEC_DIR}", "$${SPEC_DIR}");
        let spec = format!("stages:\n  a: {{ kind: command, params: {{ run: {params}, outputs: [out] }} }}\n");
        project.write("spec.yaml", &spec);
        let write = |text: &str| {
            project.write(script, &format!("#!/bin/sh\necho {text} | tee out\n"));
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(project.path(script), mode).unwrap();
        };
        write("one");
        assert_eq!(run(&project).code, Some(0), "{run_param}: {:?}", run(&project));
        assert!(run(&project).stderr.contains("nothing ran"), "{run_param}");
        write("another");
        let reply = run(&project);
        assert!(reply.stderr.contains("source.run/"), "{run_param}: {reply:?}");
        let folder = project.command(&["path", "spec.yaml", "a"]).output().unwrap().stdout;
        let out = std::path::PathBuf::from(String::from_utf8(folder).unwrap().trim()).join("out");
        assert_eq!(std::fs::read_to_string(out).unwrap(), "another\n", "{run_param}");
    }
}

#[test]
fn what_a_source_covers_and_what_the_system_has_adds_no_source() {
    for params in [
        "run: [./tool], outputs: [out], sources: [tool]",
        "run: [./lib/tool], outputs: [out], sources: [lib]",
        "run: [/bin/sh, -c, 'cat \"$SPEC_DIR/data.txt\" > out'], outputs: [out]",
        "run: [touch, out, /tmp, lib/], outputs: [out]",
    ] {
        let project = project(params);
        for name in ["tool", "lib/tool", "data.txt"] {
            project.write(name, "#!/bin/sh\n: > out\n");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(project.path(name), mode).unwrap();
        }
        let why = project.run(&["why", "spec.yaml", "a"]);
        assert!(!why.stdout.contains("source.run/"), "{params}: {why:?}");
    }
}

#[test]
fn a_file_that_is_not_found_where_the_program_runs_is_explained() {
    let project = project("run: [sh, train.sh, data.txt], outputs: [out]");
    project.write("train.sh", "cat \"$1\" > out\n");
    project.write("data.txt", "1\n");
    let reply = run(&project);
    assert_eq!(reply.code, Some(3), "{reply:?}");
    assert!(reply.stderr.contains("`data.txt` lies in the folder of the spec"), "{reply:?}");
    assert!(reply.stderr.contains("[sh, -c, 'sh \"$SPEC_DIR/train.sh\" \"$SPEC_DIR/data.txt\"']"), "{reply:?}");
}

#[test]
fn a_missing_script_is_named_before_anything_runs() {
    let project = project("run: [python3, lib/train.py], outputs: [out]");
    let reply = run(&project);
    assert_eq!(reply.code, Some(2), "{reply:?}");
    assert!(reply.stderr.contains("the script `[FOLDER]/lib/train.py` cannot be read"), "{reply:?}");
    assert!(reply.stderr.contains("a script in `run` is named relative to the spec file"), "{reply:?}");
}

#[test]
fn a_script_that_is_gone_does_not_discard_its_result() {
    let project = project("run: [sh, train.sh], outputs: [out]");
    project.write("train.sh", ": > out\n");
    assert_eq!(run(&project).code, Some(0));
    project.remove("train.sh");
    let reply = run(&project);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    assert!(reply.stderr.contains("nothing ran"), "{reply:?}");
}
