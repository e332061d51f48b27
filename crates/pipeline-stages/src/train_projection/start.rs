//! The heads from which training starts.

use pipeline_core::StageError;
use pipeline_nn::checkpoint::{Checkpoint, Heads};
use pipeline_nn::train;

use super::params::TrainProjectionParams;

/// The heads from which training starts: those of `init_from`, or PyTorch's for the seed.
///
/// # Errors
/// When the file cannot be read, or its heads do not fit the features.
pub(super) fn heads(params: &TrainProjectionParams, d_text: usize, d_image: usize) -> Result<Heads, StageError> {
    let dim = params.projection_dim;
    let Some(path) = &params.init_from else {
        return Ok(train::initial_heads(d_text, d_image, dim, params.seed));
    };
    let path = path.path();
    let unusable = format!("the weights `{}` cannot be used", path.display());
    let checkpoint = Checkpoint::read(path).map_err(|error| StageError::because(unusable.clone(), error))?;
    let heads = checkpoint
        .heads
        .ok_or_else(|| StageError::new(format!("{unusable}: they are of `fusion: passthrough` and empty")))?;
    for (side, linear, d_in) in [("text", &heads.text, d_text), ("image", &heads.image, d_image)] {
        let (found, wanted) = ((linear.weight.n_rows, linear.weight.n_cols), (dim, d_in));
        if found != wanted {
            let message = format!(
                "the {side} head of `{}` has the shape [{}, {}], but [{}, {}] is needed",
                path.display(),
                found.0,
                found.1,
                wanted.0,
                wanted.1
            );
            return Err(StageError::new(message)
                .with_help("`projection_dim` and the encoders must be those that the weights were trained with"));
        }
    }
    Ok(heads)
}
