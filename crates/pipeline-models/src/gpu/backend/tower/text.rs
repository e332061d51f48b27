//! Text towers on a device.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::{Head, Layer};
use crate::forward::{TextForward, TextVectors};
use crate::gpu::backend::layers::LayerNorm;
use crate::gpu::backend::{Place, rows};
use crate::tower::{TextPool, TextTower, TokenPositions};

impl Place<dyn TextForward> for TextTower {
    fn place<B: Backend>(self, device: B::Device) -> Box<dyn TextForward> {
        let gives = TextVectors::of(self.pool);
        let tower = DeviceTextTower::<B>::new(self, device);
        rows::texts(gives, move |texts| tower.forward(texts))
    }
}

/// A text tower on a device.
pub(super) struct DeviceTextTower<B: Backend> {
    device: B::Device,
    /// `[vocab, width]`
    words: Tensor<B, 2>,
    /// `[n_positions, width]`
    positions: Tensor<B, 2>,
    counting: TokenPositions,
    embedding_norm: Option<LayerNorm<B>>,
    pub(super) layers: Vec<Layer<B>>,
    final_norm: Option<LayerNorm<B>>,
    pool: TextPool,
    head: Head<B>,
    is_causal: bool,
}

impl<B: Backend> DeviceTextTower<B> {
    /// Moves the weights to `device`.
    pub(super) fn new(tower: TextTower, device: B::Device) -> Self {
        let TextTower { shape, words, positions, counting, embedding_norm, layers, final_norm, pool, head } = tower;
        let table = |values: Vec<f32>| {
            let n_rows = values.len() / shape.width;
            Tensor::from_data(TensorData::new(values, [n_rows, shape.width]), &device)
        };
        let norm = |weights| LayerNorm::new(weights, shape.epsilon, &device);
        Self {
            words: table(words),
            positions: table(positions),
            counting,
            embedding_norm: embedding_norm.map(norm),
            layers: layers.into_iter().map(|layer| Layer::new(layer, &shape, &device)).collect(),
            final_norm: final_norm.map(norm),
            pool,
            head: Head::new(head, shape.epsilon, &device),
            is_causal: shape.is_causal,
            device,
        }
    }

    /// The features of texts that have the same number of tokens.
    ///
    /// # Shapes
    /// returns `[n_texts, dim]`, or `[n_texts · n_tokens, dim]` of [`TextPool::Tokens`]
    fn forward(&self, texts: &[&[u32]]) -> Tensor<B, 2> {
        let (n_texts, n_tokens) = (texts.len(), texts[0].len());
        let mut hidden = self.embed(texts);
        // A causal layer would hide the later tokens from the first.
        let n_wanted = if self.pool == TextPool::First && !self.is_causal { 1 } else { n_tokens };
        if let Some((last, others)) = self.layers.split_last() {
            hidden = others.iter().fold(hidden, |hidden, layer| layer.forward(hidden, n_tokens, n_tokens));
            hidden = last.forward(hidden, n_tokens, n_wanted);
        }
        let width = hidden.dims()[1];
        let places: Option<Vec<usize>> = texts.iter().map(|ids| self.pool.place(ids)).collect();
        if let Some(places) = places.filter(|_| n_wanted == n_tokens) {
            let rows = places.iter().enumerate().map(|(text_idx, place)| (text_idx * n_tokens + place) as i32);
            hidden = hidden.select(0, self.integers(rows.collect()));
        }
        if let Some(norm) = &self.final_norm {
            hidden = norm.forward(hidden);
        }
        if self.pool == TextPool::Mean {
            hidden = hidden.reshape([n_texts, n_tokens, width]).mean_dim(1).reshape([n_texts, width]);
        }
        self.head.forward(hidden)
    }

    /// `[n_texts · n_tokens, width]`
    pub(super) fn embed(&self, texts: &[&[u32]]) -> Tensor<B, 2> {
        let ids = self.integers(texts.iter().copied().flatten().map(|id| *id as i32).collect());
        let positions = texts.iter().flat_map(|ids| self.counting.of(ids)).map(|position| position as i32);
        let positions = self.integers(positions.collect());
        let rows = self.words.clone().select(0, ids) + self.positions.clone().select(0, positions);
        match &self.embedding_norm {
            Some(norm) => norm.forward(rows),
            None => rows,
        }
    }

    fn integers(&self, values: Vec<i32>) -> Tensor<B, 1, Int> {
        let n = values.len();
        Tensor::from_data(TensorData::new(values, [n]), &self.device)
    }
}
