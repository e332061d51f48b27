//! The plain weights of a text tower.

use super::{HeadStep, LayerShape, LayerWeights, NormWeights};

/// A text encoder but for its tokenizer: embeddings, layers, and the way from the tokens' vectors to the text's.
///
/// # Shapes
/// `words`: `[vocab, width]`, a segment's embedding already added · `positions`: `[n_positions, width]`
#[derive(Debug)]
pub(crate) struct TextTower {
    pub(crate) shape: LayerShape,
    pub(crate) words: Vec<f32>,
    pub(crate) positions: Vec<f32>,
    /// The rule that gives a token its position.
    pub(crate) counting: TokenPositions,
    /// Of the sums of words and positions.
    pub(crate) embedding_norm: Option<NormWeights>,
    pub(crate) layers: Vec<LayerWeights>,
    /// Of the last layer's vectors.
    pub(crate) final_norm: Option<NormWeights>,
    pub(crate) pool: TextPool,
    pub(crate) head: Vec<HeadStep>,
}

/// The rule that gives a token its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenPositions {
    /// From 0.
    FromZero,
    /// RoBERTa's: tokens other than the padding are counted from its id + 1; padding that a text spells has its id.
    AfterPadding(u32),
}

impl TokenPositions {
    /// The position of each token.
    pub(crate) fn of(self, ids: &[u32]) -> impl Iterator<Item = usize> {
        let mut n_before = 0;
        ids.iter().map(move |id| match self {
            Self::AfterPadding(padding) if *id == padding => padding as usize,
            _ => {
                n_before += 1;
                n_before - 1 + self.first()
            }
        })
    }

    /// The position of the first token.
    pub(crate) fn first(self) -> usize {
        match self {
            Self::FromZero => 0,
            Self::AfterPadding(padding) => padding as usize + 1,
        }
    }
}

/// The way from a text's many vectors to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextPool {
    /// The vector of the first token.
    First,
    /// The vector of the last token.
    Last,
    /// The vector of the first token with the highest id.
    HighestId,
    /// The vector of the first token of this id.
    FirstOf(u32),
    /// The mean over all tokens.
    Mean,
    /// No pooling: the vectors of all tokens.
    Tokens,
}

impl TextPool {
    /// The place of the token whose vector is the text's; `None` where all tokens count.
    ///
    /// # Panics
    /// When a text has no tokens: a bug of the caller.
    pub(crate) fn place(self, ids: &[u32]) -> Option<usize> {
        let highest = || ids.iter().enumerate().rev().max_by_key(|(_, id)| **id).map(|(place, _)| place);
        match self {
            Self::First => Some(0),
            Self::Last => ids.len().checked_sub(1),
            Self::HighestId => highest(),
            // A text that was cut has no end: its last token is all there is.
            Self::FirstOf(end) => ids.iter().position(|id| *id == end).or(ids.len().checked_sub(1)),
            Self::Mean | Self::Tokens => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_zero_or_after_the_padding() {
        let of = |counting: TokenPositions| counting.of(&[0, 7, 1, 9, 2]).collect::<Vec<_>>();
        assert_eq!(of(TokenPositions::FromZero), [0, 1, 2, 3, 4]);
        assert_eq!(of(TokenPositions::AfterPadding(1)), [2, 3, 1, 4, 5]);
    }

    #[test]
    fn a_text_is_where_its_pooling_says() {
        let ids = [5, 9, 2, 9, 2];
        let place = |pool: TextPool| pool.place(&ids);
        assert_eq!((place(TextPool::First), place(TextPool::Last)), (Some(0), Some(4)));
        assert_eq!((place(TextPool::HighestId), place(TextPool::FirstOf(2))), (Some(1), Some(2)));
        assert_eq!((place(TextPool::FirstOf(3)), place(TextPool::Mean)), (Some(4), None));
    }
}
