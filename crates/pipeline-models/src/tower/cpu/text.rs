//! Text towers on the processor.

use pipeline_kernels::{InstructionSet, Norm};

use super::attention::Asking;
use super::head::Head;
use super::{Layers, means, norm};
use crate::tower::{TextPool, TextTower, TokenPositions};

/// A text tower with its weights laid out.
pub(crate) struct CpuTextTower {
    width: usize,
    /// `[vocab, width]`
    words: Vec<f32>,
    /// `[n_positions, width]`
    positions: Vec<f32>,
    counting: TokenPositions,
    embedding_norm: Option<Norm>,
    layers: Layers,
    pool: TextPool,
    head: Head,
}

impl CpuTextTower {
    /// Lays the weights out for the instructions of `instructions`.
    pub(crate) fn new(tower: TextTower, instructions: InstructionSet) -> Self {
        let TextTower { shape, words, positions, counting, embedding_norm, layers, final_norm, pool, head } = tower;
        Self {
            width: shape.width,
            words,
            positions,
            counting,
            embedding_norm: embedding_norm.map(|weights| norm(weights, shape.epsilon, instructions)),
            layers: Layers::new(layers, final_norm, &shape, instructions),
            pool,
            head: Head::new(head, shape.epsilon, instructions),
        }
    }

    /// The features of texts, given the ids of their tokens; each has at least one.
    ///
    /// # Shapes
    /// returns `[n_texts, dim]`, or `[n_tokens of all texts, dim]` of [`TextPool::Tokens`]
    pub(crate) fn forward(&self, texts: &[&[u32]]) -> Vec<f32> {
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        let places: Option<Vec<usize>> = texts.iter().map(|ids| self.pool.place(ids)).collect();
        let mut hidden = self.embed(texts);
        self.layers.forward(&mut hidden, &lengths, places.as_deref().map_or(Asking::All, Asking::One));
        if self.pool == TextPool::Mean {
            hidden = means(&hidden, self.width, &lengths, 0);
        }
        self.head.forward(hidden)
    }

    /// `[n_tokens of all texts, width]`
    fn embed(&self, texts: &[&[u32]]) -> Vec<f32> {
        let mut rows = Vec::with_capacity(texts.iter().map(|ids| ids.len()).sum::<usize>() * self.width);
        for ids in texts {
            for (id, position) in ids.iter().zip(self.counting.of(ids)) {
                let word = &self.words[*id as usize * self.width..][..self.width];
                let position = &self.positions[position * self.width..][..self.width];
                rows.extend(word.iter().zip(position).map(|(word, position)| word + position));
            }
        }
        if let Some(norm) = &self.embedding_norm {
            norm.apply(&mut rows);
        }
        rows
    }
}
