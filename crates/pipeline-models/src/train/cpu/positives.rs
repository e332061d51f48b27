//! The loss where other pairs of the batch are relevant, too; it adds to [`info_nce`].

use super::loss::{LossScratch, info_nce};

/// The loss with some logits excluded from both softmaxes.
///
/// # Shapes
/// `logits`: `[n_pairs, n_pairs]`, replaced by the gradient; `others`: places (row, column) off the diagonal
#[inline(always)]
pub(super) fn masked(logits: &mut [f32], n_pairs: usize, others: &[(usize, usize)], scratch: &mut LossScratch) -> f32 {
    others.iter().for_each(|(row, col)| logits[row * n_pairs + col] = f32::NEG_INFINITY);
    let loss = info_nce(logits, n_pairs, scratch);
    // Each is almost zero, and denormal numbers are slow to multiply.
    others.iter().for_each(|(row, col)| logits[row * n_pairs + col] = 0.0);
    loss
}

/// The number of positives of each row and each column.
#[derive(Default)]
pub(super) struct Counts {
    rows: Vec<f32>,
    columns: Vec<f32>,
}

impl Counts {
    fn count(&mut self, n_pairs: usize, others: &[(usize, usize)]) {
        let Self { rows, columns } = self;
        for counts in [&mut *rows, &mut *columns] {
            counts.clear();
            counts.resize(n_pairs, 1.0);
        }
        for &(row, col) in others {
            rows[row] += 1.0;
            columns[col] += 1.0;
        }
    }
}

/// The loss with more positives than the diagonal: the mean over a row's, or column's, positives.
///
/// With `n` pairs, `|Pᵢ|` positives in row `i` and `|Qⱼ|` in column `j`, the loss of the diagonal alone grows by `Σ
/// ((logitᵢᵢ - logitᵢⱼ) / |Pᵢ| + (logitⱼⱼ - logitᵢⱼ) / |Qⱼ|) / 2n` over all places of `others`.
///
/// # Shapes
/// `logits`: `[n_pairs, n_pairs]`, replaced by the gradient; `others`: places (row, column) off the diagonal
#[inline(always)]
pub(super) fn spread(
    logits: &mut [f32],
    n_pairs: usize,
    others: &[(usize, usize)],
    counts: &mut Counts,
    scratch: &mut LossScratch,
) -> f32 {
    counts.count(n_pairs, others);
    let own = |idx: usize| idx * (n_pairs + 1);
    let growth = |&(row, col): &(usize, usize)| {
        let [logit, of_row, of_column] = [row * n_pairs + col, own(row), own(col)].map(|at| f64::from(logits[at]));
        (of_row - logit) / f64::from(counts.rows[row]) + (of_column - logit) / f64::from(counts.columns[col])
    };
    let growth = others.iter().map(growth).sum::<f64>() / (2 * n_pairs) as f64;
    let loss = f64::from(info_nce(logits, n_pairs, scratch)) + growth;
    let share = 1.0 / (2 * n_pairs) as f32;
    for &(row, col) in others {
        let (of_row, of_column) = (share / counts.rows[row], share / counts.columns[col]);
        logits[row * n_pairs + col] -= of_row + of_column;
        logits[own(row)] += of_row;
        logits[own(col)] += of_column;
    }
    loss as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::fixtures;

    const N_PAIRS: usize = 17;

    /// Some places: one row has many, another row and a column have none.
    fn others() -> Vec<(usize, usize)> {
        let places = (0..N_PAIRS).flat_map(|row| (0..N_PAIRS).map(move |col| (row, col)));
        places
            .filter(|(row, col)| row != col && *row != 3 && *col != 5 && (row * 7 + col * 5) % 11 < 2 + row / 8)
            .collect()
    }

    /// Computed in f64, directly from the definition: `others` are positives, or excluded from the softmax.
    fn loss_slowly(logits: &[f64], others: &[(usize, usize)], are_positives: bool) -> f64 {
        let side = |logit: &dyn Fn(usize, usize) -> f64, is_other: &dyn Fn(usize, usize) -> bool| {
            let of_row = |row: usize| {
                let columns = (0..N_PAIRS).filter(|col| are_positives || !is_other(row, *col));
                let sum = columns.map(|col| logit(row, col).exp()).sum::<f64>().ln();
                let positives: Vec<_> =
                    (0..N_PAIRS).filter(|col| *col == row || (are_positives && is_other(row, *col))).collect();
                positives.iter().map(|col| sum - logit(row, *col)).sum::<f64>() / positives.len() as f64
            };
            (0..N_PAIRS).map(of_row).sum::<f64>() / N_PAIRS as f64
        };
        let of_texts = side(&|row, col| logits[row * N_PAIRS + col], &|row, col| others.contains(&(row, col)));
        let of_images = side(&|row, col| logits[col * N_PAIRS + row], &|row, col| others.contains(&(col, row)));
        (of_texts + of_images) / 2.0
    }

    fn check(are_positives: bool, loss: impl Fn(&mut [f32], &[(usize, usize)]) -> f32) {
        let logits = fixtures::noise("logits", vec![N_PAIRS, N_PAIRS], 14.0).values;
        let exact: Vec<f64> = logits.iter().copied().map(f64::from).collect();
        for others in [others(), Vec::new()] {
            let mut gradient = logits.clone();
            let loss = loss(&mut gradient, &others);
            assert!((f64::from(loss) - loss_slowly(&exact, &others, are_positives)).abs() < 2e-6, "{loss}");
            for place in 0..logits.len() {
                let at = |by: f64| {
                    let mut moved = exact.clone();
                    moved[place] += by;
                    loss_slowly(&moved, &others, are_positives)
                };
                let slope = (at(1e-4) - at(-1e-4)) / 2e-4;
                assert!((f64::from(gradient[place]) - slope).abs() < 1e-6, "logit {place}");
            }
        }
    }

    #[test]
    fn what_is_masked_is_in_no_softmax() {
        check(false, |logits, others| masked(logits, N_PAIRS, others, &mut LossScratch::default()));
    }

    #[test]
    fn the_loss_of_several_positives_is_their_mean() {
        check(true, |logits, others| {
            spread(logits, N_PAIRS, others, &mut Counts::default(), &mut LossScratch::default())
        });
    }
}
