//! Words completed as bash does it: the script is sourced, and its function is called with a line and a cursor.

use std::time::{Duration, Instant};

use crate::project::Project;

const SPEC: &str = "\
# A shop's search.
vars: { letters: '5' }
stages:
  queries: { kind: load-queries, params: { path: q.jsonl } }
  first: { kind: command, params: { run: [sh, -c, 'echo 1 > out'], outputs: [out] } }
  heads:
    kind: train-projection
    inputs: { queries: queries, text: text, images: images }
    params: { fit: ridge }
  text: { kind: command, params: { run: [touch, out], outputs: [out] } }
  images: { kind: command, params: { run: [touch, out], outputs: [out] } }
";

/// Completes the line at its end; bash replaces what follows the last `=` or `:` of the word.
const CALL: &str = r#"
source <("$PROGRAM" completions bash)
COMP_LINE=$1 COMP_POINT=${#1}
# As readline breaks words: at spaces, and `=` and `:` apart.
words=$(sed 's/[=:]/ & /g' <<< "$1")
read -ra COMP_WORDS <<< "$words"
[[ $1 == *[[:space:]] ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_pipeline_complete
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// The candidates for a line, of which `pipeline` is the first word.
fn candidates(project: &Project, line: &str) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_pipeline");
    let mut command = std::process::Command::new("bash");
    command.args(["--norc", "-c", CALL, "bash", &line.replacen("pipeline", program, 1)]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("PROGRAM", program);
    let output = command.current_dir(project.path("")).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{line}: {errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_specs_stages_params_runs_and_kinds() {
    let project = Project::new();
    project.write("pipelines/shop.yaml", SPEC);
    project.write("pipelines/shorter.yaml", "extends: shop.yaml\n");
    project.write("pipelines/notes.yaml", "no: spec\n");
    for (line, expect) in [
        ("pipeline sta", &["status", "stages"][..]),
        ("pipeline run ", &["shop", "shorter"]),
        ("pipeline run sho", &["shop", "shorter"]),
        ("pipeline why shop h", &["heads"]),
        ("pipeline run shop text f", &["first"]),
        ("pipeline run shop --force im", &["images"]),
        ("pipeline run shop --set vars.", &["vars.letters="]),
        ("pipeline run shop --set heads.params.shu", &["heads.params.shuffle="]),
        // Bash has broken the word apart, and replaces only what follows the sign.
        ("pipeline run shop --set heads.params.fit=", &["contrastive", "ridge", "cca"]),
        ("pipeline run shop --set heads.params.fit=r", &["ridge"]),
        ("pipeline run shop --set=heads.params.fit=r", &["ridge"]),
        ("pipeline stages load-", &["load-queries"]),
        ("pipeline run shop --device c", &["cpu", "cuda"]),
        ("pipeline run nothing st", &[]),
    ] {
        assert_eq!(candidates(&project, line), expect, "{line}");
    }
    assert!(!project.path("artifacts").exists(), "a store was made");
}

#[test]
fn runs_are_completed_by_name_and_number_and_the_store_stays_as_it_is() {
    let project = Project::with_spec(
        "stages:\n  a: { kind: command, params: { run: [sh, -c, 'echo 1 > out'], outputs: [out] } }\n",
    );
    assert_eq!(project.run(&["run", "spec.yaml", "--name", "base"]).code, Some(0));
    let files = || {
        let mut find = std::process::Command::new("find");
        find.args(["artifacts", "-printf", "%p %T@\n"]).current_dir(project.path(""));
        let output = find.output().unwrap();
        let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let before = files();
    assert_eq!(candidates(&project, "pipeline diff b"), ["base"]);
    assert_eq!(candidates(&project, "pipeline runs "), ["last", "last~1", "1", "base"]);
    assert!(candidates(&project, "pipeline report ").contains(&"spec".to_owned()));
    assert_eq!(files(), before);
}

#[test]
fn every_shell_has_a_script_and_an_answer_comes_at_once() {
    let project = Project::new();
    project.write("pipelines/shop.yaml", SPEC);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let reply = project.run(&["completions", shell]);
        assert!(reply.code == Some(0) && reply.stdout.contains("PIPELINE_COMPLETE"), "{shell}: {reply:?}");
        let ask = || {
            let mut command = project.command(&["--", "pipeline", "why", "shop", "h"]);
            // Each shell says in its own way which word is completed.
            command.env("PIPELINE_COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", "3").env("_CLAP_IFS", "\n");
            command.output().unwrap()
        };
        let start = Instant::now();
        let answer = ask();
        let took = start.elapsed().min({
            let again = Instant::now();
            ask();
            again.elapsed()
        });
        let text = String::from_utf8_lossy(&answer.stdout);
        assert!(answer.stderr.is_empty() && text.contains("heads"), "{shell}: {answer:?}");
        // A tenth of it is usual; machines that run all tests at once are slow.
        assert!(took < Duration::from_millis(500), "{shell}: {took:?}");
    }
    let reply = project.command(&["--", "pipeline", "run"]).env("PIPELINE_COMPLETE", "nonesuch").output().unwrap();
    assert!(reply.status.success() && reply.stdout.is_empty() && reply.stderr.is_empty(), "{reply:?}");
}

#[test]
fn every_command_has_a_manual_page() {
    let project = Project::new();
    assert_eq!(project.run(&["man", "man"]).code, Some(0));
    let help = String::from_utf8(project.command(&["--help"]).output().unwrap().stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let names = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let mut names: Vec<String> =
        names.filter(|name| !["", "help"].contains(name)).map(|name| format!("pipeline-{name}")).collect();
    assert!(names.len() > 20, "{help}");
    names.extend(
        [
            "pipeline",
            "pipeline-cache-gc",
            "pipeline-cache-keygen",
            "pipeline-cache-pull",
            "pipeline-cache-push",
            "pipeline-cache-stats",
            "pipeline-cache-verify",
        ]
        .map(str::to_owned),
    );
    for name in &names {
        let page = project.read(&format!("man/{name}.1"));
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
        let is_leaf = !["pipeline", "pipeline-cache"].contains(&name.as_str());
        assert_eq!(page.contains("\n.SH EXAMPLES\n"), is_leaf, "{name}: {page}");
    }
    assert_eq!(std::fs::read_dir(project.path("man")).unwrap().count(), names.len());
    // Where there is groff, it has nothing to say about them.
    let mut groff = std::process::Command::new("groff");
    groff.args(["-man", "-Kutf8", "-ww", "-z", "-Tutf8"]);
    groff.args(names.iter().map(|name| project.path(&format!("man/{name}.1"))));
    if let Ok(checked) = groff.output() {
        assert!(checked.status.success() && checked.stderr.is_empty(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// Types the line and a tab into an interactive zsh, and prints the line that it has then.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PROMPT=; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; source <(pipeline completions zsh); show() { print -r -- "<$BUFFER>" }; zle -N show; bindkey "^T" show; print -r "REA""DY"'
local shown
zpty -r -m shell shown '*READY*'
zpty -n -w shell "$1"$'\t\x14'
zpty -r -m shell shown '*<*>*'
shown=${shown##*<}
print -r -- "${shown%%>*}|"
zpty -d shell
"#;

/// The output of a shell with `pipeline` on its PATH; `None` where it is not installed.
fn shell(project: &Project, shell: &str, args: &[&str]) -> Option<String> {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_pipeline")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut command = std::process::Command::new(shell);
    command.args(args).env_clear().env("PATH", path).env("HOME", project.path("")).env("TERM", "dumb");
    let output = command.current_dir(project.path("")).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As people do it, in the shells that are installed: the script is sourced, and a line is completed.
#[test]
fn zsh_and_fish_complete_specs_stages_params_and_runs() {
    let project = Project::new();
    project.write("pipelines/shop.yaml", SPEC);
    project.write("pipelines/more/grid.yaml", "extends: ../shop.yaml\n");
    project.write("pipeline.toml", "");
    project
        .write("pipelines/one.yaml", "stages: { a: { kind: command, params: { run: [touch, o], outputs: [o] } } }\n");
    assert_eq!(project.run(&["run", "one", "--name", "base"]).code, Some(0));
    // Zsh sets a space behind a word that is whole, and none where it goes on.
    for (line, zsh, fish) in [
        ("pipeline run sho", "pipeline run shop ", "shop"),
        ("pipeline run gri", "pipeline run grid ", "grid"),
        ("pipeline why shop hea", "pipeline why shop heads ", "heads"),
        (
            "pipeline run shop --set heads.params.shu",
            "pipeline run shop --set heads.params.shuffle=",
            "heads.params.shuffle=",
        ),
        (
            "pipeline run shop --set heads.params.fit=r",
            "pipeline run shop --set heads.params.fit=ridge ",
            "heads.params.fit=ridge",
        ),
        ("pipeline runs ba", "pipeline runs base ", "base"),
    ] {
        if let Some(shown) = shell(&project, "zsh", &["-f", "-c", ZSH, "zsh", line]) {
            assert_eq!(shown.trim_end_matches('\n'), format!("{zsh}|"), "{line}");
        }
        let script = format!("pipeline completions fish | source; complete -C '{line}'");
        if let Some(shown) = shell(&project, "fish", &["--no-config", "-c", &script]) {
            let words: Vec<&str> = shown.lines().map(|line| line.split('\t').next().unwrap_or_default()).collect();
            assert_eq!(words, [fish], "{line}");
        }
    }
}
