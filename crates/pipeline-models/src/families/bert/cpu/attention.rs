//! Attention of each text's tokens to its tokens, head by head.

use pipeline_kernels::{InstructionSet, PackedMatrix, Rows, SOFTMAX_RUN, softmax};

/// `context = softmax(Q·Kᵀ / sqrt(head width)) · V`, for each text and head
pub(super) struct Attention {
    width: usize,
    head_width: usize,
    instructions: InstructionSet,
}

/// Scratch memory for one head of one text; grows to the longest text.
pub(super) struct AttentionScratch {
    /// `Kᵀ`: `[head width, n_tokens]`
    keys: PackedMatrix,
    /// `[n_tokens, head width]`
    values: PackedMatrix,
    /// `[n_queries, n_tokens]`, with rows padded by -∞ to a whole number of runs.
    scores: Vec<f32>,
}

impl Attention {
    pub(super) fn new(width: usize, n_heads: usize, instructions: InstructionSet) -> Self {
        Self { width, head_width: width / n_heads, instructions }
    }

    /// Computes the attention of each text's queries to its keys and values.
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
        let row_len = length.next_multiple_of(SOFTMAX_RUN);
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
