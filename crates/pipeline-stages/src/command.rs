//! `command`: any external program with declared inputs and outputs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use pipeline_core::{Source, Stage, StageContext, StageError, StageReport};
use pipeline_spec::{SpecError, SpecPath};
use rustix::process::Signal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact;
use crate::kind::{BuildContext, Format, Kind, manifest_params, schema, span_of};

/// How long a program may take to stop before it is killed: a run must end within two seconds of an interrupt.
const GRACE: Duration = Duration::from_millis(800);

/// How often a silent program is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The lines of a program's output that an error quotes.
const N_QUOTED_LINES: usize = 20;

pub(crate) static KIND: Kind = Kind {
    name: "command",
    version: 1,
    summary: "Runs any external program with declared inputs and outputs",
    slots: None,
    produces: Format::Files,
    params_schema: schema::<CommandParams>,
    build,
};

/// The params of `command`.
///
/// The program runs in an empty folder, where it must leave its outputs. `INPUT_<NAME>` is the folder of an input's
/// artifact, `SPEC_DIR` the folder of the spec.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CommandParams {
    /// The program and its arguments; no shell unless it is one, as in `[sh, -c, "…"]`.
    #[schemars(length(min = 1))]
    run: Vec<String>,
    /// The files and folders that it leaves, relative to where it runs.
    #[schemars(length(min = 1))]
    outputs: Vec<String>,
    /// The files and folders that it reads beside its inputs, relative to the spec.
    // Not part of the manifest: their content is, as sources.
    #[serde(default, skip_serializing)]
    sources: Vec<SpecPath>,
    /// The environment it needs beside PATH and HOME; null takes the value from the caller's environment.
    // Serialized by `CommandStage::params`, with the values that null stands for.
    #[serde(default, skip_serializing)]
    env: BTreeMap<String, Option<String>>,
}

struct CommandStage {
    params: CommandParams,
    env: BTreeMap<String, String>,
    inherited: BTreeMap<OsString, OsString>,
    spec_folder: PathBuf,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let node = &context.stage.params;
    let params: CommandParams = pipeline_spec::params(node)?;
    if params.run.first().is_none_or(String::is_empty) {
        return Err(SpecError::at(span_of(node, "run"), "`run` must name a program"));
    }
    if params.outputs.is_empty() {
        return Err(SpecError::at(span_of(node, "outputs"), "`outputs` must name at least one file")
            .with_help("a stage is remembered by what it leaves"));
    }
    for output in &params.outputs {
        if !is_inside(output) {
            return Err(SpecError::at(
                span_of(node, "outputs"),
                format!("the output `{output}` is not a relative path"),
            )
            .with_help("outputs are left where the program runs; `publish` copies them elsewhere"));
        }
    }
    let environment = &context.settings.environment;
    let mut env = BTreeMap::new();
    for (name, value) in &params.env {
        let inherited = || environment.get(name).map(|value| value.to_string_lossy().into_owned());
        env.extend(value.clone().or_else(inherited).map(|value| (name.clone(), value)));
    }
    let inherited = ["PATH", "HOME"]
        .into_iter()
        .filter_map(|name| Some((OsString::from(name), environment.pass_on(name)?.to_owned())))
        .collect();
    let spec_folder = context.spec.file.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Box::new(CommandStage { params, env, inherited, spec_folder }))
}

fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

impl Stage for CommandStage {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn version(&self) -> u32 {
        KIND.version
    }

    fn params(&self) -> BTreeMap<String, String> {
        let mut params = manifest_params(&self.params);
        for (name, value) in &self.env {
            params.insert(format!("env.{name}"), serde_json::Value::from(value.as_str()).to_string());
        }
        params
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        let mut names = BTreeSet::new();
        self.params
            .sources
            .iter()
            .map(|path| {
                let path = path.path();
                if let Err(error) = std::fs::metadata(path) {
                    let message = format!("the source `{}` cannot be read", path.display());
                    return Err(StageError::because(message, error).with_help("sources are relative to the spec file"));
                }
                let base = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let mut name = base.clone();
                let mut n_same = 1;
                while !names.insert(name.clone()) {
                    n_same += 1;
                    name = format!("{base}#{n_same}");
                }
                Ok(Source { name, path: path.to_owned() })
            })
            .collect()
    }

    fn run(&self, context: &StageContext<'_>) -> Result<StageReport, StageError> {
        let program = &self.params.run[0];
        let mut running = Running::start(self.command(context)).map_err(|error| {
            StageError::because(format!("`{program}` cannot be started"), error)
                .with_help("`run` names a program on PATH or a path; a shell must be named: [sh, -c, \"…\"]")
        })?;
        let status = running.finish(context)?;
        let quoted = running.quoted.make_contiguous();
        if !status.success() {
            return Err(failure(program, status, quoted));
        }
        self.keep_outputs(context.scratch, quoted)?;
        Ok(StageReport::default())
    }
}

impl CommandStage {
    fn command(&self, context: &StageContext<'_>) -> Command {
        let mut command = Command::new(self.program());
        command
            .arg0(&self.params.run[0])
            .args(&self.params.run[1..])
            .current_dir(context.scratch)
            .env_clear()
            .envs(&self.inherited)
            .envs(&self.env)
            .env("SPEC_DIR", &self.spec_folder)
            .stdin(Stdio::null())
            // A group of its own, so that an interrupt also stops what the program has started.
            .process_group(0);
        for (slot, input) in context.inputs {
            command.env(input_variable(slot), &input.folder);
        }
        command
    }

    /// The program by its path, as a search of the PATH that it gets would find it.
    ///
    /// A bare name would make the standard library fork this process, tables of its memory and all, to search in the
    /// child; a path is spawned without.
    fn program(&self) -> PathBuf {
        let name = Path::new(&self.params.run[0]);
        let declared = self.env.get("PATH").map(OsString::from);
        let path = declared.or_else(|| self.inherited.get(&OsString::from("PATH")).cloned()).unwrap_or_default();
        if name.components().count() > 1 || self.params.run[0].contains('/') {
            return name.to_owned();
        }
        let is_program = |path: &PathBuf| {
            std::fs::metadata(path)
                .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
        };
        let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
        folders.map(|folder| folder.join(name)).find(is_program).unwrap_or_else(|| name.to_owned())
    }

    /// Checks that every declared output is there and removes everything else.
    fn keep_outputs(&self, scratch: &Path, quoted: &[String]) -> Result<(), StageError> {
        for output in &self.params.outputs {
            if std::fs::symlink_metadata(scratch.join(output)).is_err() {
                let message = format!("`{}` did not leave its output `{output}`", self.params.run[0]);
                return Err(StageError::new(format!("{message}{}", quote(quoted)))
                    .with_help("the program runs in its own folder and must leave its outputs there"));
            }
        }
        let kept: BTreeSet<PathBuf> = self.params.outputs.iter().map(PathBuf::from).collect();
        remove_others(scratch, Path::new(""), &kept).map_err(|error| artifact::unwritable(scratch, error))
    }
}

/// `INPUT_` and the slot in upper case, with `_` for what a variable's name cannot have.
fn input_variable(slot: &str) -> String {
    let name: String =
        slot.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("INPUT_{name}")
}

/// Removes what lies below `folder` and is neither kept nor on the way to something kept.
fn remove_others(scratch: &Path, folder: &Path, kept: &BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(scratch.join(folder))? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        if kept.contains(&name) {
            continue;
        }
        let is_folder = entry.file_type()?.is_dir();
        if is_folder && kept.iter().any(|output| output.starts_with(&name)) {
            remove_others(scratch, &name, kept)?;
        } else if is_folder {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A started program and what it prints.
struct Running {
    child: Child,
    lines: Receiver<String>,
    /// The last lines that it printed.
    quoted: VecDeque<String>,
}

impl Running {
    /// Starts `command`, its standard output and error in one pipe so that their lines keep their order.
    fn start(mut command: Command) -> std::io::Result<Self> {
        let (reader, writer) = std::io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn()?;
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n_bytes| n_bytes > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines, quoted: VecDeque::new() })
    }

    /// Waits for the end of the program, passes its output on, and stops it when the run is to stop.
    fn finish(&mut self, context: &StageContext<'_>) -> Result<ExitStatus, StageError> {
        let failed = |error| StageError::because("the program cannot be waited for", error);
        let mut stopping: Option<Instant> = None;
        let mut exited: Option<Instant> = None;
        // The pipe closes when the program and all that it has started are gone; a daemon that keeps it open is not
        // waited for.
        while exited.is_none_or(|at| at.elapsed() < GRACE) {
            match self.lines.recv_timeout(POLL) {
                Ok(line) => self.keep(context, line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if exited.is_none() && self.child.try_wait().map_err(failed)?.is_some() {
                exited = Some(Instant::now());
            }
            match stopping {
                None if context.host.is_cancelled() => {
                    self.signal(Signal::TERM);
                    stopping = Some(Instant::now());
                }
                Some(since) if since.elapsed() > GRACE => self.signal(Signal::KILL),
                _ => {}
            }
        }
        let status = self.wait(context, stopping).map_err(failed)?;
        if stopping.is_some() { Err(StageError::cancelled()) } else { Ok(status) }
    }

    /// Waits for a program that has closed its output, which it may do long before it ends.
    fn wait(&mut self, context: &StageContext<'_>, mut stopping: Option<Instant>) -> std::io::Result<ExitStatus> {
        let mut pause = Duration::from_micros(50);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if stopping.is_none() && context.host.is_cancelled() {
                self.signal(Signal::TERM);
                stopping = Some(Instant::now());
            }
            if stopping.is_some_and(|since| since.elapsed() > GRACE) {
                self.signal(Signal::KILL);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(POLL);
        }
    }

    fn keep(&mut self, context: &StageContext<'_>, line: String) {
        context.host.output(&line);
        if self.quoted.len() == N_QUOTED_LINES {
            self.quoted.pop_front();
        }
        self.quoted.push_back(line);
    }

    /// Signals the program and what it has started; they may be gone already.
    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _gone = rustix::process::kill_process_group(group, signal);
        }
    }
}

fn failure(program: &str, status: ExitStatus, quoted: &[String]) -> StageError {
    use std::os::unix::process::ExitStatusExt as _;
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    };
    StageError::new(format!("`{program}` {how}{}", quote(quoted)))
}

fn quote(lines: &[String]) -> String {
    if lines.is_empty() { "; it printed nothing".to_owned() } else { format!("; it printed\n{}", lines.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_inputs_are_upper_case() {
        assert_eq!(input_variable("train-text.2"), "INPUT_TRAIN_TEXT_2");
    }

    #[test]
    fn outputs_stay_inside_the_scratch_folder() {
        for good in ["a", "a/b.txt", "a b"] {
            assert!(is_inside(good), "{good}");
        }
        for bad in ["", "/a", "../a", "a/../b", "./a"] {
            assert!(!is_inside(bad), "{bad}");
        }
    }
}
