//! The model: sources and a graph of programs, and their expected results, computed without the program under test.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::random::Random;

/// The operation of a stage on the texts of its sources and inputs, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Keeps this many bytes: an edit behind them changes nothing below.
    Head(usize),
    /// Prepends a number.
    Tag(usize),
    /// Replaces each small letter by the next.
    Shift,
    /// Counts the bytes.
    Length,
}

/// A stage of kind `command`.
#[derive(Debug, Clone)]
pub struct Stage {
    pub work: Work,
    /// Text of the program that changes no byte of its output.
    pub remark: usize,
    pub inputs: &'static [usize],
    pub sources: &'static [usize],
    pub retain: bool,
    pub publish: bool,
}

/// Everything that a user can edit.
#[derive(Debug, Clone)]
pub struct World {
    pub sources: Vec<String>,
    pub stages: Vec<Stage>,
}

/// Everything that can change a stage's output: two stages with one manifest have one result.
pub type Manifest = (String, Vec<(String, String)>);

/// The inputs and sources of each stage: fan-out, fan-in and a diamond.
const GRAPH: [(&[usize], &[usize]); 8] = [
    (&[], &[0]),
    (&[], &[1]),
    (&[0, 1], &[]),
    (&[0], &[2]),
    (&[2], &[]),
    (&[2, 3], &[]),
    (&[1, 4, 5], &[]),
    (&[6], &[]),
];

impl World {
    pub fn new(random: &mut Random) -> Self {
        let sources = (0..3).map(|_| text(random)).collect();
        let stage = |idx: usize, random: &mut Random| Stage {
            work: work(random),
            remark: 0,
            inputs: GRAPH[idx].0,
            sources: GRAPH[idx].1,
            retain: !random.one_in(4),
            publish: random.one_in(2),
        };
        let mut stages: Vec<Stage> = (0..GRAPH.len()).map(|idx| stage(idx, random)).collect();
        stages[7].publish = true;
        Self { sources, stages }
    }

    /// Changes a stage in one of the ways of users.
    pub fn edit_stage(&mut self, random: &mut Random) {
        let stage_idx = random.below(self.stages.len());
        let stage = &mut self.stages[stage_idx];
        match random.below(5) {
            0 | 1 => stage.work = work(random),
            2 => stage.remark += 1,
            3 => stage.retain = !stage.retain,
            _ => stage.publish = !stage.publish,
        }
    }

    /// The spec's text.
    pub fn spec(&self) -> String {
        let mut spec = "stages:\n".to_owned();
        for (idx, stage) in self.stages.iter().enumerate() {
            let inputs: Vec<_> =
                stage.inputs.iter().map(|input| format!("{}: {}", name(*input), name(*input))).collect();
            let sources: Vec<_> = stage.sources.iter().map(|source| source_name(*source)).collect();
            let (inputs, sources) = (inputs.join(", "), sources.join(", "));
            writeln!(spec, "  {}:\n    kind: command\n    inputs: {{ {inputs} }}", name(idx)).unwrap();
            writeln!(spec, "    retain: {}", stage.retain).unwrap();
            writeln!(spec, "    params:\n      run: [sh, -c, '{}']", stage.script()).unwrap();
            writeln!(spec, "      outputs: [out]\n      sources: [{sources}]").unwrap();
            if stage.publish {
                writeln!(spec, "    publish: {{ out: {} }}", published_name(idx)).unwrap();
            }
        }
        spec
    }

    /// The output of every stage.
    pub fn outputs(&self) -> Vec<String> {
        let mut outputs: Vec<String> = Vec::new();
        for stage in &self.stages {
            let sources = stage.sources.iter().map(|source| self.sources[*source].as_str());
            let inputs = stage.inputs.iter().map(|input| outputs[*input].as_str());
            let read: String = sources.chain(inputs).collect();
            outputs.push(stage.work.apply(&read));
        }
        outputs
    }

    /// The manifest of every stage.
    pub fn manifests(&self) -> Vec<Manifest> {
        let outputs = self.outputs();
        let manifest = |stage: &Stage| {
            let sources = stage.sources.iter().map(|source| (source_name(*source), self.sources[*source].clone()));
            let inputs = stage.inputs.iter().map(|input| (name(*input), outputs[*input].clone()));
            (stage.script(), sources.chain(inputs).collect())
        };
        self.stages.iter().map(manifest).collect()
    }

    /// The content of every published file.
    pub fn published(&self) -> BTreeMap<String, String> {
        let published = self.outputs().into_iter().enumerate().filter(|(idx, _)| self.stages[*idx].publish);
        published.map(|(idx, output)| (published_name(idx), output)).collect()
    }
}

impl Stage {
    fn script(&self) -> String {
        let sources = self.sources.iter().map(|source| format!("\"$SPEC_DIR/{}\"", source_name(*source)));
        let inputs = self.inputs.iter().map(|input| format!("\"$INPUT_{}/out\"", name(*input).to_uppercase()));
        let read = format!("cat {}", sources.chain(inputs).collect::<Vec<_>>().join(" "));
        let script = match self.work {
            Work::Head(n_bytes) => format!("{read} | head -c {n_bytes} > out"),
            Work::Tag(number) => format!("(printf {number}-; {read}) > out"),
            Work::Shift => format!("{read} | tr a-y b-z > out"),
            Work::Length => format!("{read} | wc -c | tr -d \" \" > out"),
        };
        format!("{script}; : {}", self.remark)
    }
}

impl Work {
    fn apply(&self, read: &str) -> String {
        match self {
            Self::Head(n_bytes) => read[..read.len().min(*n_bytes)].to_owned(),
            Self::Tag(number) => format!("{number}-{read}"),
            Self::Shift => read
                .chars()
                .map(|c| if c.is_ascii_lowercase() && c < 'z' { (c as u8 + 1) as char } else { c })
                .collect(),
            Self::Length => format!("{}\n", read.len()),
        }
    }
}

/// The name of a stage.
pub fn name(stage_idx: usize) -> String {
    format!("s{stage_idx}")
}

/// The file of a source.
pub fn source_name(source_idx: usize) -> String {
    format!("source-{source_idx}.txt")
}

fn published_name(stage_idx: usize) -> String {
    format!("published/{}.txt", name(stage_idx))
}

fn work(random: &mut Random) -> Work {
    match random.below(6) {
        0 | 1 => Work::Head(4 * (1 + random.below(6))),
        2 | 3 => Work::Tag(random.below(4)),
        4 => Work::Shift,
        _ => Work::Length,
    }
}

/// A text that usually differs from others late, where few stages look.
pub fn text(random: &mut Random) -> String {
    let head = if random.one_in(3) { random.pick(&["other", "again"]) } else { "usual" };
    format!("{head} beginning and then {}{}\n", random.below(10), "z".repeat(random.below(3)))
}
