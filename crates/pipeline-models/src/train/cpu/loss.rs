//! The symmetric InfoNCE loss as a function of the logits, which it replaces by its gradient.

use pipeline_kernels::exp;

/// Memory for sums; grows to the largest batch.
#[derive(Default)]
pub(super) struct LossScratch {
    /// The largest logit of each column, then `ln Σ exp` over the column.
    columns: Vec<f32>,
    /// `Σ exp` of each column, relative to its largest logit.
    sums: Vec<f32>,
}

/// The mean of the cross-entropies of finding each row's column and each column's row; row `i` belongs to column `i`.
///
/// With `n` pairs, `loss = Σᵢ (lse(row i) + lse(column i) - 2 · logitᵢᵢ) / 2n`, where `lse = ln Σ exp`, and `gradientᵢⱼ
/// = (exp(logitᵢⱼ - lse(row i)) + exp(logitᵢⱼ - lse(column j)) - 2 · [i = j]) / 2n`. Inlined where wide instructions
/// are available.
///
/// # Shapes
/// `logits`: `[n_pairs, n_pairs]`, replaced by the gradient
#[inline(always)]
pub(super) fn info_nce(logits: &mut [f32], n_pairs: usize, scratch: &mut LossScratch) -> f32 {
    scratch.sum_columns(logits, n_pairs);
    let columns = &scratch.columns[..n_pairs];
    let share = 1.0 / (2 * n_pairs) as f32;
    let mut loss = 0.0;
    for (idx, row) in logits.chunks_exact_mut(n_pairs).enumerate() {
        let own = row[idx];
        let of_row = log_sum_exp(row);
        loss += f64::from(of_row - own) + f64::from(columns[idx] - own);
        for (logit, of_column) in row.iter_mut().zip(columns) {
            *logit = (exp(*logit - of_row) + exp(*logit - of_column)) * share;
        }
        row[idx] -= 2.0 * share;
    }
    (loss / (2 * n_pairs) as f64) as f32
}

impl LossScratch {
    /// `columns = ln Σ exp` over each column.
    #[inline(always)]
    fn sum_columns(&mut self, logits: &[f32], n_pairs: usize) {
        let Self { columns, sums } = self;
        columns.clear();
        columns.resize(n_pairs, f32::NEG_INFINITY);
        sums.clear();
        sums.resize(n_pairs, 0.0);
        for row in logits.chunks_exact(n_pairs) {
            columns.iter_mut().zip(row).for_each(|(largest, logit)| *largest = larger(*largest, *logit));
        }
        for row in logits.chunks_exact(n_pairs) {
            let terms = row.iter().zip(&*columns);
            sums.iter_mut().zip(terms).for_each(|(sum, (logit, largest))| *sum += exp(logit - largest));
        }
        columns.iter_mut().zip(sums).for_each(|(column, sum)| *column += sum.ln());
    }
}

#[inline(always)]
fn log_sum_exp(row: &[f32]) -> f32 {
    const RUN: usize = 16;
    let mut largest = [f32::NEG_INFINITY; RUN];
    for run in row.chunks(RUN) {
        largest.iter_mut().zip(run).for_each(|(largest, logit)| *largest = larger(*largest, *logit));
    }
    let largest = largest.into_iter().fold(f32::NEG_INFINITY, larger);
    let mut sums = [0.0; RUN];
    for run in row.chunks(RUN) {
        sums.iter_mut().zip(run).for_each(|(sum, logit)| *sum += exp(logit - largest));
    }
    largest + sums.iter().sum::<f32>().ln()
}

/// NaN is never larger: it shows in the sum instead.
#[inline(always)]
fn larger(left: f32, right: f32) -> f32 {
    if right > left { right } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::fixtures;

    /// Computed in f64, directly from the definition.
    fn loss_slowly(logits: &[f64], n_pairs: usize) -> f64 {
        let entropy = |own: f64, all: Vec<f64>| all.iter().map(|logit| (logit - own).exp()).sum::<f64>().ln();
        let terms = (0..n_pairs).map(|idx| {
            let own = logits[idx * n_pairs + idx];
            let row = logits[idx * n_pairs..][..n_pairs].to_vec();
            let column = logits.iter().skip(idx).step_by(n_pairs).copied().collect();
            entropy(own, row) + entropy(own, column)
        });
        terms.sum::<f64>() / (2 * n_pairs) as f64
    }

    #[test]
    fn the_loss_and_its_slope_follow_the_definition() {
        for n_pairs in [1, 2, 15, 16, 17, 40] {
            let logits = fixtures::noise("logits", vec![n_pairs, n_pairs], 14.0).values;
            let exact: Vec<f64> = logits.iter().copied().map(f64::from).collect();
            let mut gradient = logits.clone();
            let loss = info_nce(&mut gradient, n_pairs, &mut LossScratch::default());
            assert!((f64::from(loss) - loss_slowly(&exact, n_pairs)).abs() < 2e-6, "{n_pairs} pairs");
            for place in 0..logits.len() {
                let at = |by: f64| {
                    let mut moved = exact.clone();
                    moved[place] += by;
                    loss_slowly(&moved, n_pairs)
                };
                let slope = (at(1e-4) - at(-1e-4)) / 2e-4;
                assert!((f64::from(gradient[place]) - slope).abs() < 1e-6, "{n_pairs} pairs, logit {place}");
            }
        }
    }

    #[test]
    fn a_logit_that_is_not_a_number_or_infinite_makes_the_loss_so() {
        for (place, value) in [(1, f32::NAN), (0, f32::NAN), (1, f32::INFINITY), (0, f32::NEG_INFINITY)] {
            let mut logits = vec![0.0; 4];
            logits[place] = value;
            assert!(!info_nce(&mut logits, 2, &mut LossScratch::default()).is_finite(), "{place}: {value}");
        }
    }
}
