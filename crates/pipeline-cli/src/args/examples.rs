//! The examples below the help of each command. A test parses every one of them.

use clap::{Command, CommandFactory};

use super::Cli;

/// The first line of the examples in a help text.
pub const EXAMPLES_HEADING: &str = "Examples:";

/// The examples of a command: what each is for, and its line.
type Examples = &'static [(&'static str, &'static str)];

/// The examples by command; those of `cache` are at its own commands.
const EXAMPLES: &[(&[&str], Examples)] = &[
    (&["demo"], &[("Write the demo into ./pipeline-demo, and run it", "pipeline demo")]),
    (
        &["init"],
        &[
            ("Begin a project in the current folder, whose data set lies in data/", "pipeline init --data data"),
            (
                "Name the encoders, by path or by a name in models/",
                "pipeline init shop --text-model bert-base-chinese --image-model resnet50",
            ),
        ],
    ),
    (&["doctor"], &[("Say what is missing for a run", "pipeline doctor")]),
    (
        &["run"],
        &[
            ("Bring a spec up to date: pipelines/demo.yaml", "pipeline run demo"),
            ("Try another value; only what depends on it runs", "pipeline run demo --set projection.params.lr=0.01"),
            ("Run one stage again, and what it needs", "pipeline run demo projection --force projection"),
            ("Run everything again", "pipeline run demo --force"),
        ],
    ),
    (
        &["sweep"],
        &[
            ("Run the points that the spec lists below `sweep`", "pipeline sweep pipelines/experiments/grid.yaml"),
            (
                "Name the values here",
                "pipeline sweep demo --axis 'projection.params.temperature=[0.03, 0.07]' --axis \
                'projection.params.seed=[0, 1]'",
            ),
            (
                "Train its points on two GPUs, one on each",
                "pipeline sweep pipelines/experiments/grid.yaml --device cuda:0,1",
            ),
        ],
    ),
    (
        &["status"],
        &[
            ("Show what a run would do", "pipeline status demo"),
            ("Fail in CI when results are stale", "pipeline status demo --check"),
        ],
    ),
    (&["why"], &[("Explain why a stage would run", "pipeline why demo projection")]),
    (&["path"], &[("List the files of a result", "ls \"$(pipeline path demo evaluate)\"")]),
    (
        &["graph"],
        &[
            ("Draw the stages in the terminal", "pipeline graph demo"),
            ("Draw what a run would do", "pipeline graph demo --status"),
            ("Make a picture with Graphviz", "pipeline graph demo --format dot | dot -Tsvg > demo.svg"),
        ],
    ),
    (&["validate"], &[("Check a spec and a change of it", "pipeline validate demo --set projection.params.epochs=5")]),
    (
        &["stages"],
        &[
            ("List the kinds of stages", "pipeline stages"),
            ("Describe one, with all its params", "pipeline stages train-projection"),
        ],
    ),
    (&["schema"], &[("Let an editor complete and check specs", "pipeline schema > pipeline.schema.json")]),
    (
        &["runs"],
        &[
            ("List the best ten runs, the best first", "pipeline runs --sort -mean_recall --limit 10"),
            ("List the runs of a spec with a tag", "pipeline runs --filter spec=demo --filter tag=good"),
            ("Show the last run again", "pipeline runs last"),
            ("Name it, and keep its results", "pipeline runs last --name baseline --pin"),
        ],
    ),
    (
        &["diff"],
        &[
            ("Compare the last two runs", "pipeline diff last~1 last"),
            ("Compare a named run with a point of a sweep", "pipeline diff baseline last:3"),
        ],
    ),
    (
        &["check"],
        &[
            ("Compare with the accepted metrics", "pipeline check demo"),
            ("Accept the present ones", "pipeline check demo --accept --reason 'a larger batch'"),
        ],
    ),
    (&["predict"], &[("Write the file of a submission", "pipeline predict demo -o predictions.jsonl")]),
    (
        &["export"],
        &[
            ("Write features for NumPy", "pipeline export demo valid-text-features -o vectors"),
            ("Write the curves of a training for TensorBoard", "pipeline export demo projection -o curves"),
        ],
    ),
    (
        &["search"],
        &[
            ("Search by a text", "pipeline search demo 红色的裙子"),
            ("Search by an image, and see what is found", "pipeline search demo --image cat.jpg --html found.html"),
        ],
    ),
    (
        &["serve"],
        &[
            ("Show the runs of the project on http://localhost:8765", "pipeline serve"),
            ("Search the images of a spec there, too", "pipeline serve demo"),
        ],
    ),
    (
        &["report"],
        &[
            ("Write a page about the last run", "pipeline report"),
            ("Compare two runs in it", "pipeline report last --compare last~1 -o report.html"),
        ],
    ),
    (&["cache", "stats"], &[("Show what takes the space", "pipeline cache stats")]),
    (
        &["cache", "verify"],
        &[
            ("Find damage, and let the next run mend it", "pipeline cache verify --repair"),
            ("Compute 20 results of the remote again", "pipeline cache verify baseline --remote --recompute 20"),
        ],
    ),
    (
        &["cache", "gc"],
        &[
            ("Show what would go", "pipeline cache gc --dry-run"),
            ("Keep at most 20 GiB", "pipeline cache gc --max-size 20GiB"),
            ("Show what is old in the remote", "pipeline cache gc --remote --older-than 90d --dry-run"),
        ],
    ),
    (
        &["cache", "push"],
        &[
            ("Upload the results of a spec's last run", "pipeline cache push baseline --remote file:///mnt/team"),
            ("Upload what earlier runs could not", "pipeline cache push --remote file:///mnt/team"),
        ],
    ),
    (
        &["cache", "pull"],
        &[(
            "Fetch all files of a spec, for work without the remote",
            "pipeline cache pull baseline --remote file:///mnt/team",
        )],
    ),
    (&["cache", "keygen"], &[("Let CI sign its results", "pipeline cache keygen ci -o ci.key")]),
    (
        &["completions"],
        &[
            ("Complete in bash, from now on", "pipeline completions bash >> ~/.bashrc"),
            ("In zsh, for a folder in $fpath", "pipeline completions zsh > ~/.zfunc/_pipeline"),
            ("In fish", "pipeline completions fish > ~/.config/fish/completions/pipeline.fish"),
        ],
    ),
];

/// The command line, with examples in the help texts.
pub fn command() -> Command {
    EXAMPLES.iter().fold(Cli::command(), |command, (path, examples)| with(command, path, examples))
}

/// The first example of the command that a line begins with, for who has left something out.
pub fn first_of(line: &[&str]) -> Option<&'static str> {
    let of_line = EXAMPLES.iter().filter(|(path, _)| !path.is_empty() && line.starts_with(path));
    let (_, examples) = of_line.max_by_key(|(path, _)| path.len())?;
    examples.first().map(|(_, line)| *line)
}

fn with(command: Command, path: &[&str], examples: Examples) -> Command {
    match path {
        [] => command.after_help(text(examples)),
        [first, rest @ ..] => command.mut_subcommand(first, |inner| with(inner, rest, examples)),
    }
}

fn text(examples: Examples) -> String {
    let lines = examples.iter().map(|(purpose, line)| format!("  {purpose}:\n    {line}"));
    format!("{EXAMPLES_HEADING}\n{}", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of the call of `pipeline` in a line, as a shell would split them.
    fn words(line: &str) -> Vec<String> {
        let (_, call) = line.split_once("pipeline ").unwrap();
        let call = call.split([')', '|', '>']).next().unwrap();
        let script = format!("printf '%s\\n' pipeline {call}");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn leaves(command: &Command) -> Vec<Vec<String>> {
        let inner: Vec<&Command> = command.get_subcommands().filter(|inner| !inner.is_hide_set()).collect();
        if inner.is_empty() {
            return vec![vec![command.get_name().to_owned()]];
        }
        let below = inner.into_iter().flat_map(leaves);
        below.map(|path| [vec![command.get_name().to_owned()], path].concat()).collect()
    }

    #[test]
    fn every_command_has_one_to_four_examples_that_can_be_called() {
        let commands: Vec<Vec<String>> = leaves(&Cli::command()).into_iter().map(|path| path[1..].to_vec()).collect();
        let with_examples: Vec<Vec<String>> =
            EXAMPLES.iter().map(|(path, _)| path.iter().map(|&name| name.to_owned()).collect()).collect();
        assert_eq!(with_examples, commands);
        for (path, examples) in EXAMPLES {
            assert!((1..=4).contains(&examples.len()), "{path:?}");
            for (_, line) in *examples {
                let words = words(line);
                assert_eq!(words[1..=path.len()], path.iter().map(|name| name.to_string()).collect::<Vec<_>>());
                if let Err(error) = command().try_get_matches_from(words) {
                    panic!("`{line}`: {error}");
                }
            }
        }
    }
}
