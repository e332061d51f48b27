//! The paths that no command may overwrite: a spec's sources, the spec's own files, and the store.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pipeline_core::StageId;
use pipeline_engine::Graph;
use pipeline_spec::{PipelineSpec, Publish, SpecError};
use pipeline_store::real_path;

/// The paths that a spec and its store need unchanged.
pub struct Protected {
    artifacts: PathBuf,
    specs: Vec<PathBuf>,
    /// With the stage that reads it.
    sources: Vec<(PathBuf, StageId)>,
    places_of_sources: Places,
}

/// The indices of paths in a list, to find one path among thousands without a scan.
#[derive(Default)]
struct Places(HashMap<PathBuf, Vec<usize>>);

/// The error for a file that must not be overwritten.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not written: {reason}", file.display())]
pub struct IsProtected {
    /// The file.
    pub file: PathBuf,
    /// The reason.
    pub reason: String,
}

/// The reason why a path must not be overwritten.
enum Refusal<'a> {
    InStore,
    Spec,
    Source(&'a StageId),
    InSource(&'a Path, &'a StageId),
}

impl Protected {
    /// The protected paths of a spec, its stages, and the folder of its store.
    pub fn of(spec: &PipelineSpec, graph: &Graph, artifacts: &Path) -> Self {
        let sources = graph.nodes().iter().flat_map(|node| {
            let real = |path: PathBuf| (real_path(&path), node.id.clone());
            node.stage.reads().into_iter().map(real)
        });
        let sources: Vec<(PathBuf, StageId)> = sources.collect();
        Self {
            artifacts: real_path(artifacts),
            specs: spec.files.iter().map(|(file, _)| real_path(file)).collect(),
            places_of_sources: Places::of(sources.iter().map(|(path, _)| path)),
            sources,
        }
    }

    /// Refuses to write a protected file.
    ///
    /// # Errors
    /// When the file is protected.
    pub fn check(&self, file: &Path) -> Result<(), IsProtected> {
        let Some(refusal) = self.refusal(file) else { return Ok(()) };
        Err(IsProtected { file: file.to_owned(), reason: refusal.reason() })
    }

    /// Refuses to publish over protected paths, and into a folder that is published as a whole.
    ///
    /// # Errors
    /// The first wrong path, at its place in the spec.
    pub fn check_published(&self, spec: &PipelineSpec) -> Result<(), SpecError> {
        let all: Vec<(&StageId, &Publish, PathBuf)> = (spec.stages.iter())
            .flat_map(|stage| stage.publish.iter().map(|publish| (&stage.id, publish, real_path(&publish.path))))
            .collect();
        let places = Places::of(all.iter().map(|(_, _, path)| path));
        for (idx, (stage, publish, path)) in all.iter().enumerate() {
            let at = |message: String| SpecError::at(&publish.path_span, message);
            if let Some(refusal) = self.refusal(path) {
                let message = format!("`{}` cannot be published there: {}", publish.file.value, refusal.reason());
                return Err(at(message).with_help(refusal.help(stage)));
            }
            // Kinds make files; only programs make folders, too.
            let is_file = spec.stage(stage).is_some_and(|stage| stage.kind.value != "command");
            if is_file && path.is_dir() {
                let message = format!("`{}` cannot be published there: it is a folder", publish.file.value);
                let written = publish.path_span.text().trim_matches(['"', '\'']).trim_end_matches('/');
                return Err(at(message).with_help(format!("name a file in it: `{written}/{}`", publish.file.value)));
            }
            if let Some(other_idx) = places.first_at_or_above(path, |other_idx| other_idx != idx) {
                let (other, _, above) = &all[other_idx];
                let message = format!("stage `{other}` publishes to `{}`, and this lies there, too", above.display());
                return Err(at(message).with_help("publish a whole artifact to a folder of its own"));
            }
        }
        Ok(())
    }

    fn refusal(&self, path: &Path) -> Option<Refusal<'_>> {
        let path = real_path(path);
        if path.starts_with(&self.artifacts) {
            return Some(Refusal::InStore);
        }
        if self.specs.contains(&path) {
            return Some(Refusal::Spec);
        }
        let (source, stage) = &self.sources[self.places_of_sources.first_at_or_above(&path, |_| true)?];
        Some(if path == *source { Refusal::Source(stage) } else { Refusal::InSource(source, stage) })
    }
}

impl Places {
    fn of<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Self {
        let mut places = Self::default();
        for (idx, path) in paths.enumerate() {
            places.0.entry(path.clone()).or_default().push(idx);
        }
        places
    }

    /// The first index whose path is `path` or a folder above it, among those that `counts` accepts.
    fn first_at_or_above(&self, path: &Path, counts: impl Fn(usize) -> bool) -> Option<usize> {
        let found = path.ancestors().filter_map(|above| self.0.get(above)).flatten().copied();
        found.filter(|&idx| counts(idx)).min()
    }
}

impl Refusal<'_> {
    fn reason(&self) -> String {
        match self {
            Self::InStore => "it lies in the store".to_owned(),
            Self::Spec => "it is a file of the spec".to_owned(),
            Self::Source(stage) => format!("stage `{stage}` reads it as a source"),
            Self::InSource(source, stage) => {
                format!("it lies in the source `{}` of stage `{stage}`", source.display())
            }
        }
    }

    fn help(&self, publisher: &StageId) -> String {
        match self {
            Self::Source(stage) | Self::InSource(_, stage) if *stage != publisher => format!(
                "publish it elsewhere; if `{stage}` is to read it, name `{publisher}` among its inputs, where its kind \
                takes it"
            ),
            _ => "publish it elsewhere".to_owned(),
        }
    }
}
