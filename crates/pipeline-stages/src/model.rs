//! Common parts of the two encoder stages: the name of a model, its files as sources, its vectors as Parquet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline_core::{Device, Digest, Source, StageContext, StageError};
use pipeline_data::{DataError, VectorShard};
use pipeline_models::EncoderSide;
use pipeline_models::text::{ModelError, ModelSearch};
use pipeline_spec::{SpecPath, nearest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::missing_file::NO_SHELL;

/// The most rows per batch and thread.
pub(crate) const MAX_BATCH_ROWS: usize = 65_536;

/// A model's name in a spec: a path, or a bare name that is searched in the folders of models.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct ModelName(SpecPath);

impl ModelName {
    /// The name to search: the bare name as written, or the absolute path.
    pub(crate) fn to_find(&self) -> String {
        let written = self.0.written();
        if is_bare(written) && !self.0.path().exists() {
            written.to_owned()
        } else {
            self.0.path().to_string_lossy().into_owned()
        }
    }

    /// The name in the spec.
    pub(crate) fn written(&self) -> &str {
        self.0.written()
    }

    /// The absolute path of the name, even if it is a bare name.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The paths that determine the model's files: the result of `looked_at` for its name, and the path that would take
    /// precedence over a bare name.
    pub(crate) fn places(
        &self,
        search: &ModelSearch,
        looked_at: fn(&str, &ModelSearch) -> Vec<PathBuf>,
    ) -> Vec<PathBuf> {
        let mut places = looked_at(&self.to_find(), search);
        places.push(self.0.path().to_owned());
        places
    }
}

/// The facts about a kind of models that messages need.
pub(crate) struct Family {
    /// The side that its models encode.
    pub(crate) side: EncoderSide,
    /// The models near the place of this name.
    pub(crate) near: fn(&str, &ModelSearch) -> Vec<String>,
    /// The architecture of models with this name, if they are of another family.
    pub(crate) of_name: fn(&str) -> Option<String>,
}

impl Family {
    /// The error for a missing or unusable model, with advice.
    pub(crate) fn failure(&self, model: &ModelName, search: &ModelSearch, error: ModelError) -> StageError {
        let help = match &error {
            ModelError::NotFound { .. } => self.help_to_find(model, search).or_else(|| error.help()),
            ModelError::Unsupported { .. } => Some(self.supported()),
            ModelError::Named { .. } => Some(format!(
                "a model of timm needs a `config.json` beside it, such as {{\"architecture\": \"resnet50\"}}\n{}",
                self.supported()
            )),
            _ => None,
        };
        let message = match &error {
            ModelError::NotFound { .. } => format!("there is no {} model", self.side.name()),
            _ => format!("the {} model `{}` cannot be used", self.side.name(), model.written()),
        };
        StageError { help, param: error.param(), ..StageError::because(message, error) }
    }

    /// A missing model is not a mistake in a spec, unless its name shows that it could never be used.
    pub(crate) fn check_missing(&self, model: &ModelName, error: StageError) -> Result<(), StageError> {
        let is_missing = error.source.as_ref().and_then(|source| source.downcast_ref::<ModelError>());
        if !matches!(is_missing, Some(ModelError::NotFound { .. })) {
            return Err(error);
        }
        match (self.of_name)(model.written()) {
            Some(architecture) if is_bare(model.written()) => {
                let message =
                    format!("the {} model `{}` is by its name a {architecture}", self.side.name(), model.written());
                Err(StageError::new(message).with_help(self.supported()))
            }
            _ => Ok(()),
        }
    }

    /// The models that can be used, and the way with any other.
    fn supported(&self) -> String {
        let (side, families) = (self.side.name(), pipeline_models::supported(self.side));
        format!(
            "{side} models are of {families}; vectors of any other tool can be brought in by `import-{side}-features`"
        )
    }

    fn help_to_find(&self, model: &ModelName, search: &ModelSearch) -> Option<String> {
        let written = model.written();
        if written.starts_with('~') || written.contains('$') {
            return Some(NO_SHELL.to_owned());
        }
        let known = (self.near)(&model.to_find(), search);
        // An owner is often missing or wrong.
        let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        let found = nearest(&model.to_find(), known.iter().map(String::as_str)).map(str::to_owned).or_else(|| {
            let parts: Vec<String> = known.iter().map(|name| last(name)).collect();
            let near = nearest(&last(written), parts.iter().map(String::as_str))?;
            parts.iter().position(|part| part == near).map(|place| known[place].clone())
        });
        // The place itself may be there and lack something.
        found.filter(|near| *near != model.to_find()).map(|near| format!("did you mean `{near}`?"))
    }
}

/// True for a name such as `resnet50` or `hfl/chinese-roberta-wwm-ext`, without a folder before it.
fn is_bare(written: &str) -> bool {
    !written.starts_with(['/', '.', '~']) && written.split('/').count() <= 2
}

/// The files of a model as sources `model/<role>`: neither their paths nor their names are hashed.
pub(crate) fn sources(files: Vec<(String, PathBuf)>) -> Vec<Source> {
    files.into_iter().map(|(role, path)| Source { name: format!("model/{role}"), path }).collect()
}

/// The digest of a model: of the digests of its files, which are the sources named `model/…`.
pub(crate) fn digest(context: &StageContext<'_>) -> Digest {
    pipeline_core::digest_of_group(context.sources, "model")
}

/// The rows that an encoder gets at once: a batch for each thread, or on a GPU, which makes batches of its own of them,
/// `times` as many as are in one.
pub(crate) fn rows_at_once(context: &StageContext<'_>, batch_rows: usize, times: usize) -> usize {
    match context.device {
        Device::Cpu => batch_rows * context.n_threads.max(1),
        Device::Cuda | Device::Wgpu => batch_rows * times,
    }
}

/// Identifies the weights: models with one name may differ, and only the digest distinguishes them.
pub(crate) fn headline(context: &StageContext<'_>, weights: &[PathBuf]) -> String {
    let place = weights.first().map(|path| path.display().to_string()).unwrap_or_default();
    format!("model {} from {place}", digest(context).short())
}

/// The description of vectors in the footer of their files.
pub(crate) fn metadata(model: &Digest, pooling: &str, is_normalized: bool) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("model".to_owned(), model.hex()),
        ("pooling".to_owned(), pooling.to_owned()),
        ("normalized".to_owned(), is_normalized.to_string()),
    ])
}

/// Writes vectors with the metadata that describes them. Returns the digest of the file.
pub(crate) fn write_vectors(
    path: &Path,
    shard: &VectorShard,
    mut metadata: BTreeMap<String, String>,
) -> Result<Digest, StageError> {
    metadata.extend([("dtype".to_owned(), "f32".to_owned()), ("dim".to_owned(), shard.dim.to_string())]);
    pipeline_data::write_vectors(path, shard, &metadata).map(Digest::from_bytes).map_err(unwritable)
}

/// The error of a shard that cannot be written.
pub(crate) fn unwritable(error: DataError) -> StageError {
    StageError::because("a shard cannot be written", error)
}
