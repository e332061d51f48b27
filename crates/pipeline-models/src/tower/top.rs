//! The plain weights of the last layers of a tower, which go on from the vectors of tokens that enter them.

use pipeline_kernels::TokenReader;
use serde::{Deserialize, Serialize};

use super::{HeadStep, LayerShape, LayerWeights, NormWeights, TextPool, TextTower};

/// The reason why the last layers of a tower cannot be taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopError {
    /// There are fewer layers.
    #[error("the model has {n_there} layers, and not the {n_wanted} that are asked for")]
    TooMany {
        /// The layers of the model.
        n_there: usize,
        /// Those that were asked for.
        n_wanted: usize,
    },
    /// Layers are taken off text models only.
    #[error("the last layers of image models are not trained")]
    OfImages,
    /// A top gives one vector a row.
    #[error("the last layers need a pooling of their tokens to one vector")]
    NotPooled,
    /// The row's vector is that of a token which only its id shows.
    #[error(
        "a text's vector in this model is that of the token with a certain id, which the vectors of tokens do not \
         show; the pooling `mean` needs no id"
    )]
    PlaceById,
}

/// The layers but for the last `n_layers`.
fn n_others(layers: &[LayerWeights], n_layers: usize) -> Result<usize, TopError> {
    let n_there = layers.len();
    n_there.checked_sub(n_layers).ok_or(TopError::TooMany { n_there, n_wanted: n_layers })
}

/// The last layers of a tower, and the way from their vectors to a row's feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Top {
    pub(crate) shape: LayerShape,
    /// From input to output.
    pub(crate) layers: Vec<LayerWeights>,
    /// Of the last layer's vectors.
    pub(crate) final_norm: Option<NormWeights>,
    pub(crate) pool: TopPool,
    pub(crate) head: Vec<HeadStep>,
}

/// The way from a row's many vectors to one, as far as it needs no more than the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TopPool {
    /// The vector of the first token.
    First,
    /// The vector of the last token.
    Last,
    /// The mean over the tokens, of which so many are left out at the start.
    Mean {
        /// Tokens that are left out.
        n_skipped: usize,
    },
}

impl TopPool {
    /// The place of the token whose vector is the row's; `None` where all tokens count.
    pub(crate) fn place(self, n_tokens: usize) -> Option<usize> {
        match self {
            Self::First => Some(0),
            Self::Last => n_tokens.checked_sub(1),
            Self::Mean { .. } => None,
        }
    }
}

impl Top {
    /// The last `n_layers` layers of a text tower, or the reason why they cannot be taken off.
    pub(crate) fn of(tower: TextTower, n_layers: usize) -> Result<Self, TopError> {
        let TextTower { shape, mut layers, final_norm, pool, head, .. } = tower;
        let pool = match pool {
            TextPool::First => TopPool::First,
            TextPool::Last => TopPool::Last,
            TextPool::Mean => TopPool::Mean { n_skipped: 0 },
            TextPool::HighestId | TextPool::FirstOf(_) => return Err(TopError::PlaceById),
            TextPool::Tokens => return Err(TopError::NotPooled),
        };
        let layers = layers.split_off(n_others(&layers, n_layers)?);
        Ok(Self { shape, layers, final_norm, pool, head })
    }

    /// The first row with too few tokens to have a feature.
    pub fn first_short_row(&self, tokens: &dyn TokenReader) -> Option<usize> {
        let n_skipped = match self.pool {
            TopPool::First | TopPool::Last => 0,
            TopPool::Mean { n_skipped } => n_skipped,
        };
        (0..tokens.n_rows()).find(|row_idx| tokens.n_tokens(*row_idx) <= n_skipped)
    }

    /// Numbers of a token's vector that enters it.
    pub fn width(&self) -> usize {
        self.shape.width
    }

    /// Numbers of a row's feature.
    pub fn dim(&self) -> usize {
        let dense = self.head.iter().rev().find_map(|step| match step {
            HeadStep::Dense(dense) => Some(dense.n_out),
            HeadStep::Norm(_) | HeadStep::Tanh => None,
        });
        dense.unwrap_or(self.shape.width)
    }

    /// The number of layers.
    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// True when every weight of its layers is finite.
    pub fn is_finite(&self) -> bool {
        let of_layer = |layer: &LayerWeights| {
            let LayerWeights { query, key, value, attention_output, intermediate, output, .. } = layer;
            let denses = [query, key, value, attention_output, intermediate, output];
            let norms = [&layer.attention_norm, &layer.output_norm];
            let denses = denses.into_iter().flat_map(|dense| [&dense.weight, &dense.bias]);
            let norms = norms.into_iter().flat_map(|norm| [&norm.scale, &norm.shift]);
            denses.chain(norms).flatten().all(|value| value.is_finite())
        };
        self.layers.iter().all(of_layer)
    }
}

impl TextTower {
    /// The tower without its last `n_layers` layers: it gives the vectors of all tokens that enter them.
    pub(crate) fn trunk(mut self, n_layers: usize) -> Result<Self, TopError> {
        self.layers.truncate(n_others(&self.layers, n_layers)?);
        Ok(Self { final_norm: None, pool: TextPool::Tokens, head: Vec::new(), ..self })
    }
}
