//! One layer of a BERT encoder: attention, then feed-forward, each with a residual connection and a norm.

use crate::families::bert::config::{Activation, BertConfig};
use crate::families::bert::weights::{DenseWeights, LayerWeights, NormWeights};
use pipeline_kernels::{InstructionSet, Norm, PackedMatrix, Rows, gelu, gelu_tanh, relu};

use super::Scratch;
use super::attention::Attention;

/// A layer with packed weights.
pub(super) struct Layer {
    query: Dense,
    key_value: Dense,
    attention: Attention,
    attention_output: Dense,
    attention_norm: Norm,
    intermediate: Dense,
    activation: Activation,
    output: Dense,
    output_norm: Norm,
}

/// `y = x·W + b`
struct Dense {
    weight: PackedMatrix,
    bias: Vec<f32>,
    n_in: usize,
}

impl Layer {
    /// Packs the weights.
    pub(super) fn new(weights: LayerWeights, config: &BertConfig, instructions: InstructionSet) -> Self {
        let dense = |weights: DenseWeights| Dense::new(&[weights], instructions);
        let norm = |NormWeights { scale, shift }| Norm::new(scale, shift, config.layer_norm_eps, instructions);
        Self {
            query: dense(weights.query),
            key_value: Dense::new(&[weights.key, weights.value], instructions),
            attention: Attention::new(config.hidden_size, config.num_attention_heads, instructions),
            attention_output: dense(weights.attention_output),
            attention_norm: norm(weights.attention_norm),
            intermediate: dense(weights.intermediate),
            activation: config.activation().expect("a configuration with another activation is refused"),
            output: dense(weights.output),
            output_norm: norm(weights.output_norm),
        }
    }

    /// The width inside the feed-forward part.
    pub(super) fn inner_width(&self) -> usize {
        self.intermediate.bias.len()
    }

    /// Replaces the rows of all tokens by the layer's output.
    ///
    /// # Shapes
    /// `hidden`: `[sum of lengths, hidden]`
    pub(super) fn forward(&self, hidden: &mut [f32], lengths: &[usize], scratch: &mut Scratch) {
        self.key_value.forward(hidden, &mut scratch.key_value);
        self.query.forward(hidden, &mut scratch.query);
        let Scratch { query, key_value, context, attention, .. } = scratch;
        self.attention.forward(query, lengths, key_value, lengths, context, attention);
        self.feed_forward(hidden, scratch);
    }

    /// Keeps only the rows of the first token of each text and replaces them by the layer's output; they attend to all
    /// tokens.
    ///
    /// # Shapes
    /// `hidden`: `[sum of lengths, hidden]`, then `[n_texts, hidden]`
    pub(super) fn forward_first(&self, hidden: &mut Vec<f32>, lengths: &[usize], scratch: &mut Scratch) {
        self.key_value.forward(hidden, &mut scratch.key_value);
        let width = self.query.n_in;
        let mut start = 0;
        for (text_idx, length) in lengths.iter().enumerate() {
            hidden.copy_within(start..start + width, text_idx * width);
            start += length * width;
        }
        hidden.truncate(lengths.len() * width);
        self.query.forward(hidden, &mut scratch.query);
        let Scratch { query, key_value, context, attention, .. } = scratch;
        let ones = vec![1; lengths.len()];
        self.attention.forward(query, &ones, key_value, lengths, context, attention);
        self.feed_forward(hidden, scratch);
    }

    /// Everything after the attention, for the rows of `hidden`.
    fn feed_forward(&self, hidden: &mut [f32], scratch: &mut Scratch) {
        let Scratch { context, attended, inner, .. } = scratch;
        let context = &context[..hidden.len()];
        let attended = &mut attended[..hidden.len()];
        self.attention_output.forward(context, attended);
        self.attention_norm.add_and_apply(attended, hidden);
        let inner = &mut inner[..attended.len() / self.intermediate.n_in * self.inner_width()];
        match self.activation {
            Activation::Gelu => self.intermediate.forward_and(attended, inner, gelu),
            Activation::GeluTanh => self.intermediate.forward_and(attended, inner, gelu_tanh),
            Activation::Relu => self.intermediate.forward_and(attended, inner, relu),
        }
        self.output.forward(inner, hidden);
        self.output_norm.add_and_apply(hidden, attended);
    }
}

impl Dense {
    /// Joins maps of one input side by side.
    fn new(parts: &[DenseWeights], instructions: InstructionSet) -> Self {
        let (n_in, n_out) = (parts[0].n_in, parts[0].n_out);
        let mut weight = PackedMatrix::new(instructions);
        weight.pack(n_in, parts.len() * n_out, |k, col| parts[col / n_out].weight[col % n_out * n_in + k]);
        Self { weight, bias: parts.iter().flat_map(|part| &part.bias).copied().collect(), n_in }
    }

    fn forward(&self, rows: &[f32], out: &mut [f32]) {
        self.forward_and(rows, out, |value| value);
    }

    /// Applies `activation` to every number.
    fn forward_and(&self, rows: &[f32], out: &mut [f32], activation: impl Fn(f32) -> f32 + Copy) {
        let rows = Rows { values: rows, stride: self.n_in, n_rows: rows.len() / self.n_in };
        self.weight.multiply(
            rows,
            out,
            self.bias.len(),
            #[inline(always)]
            |out: &mut [f32], first_col: usize| {
                let bias = &self.bias[first_col..][..out.len()];
                out.iter_mut().zip(bias).for_each(|(out, bias)| *out = activation(*out + bias));
            },
        );
    }
}
