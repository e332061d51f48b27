//! The forward pass of a BERT encoder in burn, over batches of texts with equal numbers of tokens: the path for CUDA.
//!
//! Equal lengths need neither padding nor mask. Activations are kept as `[n_texts · n_tokens, hidden]`, so that every
//! affine map is one large matrix product.

use burn::tensor::backend::Backend;
use burn::tensor::module::{attention, linear};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Int, Tensor, TensorData, TensorPrimitive, activation};

use crate::families::bert::Pooling;
use crate::families::bert::config::{Activation, BertConfig};
use crate::families::bert::weights::{BertWeights, DenseWeights, LayerWeights, NormWeights};

/// A BERT encoder on a device.
pub(crate) struct Bert<B: Backend> {
    device: B::Device,
    /// The word embeddings, plus that of the first segment: `[vocab, hidden]`.
    words: Tensor<B, 2>,
    /// `[max_positions, hidden]`
    positions: Tensor<B, 2>,
    embedding_norm: Norm<B>,
    layers: Vec<Layer<B>>,
    pooling: Pooling,
}

struct Layer<B: Backend> {
    query: Dense<B>,
    key: Dense<B>,
    value: Dense<B>,
    attention_output: Dense<B>,
    attention_norm: Norm<B>,
    intermediate: Dense<B>,
    output: Dense<B>,
    output_norm: Norm<B>,
    activation: Activation,
    n_heads: usize,
}

/// `y = x·W + b`, `weight`: `[n_in, n_out]`
struct Dense<B: Backend> {
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
}

/// `y = (x - mean) / sqrt(variance + epsilon) · scale + shift`, over the last axis
struct Norm<B: Backend> {
    scale: Tensor<B, 1>,
    shift: Tensor<B, 1>,
    epsilon: f64,
}

impl<B: Backend> Bert<B> {
    /// Moves the weights to `device`.
    pub(crate) fn new(weights: BertWeights, config: &BertConfig, pooling: Pooling, device: B::Device) -> Self {
        let hidden = config.hidden_size;
        let mut words = weights.words;
        for word in words.chunks_exact_mut(hidden) {
            word.iter_mut().zip(&weights.segment).for_each(|(word, segment)| *word += segment);
        }
        Self {
            words: Tensor::from_data(TensorData::new(words, [config.vocab_size, hidden]), &device),
            positions: Tensor::from_data(
                TensorData::new(weights.positions, [config.max_position_embeddings, hidden]),
                &device,
            ),
            embedding_norm: Norm::new(weights.embedding_norm, config.layer_norm_eps, &device),
            layers: weights.layers.into_iter().map(|layer| Layer::new(layer, config, &device)).collect(),
            pooling,
            device,
        }
    }

    /// The features of texts with `n_tokens` tokens each, at least two.
    ///
    /// # Shapes
    /// `ids`: `[n_texts · n_tokens]` · returns `[n_texts, hidden]`
    pub(crate) fn forward(&self, ids: Vec<u32>, n_tokens: usize) -> Vec<f32> {
        let n_texts = ids.len() / n_tokens;
        let mut hidden = self.embed(ids, n_tokens);
        let (last, others) = self.layers.split_last().expect("a configuration without layers is refused");
        for layer in others {
            hidden = layer.forward(hidden, n_tokens, n_tokens);
        }
        let features = match self.pooling {
            Pooling::Cls => last.forward(hidden, n_tokens, 1),
            Pooling::Mean => {
                let hidden = last.forward(hidden, n_tokens, n_tokens);
                let width = hidden.dims()[1];
                hidden.reshape([n_texts, n_tokens, width]).mean_dim(1).reshape([n_texts, width])
            }
        };
        features.into_data().into_vec().expect("features are of type f32")
    }

    /// `[n_texts · n_tokens]` → `[n_texts · n_tokens, hidden]`
    fn embed(&self, ids: Vec<u32>, n_tokens: usize) -> Tensor<B, 2> {
        let n_rows = ids.len();
        let width = self.words.dims()[1];
        let ids: Vec<i32> = ids.into_iter().map(|id| id as i32).collect();
        let ids = Tensor::<B, 1, Int>::from_data(TensorData::new(ids, [n_rows]), &self.device);
        let words = self.words.clone().select(0, ids).reshape([n_rows / n_tokens, n_tokens, width]);
        let positions = self.positions.clone().narrow(0, 0, n_tokens).unsqueeze::<3>();
        self.embedding_norm.forward((words + positions).reshape([n_rows, width]))
    }
}

impl<B: Backend> Layer<B> {
    fn new(weights: LayerWeights, config: &BertConfig, device: &B::Device) -> Self {
        let epsilon = config.layer_norm_eps;
        Self {
            query: Dense::new(weights.query, device),
            key: Dense::new(weights.key, device),
            value: Dense::new(weights.value, device),
            attention_output: Dense::new(weights.attention_output, device),
            attention_norm: Norm::new(weights.attention_norm, epsilon, device),
            intermediate: Dense::new(weights.intermediate, device),
            output: Dense::new(weights.output, device),
            output_norm: Norm::new(weights.output_norm, epsilon, device),
            activation: config.activation().expect("a configuration with another activation is refused"),
            n_heads: config.num_attention_heads,
        }
    }

    /// Computes the first `n_wanted` tokens of every text, which attend to all tokens.
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

impl<B: Backend> Dense<B> {
    fn new(weights: DenseWeights, device: &B::Device) -> Self {
        let (n_in, n_out) = (weights.n_in, weights.n_out);
        let mut transposed = Vec::<f32>::with_capacity(n_in * n_out);
        for in_idx in 0..n_in {
            transposed.extend(weights.weight[in_idx..].iter().step_by(n_in));
        }
        let weight = Tensor::from_data(TensorData::new(transposed, [n_in, n_out]), device);
        Self { weight, bias: vector(weights.bias, device) }
    }

    fn forward(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        linear(rows, self.weight.clone(), Some(self.bias.clone()))
    }
}

impl<B: Backend> Norm<B> {
    fn new(weights: NormWeights, epsilon: f64, device: &B::Device) -> Self {
        Self { scale: vector(weights.scale, device), shift: vector(weights.shift, device), epsilon }
    }

    fn forward(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        let primitive = |tensor: &Tensor<B, 1>| tensor.clone().into_primitive().tensor();
        Tensor::from_primitive(TensorPrimitive::Float(B::layer_norm(
            rows.into_primitive().tensor(),
            primitive(&self.scale),
            Some(primitive(&self.shift)),
            self.epsilon,
        )))
    }
}

fn vector<B: Backend>(values: Vec<f32>, device: &B::Device) -> Tensor<B, 1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

#[cfg(test)]
mod tests;
