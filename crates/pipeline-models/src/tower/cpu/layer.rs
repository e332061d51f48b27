//! One layer of a tower: attention, then feed-forward, each added to its input.

use pipeline_kernels::{InstructionSet, Norm};

use super::attention::{Asking, Attention};
use super::dense::Dense;
use super::{Scratch, norm};
use crate::tower::{Activation, LayerShape, LayerWeights, NormPlace};

/// A layer with weights laid out.
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
    norms: NormPlace,
}

impl Layer {
    /// Lays the weights out.
    pub(super) fn new(weights: LayerWeights, shape: &LayerShape, instructions: InstructionSet) -> Self {
        Self {
            query: Dense::new(weights.query, instructions),
            key_value: Dense::side_by_side(&[weights.key, weights.value], instructions),
            attention: Attention::new(shape.width, shape.n_heads, shape.is_causal, instructions),
            attention_output: Dense::new(weights.attention_output, instructions),
            attention_norm: norm(weights.attention_norm, shape.epsilon, instructions),
            intermediate: Dense::new(weights.intermediate, instructions),
            activation: shape.activation,
            output: Dense::new(weights.output, instructions),
            output_norm: norm(weights.output_norm, shape.epsilon, instructions),
            norms: shape.norms,
        }
    }

    /// The width inside the feed-forward part.
    pub(super) fn inner_width(&self) -> usize {
        self.intermediate.n_out()
    }

    /// Replaces the vectors of all tokens by the layer's output.
    ///
    /// # Shapes
    /// `hidden`: `[sum of lengths, width]`
    pub(super) fn forward(&self, hidden: &mut [f32], lengths: &[usize], scratch: &mut Scratch) {
        let Scratch { query, key_value, normed, .. } = scratch;
        let rows = self.before_attention(hidden, normed);
        self.key_value.forward(rows, key_value);
        self.query.forward(rows, query);
        self.attend(Asking::All, lengths, scratch);
        self.after_attention(hidden, scratch);
    }

    /// Keeps one token of each row and replaces its vector; it attends to all tokens of its row.
    ///
    /// # Shapes
    /// `hidden`: `[sum of lengths, width]`, then `[n_rows, width]` · `places`: of the tokens within their rows
    pub(super) fn forward_one(
        &self,
        hidden: &mut Vec<f32>,
        places: &[usize],
        lengths: &[usize],
        scratch: &mut Scratch,
    ) {
        let Scratch { query, key_value, normed, .. } = scratch;
        self.key_value.forward(self.before_attention(hidden, normed), key_value);
        keep_one(hidden, self.query.n_in(), places, lengths);
        self.query.forward(self.before_attention(hidden, normed), query);
        self.attend(Asking::One(places), lengths, scratch);
        self.after_attention(hidden, scratch);
    }

    /// The input of the attention.
    fn before_attention<'a>(&self, hidden: &'a [f32], normed: &'a mut [f32]) -> &'a [f32] {
        match self.norms {
            NormPlace::After => hidden,
            NormPlace::Before => {
                let normed = &mut normed[..hidden.len()];
                self.attention_norm.apply_into(hidden, normed);
                normed
            }
        }
    }

    fn attend(&self, asking: Asking<'_>, lengths: &[usize], scratch: &mut Scratch) {
        let Scratch { query, key_value, context, attention, .. } = scratch;
        self.attention.forward(query, asking, (key_value, lengths), context, attention);
    }

    /// Replaces rows by the layer's output, given the context of each in the scratch.
    fn after_attention(&self, hidden: &mut [f32], scratch: &mut Scratch) {
        let Scratch { context, normed, inner, .. } = scratch;
        let (context, normed) = (&context[..hidden.len()], &mut normed[..hidden.len()]);
        let inner = &mut inner[..hidden.len() / self.intermediate.n_in() * self.inner_width()];
        match self.norms {
            NormPlace::After => {
                self.attention_output.forward(context, normed);
                self.attention_norm.add_and_apply(normed, hidden);
                self.intermediate.forward_and(normed, inner, self.activation);
                self.output.forward(inner, hidden);
                self.output_norm.add_and_apply(hidden, normed);
            }
            NormPlace::Before => {
                self.attention_output.add_to(context, hidden);
                self.output_norm.apply_into(hidden, normed);
                self.intermediate.forward_and(normed, inner, self.activation);
                self.output.add_to(inner, hidden);
            }
        }
    }
}

/// Keeps the vector of one token of each row.
///
/// # Shapes
/// `hidden`: `[sum of lengths, width]`, then `[n_rows, width]`
pub(super) fn keep_one(hidden: &mut Vec<f32>, width: usize, places: &[usize], lengths: &[usize]) {
    let mut first_token = 0;
    for (row_idx, (place, length)) in places.iter().zip(lengths).enumerate() {
        let start = (first_token + place) * width;
        hidden.copy_within(start..start + width, row_idx * width);
        first_token += length;
    }
    hidden.truncate(lengths.len() * width);
}
