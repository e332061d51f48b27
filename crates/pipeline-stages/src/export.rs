//! Exports of an artifact for other tools: vectors, embeddings, and the curves of a training.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline_core::{InputArtifact, StageError};
use pipeline_data::Scalar;
use pipeline_kernels::{Matrix, RowReader};
use pipeline_models::checkpoint::Checkpoint;
use pipeline_models::heads::{self, EmbeddedRows, Head};

use crate::{artifact, feature_spaces, pooled};

/// The file formats of vectors for other tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorFormat {
    /// `NAME.npy`, and the ids in `NAME.ids.txt`.
    Npy,
    /// `NAME.parquet` with the columns `id` and `vector`, the latter lists of floats.
    ParquetLists,
    /// `NAME.safetensors` with one tensor `vectors`, and the ids in `NAME.ids.txt`.
    Safetensors,
}

impl VectorFormat {
    /// The names of the files, in the order in which [`Vectors::write`] takes their paths.
    pub fn files(self, name: &str) -> Vec<String> {
        let ids = format!("{name}.ids.txt");
        match self {
            Self::Npy => vec![format!("{name}.npy"), ids],
            Self::ParquetLists => vec![format!("{name}.parquet")],
            Self::Safetensors => vec![format!("{name}.safetensors"), ids],
        }
    }
}

/// One side of a pair, with its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The queries.
    Text,
    /// The images.
    Images,
}

impl Side {
    /// The name of this side's input, and of its exported files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Images => "images",
        }
    }

    /// The name of one of its rows.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Images => "image",
        }
    }

    /// Its head, if there are heads.
    pub(crate) fn head(self, heads: &Checkpoint) -> Option<&Head> {
        match self {
            Self::Text => heads.text(),
            Self::Images => heads.image(),
        }
    }
}

/// Vectors of an artifact with their ids, which are read or computed when they are written.
pub struct Vectors {
    features: artifact::Features<Box<dyn RowReader>>,
}

impl Vectors {
    /// Opens a features artifact.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(features: &InputArtifact, side: Side) -> Result<Self, StageError> {
        Ok(Self { features: artifact::stored_features(features, side.name(), None)?.kept(features) })
    }

    /// The number of vectors.
    pub fn len(&self) -> usize {
        self.features.ids.len()
    }

    /// Whether there are no vectors.
    pub fn is_empty(&self) -> bool {
        self.features.ids.is_empty()
    }

    /// The embeddings of a features artifact through the heads of `projection`.
    ///
    /// # Errors
    /// When either cannot be read, or the heads take vectors of another width, or were trained on vectors of another
    /// encoding, unless `allows_mismatch` is set.
    pub fn embedded(
        features: &InputArtifact,
        side: Side,
        projection: &InputArtifact,
        allows_mismatch: bool,
        n_threads: usize,
    ) -> Result<Self, StageError> {
        let checkpoint = artifact::heads(projection)?;
        if !allows_mismatch {
            feature_spaces::must_be_of_heads(&checkpoint, side, features)?;
        }
        let artifact::Features { ids, vectors } = pooled::for_heads(features, &checkpoint, side, n_threads)?;
        let (head, normalize) = (side.head(&checkpoint).cloned(), checkpoint.normalize);
        let vectors = EmbeddedRows::new(vectors, head, normalize, n_threads)
            .map_err(|error| pooled::not_embedded(side, error))?;
        Ok(Self { features: artifact::Features { ids, vectors: Box::new(vectors) } })
    }

    /// Writes the files of `format` to `paths`, some mebibytes of vectors at a time.
    ///
    /// # Errors
    /// When a vector cannot be read or a file cannot be written, or an id contains a line break and ids are written as
    /// lines.
    pub fn write(&self, format: VectorFormat, paths: &[PathBuf]) -> Result<(), StageError> {
        let (ids, vectors) = (&self.features.ids, &*self.features.vectors);
        let unwritable = |error| StageError::because("the vectors cannot be exported", error);
        let help = "`--format parquet-lists` takes ids of any text";
        let write_ids =
            |path: &Path| pipeline_data::write_ids(path, ids).map_err(|error| unwritable(error).with_help(help));
        match (format, paths) {
            (VectorFormat::Npy, [path, ids_path]) => {
                pipeline_data::write_npy(path, vectors).map_err(unwritable)?;
                write_ids(ids_path)
            }
            (VectorFormat::Safetensors, [path, ids_path]) => {
                pipeline_models::checkpoint::write_vectors(path, vectors)
                    .map_err(|error| StageError::because("the vectors cannot be exported", error))?;
                write_ids(ids_path)
            }
            (VectorFormat::ParquetLists, [path]) => {
                pipeline_data::write_list_vectors(path, ids, vectors).map_err(unwritable)
            }
            _ => panic!("BUG: {} paths for an export as {format:?}", paths.len()),
        }
    }
}

/// Maps the features of one side into the shared space.
pub(crate) fn embed(heads: &Checkpoint, side: Side, features: &Matrix, n_threads: usize) -> Result<Matrix, StageError> {
    heads::embed(features, side.head(heads), heads.normalize, n_threads)
        .map_err(|error| pooled::not_embedded(side, error))
}

/// Writes the history of a training, or the metrics of an evaluation, as an event file of TensorBoard. Returns the
/// number of scalars; `None` when the artifact has neither.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write_events(stage: &str, artifact: &InputArtifact, seconds: f64, path: &Path) -> Result<usize, StageError> {
    let read = |name: &str| {
        let file = artifact.file(name)?;
        pipeline_files::read_to_string(&file)
            .map_err(|error| StageError::because(format!("`{}` cannot be read", file.display()), error))
    };
    let mut scalars = Vec::new();
    if artifact.tree.files.contains_key(artifact::HISTORY) {
        scalars = history(stage, &read(artifact::HISTORY)?);
    } else if artifact.tree.files.contains_key(artifact::METRICS) {
        let metrics: BTreeMap<String, f64> = artifact::read_json(&artifact.file(artifact::METRICS)?)?;
        let scalar = |(name, value)| Scalar { step: 0, tag: format!("{stage}/{name}"), value };
        scalars = metrics.into_iter().map(scalar).collect();
    }
    if !scalars.is_empty() {
        pipeline_data::write_scalars(path, seconds, &scalars)
            .map_err(|error| StageError::because("the events cannot be exported", error))?;
    }
    Ok(scalars.len())
}

/// A curve for each column of `history.csv` except `step`, counted through all epochs; skips empty fields.
fn history(stage: &str, csv: &str) -> Vec<Scalar> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let rows = lines.enumerate().flat_map(|(row_idx, line)| {
        let fields = names.iter().zip(line.split(',')).filter(|(name, _)| **name != "step");
        let scalar = move |(name, field): (&&str, &str)| {
            Some(Scalar { step: row_idx as i64, tag: format!("{stage}/{name}"), value: field.parse().ok()? })
        };
        fields.filter_map(scalar).collect::<Vec<_>>()
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_the_history_is_a_curve() {
        let csv = "epoch,step,loss,valid_mean_recall\n0,0,2.5,\n0,1,2.25,\n1,0,2,0.5\n";
        let loss: Vec<_> = history("p", csv).into_iter().filter(|scalar| scalar.tag == "p/loss").collect();
        assert_eq!(
            loss.iter().map(|scalar| (scalar.step, scalar.value)).collect::<Vec<_>>(),
            [(0, 2.5), (1, 2.25), (2, 2.0)]
        );
        let recall: Vec<_> = history("p", csv).into_iter().filter(|scalar| scalar.tag.ends_with("recall")).collect();
        assert_eq!(recall.iter().map(|scalar| (scalar.step, scalar.value)).collect::<Vec<_>>(), [(2, 0.5)]);
    }

    #[test]
    fn a_start_that_is_measured_comes_before_the_first_step() {
        let csv = "epoch,step,loss,valid_mean_recall\n0,0,,0.25\n1,0,2.5,\n1,1,2.25,0.5\n";
        let curve = |name: &str| {
            let scalars = history("p", csv).into_iter().filter(|scalar| scalar.tag == name);
            scalars.map(|scalar| (scalar.step, scalar.value)).collect::<Vec<_>>()
        };
        assert_eq!(curve("p/loss"), [(1, 2.5), (2, 2.25)]);
        assert_eq!(curve("p/valid_mean_recall"), [(0, 0.25), (2, 0.5)]);
    }
}
