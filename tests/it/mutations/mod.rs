//! The golden table: changes of a settled project, and exactly the stages that run because of each.
//!
//! Every row is applied to a copy of one settled project, so the copy itself is a mutation, too: nothing may run in it.
//! The plan of each row is compared with the run after it: both come from one planner.

mod circumstances;
mod data;
mod params;
mod text;

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::notebook::fixtures;
use crate::project::Project;

/// The notebook's stages, and two programs that read its result.
const SPEC: &str = r#"name: notebook
vars: { data: data, models: models }
stages:
  train-queries: { kind: load-queries, params: { path: "${data}/MR_train_queries.jsonl" } }
  valid-queries: { kind: load-queries, params: { path: "${data}/MR_valid_queries.jsonl" } }
  train-images: { kind: decode-images, params: { path: "${data}/MR_train_imgs.tsv", max_samples: 40 }, retain: false }
  valid-images: { kind: decode-images, params: { path: "${data}/MR_valid_imgs.tsv" }, retain: false }
  train-text: { kind: extract-text, inputs: { queries: train-queries }, params: { model: "${models}/bert" } }
  valid-text: { kind: extract-text, inputs: { queries: valid-queries }, params: { model: "${models}/bert" } }
  train-features: { kind: extract-image, inputs: { images: train-images }, params: { model: "${models}/resnet" } }
  valid-features: { kind: extract-image, inputs: { images: valid-images }, params: { model: "${models}/resnet" } }
  projection:
    kind: train-projection
    inputs: { queries: train-queries, text: train-text, images: train-features }
    params: { projection_dim: 64 }
    publish: { projection.pth: weights/projection.pth }
  evaluate:
    kind: evaluate-recall
    inputs: { queries: valid-queries, text: valid-text, images: valid-features, projection: projection }
    params: { allow_mismatch: true } # many rows change one side only
  count:
    kind: command
    inputs: { evaluation: evaluate }
    params: { run: [sh, -c, 'grep -c recall "$INPUT_EVALUATION/metrics.json" > count.txt'], outputs: [count.txt] }
  note:
    kind: command
    inputs: { count: count }
    params:
      run: [sh, -c, 'cat "$INPUT_COUNT/count.txt" "$SPEC_DIR"/notes/* > note.txt; echo "$MODE $REVIEWER" >> note.txt']
      outputs: [note.txt]
      sources: [notes]
      env: { MODE: fast, REVIEWER: null }
    publish: { note.txt: out/note.txt }
"#;

/// A change, the call of the program after it, and the stages that run.
struct Row {
    name: &'static str,
    /// Changes files, like a user at a shell in the project's folder.
    script: &'static str,
    /// The spec and its overrides.
    args: &'static [&'static str],
    /// Options of `run`.
    options: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
    /// Variables that are removed.
    unset: &'static [&'static str],
    /// The folder of the call, relative to the project.
    folder: &'static str,
    /// The stages that run, sorted by the spec.
    expect: &'static str,
}

/// The call of a row that changes no argument.
const PLAIN: &[&str] = &["spec.yaml"];

impl Row {
    const fn new(name: &'static str, expect: &'static str) -> Self {
        Self { name, script: "", args: PLAIN, options: &[], variables: &[], unset: &[], folder: ".", expect }
    }

    /// Changes files.
    const fn shell(self, script: &'static str) -> Self {
        Self { script, ..self }
    }

    /// Calls the program with other arguments.
    const fn args(self, args: &'static [&'static str]) -> Self {
        Self { args, ..self }
    }

    /// Runs with other options.
    const fn options(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    /// Calls the program with other variables.
    const fn with(self, variables: &'static [(&'static str, &'static str)]) -> Self {
        Self { variables, ..self }
    }

    /// Calls the program without some variables.
    const fn without(self, unset: &'static [&'static str]) -> Self {
        Self { unset, ..self }
    }

    /// Calls the program in another folder of the project.
    const fn within(self, folder: &'static str) -> Self {
        Self { folder, ..self }
    }

    /// A command of the program in the project, in the environment of this row.
    fn command(&self, project: &Project, command: &str, more: &[&str]) -> Command {
        let mut command = project.command(&[&[command], self.args, more].concat());
        command.current_dir(project.path(self.folder)).env("REVIEWER", "ann").envs(self.variables.iter().copied());
        for name in self.unset {
            command.env_remove(name);
        }
        command
    }
}

/// Compares rows with actual runs; reports all differences at once.
fn check(rows: &[Row]) {
    let settled = settled();
    let wrong: Vec<String> = rows.iter().filter_map(|row| apply(row, &copy(&settled)).err()).collect();
    assert!(wrong.is_empty(), "{} of {} rows are wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// A project in which everything is up to date.
fn settled() -> Project {
    let project = Project::with_spec(SPEC);
    let fixtures = fixtures();
    shell(
        &project,
        &format!(
            "mkdir models notes && cp -r {0}/data/mini data && cp -r {0}/tiny/bert {0}/tiny/resnet models && \
             cp {0}/goldens/mini/init.safetensors start.safetensors && chmod -R u+w . && \
             for file in data/*; do sed -i '61,$d' $file; done && rm models/resnet/resnet.pth && echo fine > \
            notes/first.txt",
            fixtures.display()
        ),
    );
    let everything = Row::new("a new project", "");
    assert_eq!(started(&everything, &project).map(|stages| stages.len()), Ok(12));
    project
}

/// The same project in another folder with the same times, in which nothing needs to run.
fn copy(settled: &Project) -> Project {
    let project = Project::new();
    shell(&project, &format!("cp -a {}/. .", settled.path("").display()));
    assert_eq!(started(&Row::new("a copy", ""), &project), Ok(BTreeSet::new()));
    project
}

fn shell(project: &Project, script: &str) {
    let output = Command::new("sh").args(["-ec", script]).current_dir(project.path("")).output().unwrap();
    assert!(output.status.success(), "`{script}`: {}", String::from_utf8_lossy(&output.stderr));
}

/// Applies a row to a project and reports the differences from its expectation.
fn apply(row: &Row, project: &Project) -> Result<(), String> {
    shell(project, row.script);
    if row.script.contains("sed -i") && row.script.contains("spec.yaml") && project.read("spec.yaml") == SPEC {
        return Err(format!("{}: the script changes nothing", row.name));
    }
    let announced = announced(row, project)?;
    let started = started(row, project)?;
    let differs = |what: &str| Err(format!("{}: {what}: {announced:?}, ran {started:?}", row.name));
    let expect: BTreeSet<String> = row.expect.split_whitespace().map(str::to_owned).collect();
    if started != expect {
        return differs(&format!("expected {expect:?}, announced"));
    }
    if !announced.run.is_subset(&started) || !started.is_subset(&announced.all()) {
        return differs("the plan announced something else");
    }
    if !row.command(project, "status", &["--check"]).output().unwrap().status.success() {
        return differs("not up to date after its run");
    }
    Ok(())
}

/// The stages that a dry run announces as running or possibly running.
#[derive(Debug, Default)]
struct Announced {
    run: BTreeSet<String>,
    depends: BTreeSet<String>,
}

impl Announced {
    fn all(&self) -> BTreeSet<String> {
        self.run.union(&self.depends).cloned().collect()
    }
}

fn announced(row: &Row, project: &Project) -> Result<Announced, String> {
    let plan: Value = serde_json::from_str(&stdout(row, project, &["--dry-run", "--json"])?).unwrap();
    let mut announced = Announced::default();
    for stage in plan["stages"].as_array().unwrap() {
        let name = stage["stage"].as_str().unwrap().to_owned();
        match stage["decision"].as_str().unwrap() {
            "run" => _ = announced.run.insert(name),
            "depends" => _ = announced.depends.insert(name),
            _ => {}
        }
    }
    Ok(announced)
}

/// The stages that a run starts.
fn started(row: &Row, project: &Project) -> Result<BTreeSet<String>, String> {
    let events = stdout(row, project, &["--json"])?;
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let started = events.filter(|event| event["event"] == "stage-started");
    Ok(started.map(|event| event["stage"].as_str().unwrap().to_owned()).collect())
}

fn stdout(row: &Row, project: &Project, more: &[&str]) -> Result<String, String> {
    let output = row.command(project, "run", &[row.options, more].concat()).output().unwrap();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    Err(format!("{}: {}", row.name, String::from_utf8_lossy(&output.stderr)))
}
