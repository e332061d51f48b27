//! `command`: any external program with declared inputs and outputs.

mod output;
mod outputs;
mod params;
mod running;
mod tries;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pipeline_core::{Source, Stage, StageContext, StageError, StageReport};
use pipeline_spec::SpecError;

use self::params::CommandParams;
use self::variables::Variables;
use crate::guard::{Guards, Program};
use crate::kind::{BuildContext, Format, Kind, manifest_params, schema};

pub(crate) static KIND: Kind = Kind {
    name: "command",
    version: 2,
    summary: "Runs any external program with declared inputs and outputs",
    slots: None,
    produces: Format::Files,
    params_schema: schema::<CommandParams>,
    build,
};

struct CommandStage {
    params: CommandParams,
    variables: Variables,
    guards: Guards,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let params = CommandParams::read(&context.stage.params)?;
    let spec_folder = context.spec.file.parent().unwrap_or(Path::new("/"));
    let variables = Variables::new(&params, context, spec_folder.into())?;
    Ok(Box::new(CommandStage { params, variables, guards: context.settings.guards.clone() }))
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
        let printed = tries::run(self, context)?;
        outputs::keep(&self.params.run[0], &self.params.outputs, context.scratch, &printed.quote())?;
        Ok(StageReport::default())
    }
}

impl CommandStage {
    fn program(&self, context: &StageContext<'_>) -> Program {
        Program {
            path: self.program_path().into(),
            args: self.params.run.clone(),
            folder: context.scratch.into(),
            variables: self.variables.all(context),
        }
    }

    /// The program by its path, as a search of the PATH that it gets would find it.
    ///
    /// A bare name would make the standard library fork the guard to search in the child; a path is spawned without.
    fn program_path(&self) -> PathBuf {
        let name = Path::new(&self.params.run[0]);
        if self.params.run[0].contains('/') {
            return name.to_owned();
        }
        let is_program = |path: &PathBuf| {
            std::fs::metadata(path)
                .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
        };
        let path = self.variables.get("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
        folders.map(|folder| folder.join(name)).find(is_program).unwrap_or_else(|| name.to_owned())
    }
}
