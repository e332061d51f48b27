//! `pipeline init` begins a project in a foreign repository, `doctor` examines it, and its CI works there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::project::{Project, copy};

/// The images of each split: few, but enough to tell trained heads from untrained ones.
const N_IMAGES: usize = 120;

fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A git repository with the beginning of the demo's data in `data/muge`, and its encoders in `models`.
fn foreign_repository() -> Project {
    let project = Project::new();
    let demo = repository_root().join("pipelines/demo");
    for (name, n_lines) in [
        ("MR_train_imgs.tsv", N_IMAGES),
        ("MR_train_queries.jsonl", N_IMAGES),
        ("MR_valid_imgs.tsv", N_IMAGES),
        ("MR_valid_queries.jsonl", N_IMAGES),
    ] {
        let text = fs::read_to_string(demo.join("data").join(name)).unwrap();
        let lines: Vec<&str> = text.lines().take(n_lines).collect();
        project.write(&format!("data/muge/{name}"), &(lines.join("\n") + "\n"));
    }
    copy(&demo.join("encoders"), &project.path("models"));
    git(&project.path("."), &["init", "--quiet", "--initial-branch", "main"]);
    project
}

const INIT: &[&str] = &["init", "--text-model", "models/bert", "--image-model", "models/resnet"];

fn git(folder: &Path, args: &[&str]) -> String {
    let identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"];
    let output = Command::new("git").args(identity).args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn init_finds_the_data_writes_a_project_and_overwrites_nothing() {
    let project = foreign_repository();
    let reply = project.run(INIT);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let written = "wrote pipeline.toml\nwrote pipelines/baseline.yaml\nwrote pipelines/temperature.yaml\n\
                   wrote .github/workflows/retrieval.yml\nwrote pipelines/baselines/README.md\n\
                   wrote artifacts/ (the store)";
    assert_eq!(reply.stdout, written);
    assert!(reply.stderr.ends_with("next: `pipeline run baseline`"), "{reply:?}");
    for spec in ["baseline", "temperature"] {
        assert_eq!(project.run(&["validate", spec]).code, Some(0));
    }
    git(&project.path("."), &["add", "--all"]);
    let staged = git(&project.path("."), &["diff", "--cached", "--name-only"]);
    assert!(staged.contains("pipelines/baseline.yaml") && !staged.contains("artifacts"), "{staged}");

    project.write("pipelines/baseline.yaml", "# mine\nextends: other.yaml\n");
    project.remove("pipelines/temperature.yaml");
    let again = project.run(INIT);
    assert!(again.code == Some(0) && !again.stdout.contains("wrote"), "{again:?}");
    assert_eq!(again.stdout.matches("there already").count(), 5, "{again:?}");
    assert_eq!(project.read("pipelines/baseline.yaml"), "# mine\nextends: other.yaml\n");
    // The spec that is there is examined, and what is wrong with it is shown.
    assert!(again.stderr.contains("other.yaml") && again.stderr.contains("next: `pipeline doctor`"), "{again:?}");
    assert!(!again.stderr.contains("error:") && again.code == Some(0), "what is missing is no error: {again:?}");
}

#[test]
fn init_says_what_is_missing_and_takes_files_of_any_name() {
    let project = Project::new();
    project.write("data/MR_train_imgs.tsv", "");
    project.write("data/MR_train_queries.jsonl", "");
    project.write("data/pictures.tsv", "");
    project.write("data/MR_valid_queries.jsonl", "");
    let reply = project.run(&["init"]);
    assert_eq!(reply.code, Some(2));
    assert!(
        reply.stderr.contains("lacks `MR_valid_imgs.tsv`") && reply.stderr.contains("`--valid-images FILE`"),
        "{reply:?}"
    );
    assert!(!project.path("pipeline.toml").exists() && !project.path("pipelines").exists());

    let reply = project.run(&["init", "new", "--data", "data", "--valid-images", "data/pictures.tsv", "--json"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let json: Value = serde_json::from_str(&reply.stdout).unwrap();
    let missing = json["missing"].to_string();
    assert!(missing.contains("bert-base-chinese") && missing.contains("resnet50"), "{missing}");
    assert_eq!(json["next"], "cd new && pipeline doctor");
    assert!(project.read("new/pipelines/baseline.yaml").contains("\"${data}/pictures.tsv\""));
    assert!(project.path("new/artifacts/.gitignore").is_file() && !project.path("artifacts").exists());

    fs::rename(project.path("data/pictures.tsv"), project.path("data/val_imgs.tsv")).unwrap();
    project.write("data/more_train_imgs.tsv", "");
    let reply = project.run(&["init"]);
    assert!(reply.code == Some(2) && reply.stderr.contains("`--train-images FILE`"), "{reply:?}");
    project.remove("data/more_train_imgs.tsv");
    copy(&project.path("data"), &project.path("muge"));
    let reply = project.run(&["init"]);
    assert!(reply.code == Some(2) && reply.stderr.contains("`--data DIR`"), "{reply:?}");
    assert!(!project.path("pipeline.toml").exists() && !project.path("pipelines").exists());
}

/// A folder of images with a table of their names and captions, whole or in folders for each split.
#[test]
fn init_finds_images_and_the_table_that_names_them() {
    let photos = repository_root().join("pipelines/examples/photos");
    for (folders, table, paths) in [
        (&["data"][..], "captions.csv", ["\"${data}\"", "\"${data}/captions.csv\""]),
        (
            &["data/test", "data/train", "data/validation"],
            "metadata.jsonl",
            ["\"${data}/train\"", "\"${data}/validation/metadata.jsonl\""],
        ),
    ] {
        let project = Project::new();
        copy(&repository_root().join("pipelines/demo/encoders"), &project.path("models"));
        for folder in folders {
            copy(&photos, &project.path(folder));
            let text = project.read(&format!("{folder}/captions.csv"));
            if table.ends_with("jsonl") {
                project.remove(&format!("{folder}/captions.csv"));
                let lines = text.lines().skip(1).map(|line| {
                    let (name, caption) = line.split_once(',').unwrap();
                    serde_json::json!({ "file_name": name, "text": caption.trim_matches('"') }).to_string() + "\n"
                });
                project.write(&format!("{folder}/{table}"), &lines.collect::<String>());
            }
        }
        let reply = project.run(INIT);
        assert_eq!(reply.code, Some(0), "{reply:?}");
        assert!(reply.stderr.ends_with("next: `pipeline run baseline`"), "{reply:?}");
        let spec = project.read("pipelines/baseline.yaml");
        for path in paths {
            assert!(spec.contains(&format!("path: {path}")), "{spec}");
        }
        assert_eq!(spec.contains("part: valid, of: { train: 0.8, valid: 0.2 }"), folders.len() == 1, "{spec}");
        assert!(!spec.contains("${data}/test"), "{spec}");
        let reply = project.run(&["run", "baseline"]);
        assert_eq!(reply.code, Some(0), "{reply:?}");
        assert!(reply.stdout.contains("MeanRecall"), "{reply:?}");
    }
}

#[test]
fn the_workflow_of_a_project_within_a_repository_works_in_its_folder() {
    let project = foreign_repository();
    let reply = project.run(&[INIT, &["deep/here", "--data", "data/muge", "--program-git", "file:///p.git"]].concat());
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let workflow = project.read(".github/workflows/retrieval.yml");
    for line in ["working-directory: \"deep/here\"", "path: \"deep/here/artifacts\"", "PROGRAM: --git file:///p.git\n"]
    {
        assert!(workflow.contains(line), "{line}: {workflow}");
    }
    assert!(!reply.stderr.contains("to do"), "{reply:?}");
}

#[test]
fn the_doctor_says_what_is_there_and_what_is_missing() {
    let project = foreign_repository();
    assert_eq!(project.run(INIT).code, Some(0));
    project.write("pipelines/other.yaml", "extends: baseline.yaml\nvars: { text_model: bert-base-chinese }\n");
    let reply = project.run(&["doctor", "--json"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let json: Value = serde_json::from_str(&reply.stdout).unwrap();
    let (machine, store) = (&json["machine"], &json["store"]);
    assert!(machine["threads"].as_u64() > Some(0) && machine["memory_bytes"].as_u64() > Some(0), "{json}");
    assert!(store["exists"] == true && store["free_bytes"].as_u64() > Some(0), "{json}");
    assert_eq!(json["project"]["root"], "[FOLDER]");
    let specs = json["project"]["specs"].as_array().unwrap();
    let missing =
        |name: &str| specs.iter().find(|spec| spec["spec"] == name).unwrap()["missing"].as_array().unwrap().clone();
    assert_eq!(missing("baseline").len(), 0, "{json}");
    assert!(missing("other")[0].to_string().contains("bert-base-chinese"), "{json}");
    assert_eq!(json["models"][0]["found"], serde_json::json!(["bert", "chinese-clip", "resnet"]));

    let text = project.run(&["doctor"]).stdout;
    for words in ["processor", "free on the disk", "cuda no: ", "project [FOLDER]", "spec baseline: nothing is missing"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let nowhere = Project::new().run(&["doctor"]);
    assert!(nowhere.code == Some(0) && nowhere.stdout.contains("project none"), "{nowhere:?}");
}

#[test]
fn the_page_about_ci_shows_the_workflow_that_init_writes() {
    let workflow = fs::read_to_string(repository_root().join("crates/pipeline-cli/src/scaffold/workflow.yml")).unwrap();
    let page = fs::read_to_string(repository_root().join("docs/guide/ci.md")).unwrap();
    assert!(page.contains(&format!("```yaml\n{workflow}```\n")));
}

/// A step of the workflow.
#[derive(Debug, Default)]
struct Step {
    condition: String,
    uses: String,
    run: String,
    path: String,
}

fn steps(workflow: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in workflow.lines().skip_while(|line| *line != "    steps:").skip(1) {
        let line = line.split(" # ").next().unwrap();
        if line.starts_with("      - ") {
            steps.push(Step::default());
        }
        let step = steps.last_mut().unwrap();
        let (name, value) = line.trim_start_matches([' ', '-']).split_once(": ").unwrap_or_default();
        match name {
            "if" => step.condition = value.to_owned(),
            "uses" => step.uses = value.to_owned(),
            "run" => step.run = value.to_owned(),
            "path" => step.path = value.to_owned(),
            _ => {}
        }
    }
    steps
}

/// A machine of a CI: fresh for each job, with a cache that outlives it.
struct Runner {
    folder: tempfile::TempDir,
}

impl Runner {
    /// Carries out the workflow on a clone of `repository`; returns whether the job is green, and what it printed.
    fn job(&self, repository: &Path) -> (bool, String) {
        let machine = tempfile::tempdir().unwrap();
        let (home, clone) = (machine.path().join("home"), machine.path().join("clone"));
        git(machine.path(), &["clone", "--quiet", repository.to_str().unwrap(), "clone"]);
        self.add_tools(&home);
        let workflow = fs::read_to_string(clone.join(".github/workflows/retrieval.yml")).unwrap();
        let (mut is_green, mut printed) = (true, String::new());
        for step in steps(&workflow) {
            // Without a cached program every job installs it.
            let runs_always = step.condition.starts_with("always()");
            if !is_green && !runs_always {
                continue;
            }
            let (store, cache) = (clone.join(&step.path), self.folder.path().join("store"));
            match step.uses.split('@').next().unwrap() {
                "" => {
                    let output = self.shell(&step.run, &home, &clone);
                    is_green &= output.status.success();
                    printed.push_str(&String::from_utf8_lossy(&output.stdout));
                    printed.push_str(&String::from_utf8_lossy(&output.stderr));
                }
                "actions/cache/restore" if cache.exists() => copy(&cache, &store),
                "actions/cache/save" => {
                    let _ = fs::remove_dir_all(&cache);
                    copy(&store, &cache);
                }
                _ => {}
            }
        }
        (is_green, printed)
    }

    fn shell(&self, line: &str, home: &Path, clone: &Path) -> Output {
        let line = line.replace("${{ github.event.number }}", "7");
        let path = format!("{0}/.cargo/bin:{0}/bin:/usr/bin:/bin", home.display());
        let mut command = Command::new("bash");
        command.args(["-ec", &line]).current_dir(clone).env_clear().env("PATH", path).env("HOME", home);
        command.env("PROGRAM", "--git URL").env("GITHUB_STEP_SUMMARY", home.join("summary.md"));
        command.output().unwrap()
    }

    /// What the machine has before the job: a `cargo` that installs this build, `rustup`, and `gh` that does nothing.
    fn add_tools(&self, home: &Path) {
        let install = format!(
            "#!/bin/sh\n[ \"$*\" = \"+stable install --git URL --locked pipeline-cli\" ] || exit 1\n\
             mkdir -p ~/.cargo/bin && ln -s {} ~/.cargo/bin/pipeline\n",
            env!("CARGO_BIN_EXE_pipeline")
        );
        fs::create_dir_all(home.join("bin")).unwrap();
        for (name, text) in [("cargo", install.as_str()), ("rustup", "#!/bin/sh\n"), ("gh", "#!/bin/sh\n")] {
            let file = home.join("bin").join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

#[test]
fn the_recipe_for_ci_keeps_features_when_the_gate_is_red() {
    let project = foreign_repository();
    assert_eq!(project.run(INIT).code, Some(0));
    assert_eq!(project.run(&["run", "baseline", "--quiet"]).code, Some(0));
    assert_eq!(project.run(&["check", "baseline", "--accept", "--reason", "first"]).code, Some(0));
    let commit = || {
        git(&project.path("."), &["add", "--all"]);
        git(&project.path("."), &["commit", "--quiet", "--message", "change"]);
    };
    let spec = project.read("pipelines/baseline.yaml");
    let runner = Runner { folder: tempfile::tempdir().unwrap() };

    project.write("pipelines/baseline.yaml", &spec.replace("epochs: 2", "epochs: 0"));
    commit();
    let (is_green, printed) = runner.job(&project.path("."));
    assert!(!is_green && printed.contains("10 stages: 10 ran") && printed.contains("FAILED"), "{printed}");

    project.write("pipelines/baseline.yaml", &spec);
    commit();
    let (is_green, printed) = runner.job(&project.path("."));
    assert!(is_green && printed.contains("10 stages: 2 ran, 8 reused"), "{printed}");

    let (is_green, printed) = runner.job(&project.path("."));
    assert!(is_green && printed.contains("nothing ran"), "{printed}");
}
