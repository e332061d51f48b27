//! Attention of each text's tokens to its tokens, head by head.

use crate::device::{InstructionSet, PackedMatrix, Rows, exp};

/// Scores are computed in runs of so many, the last run filled up with -∞.
const RUN: usize = 16;

/// `context = softmax(Q·Kᵀ / sqrt(head width)) · V`, for each text and head
pub(super) struct Attention {
    width: usize,
    head_width: usize,
    instructions: InstructionSet,
}

/// What a head of a text is computed in; grows to the longest text.
pub(super) struct AttentionScratch {
    /// `Kᵀ`: `[head width, n_tokens]`
    keys: PackedMatrix,
    /// `[n_tokens, head width]`
    values: PackedMatrix,
    /// `[n_queries, n_tokens]`, rows a whole number of runs apart.
    scores: Vec<f32>,
}

impl Attention {
    pub(super) fn new(width: usize, n_heads: usize, instructions: InstructionSet) -> Self {
        Self { width, head_width: width / n_heads, instructions }
    }

    /// Computes the context of each text's queries in its keys and values.
    ///
    /// # Shapes
    /// `query`, `context`: `[sum of n_queries, hidden]` · `key_value`: `[sum of lengths, 2 · hidden]`
    pub(super) fn forward(
        &self,
        query: &[f32],
        n_queries: &[usize],
        key_value: &[f32],
        lengths: &[usize],
        context: &mut [f32],
        scratch: &mut AttentionScratch,
    ) {
        let (mut first_query, mut first_token) = (0, 0);
        for (&n_queries, &length) in n_queries.iter().zip(lengths) {
            for first_col in (0..self.width).step_by(self.head_width) {
                let queries = first_query * self.width + first_col;
                let keys = first_token * 2 * self.width + first_col;
                let rows = Rows { values: &query[queries..], stride: self.width, n_rows: n_queries };
                self.attend(rows, &key_value[keys..], length, &mut context[queries..], scratch);
            }
            first_query += n_queries;
            first_token += length;
        }
    }

    /// One head of one text.
    fn attend(
        &self,
        queries: Rows<'_>,
        key_value: &[f32],
        length: usize,
        context: &mut [f32],
        scratch: &mut AttentionScratch,
    ) {
        let AttentionScratch { keys, values, scores } = scratch;
        let (stride, values_at) = (2 * self.width, self.width);
        keys.pack(self.head_width, length, |k, token| key_value[token * stride + k]);
        values.pack(length, self.head_width, |token, col| key_value[token * stride + values_at + col]);
        let row_len = length.next_multiple_of(RUN);
        scores.clear();
        scores.resize(queries.n_rows * row_len, f32::NEG_INFINITY);
        keys.multiply(queries, scores, row_len, |_, _| ());
        let scale = 1.0 / (self.head_width as f32).sqrt();
        self.instructions.run(
            #[inline(always)]
            || scores.chunks_exact_mut(row_len).for_each(|row| softmax(row, scale)),
        );
        let weights = Rows { values: scores, stride: row_len, n_rows: queries.n_rows };
        values.multiply(weights, context, self.width, |_, _| ());
    }
}

impl AttentionScratch {
    pub(super) fn new(instructions: InstructionSet) -> Self {
        let empty = || PackedMatrix::new(instructions);
        Self { keys: empty(), values: empty(), scores: Vec::new() }
    }
}

/// `exp(scale · x - largest) / sum`; what is -∞ becomes next to nothing.
///
/// Maxima and sums are taken in runs, in an order that depends on the length alone.
#[inline(always)]
fn softmax(row: &mut [f32], scale: f32) {
    let (runs, _) = row.as_chunks_mut::<RUN>();
    let mut largest = [f32::NEG_INFINITY; RUN];
    for run in runs.iter() {
        for (largest, score) in largest.iter_mut().zip(run) {
            *largest = if *score > *largest { *score } else { *largest };
        }
    }
    let largest = scale * largest.iter().fold(f32::NEG_INFINITY, |largest, score| largest.max(*score));
    let mut sums = [0.0; RUN];
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
            row.resize(row.len().next_multiple_of(RUN), f32::NEG_INFINITY);
            softmax(&mut row, 0.5);
            for (value, exponential) in row.iter().zip(&exponentials) {
                assert!((f64::from(*value) - exponential / sum).abs() < 1e-6, "{n_scores} scores");
            }
        }
    }

    #[test]
    fn a_score_that_is_not_a_number_is_not_hidden() {
        let mut row = [0.0; RUN];
        row[3] = f32::NAN;
        softmax(&mut row, 1.0);
        assert!(row.iter().all(|value| value.is_nan()));
    }
}
