//! The features of a training, in their files; tokens whose pool learns nothing are pooled as they are read.

use std::path::Path;

use pipeline_core::{InputArtifact, StageError};
use pipeline_kernels::{RowReader, SelectedRows, TokenReader};
use pipeline_models::heads;

use crate::artifact::{self, Features};
use crate::pooled::{self, PoolName};

/// The features of one side.
pub(super) enum Inputs {
    /// One vector for each row.
    Vectors(Box<dyn RowReader>),
    /// All tokens of each row: their pool is learnt.
    Tokens(Box<dyn TokenReader>),
}

impl Inputs {
    pub(super) fn features(&self) -> heads::Features<'_> {
        match self {
            Self::Vectors(vectors) => (&**vectors).into(),
            Self::Tokens(tokens) => (&**tokens).into(),
        }
    }

    /// Keeps only the given rows.
    pub(super) fn with_rows(self, rows: Vec<usize>) -> Self {
        match self {
            Self::Vectors(reader) => Self::Vectors(Box::new(SelectedRows { reader, rows })),
            Self::Tokens(reader) => Self::Tokens(Box::new(SelectedRows { reader, rows })),
        }
    }
}

/// Opens all tokens of a side. `scratch` is the folder of the stage.
///
/// # Errors
/// When they cannot be read, or there are none.
pub(super) fn unpooled(artifact: &InputArtifact, slot: &str, scratch: &Path) -> Result<Features<Inputs>, StageError> {
    if artifact::layout(artifact)?.is_none() {
        let message = format!("input `{slot}` has one vector for each row, and the vectors of all tokens are needed");
        return Err(StageError::new(message).with_help(super::unfrozen::HELP));
    }
    stored(artifact, slot, scratch)
}

fn stored(artifact: &InputArtifact, slot: &str, scratch: &Path) -> Result<Features<Inputs>, StageError> {
    let Features { ids, vectors } = artifact::stored_tokens(artifact, slot, Some(scratch))?;
    Ok(Features { ids, vectors: Inputs::Tokens(Box::new(vectors)) })
}

/// Opens the features of a side whose tokens have this pool. `scratch` is the folder of the stage.
///
/// # Errors
/// When they cannot be read, or there are tokens without a pool, or a pool without tokens.
pub(super) fn read(
    artifact: &InputArtifact,
    slot: &str,
    pool: Option<PoolName>,
    scratch: &Path,
    n_threads: usize,
) -> Result<Features<Inputs>, StageError> {
    match (artifact::layout(artifact)?, pool) {
        (None, None) => {
            let Features { ids, vectors } = artifact::stored_features(artifact, slot, Some(scratch))?;
            Ok(Features { ids, vectors: Inputs::Vectors(Box::new(vectors)) })
        }
        (None, Some(_)) => Err(StageError::new(format!(
            "the tokens of input `{slot}` are to be pooled, but it has one vector for each row"
        ))
        .with_help("held-out features must be tokens like those of the training")),
        (Some(_), None) => Err(StageError::new(format!(
            "input `{slot}` has the vectors of all tokens (`pooling: tokens`), but those of the training are pooled"
        ))
        .with_help("`text_pool` and `image_pool` pool tokens; held-out features must be like those of the training")),
        (Some(layout), Some(pool)) => match pool.of(layout)? {
            Some(pool) => {
                let Features { ids, vectors } = pooled::pooled(artifact, slot, pool, scratch, n_threads)?;
                Ok(Features { ids, vectors: Inputs::Vectors(Box::new(vectors)) })
            }
            None => stored(artifact, slot, scratch),
        },
    }
}
