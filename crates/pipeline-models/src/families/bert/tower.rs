//! The tower of a BERT, from any checkpoint that has its tensors under one prefix.

use crate::tower::read::{LayerNames, LayerSizes, Projections, layers, norm};
use crate::tower::{Activation, LayerShape, NormPlace, TextPool, TextTower, TokenPositions};
use crate::weights::Checklist;

/// The layers of a BERT.
const LAYERS: LayerNames = LayerNames {
    start: "encoder.layer.",
    attention_norm: "attention.output.LayerNorm",
    projections: Projections::Apart(["attention.self.query", "attention.self.key", "attention.self.value"]),
    attention_output: "attention.output.dense",
    output_norm: "output.LayerNorm",
    intermediate: "intermediate.dense",
    output: "output.dense",
    scales: None,
};

/// The sizes of a BERT.
#[derive(Debug, Clone, Copy)]
pub(in crate::families) struct BertSizes {
    /// Numbers of a token's vector.
    pub(in crate::families) width: usize,
    pub(in crate::families) n_layers: usize,
    /// Attention heads; a divisor of the width.
    pub(in crate::families) n_heads: usize,
    /// Width inside the feed-forward part.
    pub(in crate::families) inner: usize,
    /// Tokens that the embedding knows.
    pub(in crate::families) n_words: usize,
    /// Rows of the embedding of positions.
    pub(in crate::families) n_positions: usize,
    /// Kinds of segments; only the first is used.
    pub(in crate::families) n_segments: usize,
    pub(in crate::families) activation: Activation,
    /// Added to the variance in layer norms.
    pub(in crate::families) epsilon: f64,
}

/// Takes the tensors of a BERT whose names begin with `prefix`; its feature is the vector of the first token.
pub(in crate::families) fn read_tower(
    list: &mut Checklist,
    prefix: &str,
    sizes: &BertSizes,
    counting: TokenPositions,
) -> TextTower {
    let width = sizes.width;
    let name = |part: &str| format!("{prefix}embeddings.{part}");
    let shape = LayerShape {
        width,
        n_heads: sizes.n_heads,
        activation: sizes.activation,
        epsilon: sizes.epsilon,
        norms: NormPlace::After,
        is_causal: false,
    };
    let segments = list.take(&name("token_type_embeddings.weight"), &[sizes.n_segments, width]);
    let mut words = list.take(&name("word_embeddings.weight"), &[sizes.n_words, width]);
    for word in words.chunks_exact_mut(width) {
        word.iter_mut().zip(&segments).for_each(|(word, segment)| *word += segment);
    }
    let sizes_of_layers = LayerSizes { n_layers: sizes.n_layers, inner: sizes.inner, has_projection_bias: true };
    TextTower {
        shape,
        words,
        positions: list.take(&name("position_embeddings.weight"), &[sizes.n_positions, width]),
        counting,
        embedding_norm: Some(norm(list, &name("LayerNorm"), width)),
        layers: layers(list, prefix, &LAYERS, &shape, &sizes_of_layers),
        final_norm: None,
        pool: TextPool::First,
        head: Vec::new(),
    }
}
