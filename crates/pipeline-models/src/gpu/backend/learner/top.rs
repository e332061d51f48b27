//! Training of the last layers of a tower in the framework, over rows that are padded to the longest of a batch.

mod layer;

use std::{io, mem};

use burn::module::{AutodiffModule, Module};
use burn::nn;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Bool, Int, Tensor, TensorData};
use pipeline_kernels::TokenReader;

use super::adam;
use super::projector::{affine, to_module};
use crate::device::Precision;
use crate::gpu::backend::arithmetic::Arithmetic;
use crate::tower::{HeadStep, LayerShape, Top, TopPool};
use crate::train::options::TopRate;
use layer::{TopLayer, TopNorm, linear};

/// The last layers of one side, with the state of their optimisers.
pub(super) struct DeviceTop<B: AutodiffBackend> {
    /// As it was at the start.
    start: Top,
    layers: Vec<LearntLayer<B>>,
    final_norm: Option<TopNorm<B>>,
    head: Vec<PassedStep<B>>,
    rate: TopRate,
    device: B::Device,
}

/// A layer and its optimiser, which has no weight decay.
struct LearntLayer<B: AutodiffBackend> {
    layer: TopLayer<B>,
    adam: OptimizerAdaptor<Adam, TopLayer<B>, B>,
}

/// A step after the pooling, which learns nothing.
enum PassedStep<B: Backend> {
    Dense(nn::Linear<B>),
    Norm(TopNorm<B>),
    Tanh,
}

/// The rows of a batch, padded to the longest.
struct Padded<B: Backend> {
    /// `[n_rows · n_tokens, width]`
    tokens: Tensor<B, 2>,
    lengths: Vec<usize>,
    /// The tokens of the longest row.
    n_tokens: usize,
    /// Whether a token must not be seen: `[n_rows, 1, n_asking, n_tokens]`, of every asking token.
    hidden: Tensor<B, 4, Bool>,
    /// The same of the tokens that the last layer asks for.
    hidden_last: Tensor<B, 4, Bool>,
    /// The token of each row, among all, that the last layer asks for; `None` where it is all of them.
    asking: Option<Tensor<B, 1, Int>>,
}

impl<B: AutodiffBackend + Arithmetic> DeviceTop<B> {
    /// Copies the layers to `device`.
    pub(super) fn new(top: Top, rate: TopRate, device: &B::Device) -> Self {
        let step = |step: &HeadStep| match step {
            HeadStep::Dense(weights) => PassedStep::Dense(to_module(&linear(weights), device).no_grad()),
            HeadStep::Norm(weights) => PassedStep::Norm(TopNorm::new(weights, device).no_grad()),
            HeadStep::Tanh => PassedStep::Tanh,
        };
        let layer = |weights| LearntLayer { layer: TopLayer::new(weights, device), adam: adam::config().init() };
        Self {
            layers: top.layers.iter().map(layer).collect(),
            final_norm: top.final_norm.as_ref().map(|weights| TopNorm::new(weights, device).no_grad()),
            head: top.head.iter().map(step).collect(),
            start: top,
            rate,
            device: device.clone(),
        }
    }

    /// Copies the layers back.
    pub(super) fn to_top(&self) -> Top {
        let layers = self.layers.iter().zip(&self.start.layers);
        let layers = layers.map(|(trained, start)| trained.layer.valid().into_weights(start.key.bias.clone()));
        Top { layers: layers.collect(), ..self.start.clone() }
    }

    /// The features of rows of tokens.
    ///
    /// # Shapes
    /// returns `[n_rows, dim]`
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn forward(
        &self,
        tokens: &dyn TokenReader,
        rows: &[usize],
        precision: Precision,
    ) -> io::Result<Tensor<B, 2>> {
        let Top { shape, pool, .. } = &self.start;
        let padded = self.pad(tokens, rows)?;
        let mut hidden = padded.tokens.clone();
        if let Some((last, others)) = self.layers.split_last() {
            for LearntLayer { layer, .. } in others {
                hidden = layer.forward(hidden, &padded.hidden, None, (shape, precision));
            }
            hidden = last.layer.forward(hidden, &padded.hidden_last, padded.asking.as_ref(), (shape, precision));
        }
        if let Some(norm) = &self.final_norm {
            hidden = norm.forward(hidden, shape.epsilon);
        }
        if let TopPool::Mean { n_skipped } = *pool {
            hidden = padded.means(hidden, n_skipped);
        }
        Ok(self.head.iter().fold(hidden, |rows, step| match step {
            PassedStep::Dense(dense) => affine(dense, rows, precision),
            PassedStep::Norm(norm) => norm.forward(rows, shape.epsilon),
            PassedStep::Tanh => rows.tanh(),
        }))
    }

    /// Takes the gradients of the layers from those of the loss and updates them, at this share of their learning rate.
    pub(super) fn learn(&mut self, gradients: &mut B::Gradients, share: f64) {
        let n_layers = self.layers.len();
        let layers = mem::take(&mut self.layers).into_iter().enumerate();
        let learn = |(layer_idx, LearntLayer { layer, mut adam }): (usize, LearntLayer<B>)| {
            let of_layer = GradientsParams::from_module(gradients, &layer);
            let lr = share * self.rate.of_layer(n_layers - 1 - layer_idx);
            LearntLayer { layer: adam.step(lr, layer, of_layer), adam }
        };
        self.layers = layers.map(learn).collect();
    }

    fn pad(&self, tokens: &dyn TokenReader, rows: &[usize]) -> io::Result<Padded<B>> {
        let Top { shape: LayerShape { width, is_causal, .. }, pool, .. } = self.start;
        let lengths: Vec<usize> = rows.iter().map(|row_idx| tokens.n_tokens(*row_idx)).collect();
        let (n_rows, n_tokens) = (rows.len(), lengths.iter().copied().max().unwrap_or(0));
        let (mut values, mut buffer) = (vec![0f32; n_rows * n_tokens * width], Vec::new());
        for (row_idx, place) in rows.iter().zip(values.chunks_exact_mut(n_tokens * width)) {
            let row = tokens.read_row(*row_idx, &mut buffer)?;
            place[..row.len()].copy_from_slice(row);
        }
        let places: Option<Vec<usize>> = lengths.iter().map(|length| pool.place(*length)).collect();
        let mask = |places: &dyn Fn(usize) -> Vec<usize>| {
            let mut hidden = Vec::new();
            for (row_idx, length) in lengths.iter().enumerate() {
                for place in places(row_idx) {
                    hidden.extend((0..n_tokens).map(|token| token >= *length || (is_causal && token > place)));
                }
            }
            let n_asking = hidden.len() / (n_rows * n_tokens).max(1);
            Tensor::from_data(TensorData::new(hidden, [n_rows, 1, n_asking, n_tokens]), &self.device)
        };
        let all = |_: usize| (0..n_tokens).collect();
        let hidden = mask(&all);
        let (hidden_last, asking) = match &places {
            None => (hidden.clone(), None),
            Some(places) => {
                let columns = places.iter().enumerate().map(|(row_idx, place)| (row_idx * n_tokens + place) as i32);
                let columns = TensorData::new(columns.collect::<Vec<i32>>(), [n_rows]);
                (mask(&|row_idx| vec![places[row_idx]]), Some(Tensor::from_data(columns, &self.device)))
            }
        };
        let values = TensorData::new(values, [n_rows * n_tokens, width]);
        let tokens = Tensor::from_data(values, &self.device);
        Ok(Padded { tokens, lengths, n_tokens, hidden, hidden_last, asking })
    }
}

impl<B: Backend> Padded<B> {
    /// The mean over the tokens of each row, its first ones left out.
    fn means(&self, hidden: Tensor<B, 2>, n_skipped: usize) -> Tensor<B, 2> {
        let (n_rows, width) = (self.lengths.len(), hidden.dims()[1]);
        let share = |length: &usize| {
            let (length, share) = (*length, 1.0 / (length - n_skipped) as f32);
            (0..self.n_tokens).map(move |token| if (n_skipped..length).contains(&token) { share } else { 0.0 })
        };
        let shares: Vec<f32> = self.lengths.iter().flat_map(share).collect();
        let shares = Tensor::from_data(TensorData::new(shares, [n_rows, self.n_tokens, 1]), &hidden.device());
        (hidden.reshape([n_rows, self.n_tokens, width]) * shares).sum_dim(1).reshape([n_rows, width])
    }
}
