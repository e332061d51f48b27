//! Learns the vector by which tokens are weighed.
//!
//! With weights `a = softmax(X·w)` of a row's tokens `X` and the gradient `g` of their mean `aᵀ·X`, the gradient of the
//! scores is `a · (X·g - aᵀ·X·g)`, and that of `w` the sum of `Xᵀ` times it over all rows.

use std::io;

use rayon::prelude::*;

use super::adam::{AdamStep, Learnt};
use crate::heads::{attend, dot};
use pipeline_kernels::TokenReader;

/// The pool of one side; the values of a batch are kept until the next one.
pub(super) struct CpuAttention<'a> {
    tokens: &'a dyn TokenReader,
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
}

impl<'a> CpuAttention<'a> {
    pub(super) fn new(tokens: &'a dyn TokenReader, vector: Vec<f32>) -> Self {
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
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn pool(&mut self, row_idxs: &[usize]) -> io::Result<()> {
        let Self { tokens, vector, pooled, rows } = self;
        pooled.resize(row_idxs.len() * tokens.width(), 0.0);
        rows.resize_with(row_idxs.len(), Row::default);
        let pairs = pooled.par_chunks_exact_mut(tokens.width()).zip(rows).zip(row_idxs);
        pairs.try_for_each_init(Vec::new, |buffer, ((pooled, row), row_idx)| {
            attend(tokens.read_row(*row_idx, buffer)?, &vector.values, pooled, &mut row.weights);
            row.row_idx = *row_idx;
            Ok(())
        })
    }

    /// Updates the vector by the gradient of the pooled vectors. Tokens that are not in memory are read once more: a
    /// batch of those of images may be large.
    ///
    /// # Shapes
    /// `gradient`: `[width, n_pairs]`
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn learn(&mut self, gradient: &[f32], step: &AdamStep) -> io::Result<()> {
        let Self { tokens, vector, rows, .. } = self;
        let n_pairs = rows.len();
        rows.par_iter_mut().enumerate().try_for_each_init(Vec::new, |buffer, (pair_idx, row)| {
            let own: Vec<f32> = gradient.iter().skip(pair_idx).step_by(n_pairs).copied().collect();
            row.differentiate(tokens.read_row(row.row_idx, buffer)?, &own);
            Ok::<_, io::Error>(())
        })?;
        // In the order of the pairs, on any number of threads.
        let mut sums = vec![0.0; tokens.width()];
        for row in rows {
            sums.iter_mut().zip(&row.gradient).for_each(|(sum, part)| *sum += part);
        }
        let slopes: Vec<f32> = sums.iter().map(|sum| *sum as f32).collect();
        step.apply(vector.all(), &slopes);
        Ok(())
    }
}

impl Row {
    /// Computes the part in the gradient of the vector from the gradient of the pooled one.
    ///
    /// # Shapes
    /// `tokens`: `[n_tokens, width]`, `by_pooled`: `[width]`
    fn differentiate(&mut self, tokens: &[f32], by_pooled: &[f32]) {
        let Self { weights, gradient, .. } = self;
        let width = by_pooled.len();
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
