//! The forward pass of a BERT encoder, over texts with equal numbers of tokens.
//!
//! Activations are kept as `[n_texts · n_tokens, hidden]`, so that every affine map is one large matrix product.

use burn::tensor::backend::Backend;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Int, Tensor, TensorData, activation};

use super::layers::{Dense, LayerNorm};
use super::{Place, rows};
use crate::families::bert::Pooling;
use crate::families::bert::config::{Activation, BertConfig};
use crate::families::bert::weights::{BertParts, LayerWeights};
use crate::forward::TextForward;

impl Place<dyn TextForward> for BertParts {
    fn place<B: Backend>(self, device: B::Device) -> Box<dyn TextForward> {
        let bert = Bert::<B>::new(self, &device);
        rows::texts(device, move |ids| bert.forward(ids))
    }
}

/// A BERT encoder on a device.
struct Bert<B: Backend> {
    /// The word embeddings, plus that of the first segment: `[vocab, hidden]`.
    words: Tensor<B, 2>,
    /// `[max_positions, hidden]`
    positions: Tensor<B, 2>,
    embedding_norm: LayerNorm<B>,
    layers: Vec<BertLayer<B>>,
    pooling: Pooling,
}

struct BertLayer<B: Backend> {
    query: Dense<B>,
    key: Dense<B>,
    value: Dense<B>,
    attention_output: Dense<B>,
    attention_norm: LayerNorm<B>,
    intermediate: Dense<B>,
    output: Dense<B>,
    output_norm: LayerNorm<B>,
    activation: Activation,
    n_heads: usize,
}

impl<B: Backend> Bert<B> {
    /// Moves the weights to `device`.
    fn new(parts: BertParts, device: &B::Device) -> Self {
        let BertParts { weights, config, pooling } = parts;
        let hidden = config.hidden_size;
        Self {
            words: Tensor::from_data(TensorData::new(weights.words, [config.vocab_size, hidden]), device),
            positions: Tensor::from_data(
                TensorData::new(weights.positions, [config.max_position_embeddings, hidden]),
                device,
            ),
            embedding_norm: LayerNorm::new(weights.embedding_norm, config.layer_norm_eps, device),
            layers: weights.layers.into_iter().map(|layer| BertLayer::new(layer, &config, device)).collect(),
            pooling,
        }
    }

    /// The features of texts with equal numbers of tokens, at least two.
    ///
    /// # Shapes
    /// `ids`: `[n_texts, n_tokens]` · returns `[n_texts, hidden]`
    fn forward(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 2> {
        let [n_texts, n_tokens] = ids.dims();
        let mut hidden = self.embed(ids);
        let (last, others) = self.layers.split_last().expect("a configuration without layers is refused");
        for layer in others {
            hidden = layer.forward(hidden, n_tokens, n_tokens);
        }
        match self.pooling {
            Pooling::Cls => last.forward(hidden, n_tokens, 1),
            Pooling::Mean => {
                let hidden = last.forward(hidden, n_tokens, n_tokens);
                let width = hidden.dims()[1];
                hidden.reshape([n_texts, n_tokens, width]).mean_dim(1).reshape([n_texts, width])
            }
        }
    }

    /// `[n_texts, n_tokens]` → `[n_texts · n_tokens, hidden]`
    fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 2> {
        let [n_texts, n_tokens] = ids.dims();
        let width = self.words.dims()[1];
        let words = self.words.clone().select(0, ids.flatten(0, 1)).reshape([n_texts, n_tokens, width]);
        let positions = self.positions.clone().narrow(0, 0, n_tokens).unsqueeze::<3>();
        self.embedding_norm.forward((words + positions).reshape([n_texts * n_tokens, width]))
    }
}

impl<B: Backend> BertLayer<B> {
    fn new(weights: LayerWeights, config: &BertConfig, device: &B::Device) -> Self {
        let epsilon = config.layer_norm_eps;
        Self {
            query: Dense::new(weights.query, device),
            key: Dense::new(weights.key, device),
            value: Dense::new(weights.value, device),
            attention_output: Dense::new(weights.attention_output, device),
            attention_norm: LayerNorm::new(weights.attention_norm, epsilon, device),
            intermediate: Dense::new(weights.intermediate, device),
            output: Dense::new(weights.output, device),
            output_norm: LayerNorm::new(weights.output_norm, epsilon, device),
            activation: config.activation().expect("a configuration with another activation is refused"),
            n_heads: config.num_attention_heads,
        }
    }

    /// Computes the first `n_wanted` tokens of every text; all tokens are attended to.
    ///
    /// # Shapes
    /// `hidden`: `[n_texts · n_tokens, hidden]` · returns `[n_texts · n_wanted, hidden]`
    fn forward(&self, hidden: Tensor<B, 2>, n_tokens: usize, n_wanted: usize) -> Tensor<B, 2> {
        let [n_rows, width] = hidden.dims();
        let n_texts = n_rows / n_tokens;
        let wanted = if n_wanted == n_tokens {
            hidden.clone()
        } else {
            let texts = hidden.clone().reshape([n_texts, n_tokens, width]);
            texts.slice([0..n_texts, 0..n_wanted]).reshape([n_texts * n_wanted, width])
        };
        let heads = |rows: Tensor<B, 2>, n_tokens: usize| {
            rows.reshape([n_texts, n_tokens, self.n_heads, width / self.n_heads]).swap_dims(1, 2)
        };
        let query = heads(self.query.forward(wanted.clone()), n_wanted);
        let key = heads(self.key.forward(hidden.clone()), n_tokens);
        let value = heads(self.value.forward(hidden), n_tokens);
        let context = attention(query, key, value, None, None, AttentionModuleOptions::default());
        let context = context.swap_dims(1, 2).reshape([n_texts * n_wanted, width]);
        let attended = self.attention_norm.forward(self.attention_output.forward(context) + wanted);
        let inner = self.activate(self.intermediate.forward(attended.clone()));
        self.output_norm.forward(self.output.forward(inner) + attended)
    }

    fn activate(&self, inner: Tensor<B, 2>) -> Tensor<B, 2> {
        match self.activation {
            Activation::Gelu => activation::gelu(inner),
            Activation::GeluTanh => activation::gelu_approximate(inner),
            Activation::Relu => activation::relu(inner),
        }
    }
}

#[cfg(test)]
mod tests;
