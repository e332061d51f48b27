//! The command line: one struct for each command.

mod asking;
mod cache;
mod device;
mod examples;
mod project;
mod remote;
mod report;
mod runs;
mod searching;
mod slurm;
mod sweep;
mod taking;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use pipeline_engine::Share;
use pipeline_experiments::ALL_STAGES;

use crate::{advice, completing};

pub use asking::{
    CompletionsArgs, GraphArgs, GraphFormat, ManArgs, PathArgs, StagesArgs, StatusArgs, ValidateArgs, WhyArgs,
};
pub use cache::{
    CacheArgs, CacheCommand, CacheGcArgs, CacheKeygenArgs, CachePullArgs, CachePushArgs, CacheStatsArgs,
    CacheVerifyArgs,
};
pub use device::{DeviceArg, DeviceParser};
pub use examples::{EXAMPLES_HEADING, command, first_of};
pub use project::{DataFileArgs, DoctorArgs, InitArgs};
pub use remote::{RemoteArgs, RemoteInsteadArgs};
pub use report::ReportArgs;
pub use runs::{LabelArgs, RelabelArgs, RunsArgs};
pub use searching::{SearchArgs, ServeArgs};
pub use slurm::{PoolArg, SlurmArgs};
pub use sweep::SweepArgs;
pub use taking::{ExportArgs, ExportFormat, PredictArgs, PredictFormat};

/// Runs content-hashed, cached pipelines for text-image retrieval.
#[derive(Debug, Parser)]
#[command(name = "pipeline", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// The options of all commands.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Parses a command line; `--force SPEC` without another spec forces all stages of SPEC.
///
/// # Errors
/// When it asks for help or the version, or cannot be parsed.
pub fn parse(words: Vec<OsString>) -> Result<Cli, clap::Error> {
    let parsed = |words: Vec<OsString>| {
        command().try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches))
    };
    let words = advice::forcing_all(&words, false).unwrap_or(words);
    parsed(words.clone()).or_else(|error| match advice::forcing_all(&words, true) {
        Some(forcing) if error.kind() == ErrorKind::MissingRequiredArgument => parsed(forcing).map_err(|_| error),
        _ => Err(error),
    })
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 check failed, stale or gone, 2 usage, spec or store error, 3 a stage failed,
            4 a bug, 5 check not comparable, 129/130/131/143 interrupted.
stdout carries data, stderr everything else.";

/// The options of all commands.
#[derive(Debug, Default, Args)]
pub struct GlobalArgs {
    /// Use colours; `auto` means on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    pub color: ColorChoice,
    /// Print only errors, warnings and results.
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Also print reused stages, and every reason.
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub verbose: bool,
}

/// When to use colours. Plain comments, so that the help stays short.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    // On a terminal.
    #[default]
    Auto,
    // Also into files and pipes.
    Always,
    // Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the demo into a folder and run it: data and encoders are inside this program.
    Demo(DemoArgs),
    /// Begin a project around a data set: a spec, a store, a workflow for CI.
    Init(InitArgs),
    /// Show what this machine and this project have for a run, and what is missing.
    Doctor(DoctorArgs),
    /// Bring every stage of a spec up to date.
    Run(RunArgs),
    /// Run a spec at every point of its sweep, and compare the results.
    Sweep(SweepArgs),
    /// Show what a run would do, stage by stage.
    Status(StatusArgs),
    /// Explain why a stage would run, or why not.
    Why(WhyArgs),
    /// Print the folder that holds a stage's artifact.
    Path(PathArgs),
    /// Draw the stages of a spec.
    Graph(GraphArgs),
    /// Check a spec without looking at data.
    Validate(ValidateArgs),
    /// List the kinds of stages, or describe one.
    Stages(StagesArgs),
    /// Print the JSON Schema of specs, for editors.
    Schema,
    /// List the runs in the store, newest last, or show one again.
    Runs(RunsArgs),
    /// Compare two runs: params, stages and metrics, query by query.
    Diff(DiffArgs),
    /// Compare the current metrics with the accepted ones.
    Check(CheckArgs),
    /// Write predictions in the MUGE format.
    Predict(PredictArgs),
    /// Write features, embeddings or curves for other tools.
    Export(ExportArgs),
    /// Search the pool of an evaluation for a text or an image.
    Search(SearchArgs),
    /// Serve a live page on this machine: search by text and image, runs as they change, reports.
    Serve(ServeArgs),
    /// Write a page about a run or a sweep: results, curves, stages, a gallery of queries.
    Report(ReportArgs),
    /// Look after the store.
    Cache(CacheArgs),
    /// Print the script that completes commands, specs, stages and runs in a shell.
    Completions(CompletionsArgs),
    /// Write the manual pages.
    #[command(hide = true)]
    Man(ManArgs),
}

/// The spec and the store.
#[derive(Debug, Clone, Args)]
pub struct SpecArgs {
    /// The spec: a path, or a name to look for in `pipelines/` and below.
    #[arg(value_name = "SPEC", add = completing::specs())]
    pub spec: PathBuf,
    /// Change a value: STAGE.params.NAME=VALUE or vars.NAME=VALUE, VALUE in YAML.
    #[arg(long = "set", value_name = "KEY=VALUE", add = completing::settings())]
    pub overrides: Vec<String>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The remote.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// Whether to replace files that this program did not write.
#[derive(Debug, Clone, Copy, Args)]
pub struct ReplaceArgs {
    /// Replace a file that this program did not write.
    #[arg(long, visible_alias = "overwrite")]
    pub force: bool,
}

/// The variable that names the folder of the store.
pub const ARTIFACTS_VARIABLE: &str = "PIPELINE_ARTIFACTS";

/// The value of an option such as `--artifacts` among the words of a line that need not be whole.
fn value_of<'a>(words: &'a [String], option: &str) -> Option<&'a str> {
    let behind = words.iter().position(|word| word == option).and_then(|idx| words.get(idx + 1));
    let joined = || words.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('='));
    behind.map(String::as_str).or_else(joined)
}

/// The store that the words or the environment name.
pub fn named_store(words: &[String]) -> Option<PathBuf> {
    let on_line = value_of(words, "--artifacts").map(PathBuf::from);
    on_line.or_else(|| std::env::var_os(ARTIFACTS_VARIABLE).map(PathBuf::from))
}

/// The store.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// The folder of the store [default: `artifacts` in the project].
    // An empty text is taken, too, and counts as not given: so is a variable that a CI has not filled.
    #[arg(long, value_name = "DIR", env = ARTIFACTS_VARIABLE, hide_env_values = true)]
    #[arg(value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub artifacts: Option<PathBuf>,
}

/// Whether to print text or JSON.
#[derive(Debug, Args)]
pub struct JsonArgs {
    /// Print JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// The stages to run although their results are remembered.
#[derive(Debug, Args)]
pub struct ForceArgs {
    /// Run this stage although its result is remembered (repeatable), or without a value every stage. Its files stay
    /// until a later run, even with `retain: false`.
    #[arg(long = "force", value_name = "STAGE", num_args = 0..=1, default_missing_value = ALL_STAGES)]
    #[arg(add = completing::stages())]
    pub forced: Vec<String>,
}

/// The stages that keep their last results.
#[derive(Debug, Args)]
pub struct AcceptArgs {
    /// Keep the last result of this stage, where only the version of its code has changed (repeatable).
    #[arg(long = "accept", value_name = "STAGE", conflicts_with = "dry_run", add = completing::stages())]
    pub accepted: Vec<String>,
}

/// The options of running stages.
#[derive(Debug, Args)]
pub struct ExecutionArgs {
    /// Stages that run at once [default: as many as threads, at most 4].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Stages that run on GPUs at once, in addition [default: as many as GPUs].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub gpu_jobs: Option<u16>,
    /// Threads in all [default: the processor's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Begin with this share of the work, K from 0, where N processes run the same spec on one store.
    #[arg(long, value_name = "K/N")]
    pub share: Option<Share>,
    /// The device of the encoders and the training.
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = DeviceParser)]
    pub device: DeviceArg,
    /// The executor of the stages.
    #[arg(long, value_name = "EXECUTOR", default_value = "local")]
    pub executor: ExecutorArg,
    /// The stages to force.
    #[command(flatten)]
    pub force: ForceArgs,
    /// The labels of the run.
    #[command(flatten)]
    pub labels: LabelArgs,
    /// Show what would run and why, and run nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// After a failure, run all stages that do not need the failed one.
    #[arg(long)]
    pub keep_going: bool,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The folder to write; files that differ from the demo's are never replaced.
    #[arg(value_name = "FOLDER", default_value = "pipeline-demo")]
    pub folder: PathBuf,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Run only these stages and those that they need.
    #[arg(value_name = "STAGE", add = completing::stages())]
    pub stages: Vec<String>,
    /// The execution.
    #[command(flatten)]
    pub execution: ExecutionArgs,
    /// The executor on a cluster, and its workers.
    #[command(flatten)]
    pub slurm: SlurmArgs,
    /// The stages to adopt.
    #[command(flatten)]
    pub accept: AcceptArgs,
    /// Publish files of stages that `--set` changes, too.
    #[arg(long)]
    pub publish: bool,
    /// Replace published files that this program did not write.
    #[arg(long)]
    pub overwrite: bool,
    /// Stream the events to stdout, one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// The executor of the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExecutorArg {
    /// In this process.
    Local,
    /// In the tasks of Slurm jobs, which this process submits and watches.
    Slurm,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The earlier run: its number, name or id, the beginning of that, `last` or `last~1`; with `:STAGE` that
    /// evaluation of it, with `:POINT` that point of a sweep.
    #[arg(value_name = "RUN", add = completing::runs())]
    pub earlier: String,
    /// The later run.
    #[arg(value_name = "RUN", add = completing::runs())]
    pub later: String,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The remote.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Accept the current metrics as the baseline.
    #[arg(long)]
    pub accept: bool,
    /// The reason for accepting them, kept in the baseline.
    #[arg(long, value_name = "TEXT", requires = "accept")]
    pub reason: Option<String>,
    /// Also write the verdicts as a JUnit report.
    #[arg(long, value_name = "FILE", conflicts_with = "accept")]
    pub junit: Option<PathBuf>,
    /// Also write the verdicts as a table in Markdown, for a comment on a change.
    #[arg(long, value_name = "FILE", conflicts_with = "accept")]
    pub markdown: Option<PathBuf>,
    /// Which files to replace.
    #[command(flatten)]
    pub replace: ReplaceArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
