//! Learns the vector by which tokens are weighed.
//!
//! With weights `a = softmax(X·w)` of a row's tokens `X` and the gradient `g` of their mean `aᵀ·X`, the gradient of the
//! scores is `a · (X·g - aᵀ·X·g)`, and that of `w` the sum of `Xᵀ` times it over all rows.

use rayon::prelude::*;

use super::adam::{AdamStep, Learnt};
use crate::heads::{attend, dot};
use pipeline_kernels::TokenMatrix;

/// The pool of one side; the values of a batch are kept until the next one.
pub(super) struct CpuAttention<'a> {
    tokens: &'a TokenMatrix,
    vector: Learnt,
    /// `[n_pairs, width]`, the means of the tokens.
    pooled: Vec<f32>,
    /// Of each pair of the batch.
    rows: Vec<Row>,
}

/// The weights of a row's tokens.
#[derive(Default)]
struct Row {
    row_idx: usize,
    weights: Vec<f64>,
    /// `[width]`, the part of this row in the gradient of the vector.
    gradient: Vec<f64>,
    /// The tokens, where they are not held in single precision.
    buffer: Vec<f32>,
}

impl<'a> CpuAttention<'a> {
    pub(super) fn new(tokens: &'a TokenMatrix, vector: Vec<f32>) -> Self {
        Self { tokens, vector: Learnt::new(vector), pooled: Vec::new(), rows: Vec::new() }
    }

    pub(super) fn vector(&self) -> &[f32] {
        &self.vector.values
    }

    /// The pooled vector of a pair of the last batch.
    pub(super) fn row(&self, pair_idx: usize) -> &[f32] {
        let width = self.tokens.width();
        &self.pooled[pair_idx * width..][..width]
    }

    /// Pools the tokens of a batch.
    pub(super) fn pool(&mut self, row_idxs: &[usize]) {
        let Self { tokens, vector, pooled, rows } = self;
        pooled.resize(row_idxs.len() * tokens.width(), 0.0);
        rows.resize_with(row_idxs.len(), Row::default);
        let pairs = pooled.par_chunks_exact_mut(tokens.width()).zip(rows).zip(row_idxs);
        pairs.for_each(|((pooled, row), row_idx)| {
            let Row { weights, buffer, .. } = row;
            attend(tokens.row(*row_idx, buffer), &vector.values, pooled, weights);
            row.row_idx = *row_idx;
        });
    }

    /// Updates the vector by the gradient of the pooled vectors.
    ///
    /// # Shapes
    /// `gradient`: `[width, n_pairs]`
    pub(super) fn learn(&mut self, gradient: &[f32], step: &AdamStep) {
        let Self { tokens, vector, rows, .. } = self;
        let n_pairs = rows.len();
        rows.par_iter_mut().enumerate().for_each(|(pair_idx, row)| {
            let own: Vec<f32> = gradient.iter().skip(pair_idx).step_by(n_pairs).copied().collect();
            row.differentiate(tokens, &own);
        });
        // In the order of the pairs, on any number of threads.
        let mut sums = vec![0.0; tokens.width()];
        for row in rows {
            sums.iter_mut().zip(&row.gradient).for_each(|(sum, part)| *sum += part);
        }
        let slopes: Vec<f32> = sums.iter().map(|sum| *sum as f32).collect();
        step.apply(vector.all(), &slopes);
    }
}

impl Row {
    /// Computes the part in the gradient of the vector from the gradient of the pooled one.
    fn differentiate(&mut self, tokens: &TokenMatrix, by_pooled: &[f32]) {
        let Self { row_idx, weights, gradient, buffer } = self;
        let width = tokens.width();
        let tokens = tokens.row(*row_idx, buffer);
        let slopes: Vec<f64> = tokens.chunks_exact(width).map(|token| dot(token, by_pooled)).collect();
        let mean: f64 = slopes.iter().zip(&*weights).map(|(slope, weight)| slope * weight).sum();
        gradient.clear();
        gradient.resize(width, 0.0);
        for ((token, slope), weight) in tokens.chunks_exact(width).zip(slopes).zip(&*weights) {
            let slope = weight * (slope - mean);
            gradient.iter_mut().zip(token).for_each(|(sum, value)| *sum += slope * f64::from(*value));
        }
    }
}
