//! Training of the last layers of a tower on the processor, over rows of any lengths: no padding and no mask.
//!
//! The tokens of all rows of a batch are the columns of one matrix (`[width, n_tokens]`), as vectors are in the rest of
//! this module. Every product is cut by rows and every attention by heads, so that threads change no bit.

mod attention;
mod frozen;
mod inputs;
mod layer;
mod norm;
mod spans;

use std::io;

use pipeline_kernels::{InstructionSet, TokenReader};

use super::adam::Adam;
use crate::tower::{HeadStep, Top, TopPool};
use crate::train::options::TopRate;
use frozen::FrozenStep;
use layer::TrainedLayer;
use spans::Spans;

/// The last layers of one side, with the state of their optimiser.
pub(super) struct TrainedTop<'a> {
    tokens: &'a dyn TokenReader,
    /// But for its layers, as it was at the start.
    start: Top,
    /// Numbers of a feature.
    dim: usize,
    layers: Vec<TrainedLayer>,
    /// The final norm, before the pooling.
    final_norm: Option<FrozenStep>,
    /// The steps after the pooling.
    head: Vec<FrozenStep>,
    adam: Adam,
    rate: TopRate,
    /// The rows of the last batch.
    batch: Batch,
    /// The features of the last batch: `[n_rows, dim]`
    features: Vec<f32>,
}

/// The rows of a batch.
#[derive(Default)]
struct Batch {
    /// As layers but the last see them.
    all: Spans,
    /// As the last layer sees them.
    last: Spans,
}

impl<'a> TrainedTop<'a> {
    pub(super) fn new(tokens: &'a dyn TokenReader, mut top: Top, rate: TopRate, instructions: InstructionSet) -> Self {
        let (shape, dim, layers) = (top.shape, top.dim(), std::mem::take(&mut top.layers));
        let step = |step| FrozenStep::new(step, shape.epsilon, instructions);
        Self {
            tokens,
            dim,
            layers: layers.into_iter().map(|layer| TrainedLayer::new(layer, &shape, instructions)).collect(),
            final_norm: top.final_norm.clone().map(|norm| step(HeadStep::Norm(norm))),
            head: top.head.iter().cloned().map(step).collect(),
            start: top,
            adam: Adam::new(0.0, 0.0),
            rate,
            batch: Batch::default(),
            features: Vec::new(),
        }
    }

    pub(super) fn to_top(&self) -> Top {
        Top { layers: self.layers.iter().map(TrainedLayer::to_weights).collect(), ..self.start.clone() }
    }

    /// Numbers of a feature.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// The feature of a row of the last batch.
    pub(super) fn row(&self, place: usize) -> &[f32] {
        &self.features[place * self.dim..][..self.dim]
    }

    /// Computes the features of rows of tokens.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn forward(&mut self, rows: &[usize]) -> io::Result<()> {
        let Self { tokens, start: Top { pool, .. }, layers, final_norm, head, batch, features, .. } = self;
        let lengths: Vec<usize> = rows.iter().map(|row_idx| tokens.n_tokens(*row_idx)).collect();
        let places: Option<Vec<usize>> = lengths.iter().map(|length| pool.place(*length)).collect();
        batch.all = Spans::all(&lengths);
        batch.last = places.map_or_else(|| Spans::all(&lengths), |places| Spans::one(&lengths, &places));
        let mut hidden = columns(*tokens, rows, batch.all.n_tokens())?;
        let n_layers = layers.len();
        for (layer_idx, layer) in layers.iter_mut().enumerate() {
            hidden = layer.forward(&hidden, batch.of(layer_idx, n_layers));
        }
        if let Some(norm) = final_norm {
            hidden = norm.forward(hidden, batch.last.n_queries());
        }
        if let TopPool::Mean { n_skipped } = *pool {
            hidden = means(&hidden, &batch.last, n_skipped);
        }
        let columns = head.iter_mut().fold(hidden, |columns, step| step.forward(columns, rows.len()));
        features.clear();
        features.extend((0..rows.len()).flat_map(|place| columns[place..].iter().step_by(rows.len())));
        Ok(())
    }

    /// Updates the layers by the gradient of the last features, at this share of their learning rate.
    ///
    /// # Shapes
    /// `gradient`: `[dim, n_rows]`
    pub(super) fn learn(&mut self, gradient: Vec<f32>, share: f64) {
        let Self { start: Top { pool, .. }, layers, final_norm, head, adam, rate, batch, .. } = self;
        let n_rows = batch.all.rows.len();
        let mut gradient = head.iter_mut().rev().fold(gradient, |gradient, step| step.differentiate(gradient, n_rows));
        if let TopPool::Mean { n_skipped } = *pool {
            gradient = spread(&gradient, &batch.last, n_skipped);
        }
        if let Some(norm) = final_norm {
            gradient = norm.differentiate(gradient, batch.last.n_queries());
        }
        adam.next_step(0.0);
        let n_layers = layers.len();
        for (layer_idx, layer) in layers.iter_mut().enumerate().rev() {
            let step = adam.step(share * rate.of_layer(n_layers - 1 - layer_idx));
            let of_input = layer.learn(&gradient, batch.of(layer_idx, n_layers), &step, layer_idx > 0);
            gradient = of_input.unwrap_or_default();
        }
    }
}

impl Batch {
    /// The rows as a layer sees them.
    fn of(&self, layer_idx: usize, n_layers: usize) -> &Spans {
        if layer_idx + 1 == n_layers { &self.last } else { &self.all }
    }
}

/// The vectors of the tokens of rows as columns.
///
/// # Shapes
/// returns `[width, n_columns]`
fn columns(tokens: &dyn TokenReader, rows: &[usize], n_columns: usize) -> io::Result<Vec<f32>> {
    let (mut columns, mut buffer) = (vec![0.0; tokens.width() * n_columns], Vec::new());
    let mut first = 0;
    for row_idx in rows {
        for token in tokens.read_row(*row_idx, &mut buffer)?.chunks_exact(tokens.width()) {
            columns[first..].iter_mut().step_by(n_columns).zip(token).for_each(|(place, value)| *place = *value);
            first += 1;
        }
    }
    Ok(columns)
}

/// The mean over the tokens of each row, its first ones left out.
///
/// # Shapes
/// `hidden`: `[width, n_tokens]` · returns `[width, n_rows]`
fn means(hidden: &[f32], spans: &Spans, n_skipped: usize) -> Vec<f32> {
    let of_row = |row: &[f32]| {
        let mean = |span: &spans::Span| {
            let tokens = &row[span.first_token + n_skipped..span.first_token + span.n_tokens];
            (tokens.iter().map(|value| f64::from(*value)).sum::<f64>() / tokens.len() as f64) as f32
        };
        spans.rows.iter().map(mean).collect::<Vec<f32>>()
    };
    hidden.chunks_exact(spans.n_tokens()).flat_map(of_row).collect()
}

/// The gradient of the tokens, given that of their means.
///
/// # Shapes
/// `gradient`: `[width, n_rows]` · returns `[width, n_tokens]`
fn spread(gradient: &[f32], spans: &Spans, n_skipped: usize) -> Vec<f32> {
    let n_tokens = spans.n_tokens();
    let mut of_tokens = vec![0.0; gradient.len() / spans.rows.len() * n_tokens];
    for (row, gradient) in of_tokens.chunks_exact_mut(n_tokens).zip(gradient.chunks_exact(spans.rows.len())) {
        for (span, slope) in spans.rows.iter().zip(gradient) {
            let share = slope / (span.n_tokens - n_skipped) as f32;
            row[span.first_token + n_skipped..span.first_token + span.n_tokens].fill(share);
        }
    }
    of_tokens
}

#[cfg(test)]
mod tests;
