//! What the two encoder stages share: the name of a model, its files as sources, its vectors as Parquet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, Source, StageContext, StageError};
use pipeline_data::VectorShard;
use pipeline_models::text::{ModelError, ModelSearch};
use pipeline_spec::{SpecPath, nearest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows per batch and thread at most.
pub(crate) const MAX_BATCH_ROWS: usize = 65_536;

/// A model as a spec names it: a path, or a bare name that is looked for where models are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct ModelName(SpecPath);

impl ModelName {
    /// What to look for: the bare name as it was written, or the absolute path.
    pub(crate) fn to_find(&self) -> String {
        let written = self.0.written();
        if is_bare(written) && !self.0.path().exists() {
            written.to_owned()
        } else {
            self.0.path().to_string_lossy().into_owned()
        }
    }

    /// The name as the spec has it.
    pub(crate) fn written(&self) -> &str {
        self.0.written()
    }

    /// The absolute path that the name is, or would be if it were no bare name.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// What decides which files the model has: the answer of `looked_at` about its name, and the path that would make
    /// it no bare name.
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

/// What the messages about models of a kind need to know.
pub(crate) struct Family {
    /// `text` or `image`.
    pub(crate) name: &'static str,
    /// Which models can be used, and what to do with any other.
    pub(crate) supported: &'static str,
    /// The models that lie where one of this name would.
    pub(crate) near: fn(&str, &ModelSearch) -> Vec<String>,
    /// What models of this name are, if they are of another family.
    pub(crate) of_name: fn(&str) -> Option<String>,
}

impl Family {
    /// Why there is no model or not a usable one, with what to do.
    pub(crate) fn failure(&self, model: &ModelName, search: &ModelSearch, error: ModelError) -> StageError {
        let help = match &error {
            ModelError::NotFound { .. } => self.help_to_find(model, search),
            ModelError::Unsupported { .. } => Some(self.supported.to_owned()),
            ModelError::Named { .. } => Some(format!(
                "a plain ResNet of that name needs a `config.json` beside it: {{\"architecture\": \"resnet50\"}}\n{}",
                self.supported
            )),
            _ => None,
        };
        let message = match &error {
            ModelError::NotFound { .. } => format!("there is no {} model", self.name),
            _ => format!("the {} model `{}` cannot be used", self.name, model.written()),
        };
        StageError { help, ..StageError::because(message, error) }
    }

    /// A model that is not there is no mistake of a spec, unless its name says that it could never be used.
    pub(crate) fn check_missing(&self, model: &ModelName, error: StageError) -> Result<(), StageError> {
        let is_missing = error.source.as_ref().and_then(|source| source.downcast_ref::<ModelError>());
        if !matches!(is_missing, Some(ModelError::NotFound { .. })) {
            return Err(error);
        }
        match (self.of_name)(model.written()) {
            Some(architecture) if is_bare(model.written()) => {
                let message = format!("the {} model `{}` is by its name a {architecture}", self.name, model.written());
                Err(StageError::new(message).with_help(self.supported))
            }
            _ => Ok(()),
        }
    }

    fn help_to_find(&self, model: &ModelName, search: &ModelSearch) -> Option<String> {
        let written = model.written();
        if written.starts_with('~') || written.contains('$') {
            let help = "no shell reads a spec: `~` and `$HOME` stay as they are";
            return Some(format!("{help}; write the absolute path, or one relative to the spec"));
        }
        let known = (self.near)(&model.to_find(), search);
        // An owner is often left out or another one.
        let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        let found = nearest(&model.to_find(), known.iter().map(String::as_str)).map(str::to_owned).or_else(|| {
            let parts: Vec<String> = known.iter().map(|name| last(name)).collect();
            let near = nearest(&last(written), parts.iter().map(String::as_str))?;
            parts.iter().position(|part| part == near).map(|place| known[place].clone())
        });
        found.map(|near| format!("did you mean `{near}`?"))
    }
}

/// True for a name such as `resnet50` or `hfl/chinese-roberta-wwm-ext`, which no folder has to precede.
fn is_bare(written: &str) -> bool {
    !written.starts_with(['/', '.', '~']) && written.split('/').count() <= 2
}

/// The files of a model as sources `model/<role>`: neither where they are nor what they are called is hashed.
pub(crate) fn sources(files: Vec<(String, PathBuf)>) -> Vec<Source> {
    files.into_iter().map(|(role, path)| Source { name: format!("model/{role}"), path }).collect()
}

/// The digest of a model: of the digests of its files, which are the sources named `model/…`.
pub(crate) fn digest(context: &StageContext<'_>) -> Digest {
    pipeline_core::digest_of_group(context.sources, "model")
}

/// Which weights the vectors are of: models of one name differ, and only the digest distinguishes them.
pub(crate) fn headline(context: &StageContext<'_>, weights: &[PathBuf]) -> String {
    let place = weights.first().map(|path| path.display().to_string()).unwrap_or_default();
    format!("model {} from {place}", digest(context).short())
}

/// Writes vectors with the metadata that describes them. Returns the digest of the file.
pub(crate) fn write_vectors(
    path: &Path,
    shard: &VectorShard,
    model: &Digest,
    pooling: &str,
    is_normalized: bool,
) -> Result<Digest, StageError> {
    let metadata = BTreeMap::from([
        ("dtype".to_owned(), "f32".to_owned()),
        ("dim".to_owned(), shard.dim.to_string()),
        ("model".to_owned(), model.hex()),
        ("pooling".to_owned(), pooling.to_owned()),
        ("normalized".to_owned(), is_normalized.to_string()),
    ]);
    pipeline_data::write_vectors(path, shard, &metadata)
        .map(Digest::from_bytes)
        .map_err(|error| StageError::because("a shard cannot be written", error))
}
