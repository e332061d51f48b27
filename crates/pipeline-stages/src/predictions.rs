//! The MUGE prediction file of an evaluation.

use std::path::Path;

use pipeline_data::{Dialect, WrittenPredictions};

use crate::artifact::RANKINGS;

/// The reason why predictions could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    /// The evaluation's rankings cannot be read.
    #[error("the rankings of the evaluation cannot be read")]
    Read(#[from] pipeline_data::DataError),
    /// The predictions cannot be written.
    #[error("the predictions cannot be written")]
    Write(#[from] std::io::Error),
}

/// Writes the predictions of the evaluation whose artifact is `folder`: one per line with the fields of `dialect`, in
/// the order of the queries.
///
/// # Errors
/// When the rankings cannot be read or `out` fails.
pub fn write_predictions(
    folder: &Path,
    dialect: Dialect,
    out: &mut dyn std::io::Write,
) -> Result<WrittenPredictions, PredictionsError> {
    let rankings = pipeline_data::read_rankings(&folder.join(RANKINGS))?;
    Ok(pipeline_data::write_predictions(out, dialect, &rankings)?)
}
