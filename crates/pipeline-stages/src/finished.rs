//! Reads the artifacts of finished stages, for reports about a run.

use pipeline_core::InputArtifact;
use pipeline_data::{DataError, QueryRow};
use pipeline_eval::RankingRow;
use pipeline_kernels::{Matrix, RowReader};
use pipeline_models::checkpoint::Checkpoint;
use pipeline_models::heads::{self, EmbedError};

use crate::artifact::{self, Features};
use crate::export::Side;
use crate::pooled;

/// The reason why an artifact could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FinishedError {
    /// A file of rows cannot be read.
    #[error("the rows of the artifact cannot be read")]
    Rows(#[from] DataError),
    /// A text cannot be read.
    #[error("`{file}` of the artifact cannot be read")]
    Text {
        /// The file.
        file: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// An input of the stage cannot be read.
    #[error("the artifact cannot be read")]
    Artifact(#[from] pipeline_core::StageError),
    /// The features do not fit the heads.
    #[error("the features do not fit the heads")]
    Embed(#[from] EmbedError),
}

/// The rankings of an evaluation.
///
/// # Errors
/// When they cannot be read.
pub fn read_rankings(evaluation: &InputArtifact) -> Result<Vec<RankingRow>, FinishedError> {
    Ok(pipeline_data::read_rankings(&evaluation.file(artifact::RANKINGS)?)?)
}

/// The history of a training as CSV.
///
/// # Errors
/// When it cannot be read.
pub fn read_history(training: &InputArtifact) -> Result<String, FinishedError> {
    let file = artifact::HISTORY;
    pipeline_files::read_to_string(&training.file(file)?).map_err(|source| FinishedError::Text { file, source })
}

/// The query rows of an artifact.
///
/// # Errors
/// When they cannot be read.
pub fn read_queries(queries: &InputArtifact) -> Result<Vec<QueryRow>, FinishedError> {
    Ok(artifact::queries(queries)?)
}

/// The trained heads of an artifact, read once for all that is asked of them.
pub struct FinishedHeads(Checkpoint);

impl FinishedHeads {
    /// Reads the heads of a training.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(projection: &InputArtifact) -> Result<Self, FinishedError> {
        Ok(Self(artifact::heads(projection)?))
    }
}

/// The vectors of an artifact of features, which are read when they are needed.
pub struct FinishedFeatures {
    /// The id of each row.
    pub ids: Vec<Option<String>>,
    /// `[ids.len(), d_features]`
    pub vectors: Box<dyn RowReader>,
}

/// Opens an artifact of features; tokens are pooled as the heads do.
///
/// # Errors
/// When they cannot be read.
pub fn read_features(
    features: &InputArtifact,
    side: Side,
    heads: &FinishedHeads,
    n_threads: usize,
) -> Result<FinishedFeatures, FinishedError> {
    let Features { ids, vectors } = pooled::for_heads(features, &heads.0, side, n_threads)?;
    Ok(FinishedFeatures { ids, vectors })
}

/// Maps text and image features into their shared space, as an evaluation does.
///
/// # Shapes
/// - text: `[n_texts, d_text]`, images: `[n_images, d_image]`
/// - output: `[n_texts, dim]`, `[n_images, dim]`
///
/// # Errors
/// When the heads take features of other widths.
pub fn embed(
    FinishedHeads(heads): &FinishedHeads,
    text: &Matrix,
    images: &Matrix,
    n_threads: usize,
) -> Result<(Matrix, Matrix), FinishedError> {
    let texts = heads::embed(text, heads.text(), heads.normalize, n_threads)?;
    let images = heads::embed(images, heads.image(), heads.normalize, n_threads)?;
    Ok((texts, images))
}
