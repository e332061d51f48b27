//! A trainable layer of a tower: attention, then feed-forward, each added to its input; tokens are columns.

use pipeline_kernels::{InstructionSet, Matrix, PackedMatrix};

use super::attention::{Projected, TrainedAttention};
use super::inputs::Inputs;
use super::norm::CpuNorm;
use super::spans::Spans;
use crate::heads::{Head, Linear};
use crate::tower::{DenseWeights, LayerShape, LayerWeights, NormPlace};
use crate::train::cpu::adam::AdamStep;
use crate::train::cpu::head::CpuHead;
use crate::train::cpu::layer::CpuLayer;

/// A layer with the state of its optimiser; its values of a batch are kept until the next one.
pub(super) struct TrainedLayer {
    norms: NormPlace,
    query: CpuLayer,
    key: CpuLayer,
    value: CpuLayer,
    attention: TrainedAttention,
    attention_output: CpuLayer,
    attention_norm: CpuNorm,
    feed_forward: CpuHead,
    output_norm: CpuNorm,
    projected: Projected,
    /// The inputs of keys and values: all tokens.
    tokens: Inputs,
    /// The inputs of queries, where not all tokens ask.
    asking: Inputs,
    contexts: Inputs,
    /// The inputs of the feed-forward part.
    between: Inputs,
    gradient: PackedMatrix,
}

impl TrainedLayer {
    pub(super) fn new(weights: LayerWeights, shape: &LayerShape, instructions: InstructionSet) -> Self {
        let layer = |weights| CpuLayer::new(linear(weights), instructions);
        let norm = |weights| CpuNorm::new(weights, shape.epsilon, instructions);
        let inputs = || Inputs::new(instructions);
        let feed_forward = Head {
            top: None,
            attention: None,
            hidden: Some(linear(weights.intermediate)),
            output: linear(weights.output),
        };
        Self {
            norms: shape.norms,
            query: layer(weights.query),
            // A key's bias moves no share: its gradient is rounding alone, of which Adam would make whole steps.
            key: layer(weights.key).with_frozen_bias(),
            value: layer(weights.value),
            attention: TrainedAttention::new(shape, instructions),
            attention_output: layer(weights.attention_output),
            attention_norm: norm(weights.attention_norm),
            feed_forward: CpuHead::with_activation(feed_forward, shape.activation, instructions),
            output_norm: norm(weights.output_norm),
            projected: Projected::default(),
            tokens: inputs(),
            asking: inputs(),
            contexts: inputs(),
            between: inputs(),
            gradient: PackedMatrix::new(instructions),
        }
    }

    pub(super) fn to_weights(&self) -> LayerWeights {
        let Head { hidden, output, .. } = self.feed_forward.to_head();
        let hidden = hidden.expect("a feed-forward part has two maps");
        LayerWeights {
            query: dense(self.query.to_linear()),
            key: dense(self.key.to_linear()),
            value: dense(self.value.to_linear()),
            attention_output: dense(self.attention_output.to_linear()),
            attention_norm: self.attention_norm.to_weights(),
            intermediate: dense(hidden),
            output: dense(output),
            output_norm: self.output_norm.to_weights(),
        }
    }

    /// The gradients of all weights in the first step of all, in the order of the fields of [`LayerWeights`].
    #[cfg(test)]
    pub(super) fn first_gradients(&self) -> Vec<Vec<f32>> {
        let maps = [&self.query, &self.key, &self.value, &self.attention_output];
        let maps = maps.into_iter().flat_map(CpuLayer::first_gradients);
        let all = maps.chain(self.attention_norm.first_gradients()).chain(self.feed_forward.first_gradients());
        all.chain(self.output_norm.first_gradients()).collect()
    }

    /// The vectors of the tokens that ask.
    ///
    /// # Shapes
    /// `hidden`: `[width, n_tokens]` · returns `[width, n_queries]`
    pub(super) fn forward(&mut self, hidden: &[f32], spans: &Spans) -> Vec<f32> {
        let (n_tokens, n_queries) = (spans.n_tokens(), spans.n_queries());
        let residual = spans.of_asking(hidden);
        match self.norms {
            NormPlace::After => self.project(hidden, spans),
            NormPlace::Before => {
                let normed = self.attention_norm.forward(hidden, n_tokens);
                self.project(&normed, spans);
            }
        }
        let context = self.attention.forward(&self.projected, spans);
        self.contexts.pack(&context, n_queries);
        let mut attended = vec![0.0; residual.len()];
        self.attention_output.forward(&self.contexts.columns, &mut attended, n_queries);
        add(&mut attended, &residual);
        match self.norms {
            NormPlace::After => {
                let attended = self.attention_norm.forward(&attended, n_queries);
                let mut out = self.feed_forward(&attended, n_queries);
                add(&mut out, &attended);
                self.output_norm.forward(&out, n_queries)
            }
            NormPlace::Before => {
                let normed = self.output_norm.forward(&attended, n_queries);
                let mut out = self.feed_forward(&normed, n_queries);
                add(&mut out, &attended);
                out
            }
        }
    }

    /// Computes queries, keys and values.
    fn project(&mut self, rows: &[f32], spans: &Spans) {
        let Self { query, key, value, projected, tokens, asking, .. } = self;
        let (n_tokens, n_queries) = (spans.n_tokens(), spans.n_queries());
        tokens.pack(rows, n_tokens);
        let asked = match &spans.asking {
            None => &*tokens,
            Some(_) => {
                asking.pack(&spans.of_asking(rows), n_queries);
                &*asking
            }
        };
        projected.query.resize(query.n_outputs() * n_queries, 0.0);
        query.forward(&asked.columns, &mut projected.query, n_queries);
        for (layer, out) in [(key, &mut projected.key), (value, &mut projected.value)] {
            out.resize(layer.n_outputs() * n_tokens, 0.0);
            layer.forward(&tokens.columns, out, n_tokens);
        }
    }

    fn feed_forward(&mut self, rows: &[f32], n_queries: usize) -> Vec<f32> {
        self.between.pack(rows, n_queries);
        let mut out = vec![0.0; rows.len()];
        self.feed_forward.forward(&self.between.columns, &mut out, n_queries);
        out
    }

    /// Updates all weights by the gradient of the last output; returns that of its input where it is wanted.
    ///
    /// # Shapes
    /// `gradient`: `[width, n_queries]` · returns `[width, n_tokens]`
    pub(super) fn learn(
        &mut self,
        gradient: &[f32],
        spans: &Spans,
        step: &AdamStep,
        wants_input: bool,
    ) -> Option<Vec<f32>> {
        let n_queries = spans.n_queries();
        let mut of_between = vec![0.0; gradient.len()];
        let of_attended = match self.norms {
            NormPlace::After => {
                let of_sum = self.output_norm.differentiate(gradient);
                self.output_norm.learn(gradient, step);
                self.feed_forward.learn(&self.between.rows, &of_sum, n_queries, step, Some(&mut of_between));
                add(&mut of_between, &of_sum);
                let of_attended = self.attention_norm.differentiate(&of_between);
                self.attention_norm.learn(&of_between, step);
                of_attended
            }
            NormPlace::Before => {
                self.feed_forward.learn(&self.between.rows, gradient, n_queries, step, Some(&mut of_between));
                let mut of_attended = self.output_norm.differentiate(&of_between);
                self.output_norm.learn(&of_between, step);
                add(&mut of_attended, gradient);
                of_attended
            }
        };
        let mut of_context = vec![0.0; gradient.len()];
        self.gradient
            .pack(self.attention_output.n_outputs(), n_queries, |k, column| of_attended[k * n_queries + column]);
        self.attention_output.differentiate(&self.gradient, &mut of_context, n_queries, |_, _| ());
        self.attention_output.learn(&self.contexts.rows, &of_attended, n_queries, step);
        let slopes = self.attention.differentiate(&self.projected, spans, &of_context);
        // The norm before the attention learns from the gradient of its output, wanted or not.
        let is_before = self.norms == NormPlace::Before;
        let of_projected = (wants_input || is_before).then(|| self.differentiate_projections(&slopes, spans));
        self.learn_projections(&slopes, spans, step);
        let mut of_input = of_projected?;
        if is_before {
            let of_normed = of_input;
            of_input = if wants_input { self.attention_norm.differentiate(&of_normed) } else { Vec::new() };
            self.attention_norm.learn(&of_normed, step);
        }
        wants_input.then(|| {
            spans.add_asking(&mut of_input, &of_attended);
            of_input
        })
    }

    /// The gradient of the inputs of queries, keys and values.
    ///
    /// # Shapes
    /// returns `[width, n_tokens]`
    fn differentiate_projections(&mut self, slopes: &Projected, spans: &Spans) -> Vec<f32> {
        let Self { query, key, value, gradient, .. } = self;
        let (n_tokens, n_queries) = (spans.n_tokens(), spans.n_queries());
        let mut of_inputs = vec![0.0; key.n_inputs() * n_tokens];
        for (layer, slopes) in [(key, &slopes.key), (value, &slopes.value)] {
            let mut of_layer = vec![0.0; of_inputs.len()];
            gradient.pack(layer.n_outputs(), n_tokens, |k, column| slopes[k * n_tokens + column]);
            layer.differentiate(gradient, &mut of_layer, n_tokens, |_, _| ());
            add(&mut of_inputs, &of_layer);
        }
        let mut of_asking = vec![0.0; query.n_inputs() * n_queries];
        gradient.pack(query.n_outputs(), n_queries, |k, column| slopes.query[k * n_queries + column]);
        query.differentiate(gradient, &mut of_asking, n_queries, |_, _| ());
        spans.add_asking(&mut of_inputs, &of_asking);
        of_inputs
    }

    fn learn_projections(&mut self, slopes: &Projected, spans: &Spans, step: &AdamStep) {
        let Self { query, key, value, tokens, asking, .. } = self;
        let asked = if spans.asking.is_some() { asking } else { &*tokens };
        query.learn(&asked.rows, &slopes.query, spans.n_queries(), step);
        key.learn(&tokens.rows, &slopes.key, spans.n_tokens(), step);
        value.learn(&tokens.rows, &slopes.value, spans.n_tokens(), step);
    }
}

fn add(values: &mut [f32], others: &[f32]) {
    values.iter_mut().zip(others).for_each(|(value, other)| *value += other);
}

/// A map of a tower as a layer of a head.
pub(super) fn linear(weights: DenseWeights) -> Linear {
    Linear { weight: Matrix::new(weights.n_out, weights.n_in, weights.weight), bias: weights.bias }
}

fn dense(linear: Linear) -> DenseWeights {
    let Matrix { n_rows, n_cols, values } = linear.weight;
    DenseWeights { n_in: n_cols, n_out: n_rows, weight: values, bias: linear.bias }
}
