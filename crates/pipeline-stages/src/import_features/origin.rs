//! The origin of an import: files outside the store, or outputs of a program that is a stage.

use std::path::{Path, PathBuf};

use pipeline_core::{StageContext, StageError, StageId};
use pipeline_spec::{SpecError, SpecPath, StageSpec, nearest};

use super::files;
use super::params::{FileFormat, ImportFeaturesParams};
use crate::artifact;
use crate::kind::{BuildContext, declared_outputs, span_of};
use crate::published::is_part;

/// The slot of the program that makes the vectors.
pub(super) const FROM: &str = "from";

/// The outputs that are taken when `path` or `ids` is absent.
const USUAL_VECTORS: [&str; 3] = ["vectors.npy", "vectors.jsonl", "vectors.parquet"];
const USUAL_IDS: [&str; 3] = ["ids.txt", "ids.npy", "ids.json"];

/// The origin of the vectors and their ids.
pub(super) enum Origin {
    /// Files outside the store.
    Outside { path: SpecPath, ids: Option<SpecPath> },
    /// Files in the artifact of the input `from`, which is that of `stage`, by their names in it.
    Input { stage: StageId, path: String, ids: Option<String> },
}

impl Origin {
    /// The origin in the params and inputs of a stage.
    ///
    /// # Errors
    /// When there is no origin, and when one in the input is not among the outputs that its stage declares.
    pub(super) fn new(context: BuildContext<'_>, params: &ImportFeaturesParams) -> Result<Self, SpecError> {
        let stage = context.stage;
        let Some(maker) = crate::search::input(context.spec, stage, FROM) else {
            let Some(path) = params.path.clone() else {
                let message = format!("stage `{}` has neither the param `path` nor the input `{FROM}`", stage.id);
                let help =
                    "`path` names the file of the vectors; `inputs: { from: STAGE }` the `command` that makes it";
                return Err(SpecError::at(&stage.span, message).with_help(help));
            };
            return Ok(Self::Outside { path, ids: params.ids.clone() });
        };
        let outputs = declared_outputs(maker)?;
        let name = |param: &str, value: &Option<SpecPath>| match value {
            Some(path) => declared_name(stage, maker, &outputs, param, path).map(Some),
            None => Ok(None),
        };
        let path = match name("path", &params.path)? {
            Some(path) => path,
            None => usual(&outputs, &USUAL_VECTORS).ok_or_else(|| no_vectors(stage, maker, &outputs))?,
        };
        let format = params.format.or_else(|| files::format_by_ending(Path::new(&path)));
        let ids = match name("ids", &params.ids)? {
            None if format == Some(FileFormat::Npy) => usual(&outputs, &USUAL_IDS),
            ids => ids,
        };
        Ok(Self::Input { stage: maker.id.clone(), path, ids })
    }

    pub(super) fn has_ids(&self) -> bool {
        match self {
            Self::Outside { ids, .. } => ids.is_some(),
            Self::Input { ids, .. } => ids.is_some(),
        }
    }

    /// The path of the vectors as the spec has it.
    pub(super) fn written(&self) -> &str {
        match self {
            Self::Outside { path, .. } => path.written(),
            Self::Input { path, .. } => path,
        }
    }

    /// The format of the vectors, as far as the name of their file shows it.
    pub(super) fn format(&self) -> Option<FileFormat> {
        match self {
            Self::Outside { path, .. } => files::format_of(path.path()),
            Self::Input { path, .. } => files::format_by_ending(Path::new(path)),
        }
    }

    /// The vectors and the ids, where both lie outside the store.
    pub(super) fn outside(&self) -> Option<(&Path, Option<&Path>)> {
        match self {
            Self::Outside { path, ids } => Some((path.path(), ids.as_ref().map(SpecPath::path))),
            Self::Input { .. } => None,
        }
    }

    /// The paths of the vectors and of the ids for a stage that runs.
    ///
    /// # Errors
    /// When a file of an input cannot be verified.
    pub(super) fn paths(&self, context: &StageContext<'_>) -> Result<(PathBuf, Option<PathBuf>), StageError> {
        match self {
            Self::Outside { path, ids } => Ok((path.path().to_owned(), ids.as_ref().map(|ids| ids.path().to_owned()))),
            Self::Input { path, ids, .. } => {
                let from = artifact::input(context, FROM);
                Ok((from.file(path)?, ids.as_ref().map(|ids| from.file(ids)).transpose()?))
            }
        }
    }

    /// Checks that an input has the named files. The stage declares its outputs, but not the content of folders.
    ///
    /// # Errors
    /// Names the missing file.
    pub(super) fn check_presence(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let Self::Input { stage, path, ids } = self else { return Ok(()) };
        let tree = &artifact::input(context, FROM).tree;
        match [Some(path), ids.as_ref()].into_iter().flatten().find(|name| tree.resolve(name).is_none()) {
            Some(name) => Err(StageError::new(format!("the artifact of `{stage}` has no `{name}`"))),
            None => Ok(()),
        }
    }

    /// The lines of the manifest beside those of the params: the names in the input, which decide what is read of it.
    pub(super) fn manifest_params(&self) -> impl Iterator<Item = (String, String)> {
        let (path, ids) = match self {
            Self::Outside { .. } => (None, None),
            Self::Input { path, ids, .. } => (Some(path), ids.as_ref()),
        };
        let line = |(param, name): (&str, Option<&String>)| {
            name.map(|name| (param.to_owned(), serde_json::Value::from(name.as_str()).to_string()))
        };
        [("path", path), ("ids", ids)].into_iter().filter_map(line)
    }

    /// The error, with advice on where its files come from.
    pub(super) fn explain(&self, error: StageError) -> StageError {
        match self {
            Self::Input { stage, .. } if !error.cancelled => {
                let origin = format!("the program of stage `{stage}` wrote these files");
                let help = error.help.as_ref().map_or(origin.clone(), |help| format!("{help}; {origin}"));
                error.with_help(help)
            }
            _ => error,
        }
    }
}

/// The name of an output in a param, if `outputs` declares it, a folder around it, or files in it.
fn declared_name(
    stage: &StageSpec,
    maker: &StageSpec,
    outputs: &[String],
    param: &str,
    path: &SpecPath,
) -> Result<String, SpecError> {
    let name = path.written();
    let error = |message: String| SpecError::at(span_of(&stage.params, param), message);
    if Path::new(name).is_absolute() || Path::new(name).components().any(|part| part.as_os_str() == "..") {
        let message = format!("with the input `{FROM}`, `{param}` names an output of `{}`, and not `{name}`", maker.id);
        return Err(error(message).with_help(format!(
            "{}; without `{FROM}`, `{param}` is a path relative to the spec file",
            declares(maker, outputs)
        )));
    }
    if outputs.iter().any(|output| is_part(output, name)) {
        return Ok(name.to_owned());
    }
    let help = match nearest(name, outputs.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? {}", declares(maker, outputs)),
        None => declares(maker, outputs),
    };
    Err(error(format!("stage `{}` does not declare the output `{name}`", maker.id)).with_help(help))
}

/// The only one of the usual names that is declared.
fn usual(outputs: &[String], names: &[&str]) -> Option<String> {
    let mut declared = outputs.iter().filter(|output| names.contains(&output.as_str()));
    declared.next().filter(|_| declared.next().is_none()).cloned()
}

fn no_vectors(stage: &StageSpec, maker: &StageSpec, outputs: &[String]) -> SpecError {
    let message = format!("stage `{}` does not name the output of `{}` with the vectors", stage.id, maker.id);
    let usual = USUAL_VECTORS.map(|name| format!("`{name}`")).join(", ");
    let help = format!("name it as `path`, or declare one of {usual}; {}", declares(maker, outputs));
    SpecError::at(&stage.span, message).with_help(help)
}

fn declares(maker: &StageSpec, outputs: &[String]) -> String {
    let names: Vec<String> = outputs.iter().map(|output| format!("`{output}`")).collect();
    format!("`{}` declares {}", maker.id, names.join(", "))
}
