//! A team: machines with a store each, one spec, and the results that it must have.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::project::Project;
use crate::random::Random;
use crate::recorded::Recorded;

/// The versions of the stages: all that people edit.
pub type World = [usize; 5];

/// A stage at its version, with the versions of all stages that it depends on.
pub type Version = (&'static str, Vec<usize>);

/// The stages, with the indices of those that each reads.
const STAGES: [(&str, &[usize]); 5] =
    [("pixels", &[]), ("count", &[0]), ("text", &[]), ("length", &[2]), ("summary", &[1, 3])];

/// The spec: `pixels` is not retained, `text` is long enough for a slow remote, and `summary` is published.
pub fn spec(world: &World) -> String {
    let [pixels, count, text, length, summary] = world;
    format!(
        r#"stages:
  pixels: {{ kind: command, params: {{ run: [sh, -c, 'echo pixels {pixels} > o'], outputs: [o] }}, retain: false }}
  count:
    kind: command
    inputs: {{ in: pixels }}
    params: {{ run: [sh, -c, '(cat "$INPUT_IN/o"; echo count {count}) > o'], outputs: [o] }}
  text: {{ kind: command, params: {{ run: [sh, -c, 'yes text {text} | head -4000 > o'], outputs: [o] }} }}
  length:
    kind: command
    inputs: {{ in: text }}
    params: {{ run: [sh, -c, '(tail -n 1 "$INPUT_IN/o"; echo length {length}) > o'], outputs: [o] }}
  summary:
    kind: command
    inputs: {{ count: count, length: length }}
    params: {{ run: [sh, -c, '(cat "$INPUT_COUNT/o" "$INPUT_LENGTH/o"; echo summary {summary}) > o'], outputs: [o] }}
    publish: {{ o: summary.txt }}
"#
    )
}

/// The published file, computed without the program under test.
pub fn expected(world: &World) -> String {
    let [pixels, count, text, length, summary] = world;
    format!("pixels {pixels}\ncount {count}\ntext {text}\nlength {length}\nsummary {summary}\n")
}

/// All that determines the result of a stage.
pub fn version(world: &World, stage: &str) -> Version {
    let idx = STAGES.iter().position(|(name, _)| *name == stage).unwrap();
    let mut versions = vec![world[idx]];
    STAGES[idx].1.iter().for_each(|input| versions.extend(version(world, STAGES[*input].0).1));
    (STAGES[idx].0, versions)
}

/// A machine of the team.
pub struct Machine {
    pub project: Project,
    pub access: &'static str,
    /// Results that it has computed and keeps.
    pub computed: BTreeSet<Version>,
}

/// The outcome of a run.
pub struct Ran {
    pub recorded: Recorded,
    pub stderr: String,
    pub elapsed: Duration,
}

impl Machine {
    pub fn new(access: &'static str) -> Self {
        Self { project: Project::new(), access, computed: BTreeSet::new() }
    }

    pub fn command(&self, variables: &[(String, String)], args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("PIPELINE_REMOTE_ACCESS", self.access).envs(variables.iter().cloned());
        command
    }

    /// Begins a run of the spec.
    pub fn start(&self, world: &World, variables: &[(String, String)]) -> (Child, Instant) {
        let spec = spec(world);
        // Another run may read it right now.
        if self.project.read("spec.yaml") != spec {
            self.project.write("spec.yaml", &spec);
        }
        let mut command = self.command(variables, &["run", "spec.yaml", "--json"]);
        (command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(), Instant::now())
    }

    /// Waits for the end of a run, which must be a good one.
    pub fn end((child, began): (Child, Instant)) -> Ran {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let recorded = Recorded::from_lines(&String::from_utf8(output.stdout).unwrap());
        Ran { recorded, stderr, elapsed: began.elapsed() }
    }

    /// The keys that wait for an upload.
    pub fn unpushed(&self) -> BTreeSet<String> {
        let marks = std::fs::read_dir(self.project.path("artifacts/store-v1/unpushed")).into_iter().flatten();
        marks.map(|mark| mark.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Ran {
    pub fn n_events(&self, name: &str) -> usize {
        self.recorded.events.iter().filter(|event| event["event"] == name).count()
    }

    /// The artifact of every stage.
    pub fn artifacts(&self) -> BTreeMap<String, String> {
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        self.recorded
            .events
            .iter()
            .filter_map(|event| Some((text(&event["stage"])?, text(&event["artifact"])?)))
            .collect()
    }

    /// The keys of the stages that were computed.
    pub fn keys(&self) -> BTreeSet<String> {
        let finished = self.recorded.events.iter().filter(|event| event["event"] == "stage-finished");
        finished.map(|event| event["key"].as_str().unwrap().to_owned()).collect()
    }
}

/// Another version of a random stage.
pub fn edit(world: &mut World, random: &mut Random) -> String {
    let idx = random.below(world.len());
    world[idx] = random.below(4);
    format!("edit {} to {}", STAGES[idx].0, world[idx])
}
