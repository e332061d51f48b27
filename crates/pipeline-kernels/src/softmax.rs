//! The softmax of a row of scores.

use crate::exp;

/// The length of a run: a row is a whole number of runs, the last one padded with -∞.
pub const SOFTMAX_RUN: usize = 16;

/// `exp(scale · x - largest) / sum`; -∞ becomes almost zero.
///
/// Maxima and sums are computed in runs, in an order that depends on the length alone.
#[inline(always)]
pub fn softmax(row: &mut [f32], scale: f32) {
    let (runs, _) = row.as_chunks_mut::<SOFTMAX_RUN>();
    let mut largest = [f32::NEG_INFINITY; SOFTMAX_RUN];
    for run in runs.iter() {
        for (largest, score) in largest.iter_mut().zip(run) {
            *largest = if *score > *largest { *score } else { *largest };
        }
    }
    let largest = scale * largest.iter().fold(f32::NEG_INFINITY, |largest, score| largest.max(*score));
    let mut sums = [0.0; SOFTMAX_RUN];
    for run in runs.iter_mut() {
        for (score, sum) in run.iter_mut().zip(&mut sums) {
            *score = exp(scale * *score - largest);
            *sum += *score;
        }
    }
    let inverse = 1.0 / sums.iter().sum::<f32>();
    row.iter_mut().for_each(|score| *score *= inverse);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_is_a_distribution_in_proportion_to_exponentials() {
        for n_scores in [1, 2, 15, 16, 17, 40] {
            let mut row: Vec<f32> = (0..n_scores).map(|idx| (idx * 37 % 11) as f32).collect();
            let exponentials: Vec<f64> = row.iter().map(|score| f64::from(score * 0.5).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            row.resize(row.len().next_multiple_of(SOFTMAX_RUN), f32::NEG_INFINITY);
            softmax(&mut row, 0.5);
            for (value, exponential) in row.iter().zip(&exponentials) {
                assert!((f64::from(*value) - exponential / sum).abs() < 1e-6, "{n_scores} scores");
            }
        }
    }

    #[test]
    fn a_score_that_is_not_a_number_is_not_hidden() {
        let mut row = [0.0; SOFTMAX_RUN];
        row[3] = f32::NAN;
        softmax(&mut row, 1.0);
        assert!(row.iter().all(|value| value.is_nan()));
    }
}
