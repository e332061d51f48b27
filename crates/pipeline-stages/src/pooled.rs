//! From the tokens of an artifact or a query to the features that heads take.

use std::ops::Range;
use std::path::Path;

use pipeline_core::{InputArtifact, StageError};
use pipeline_data::{DataError, ScratchRows};
use pipeline_kernels::{Matrix, RowReader, TokenMatrix, TokenReader};
use pipeline_models::checkpoint::Checkpoint;
use pipeline_models::heads::{self, EmbedError, Head, TokenPool};
use pipeline_models::{Encoder, EncoderModel, EncoderRows, TokenLayout, Top};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{self, Features, FeaturesInfo};
use crate::export::Side;
use crate::tokens::PrecisionParam;

/// The property of a feature space with the pool that a training had for its tokens.
pub(crate) const TOKEN_POOL: &str = "token_pool";

/// The way from the tokens of a row to one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PoolName {
    /// Their mean with the weights `softmax(tokens · w)`, of a vector `w` that is learnt with the heads.
    Attentive,
    /// Their mean, without the class token of images.
    Mean,
    /// The first one, which stands for the row: `[CLS]`, or the class token of images.
    Cls,
}

impl PoolName {
    /// The name in specs and files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Attentive => "attentive",
            Self::Mean => "mean",
            Self::Cls => "cls",
        }
    }

    /// The pool of a name that learns nothing.
    fn fixed(name: &str) -> Option<Self> {
        [Self::Mean, Self::Cls].into_iter().find(|pool| pool.name() == name)
    }

    /// The pool of tokens in this order; `None` where it is learnt.
    ///
    /// # Errors
    /// When it needs a class token and there is none.
    pub(crate) fn of(self, layout: TokenLayout) -> Result<Option<TokenPool<'static>>, StageError> {
        match self {
            Self::Attentive => Ok(None),
            Self::Mean => Ok(Some(TokenPool::Mean { n_before: layout.n_before_mean })),
            Self::Cls if layout.has_class => Ok(Some(TokenPool::Cls)),
            Self::Cls => Err(StageError::new(NO_CLASS)),
        }
    }
}

/// Rows that are embedded at once: 32 MiB of embeddings of 512 numbers.
const ROWS_AT_ONCE: usize = 16_384;

/// Rows of tokens that are pooled at once.
const TOKEN_ROWS_AT_ONCE: usize = 4096;

/// The reason why tokens cannot be pooled by `cls`.
pub(crate) const NO_CLASS: &str =
    "the pool is `cls`, and these tokens have no class token; `attentive` and `mean` are there";

/// The features of an artifact, tokens pooled as they are read. `scratch` is the folder of the stage.
///
/// # Errors
/// When they cannot be read, or the scratch file cannot be written.
pub(crate) fn pooled(
    artifact: &InputArtifact,
    slot: &str,
    pool: TokenPool<'_>,
    scratch: &Path,
    n_threads: usize,
) -> Result<Features<ScratchRows>, StageError> {
    let rows = ScratchRows::new(Some(scratch), artifact::read_features_info(artifact)?.dim);
    gathered(artifact, slot, &Way::Pool(pool), Some(scratch), (rows, n_threads), &Ok)
}

/// The features of the tokens of an artifact, some of them at a time passed through `map`, one after the other in
/// `rows`. `scratch` is the folder of the stage, if there is one.
fn gathered(
    artifact: &InputArtifact,
    slot: &str,
    way: &Way<'_>,
    scratch: Option<&Path>,
    (mut rows, n_threads): (ScratchRows, usize),
    map: &dyn Fn(Matrix) -> Result<Matrix, StageError>,
) -> Result<Features<ScratchRows>, StageError> {
    let Features { ids, vectors: tokens } = artifact::stored_tokens(artifact, slot, scratch)?;
    through(&tokens, slot, way, n_threads, &mut |features| rows.append(&map(features)?.values).map_err(no_scratch))?;
    Ok(Features { ids, vectors: rows })
}

fn no_scratch(error: DataError) -> StageError {
    StageError::because("the scratch file cannot be written", error)
}

/// The features of an artifact as trained heads take them, which are read when they are needed. Pooled tokens are held
/// in memory.
///
/// # Errors
/// When they cannot be read, or the heads were trained on tokens and these are none, or the reverse.
pub(crate) fn for_heads(
    artifact: &InputArtifact,
    checkpoint: &Checkpoint,
    side: Side,
    n_threads: usize,
) -> Result<Features<Box<dyn RowReader>>, StageError> {
    match way(artifact, checkpoint, side)? {
        (Way::Vectors, _) => Ok(artifact::stored_features(artifact, side.name(), None)?.kept(artifact)),
        (way, width) => {
            let rows = ScratchRows::new(None, width);
            Ok(gathered(artifact, side.name(), &way, None, (rows, n_threads), &Ok)?.kept(artifact))
        }
    }
}

/// The embeddings of an artifact: its features go through trained heads as they are read. `scratch` is the folder of
/// the stage; without it, all embeddings are held in memory.
///
/// # Errors
/// As [`for_heads`], and when the features do not fit the heads, or the scratch file cannot be written.
pub(crate) fn embedded(
    artifact: &InputArtifact,
    checkpoint: &Checkpoint,
    side: Side,
    scratch: Option<&Path>,
    n_threads: usize,
) -> Result<Features<ScratchRows>, StageError> {
    let head = side.head(checkpoint);
    let (way, width) = way(artifact, checkpoint, side)?;
    let dim = head.map_or(width, |head| head.output.bias.len());
    let mut rows = ScratchRows::new(scratch, dim);
    let normalize = checkpoint.normalize;
    if !matches!(way, Way::Vectors) {
        return gathered(artifact, side.name(), &way, scratch, (rows, n_threads), &|features| {
            heads::embed(&features, head, normalize, n_threads).map_err(|error| not_embedded(side, error))
        });
    }
    let Features { ids, vectors } = artifact::stored_features(artifact, side.name(), scratch)?;
    for first_row in (0..ids.len()).step_by(ROWS_AT_ONCE) {
        let part = first_row..ids.len().min(first_row + ROWS_AT_ONCE);
        let part = heads::embed_rows(&vectors, part, head, normalize, n_threads);
        rows.append(&part.map_err(|error| not_embedded(side, error))?.values).map_err(no_scratch)?;
    }
    Ok(Features { ids, vectors: rows })
}

/// The embeddings of an artifact in memory.
///
/// # Errors
/// As [`embedded`].
pub(crate) fn embedded_in_memory(
    artifact: &InputArtifact,
    checkpoint: &Checkpoint,
    side: Side,
    n_threads: usize,
) -> Result<Features, StageError> {
    let Features { ids, vectors } = embedded(artifact, checkpoint, side, None, n_threads)?;
    Ok(Features { ids, vectors: vectors.into_matrix() })
}

/// The error for features that cannot be embedded.
pub(crate) fn not_embedded(side: Side, error: EmbedError) -> StageError {
    match error {
        EmbedError::Read(error) => {
            StageError::because(format!("the features of input `{}` cannot be read", side.name()), error)
        }
        error => StageError::because(format!("the {} features do not fit the heads", side.word()), error)
            .with_help("the heads must be trained on features of the same encoders"),
    }
}

/// From the rows of an artifact to the features that heads take.
enum Way<'a> {
    /// Each row has one vector.
    Vectors,
    /// Tokens are pooled.
    Pool(TokenPool<'a>),
    /// Tokens go through layers.
    Layers(&'a Top),
}

/// The way of an artifact's rows, and the width of the features at its end.
fn way<'a>(artifact: &InputArtifact, checkpoint: &'a Checkpoint, side: Side) -> Result<(Way<'a>, usize), StageError> {
    let FeaturesInfo { dim, tokens, .. } = artifact::read_features_info(artifact)?;
    match (tokens, pool_of(checkpoint, side)) {
        (None, None) => Ok((Way::Vectors, dim)),
        (None, Some(pool)) => Err(StageError::new(format!(
            "the heads pool tokens (`{}`), and input `{}` has one vector for each row",
            pool.name(),
            side.name()
        ))
        .with_help("they take features of `pooling: tokens`")),
        (Some(_), Some(PoolOfHeads::Layers(top))) => {
            must_fit(top, dim)?;
            Ok((Way::Layers(top), top.dim()))
        }
        (Some(layout), pool) => {
            let pool = of_heads(pool, layout, side)?;
            if let TokenPool::Attentive(vector) = pool {
                must_be_as_wide(vector, dim)?;
            }
            Ok((Way::Pool(pool), dim))
        }
    }
}

/// Passes the features of all rows of tokens to `each`, some of the rows at a time.
fn through(
    tokens: &dyn TokenReader,
    slot: &str,
    way: &Way<'_>,
    n_threads: usize,
    each: &mut dyn FnMut(Matrix) -> Result<(), StageError>,
) -> Result<(), StageError> {
    if let Way::Layers(top) = way {
        must_be_long_enough(top, slot, tokens)?;
    }
    let n_rows = tokens.n_rows();
    for first_row in (0..n_rows).step_by(TOKEN_ROWS_AT_ONCE) {
        let rows = first_row..n_rows.min(first_row + TOKEN_ROWS_AT_ONCE);
        each(match way {
            Way::Vectors => panic!("BUG: tokens are no vectors"),
            Way::Pool(pool) => pooled_rows(slot, tokens, rows, *pool, n_threads)?,
            Way::Layers(top) => features_of_layers(slot, tokens, rows, top, n_threads)?,
        })?;
    }
    Ok(())
}

/// Pools rows of tokens.
fn pooled_rows(
    slot: &str,
    tokens: &dyn TokenReader,
    rows: Range<usize>,
    pool: TokenPool<'_>,
    n_threads: usize,
) -> Result<Matrix, StageError> {
    heads::pool(tokens, rows, pool, n_threads).map_err(|error| artifact::no_tokens(slot, error))
}

/// Refuses rows of too few tokens for the pooling after the layers.
fn must_be_long_enough(top: &Top, slot: &str, tokens: &dyn TokenReader) -> Result<(), StageError> {
    let Some(row_idx) = top.first_short_row(tokens) else { return Ok(()) };
    let message = format!("row {row_idx} of input `{slot}` has too few tokens for the pooling after the layers");
    Err(StageError::new(message))
}

/// Passes rows of tokens through layers.
fn features_of_layers(
    slot: &str,
    tokens: &dyn TokenReader,
    rows: Range<usize>,
    top: &Top,
    n_threads: usize,
) -> Result<Matrix, StageError> {
    top.features(tokens, rows, n_threads).map_err(|error| artifact::no_tokens(slot, error))
}

/// Refuses tokens of another width than the layers take.
fn must_fit(top: &Top, width: usize) -> Result<(), StageError> {
    if top.width() == width {
        return Ok(());
    }
    let message = format!("the tokens have {width} numbers, but the layers of the heads take {}", top.width());
    Err(StageError::new(message).with_help("the heads must be trained on tokens of the same encoder"))
}

/// The features of a query.
pub(crate) enum QueryFeatures {
    /// One vector.
    Vector(Vec<f32>),
    /// The vectors of its tokens, and their order.
    Tokens(TokenMatrix, TokenLayout),
}

impl QueryFeatures {
    /// The features as trained heads take them.
    ///
    /// # Errors
    /// When the heads were trained on tokens and these are none, or the reverse.
    pub(crate) fn for_heads(&self, checkpoint: &Checkpoint, side: Side) -> Result<Matrix, StageError> {
        match (self, pool_of(checkpoint, side)) {
            (Self::Vector(vector), None) => Ok(Matrix::new(1, vector.len(), vector.clone())),
            (Self::Vector(_), Some(_)) => Err(StageError::new("the heads pool tokens, and the query has one vector")),
            (Self::Tokens(tokens, _), Some(PoolOfHeads::Layers(top))) => {
                must_fit(top, tokens.width())?;
                must_be_long_enough(top, side.name(), tokens)?;
                features_of_layers(side.name(), tokens, 0..tokens.n_rows(), top, 1)
            }
            (Self::Tokens(tokens, layout), pool) => {
                let pool = of_heads(pool, *layout, side)?;
                if let TokenPool::Attentive(vector) = pool {
                    must_be_as_wide(vector, tokens.width())?;
                }
                pooled_rows(side.name(), tokens, 0..tokens.n_rows(), pool, 1)
            }
        }
    }
}

/// Encodes queries as an extraction encodes its rows.
pub(crate) struct QueryEncoder {
    encoder: Box<dyn Encoder>,
    tokens: Option<(TokenLayout, PrecisionParam)>,
}

impl QueryEncoder {
    /// The encoder of a model in memory.
    pub(crate) fn new(model: &dyn EncoderModel, encoder: Box<dyn Encoder>, precision: PrecisionParam) -> Self {
        Self { encoder, tokens: model.tokens().map(|layout| (layout, precision)) }
    }

    /// Encodes one row.
    ///
    /// # Errors
    /// When it cannot be encoded; `failed` is the message.
    pub(crate) fn encode(
        &self,
        row: EncoderRows<'_>,
        n_threads: usize,
        failed: &'static str,
    ) -> Result<QueryFeatures, StageError> {
        let because = |error| StageError::because(failed, error);
        let Some((layout, precision)) = self.tokens else {
            return Ok(QueryFeatures::Vector(self.encoder.encode(row, n_threads).map_err(because)?.values));
        };
        let tokens = self.encoder.encode_tokens(row, n_threads).map_err(because)?;
        Ok(QueryFeatures::Tokens(precision.of(tokens)?, layout))
    }
}

fn must_be_as_wide(vector: &[f32], width: usize) -> Result<(), StageError> {
    let d_head = vector.len();
    if d_head == width {
        return Ok(());
    }
    let message = format!("the tokens have vectors of {width} numbers, but the heads weigh them by {d_head}");
    Err(StageError::new(message).with_help("the heads must be trained on features of the same encoders"))
}

/// The pool of one side of trained heads.
enum PoolOfHeads<'a> {
    Layers(&'a Top),
    Learnt(&'a [f32]),
    Fixed(PoolName),
}

/// The pool of heads that were trained on tokens; `None` of others.
fn pool_of(checkpoint: &Checkpoint, side: Side) -> Option<PoolOfHeads<'_>> {
    let head: Option<&Head> = side.head(checkpoint);
    if let Some(top) = head.and_then(|head| head.top.as_ref()) {
        return Some(PoolOfHeads::Layers(top));
    }
    if let Some(vector) = head.and_then(|head| head.attention.as_deref()) {
        return Some(PoolOfHeads::Learnt(vector));
    }
    let trained_on = checkpoint.trained_on.as_ref()?;
    let space = match side {
        Side::Text => &trained_on.text,
        Side::Images => &trained_on.images,
    };
    PoolName::fixed(space.properties.get(TOKEN_POOL)?).map(PoolOfHeads::Fixed)
}

impl PoolOfHeads<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Layers(_) => "layers of the encoder",
            Self::Learnt(_) => PoolName::Attentive.name(),
            Self::Fixed(pool) => pool.name(),
        }
    }
}

/// The pool of heads for tokens in this order.
///
/// # Errors
/// When the heads were trained on pooled features, or need a class token and there is none.
fn of_heads<'a>(pool: Option<PoolOfHeads<'a>>, layout: TokenLayout, side: Side) -> Result<TokenPool<'a>, StageError> {
    match pool {
        Some(PoolOfHeads::Layers(_)) => panic!("BUG: layers are no pool of their own"),
        Some(PoolOfHeads::Learnt(vector)) => Ok(TokenPool::Attentive(vector)),
        Some(PoolOfHeads::Fixed(pool)) => {
            let pool = pool.of(layout)?;
            Ok(pool.expect("a pool that learns nothing needs only the order of tokens"))
        }
        None => Err(StageError::new(format!(
            "input `{}` has the vectors of all tokens (`pooling: tokens`), and the heads were trained on one for each \
            row",
            side.name()
        ))
        .with_help("they take features of the pooling that they were trained on")),
    }
}
