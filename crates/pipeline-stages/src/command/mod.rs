//! `command`: any external program with declared inputs and outputs.

mod outputs;
mod running;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pipeline_core::{Source, Stage, StageContext, StageError, StageReport};
use pipeline_spec::{SpecError, SpecPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::running::Running;
use crate::kind::{BuildContext, Format, Kind, manifest_params, schema, span_of};

pub(crate) static KIND: Kind = Kind {
    name: "command",
    version: 2,
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
        if !outputs::is_inside(output) {
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

    fn runs_programs(&self) -> bool {
        true
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
            return Err(running::failure(program, status, quoted));
        }
        outputs::keep(program, &self.params.outputs, context.scratch, quoted)?;
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
            command.env(variables::input_variable(slot), &input.folder);
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
}
