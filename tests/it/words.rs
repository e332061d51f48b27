//! The texts for users: help that can be followed, kinds with their values, and nothing that moves a terminal's cursor.

use crate::project::Project;

const SPEC: &str = "vars: { letters: '5' }
stages:
  a: { kind: command, params: { run: [sh, -c, 'echo ${letters} > out'], outputs: [out] } }
";

/// The command that a help text advises, as words for the program.
fn advised(stderr: &str) -> Vec<String> {
    let (_, rest) = stderr.split_once("`pipeline ").unwrap();
    let command = rest.split_once('`').unwrap().0;
    let words = std::process::Command::new("sh").args(["-c", &format!("printf '%s\\n' {command}")]).output().unwrap();
    String::from_utf8(words.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_command_in_a_help_text_is_about_the_same_spec_changes_and_store() {
    let project = Project::with_spec(SPEC);
    let args = ["path", "spec.yaml", "a", "--artifacts", "my store", "--set", "vars.letters='\"six\" 6'"];
    let reply = project.command(&args).output().unwrap();
    assert_eq!(reply.status.code(), Some(1));
    let advised = advised(&String::from_utf8_lossy(&reply.stderr));
    let followed = project.run(&advised.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(followed.code, Some(0), "{advised:?} {followed:?}");
    assert_eq!(project.run(&args).code, Some(0), "{advised:?}");
}

#[test]
fn why_shows_what_the_last_run_had_instead_of_what_is_remembered() {
    let project = Project::with_spec(SPEC);
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    assert_eq!(project.run(&["run", "spec.yaml", "--set", "vars.letters='6'"]).code, Some(0));
    let reply = project.run(&["why", "spec.yaml", "a"]);
    assert!(reply.stdout.contains("`a` does not run"), "{reply:?}");
    assert!(reply.stdout.contains("the last run of the spec"), "{reply:?}");
    assert!(reply.stdout.contains("echo 6 > out") && reply.stdout.contains("echo 5 > out"), "{reply:?}");
}

#[test]
fn kinds_list_the_values_of_their_params() {
    let reply = Project::new().run(&["stages", "train-projection"]);
    for line in [
        "  fit (contrastive | ridge | cca; default contrastive): ",
        "  projection_dim (whole number from 1 to 65536; default 512): ",
        "  shuffle (true | false; default false): ",
        "      cca: Computed: canonical correlation analysis of both features.",
    ] {
        let reply = project_lines(&reply.stdout);
        let wanted: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(reply.iter().any(|found| found.starts_with(&wanted)), "{wanted}: {reply:?}");
    }
}

fn project_lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Clears the screen, sets a title, rings, colours; C1 and DEL; writes from right to left.
const HOSTILE: &str = "\\e[2J\\e]0;title\\a\\e[31m\\x9b2J\\x7f\\u202e";

fn has_control(bytes: &[u8]) -> bool {
    let is_control = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    let is_bidi = |character: char| matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    String::from_utf8(bytes.to_vec()).unwrap().contains(|character| is_control(character) || is_bidi(character))
}

#[test]
fn control_characters_of_foreign_text_become_signs() {
    let program = "printf '\\033[2J\\033]0;title\\007\\n'; echo 1 > out";
    let spec = format!(
        "name: \"x{HOSTILE}\"\nvars: {{ v: \"{HOSTILE}\" }}\nstages:\n  a:\n    kind: command\n    params: {{ run: \
        [sh, -c, {:?}], outputs: [out] }}\n  \
         q: {{ kind: load-queries, params: {{ path: \"${{v}}.jsonl\" }} }}\n",
        program
    );
    let project = Project::with_spec(&spec);
    for args in [
        &["run", "spec.yaml"][..],
        &["run", "spec.yaml", "--json"],
        &["run", "spec.yaml", "--color", "never", "-v"],
        &["runs"],
        &["runs", "--json"],
        &["runs", "last"],
        &["status", "spec.yaml"],
        &["status", "spec.yaml", "--json"],
        &["validate", "spec.yaml"],
        &["validate", "spec.yaml", "--set", "a.params.nn\u{9b}2J=1"],
        &["graph", "spec.yaml", "--format", "dot"],
        &["why", "spec.yaml", "q"],
        &["report", "spec.yaml"],
    ] {
        let output = project.command(args).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!has_control(&output.stdout), "{args:?}: {:?}", String::from_utf8_lossy(&output.stdout));
        assert!(!has_control(&output.stderr), "{args:?}: {shown:?}");
    }
}

#[test]
fn own_colours_pass_and_foreign_ones_do_not() {
    let project = Project::with_spec("name: \"\\e[1;31mred\"\nstages:\n  a: { kind: command, prams: {} }\n");
    let output = project.command(&["validate", "spec.yaml", "--color", "always"]).output().unwrap();
    let shown = String::from_utf8(output.stderr).unwrap();
    assert!(shown.contains("\u{1b}["), "{shown:?}");
    let project = Project::with_spec(
        "name: \"\\e[1;31mred\"\nstages:\n  a: { kind: command, params: { run: [touch, out], outputs: [out] } }\n",
    );
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    let output = project.command(&["runs", "--color", "always"]).output().unwrap();
    assert!(!String::from_utf8(output.stdout).unwrap().contains("\u{1b}[1;31mred"));
}
