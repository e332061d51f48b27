//! `command`: any external program with declared inputs and outputs.

mod output;
mod outputs;
mod params;
mod running;
mod scripts;
mod tries;
mod unstarted;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pipeline_core::{Source, Stage, StageContext, StageError, StageReport, StageWork, WholeStage};
use pipeline_spec::{SpecError, Value};

use self::params::CommandParams;
use self::scripts::{Interpreted, Scripts, program_path};
use self::unstarted::NamedProgram;
use self::variables::Variables;
use crate::guard::{Guards, Program};
use crate::kind::{BuildContext, Format, Kind, manifest_params, schema};
use crate::{missing_file, published};

pub(crate) static KIND: Kind = Kind {
    name: "command",
    version: 2,
    summary: "Runs any external program with declared inputs and outputs",
    slots: None,
    produces: Format::Files,
    tokens: None,
    files: &[],
    params_schema: schema::<CommandParams>,
    build,
};

struct CommandStage {
    params: CommandParams,
    variables: Variables,
    scripts: Scripts,
    /// The script of an interpreter.
    interpreted: Option<Interpreted>,
    /// The program, if it is named by a path.
    program: Option<PathBuf>,
    /// Whether a stage of the spec publishes it, which may mend it.
    is_published: bool,
    spec_folder: PathBuf,
    guards: Guards,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let node = &context.stage.params;
    let params = CommandParams::read(node)?;
    let outputs: Vec<&str> = params.outputs.iter().map(String::as_str).collect();
    published::check(context.stage, &outputs)?;
    let spec_folder = context.spec.file.parent().unwrap_or(Path::new("/")).to_owned();
    let variables = Variables::new(&params, context, spec_folder.clone().into())?;
    let run = match node.get("run").map(|run| &run.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    let scripts = Scripts::new(run, &spec_folder);
    let interpreted = Interpreted::find(run, &params.outputs);
    let program = run.first().and_then(program_path);
    let guards = context.settings.guards.clone();
    let mut published = context.spec.stages.iter().flat_map(|stage| &stage.publish);
    let is_published =
        published.any(|publish| program.as_ref().is_some_and(|program| program.starts_with(&publish.path)));
    Ok(Box::new(CommandStage { params, variables, scripts, interpreted, program, is_published, spec_folder, guards }))
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
        params.extend(self.variables.manifest_params());
        params
    }

    fn check(&self) -> Result<(), StageError> {
        let (named, path) = (self.named(""), self.program.as_deref());
        let fault = match (named.one_text(), path) {
            (Some(help), _) => Some((format!("`{}` is no program, but a whole command", self.params.run[0]), help)),
            (None, Some(path)) if !self.is_published && unstarted::is_not_executable(path) => {
                Some((format!("`{}` may not be executed", self.params.run[0]), named.not_executable()))
            }
            _ => None,
        };
        match fault {
            Some((message, help)) => Err(StageError { param: Some("run"), ..StageError::new(message).with_help(help) }),
            None => Ok(()),
        }
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        let declared: Vec<&Path> = self.params.sources.iter().map(|path| path.path()).collect();
        for path in &declared {
            if let Err(error) = std::fs::metadata(path) {
                let message = format!("the source `{}` cannot be read", path.display());
                let help =
                    missing_file::help(path).unwrap_or_else(|| "sources are relative to the spec file".to_owned());
                return Err(StageError::because(message, error).with_help(help));
            }
        }
        if let Some(Interpreted { path, .. }) = &self.interpreted
            && let Err(error) = std::fs::metadata(path)
        {
            let message = format!("the script `{}` cannot be read", path.display());
            let name = path.strip_prefix(&self.spec_folder).unwrap_or(path).to_string_lossy();
            let elsewhere =
                unstarted::elsewhere(&name, &self.spec_folder).map(|path| format!("did you mean `{path}`?"));
            let help = elsewhere
                .or_else(|| missing_file::help(path))
                .unwrap_or_else(|| "a script in `run` is named relative to the spec file, like a source".to_owned());
            return Err(StageError::because(message, error).with_help(help));
        }
        let scripts = self.scripts.uncovered(&declared);
        let mut names = Names::default();
        let declared = declared.into_iter().map(|path| (String::new(), path));
        // A prefix of their own, so that a script that is also watched does not rename a source.
        let all = declared.chain(scripts.into_iter().map(|path| ("run/".to_owned(), path)));
        Ok(all.map(|(prefix, path)| Source { name: names.new_name(prefix, path), path: path.to_owned() }).collect())
    }

    fn places(&self) -> Vec<PathBuf> {
        self.scripts.places().collect()
    }

    fn reads(&self) -> Vec<PathBuf> {
        let declared: Vec<&Path> = self.params.sources.iter().map(|path| path.path()).collect();
        let scripts = self.scripts.uncovered(&declared);
        let all = declared.into_iter().chain(scripts).chain(self.program.as_deref());
        all.map(Path::to_owned).collect()
    }

    fn runs_programs(&self) -> bool {
        true
    }

    fn looked_for(&self) -> Vec<PathBuf> {
        let declared = self.params.sources.iter().map(|path| path.path().to_owned());
        declared.chain(self.interpreted.iter().map(|script| script.path.clone())).collect()
    }

    fn work(&self) -> StageWork<'_> {
        StageWork::Whole(self)
    }
}

impl WholeStage for CommandStage {
    fn run(&self, context: &StageContext<'_>, scratch: &Path) -> Result<StageReport, StageError> {
        let printed = tries::run(self, context, scratch)?;
        outputs::keep(&self.params.run[0], &self.params.outputs, scratch, &printed.quote())?;
        Ok(StageReport::default())
    }
}

impl CommandStage {
    fn program(&self, context: &StageContext<'_>, scratch: &Path) -> Result<Program, StageError> {
        let mut args: Vec<OsString> = self.params.run.iter().map(OsString::from).collect();
        if let Some(Interpreted { argument_idx, path }) = &self.interpreted {
            args[*argument_idx] = path.into();
        }
        let variables = self.variables.all(context)?;
        Ok(Program { path: self.program_path().into(), args, folder: scratch.into(), variables })
    }

    /// The program's path, as a search of its PATH would find it.
    ///
    /// A bare name would make the standard library fork the guard to search in the child; a path is spawned without
    /// forking.
    fn program_path(&self) -> PathBuf {
        if let Some(program) = &self.program {
            return program.clone();
        }
        let name = Path::new(&self.params.run[0]);
        let is_program = |path: &PathBuf| {
            std::fs::metadata(path)
                .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
        };
        let path = self.variables.get("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
        folders.map(|folder| folder.join(name)).find(is_program).unwrap_or_else(|| name.to_owned())
    }

    /// The program as the spec names it, and the folders of programs.
    fn named<'a>(&'a self, search: &'a str) -> NamedProgram<'a> {
        NamedProgram { run: &self.params.run, path: self.program.as_deref(), spec_folder: &self.spec_folder, search }
    }

    /// The folders of programs.
    fn search(&self) -> String {
        self.variables.get("PATH").unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Advice for a program that failed because it did not find a file of the spec's folder.
    fn help(&self) -> Option<String> {
        let found = self.interpreted.as_ref().map(|script| script.argument_idx);
        let lies_beside_spec = |argument: &str| {
            let path = Path::new(argument);
            !argument.is_empty() && path.is_relative() && self.spec_folder.join(path).is_file()
        };
        let arguments = self.params.run.iter().enumerate().skip(1);
        let (file_idx, file) =
            arguments.into_iter().find(|(idx, argument)| Some(*idx) != found && lies_beside_spec(argument))?;
        let in_shell = |(idx, argument): (usize, &String)| match Some(idx) == found || idx == file_idx {
            true => format!("\"$SPEC_DIR/{argument}\""),
            false => argument.clone(),
        };
        let command: Vec<String> = self.params.run.iter().enumerate().map(in_shell).collect();
        Some(format!(
            "`{file}` lies in the folder of the spec, but programs run in an empty folder of their own: a shell finds \
             it as \"$SPEC_DIR/{file}\", as in [sh, -c, '{}']",
            command.join(" ")
        ))
    }
}

/// Unique names of sources.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// The name of the file, with a number if another file has it.
    fn new_name(&mut self, prefix: String, path: &Path) -> String {
        let base = prefix + &path.file_name().unwrap_or_default().to_string_lossy();
        let numbered = (2..).map(|number| format!("{base}#{number}"));
        let free = std::iter::once(base.clone()).chain(numbered).find(|name| !self.0.contains(name));
        let name = free.expect("numbers do not end");
        self.0.insert(name.clone());
        name
    }
}
