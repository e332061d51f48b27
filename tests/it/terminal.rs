//! The display on a terminal, which `script` plays: the line of the whole run, narrow and low screens.

use std::process::Command;

use crate::project::Project;

/// What a command draws on a terminal of this size, without its escape codes, line by line.
fn drawn(project: &Project, args: &str, (columns, rows): (usize, usize), variables: &[(&str, &str)]) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_pipeline");
    let mut command = Command::new("script");
    command.args(["-qec", &format!("stty cols {columns} rows {rows}; exec {program} {args}"), "/dev/null"]);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", project.path(""))
        .env("TERM", "xterm");
    let output = command.envs(variables.iter().copied()).current_dir(project.path("")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let plain = without_codes(&text);
    plain.split(['\n', '\r']).map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn without_codes(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            // A control sequence ends with a letter.
            '\u{1b}' => drop(characters.by_ref().find(char::is_ascii_alphabetic)),
            _ => plain.push(character),
        }
    }
    plain
}

/// Stages that take so many seconds each, all of which can run at once.
fn at_once(n_stages: usize, seconds: f64) -> Project {
    let stages: String = (1..=n_stages)
        .map(|n| format!("  stage-{n}: {{ kind: command, params: {{ run: [sh, -c, 'sleep {seconds}; echo {n} > out'], outputs: [out] }} }}\n"))
        .collect();
    Project::with_spec(&format!("stages:\n{stages}"))
}

#[test]
fn one_line_counts_the_stages_and_knows_the_time_of_the_last_run() {
    let project = at_once(3, 0.8);
    let first = drawn(&project, "run spec.yaml --jobs 1", (80, 24), &[]);
    for done in ["  0 of 3 stages", "  1 of 3 stages", "  2 of 3 stages"] {
        assert!(first.iter().any(|line| line.starts_with(done)), "{done}: {first:?}");
    }
    let again = drawn(&project, "run spec.yaml --jobs 1 --force", (80, 24), &[]);
    let etas: Vec<_> = again.iter().filter_map(|line| line.split_once(" of 3 stages, ETA ")).collect();
    let is_short = |eta: &str| eta.split_once(" s").is_some_and(|(n, _)| n.parse::<u64>().is_ok());
    assert!(!etas.is_empty() && etas.iter().all(|(_, eta)| is_short(eta)), "{again:?}");
    let sweep = "--axis 'stage-1.params.timeout=[10s, 20s]'";
    let points = drawn(&project, &format!("sweep spec.yaml {sweep} --force"), (80, 24), &[]);
    assert!(points.iter().any(|line| line.starts_with("  0 of 2 points")), "{points:?}");
}

#[test]
fn a_low_or_narrow_screen_is_never_overrun() {
    let project = at_once(20, 0.3);
    for (columns, rows) in [(80, 10), (40, 6), (20, 24)] {
        let lines = drawn(&project, "run spec.yaml --jobs 20 --force", (columns, rows), &[]);
        for frame in lines.iter().filter(|line| line.contains(" of 20 stages")) {
            // The lines of a frame follow each other, each filled up to the last column.
            let letters: Vec<char> = frame.chars().collect();
            let drawn: Vec<String> = letters.chunks(columns).map(|line| line.iter().collect()).collect();
            assert!(drawn.len() <= rows, "{columns}: {drawn:?}");
            let begins = |line: &String| line.starts_with("  ") || line.starts_with("spec: ");
            assert!(drawn.iter().all(begins), "{columns}: {drawn:?}");
        }
        let is_more = |line: &String| line.contains(" more running") || columns == 20;
        assert!(rows > 20 || lines.iter().any(is_more), "{columns}: {lines:?}");
    }
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let project = at_once(2, 0.3);
    let lines = drawn(&project, "run spec.yaml", (80, 24), &[("TERM", "dumb")]);
    assert!(lines.iter().any(|line| line.starts_with("  runs     stage-1")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(" of 2 stages")), "{lines:?}");
}

#[test]
fn a_graph_has_the_width_of_the_terminal_and_the_letters_of_the_locale() {
    let project = Project::with_spec(
        "stages:
  a: { kind: command, params: { run: [touch, out], outputs: [out] } }
  b: { kind: command, inputs: { a: a }, params: { run: [touch, out], outputs: [out] } }
",
    );
    let boxes = ["┌───────────┐", "│ a         │", "│ (command) │", "└─────┬─────┘", "      │"];
    let lines = drawn(&project, "graph spec.yaml", (80, 24), &[("LANG", "en_US.UTF-8")]);
    assert_eq!(lines[..5], boxes, "{lines:?}");
    let lines = drawn(&project, "graph spec.yaml", (80, 24), &[("LC_ALL", "C")]);
    assert_eq!(lines[0], "+-----------+", "{lines:?}");
    let reply = project.run(&["graph", "spec.yaml", "--format", "ascii"]);
    assert!(reply.code == Some(0) && reply.stdout.is_ascii() && reply.stdout.contains("| (command) |"), "{reply:?}");
}
