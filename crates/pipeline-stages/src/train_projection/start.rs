//! The initial heads of training.

use std::path::Path;

use pipeline_core::{StageContext, StageError};
use pipeline_models::checkpoint::{Checkpoint, WeightsNote};
use pipeline_models::heads::{Head, Heads};
use pipeline_models::train;

use super::params::{HeadShape, Start, TrainProjectionParams};
use super::spaces::Spaces;

/// The most weights of a head: 2 GiB of them, and 8 GiB with Adam's moments and gradients.
const MAX_WEIGHTS: u64 = 1 << 29;

/// The initial heads, with the remark on their place in the file that they are from.
///
/// # Errors
/// When the file cannot be read, or the heads do not fit the params and the features.
pub(super) fn heads(
    context: &StageContext<'_>,
    params: &TrainProjectionParams,
    spaces: &Spaces,
    d_text: usize,
    d_image: usize,
) -> Result<(Heads, WeightsNote), StageError> {
    match &params.init_from {
        Some(path) => read(context, params, path.path(), spaces, [d_text, d_image]),
        None => Ok((made(params, spaces, [d_text, d_image])?, WeightsNote::default())),
    }
}

/// PyTorch's heads for the seed, or unit matrices.
fn made(params: &TrainProjectionParams, spaces: &Spaces, [d_text, d_image]: [usize; 2]) -> Result<Heads, StageError> {
    let dim = match params.start {
        Start::Random => params.dim(),
        Start::Identity => spaces.widths(d_text, d_image).one(params)?,
    };
    for (side, d_features) in [("text", d_text), ("image", d_image)] {
        must_be_bearable(side, params.d_hidden(), dim, d_features)?;
    }
    let heads = match (params.start, params.d_hidden()) {
        (Start::Identity, _) => train::identity_heads(dim),
        (Start::Random, None) => train::initial_heads(d_text, d_image, dim, params.seed),
        (Start::Random, Some(d_hidden)) => train::initial_mlp_heads(d_text, d_image, d_hidden, dim, params.seed),
    };
    Ok(train::with_attention(heads, params.attentive(), params.seed, params.start == Start::Random))
}

/// The heads of `init_from`.
fn read(
    context: &StageContext<'_>,
    params: &TrainProjectionParams,
    path: &Path,
    spaces: &Spaces,
    [d_text, d_image]: [usize; 2],
) -> Result<(Heads, WeightsNote), StageError> {
    let unusable = format!("the weights `{}` cannot be used", path.display());
    let (checkpoint, note) =
        Checkpoint::read_with_note(path).map_err(|error| StageError::because(unusable.clone(), error))?;
    if let Some(trained_on) = &checkpoint.trained_on {
        spaces.must_match_start(context, path, trained_on, params.allow_mismatch)?;
    }
    let heads = checkpoint
        .heads
        .ok_or_else(|| StageError::new(format!("{unusable}: they are of `fusion: passthrough` and empty")))?;
    let attentive = params.attentive();
    for (side, head, d_features, is_attentive) in
        [("text", &heads.text, d_text, attentive.text), ("image", &heads.image, d_image, attentive.images)]
    {
        must_pool(head, side, is_attentive).map_err(|(problem, help)| {
            StageError::new(format!("{unusable}: their {side} head {problem}")).with_help(help)
        })?;
        must_fit(head, params, d_features).map_err(|(problem, help)| {
            StageError::new(format!("{unusable}: their {side} head {problem}")).with_help(help)
        })?;
    }
    let about = |note: Option<String>| note.map(|note| format!("`init_from`: {note}"));
    Ok((heads, WeightsNote { place: about(note.place), warning: about(note.warning) }))
}

/// Refuses heads with so many weights that training would need tens of gigabytes: four numbers per weight.
fn must_be_bearable(side: &str, d_hidden: Option<usize>, dim: usize, d_features: usize) -> Result<(), StageError> {
    let (dim, d_features) = (dim as u64, d_features as u64);
    let n_weights = match d_hidden {
        None => dim * d_features,
        Some(d_hidden) => d_hidden as u64 * (d_features + dim),
    };
    if n_weights <= MAX_WEIGHTS {
        return Ok(());
    }
    let message = format!("the {side} head would have {n_weights} weights, and {MAX_WEIGHTS} is the most");
    Err(StageError::new(message).with_help("a smaller `projection_dim` or `hidden_dim` makes it smaller"))
}

/// Checks the pool of a head's tokens against the params; the error has advice.
fn must_pool(head: &Head, side: &str, is_attentive: bool) -> Result<(), (String, &'static str)> {
    if head.top.is_some() {
        return Err((
            "begins with layers of an encoder, and here there are none".to_owned(),
            "`train-projection` begins with heads that were trained without layers",
        ));
    }
    match (&head.attention, is_attentive) {
        (Some(_), false) => Err((
            format!("weighs tokens (`{side}_attention.weight`), and here it has none to weigh"),
            "it takes features of `pooling: tokens` with an `attentive` pool",
        )),
        (None, true) => Err((
            format!("weighs no tokens: there is no `{side}_attention.weight`"),
            "an `attentive` pool begins with weights that were trained with one, or without `init_from`",
        )),
        _ => Ok(()),
    }
}

/// Checks a head against the params and the features; the error has advice.
fn must_fit(head: &Head, params: &TrainProjectionParams, d_features: usize) -> Result<(), (String, &'static str)> {
    let wanted = match params.d_hidden() {
        None => vec![[params.dim(), d_features]],
        Some(d_hidden) => vec![[d_hidden, d_features], [params.dim(), d_hidden]],
    };
    let found: Vec<_> = head.layers().map(|linear| [linear.weight.n_rows, linear.weight.n_cols]).collect();
    if found == wanted {
        return Ok(());
    }
    if found.len() != wanted.len() {
        let problem = match params.head {
            HeadShape::Linear => "has a hidden layer, and `head: linear` has none",
            HeadShape::Mlp => "is linear, and `head: mlp` has a hidden layer",
        };
        return Err((problem.to_owned(), "`head` must match the weights"));
    }
    let shapes = |layers: &[[usize; 2]]| {
        let shapes: Vec<_> = layers.iter().map(|shape| format!("{shape:?}")).collect();
        shapes.join(" and ")
    };
    Err((
        format!("has the shape {}, but {} is needed", shapes(&found), shapes(&wanted)),
        "`projection_dim`, `hidden_dim` and the encoders must be those that the weights were trained with",
    ))
}
