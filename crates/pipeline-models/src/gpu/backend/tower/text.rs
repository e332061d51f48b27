//! Text towers on a device.

use burn::tensor::{Int, Tensor, TensorData};

use super::{Attended, Head, Layer};
use crate::forward::{TextForward, TextVectors};
use crate::gpu::backend::Place;
use crate::gpu::backend::arithmetic::{Arithmetic, Site};
use crate::gpu::backend::layers::LayerNorm;
use crate::gpu::backend::rows::{self, TextBatch};
use crate::tower::{TextPool, TextTower, TokenPositions};

impl Place<dyn TextForward> for TextTower {
    fn place<B: Arithmetic>(self, site: Site<B>) -> Box<dyn TextForward> {
        let (gives, device) = (TextVectors::of(self.pool), site.device.clone());
        let tower = DeviceTextTower::<B>::new(self, site);
        rows::texts(gives, device, move |batch| tower.forward(batch))
    }
}

/// A text tower on a device.
pub(super) struct DeviceTextTower<B: Arithmetic> {
    site: Site<B>,
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

impl<B: Arithmetic> DeviceTextTower<B> {
    /// Moves the weights to the device.
    pub(super) fn new(tower: TextTower, site: Site<B>) -> Self {
        let TextTower { shape, words, positions, counting, embedding_norm, layers, final_norm, pool, head } = tower;
        let table = |values: Vec<f32>| {
            let n_rows = values.len() / shape.width;
            Tensor::from_data(TensorData::new(values, [n_rows, shape.width]), &site.device)
        };
        let norm = |weights| LayerNorm::new(weights, shape.epsilon, &site);
        Self {
            words: table(words),
            positions: table(positions),
            counting,
            embedding_norm: embedding_norm.map(norm),
            layers: Layer::all(layers, !is_first(pool, shape.is_causal), &shape, &site),
            final_norm: final_norm.map(norm),
            pool,
            head: Head::new(head, shape.epsilon, &site),
            is_causal: shape.is_causal,
            site,
        }
    }

    /// The features of texts.
    ///
    /// # Shapes
    /// returns `[n_texts, dim]`, or `[n_tokens of all texts, dim]` of [`TextPool::Tokens`]
    fn forward(&self, batch: &TextBatch<'_>) -> Tensor<B, 2> {
        let mut hidden = self.embed(batch);
        let mut attended = self.attended(batch);
        let is_first = is_first(self.pool, self.is_causal) && !self.layers.is_empty();
        if let Some((last, others)) = self.layers.split_last() {
            hidden = others.iter().fold(hidden, |hidden, layer| layer.forward(hidden, &attended));
            attended.n_asking = if is_first { 1 } else { batch.n_tokens };
            hidden = last.forward(hidden, &attended);
        }
        if !is_first {
            hidden = self.asked(hidden, batch);
        }
        if let Some(norm) = &self.final_norm {
            hidden = norm.forward(hidden);
        }
        if self.pool == TextPool::Mean {
            hidden = self.means(hidden, batch);
        }
        self.head.forward(hidden)
    }

    /// The vectors that the pooling takes: one of each text, or those of all tokens. Only a mean sees those of padding.
    fn asked(&self, hidden: Tensor<B, 2>, batch: &TextBatch<'_>) -> Tensor<B, 2> {
        let of_text = |(text_idx, ids): (usize, &&[u32])| Some(text_idx * batch.n_tokens + self.pool.place(ids)?);
        let places: Option<Vec<usize>> = batch.texts.iter().enumerate().map(of_text).collect();
        match places {
            Some(places) => hidden.select(0, self.integers(places)),
            None if self.pool == TextPool::Tokens && batch.has_padding() => {
                hidden.select(0, self.integers(batch.places()))
            }
            None => hidden,
        }
    }

    /// The means over the tokens of each text.
    fn means(&self, hidden: Tensor<B, 2>, batch: &TextBatch<'_>) -> Tensor<B, 2> {
        let (n_texts, width) = (batch.texts.len(), hidden.dims()[1]);
        let hidden = hidden.reshape([n_texts, batch.n_tokens, width]);
        if !batch.has_padding() {
            return hidden.mean_dim(1).reshape([n_texts, width]);
        }
        let mut shares = vec![0f32; n_texts * batch.n_tokens];
        for (ids, shares) in batch.texts.iter().zip(shares.chunks_exact_mut(batch.n_tokens)) {
            shares[..ids.len()].fill(1.0 / ids.len() as f32);
        }
        let shares = Tensor::from_data(TensorData::new(shares, [n_texts, batch.n_tokens, 1]), &self.site.device);
        (hidden * shares).sum_dim(1).reshape([n_texts, width])
    }

    /// The tokens that all layers but the last attend to.
    pub(super) fn attended(&self, batch: &TextBatch<'_>) -> Attended<B> {
        let lengths = batch.has_padding().then(|| self.integers(batch.texts.iter().map(|ids| ids.len())));
        Attended { n_tokens: batch.n_tokens, n_asking: batch.n_tokens, lengths }
    }

    /// `[n_texts · n_tokens, width]`
    pub(super) fn embed(&self, batch: &TextBatch<'_>) -> Tensor<B, 2> {
        // Padding is any token at any position: no token that counts attends to it.
        let padding = |ids: &[u32]| std::iter::repeat_n(0, batch.n_tokens - ids.len());
        let ids = batch.texts.iter().flat_map(|ids| ids.iter().map(|id| *id as usize).chain(padding(ids)));
        let positions = batch.texts.iter().flat_map(|ids| self.counting.of(ids).chain(padding(ids)));
        let words = self.words.clone().select(0, self.integers(ids));
        let rows = words + self.positions.clone().select(0, self.integers(positions));
        match &self.embedding_norm {
            Some(norm) => norm.forward(rows),
            None => rows,
        }
    }

    fn integers(&self, values: impl IntoIterator<Item = usize>) -> Tensor<B, 1, Int> {
        let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
        let n = values.len();
        Tensor::from_data(TensorData::new(values, [n]), &self.site.device)
    }
}

/// Whether only the first token of a text asks in the last layer. A causal one would hide the later tokens from it.
fn is_first(pool: TextPool, is_causal: bool) -> bool {
    pool == TextPool::First && !is_causal
}
