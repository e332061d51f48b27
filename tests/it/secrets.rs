//! Values of the caller's environment: a program gets them, and nothing that is stored or shown contains them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::project::{Project, Reply};

const SPEC: &str = r#"stages:
  a:
    kind: command
    params:
      run: [sh, -c, 'echo "$TOKEN$PASSWORD$AWS_KEY$MODE" | wc -c > out; echo "$TOKEN$PASSWORD$AWS_KEY" > "$SPEC_DIR/seen"']
      outputs: [out]
      env: { TOKEN: null, MODE: fast }
      pass_env: [PASSWORD, AWS_*, NOT_SET]
"#;

/// Calls the program with these secrets; neither it nor the store shows them.
fn call(project: &Project, args: &[&str], token: &str, password: &str) -> Reply {
    let mut command = project.command(args);
    command.env("TOKEN", token).env("PASSWORD", password).env("AWS_KEY", "s3cret-aws");
    let output = command.output().unwrap();
    let reply = project.reply(&output);
    assert!(!format!("{reply:?}").contains("s3cret"), "{args:?}: {reply:?}");
    for file in files(&project.path("artifacts")) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|bytes| bytes == b"s3cret"), "{args:?}: {}", file.display());
    }
    reply
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn secrets_reach_the_program_and_nothing_else() {
    let project = Project::with_spec(SPEC);
    let run = |token, password| call(&project, &["run", "spec.yaml"], token, password);
    assert_eq!(run("s3cret-1", "s3cret-2").code, Some(0));
    assert_eq!(project.read("seen"), "s3cret-1s3cret-2s3cret-aws\n");

    // Passed-on variables do not count; hashed ones do, and their old result returns with their value.
    assert!(run("s3cret-1", "s3cret-other").stderr.contains("nothing ran"));
    let changed = run("s3cret-9", "s3cret-2");
    assert!(changed.stderr.contains("param.env.TOKEN changed"), "{changed:?}");
    assert!(run("s3cret-1", "s3cret-2").stderr.contains("nothing ran"));

    for args in [
        &["why", "spec.yaml", "a"][..],
        &["why", "spec.yaml", "a", "--json"],
        &["status", "spec.yaml", "--json"],
        &["diff", "last~2", "last"],
        &["diff", "last~2", "last~1", "--json"],
        &["runs", "last~1", "--json"],
        &["report", "spec.yaml", "-o", "-"],
        &["run", "spec.yaml", "--force", "a", "--json"],
    ] {
        for token in ["s3cret-1", "s3cret-7"] {
            call(&project, args, token, "s3cret-2");
        }
    }
    let failed =
        call(&project, &["run", "spec.yaml", "--set", "a.params.run=[sh, -c, exit 1]"], "s3cret-1", "s3cret-2");
    assert_eq!(failed.code, Some(3), "{failed:?}");
}

#[test]
fn what_is_written_in_the_spec_is_public_and_shown() {
    let project = Project::with_spec(SPEC);
    call(&project, &["run", "spec.yaml"], "s3cret-1", "s3cret-2");
    let reply = call(&project, &["why", "spec.yaml", "a", "--set", "a.params.env.MODE=slow"], "s3cret-1", "s3cret-2");
    assert!(reply.stdout.contains(r#"param.env.MODE: "fast" -> "slow""#), "{reply:?}");
}
