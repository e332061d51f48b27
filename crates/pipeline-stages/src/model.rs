//! What the two encoder stages share: the name of a model, its files as sources, its vectors as Parquet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, Source, StageContext, StageError, StageReport};
use pipeline_data::VectorShard;
use pipeline_nn::text::ModelSearch;
use pipeline_spec::SpecPath;
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

    /// What decides which files the model has: what `looked_at` tells of its name, and the path that would make it no
    /// bare name.
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

/// True for a name such as `resnet50` or `hfl/chinese-roberta-wwm-ext`, which no folder has to precede.
fn is_bare(written: &str) -> bool {
    !written.starts_with(['/', '.', '~']) && written.split('/').count() <= 2
}

/// The files of a model as sources `model/<role>`: neither where they are nor what they are called is hashed.
pub(crate) fn sources(files: Vec<(String, PathBuf)>) -> Vec<Source> {
    files.into_iter().map(|(role, path)| Source { name: format!("model/{role}"), path }).collect()
}

/// The roles of weights that may be cut into several files.
pub(crate) fn weights(paths: &[PathBuf]) -> impl Iterator<Item = (String, PathBuf)> {
    paths.iter().enumerate().map(|(path_idx, path)| {
        let role = if paths.len() == 1 { "weights".to_owned() } else { format!("weights-{path_idx:05}") };
        (role, path.clone())
    })
}

/// The digest of a model: of the digests of its files, which are the sources named `model/…`.
pub(crate) fn digest(context: &StageContext<'_>) -> Digest {
    let mut text = String::new();
    for (name, digest) in context.sources.iter().filter(|(name, _)| name.starts_with("model/")) {
        text.push_str(&format!("{digest} {name}\n"));
    }
    Digest::of(text.as_bytes())
}

/// Which weights the vectors are of: models of one name differ, and only the digest tells them apart.
pub(crate) fn headline(context: &StageContext<'_>, weights: &[PathBuf]) -> String {
    let place = weights.first().map(|path| path.display().to_string()).unwrap_or_default();
    format!("model {} from {place}", digest(context).short())
}

/// Writes vectors with the metadata that tells what they are. Returns the digest of the file.
pub(crate) fn write_vectors(
    path: &Path,
    shard: &VectorShard,
    model: &Digest,
    pooling: &str,
) -> Result<Digest, StageError> {
    let metadata = BTreeMap::from([
        ("dtype".to_owned(), "f32".to_owned()),
        ("dim".to_owned(), shard.dim.to_string()),
        ("model".to_owned(), model.hex()),
        ("pooling".to_owned(), pooling.to_owned()),
        ("normalized".to_owned(), "false".to_owned()),
    ]);
    pipeline_data::write_vectors(path, shard, &metadata)
        .map(Digest::from_bytes)
        .map_err(|error| StageError::because("a shard cannot be written", error))
}

/// The report of a shard of vectors, so that their width is known without a look into the shard.
pub(crate) fn tell_dim(dim: usize) -> StageReport {
    StageReport { metrics: BTreeMap::from([("dim".to_owned(), dim as f64)]), ..StageReport::default() }
}

/// The width that the report of a shard tells.
pub(crate) fn told_dim(report: &StageReport) -> Option<usize> {
    report.metrics.get("dim").map(|dim| *dim as usize)
}
