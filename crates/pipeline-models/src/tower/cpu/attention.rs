//! Attention of each row's tokens to its tokens, head by head. A *row* here is a text or an image.

use pipeline_kernels::{InstructionSet, PackedMatrix, Rows, SOFTMAX_RUN, softmax};

/// `context = softmax(Q·Kᵀ / sqrt(head width)) · V`, for each row and head
pub(in crate::tower) struct Attention {
    width: usize,
    head_width: usize,
    is_causal: bool,
    instructions: InstructionSet,
}

/// The tokens that ask.
#[derive(Debug, Clone, Copy)]
pub(in crate::tower) enum Asking<'a> {
    /// Every token of a row.
    All,
    /// One token of each row, at this place among its tokens.
    One(&'a [usize]),
}

/// The buffers of a head of a row; they grow to the longest row.
pub(in crate::tower) struct AttentionScratch {
    /// `Kᵀ`: `[head width, n_tokens]`
    keys: PackedMatrix,
    /// `[n_tokens, head width]`
    values: PackedMatrix,
    /// `[n_queries, n_tokens]`, lines a whole number of runs apart, the last of which is filled up with -∞.
    scores: Vec<f32>,
}

/// One head of one row.
struct Head<'a> {
    queries: Rows<'a>,
    /// The place of the first query among the row's tokens.
    first_place: usize,
    key_value: &'a [f32],
    n_tokens: usize,
}

impl Attention {
    pub(in crate::tower) fn new(width: usize, n_heads: usize, is_causal: bool, instructions: InstructionSet) -> Self {
        Self { width, head_width: width / n_heads, is_causal, instructions }
    }

    /// Computes the context of the asking tokens in the keys and values of their rows.
    ///
    /// # Shapes
    /// `query`, `context`: `[n asking, width]` · `key_value`: `[sum of lengths, 2 · width]`
    pub(in crate::tower) fn forward(
        &self,
        query: &[f32],
        asking: Asking<'_>,
        (key_value, lengths): (&[f32], &[usize]),
        context: &mut [f32],
        scratch: &mut AttentionScratch,
    ) {
        let (mut first_query, mut first_token) = (0, 0);
        for (row_idx, &n_tokens) in lengths.iter().enumerate() {
            let (first_place, n_rows) = match asking {
                Asking::All => (0, n_tokens),
                Asking::One(places) => (places[row_idx], 1),
            };
            for first_col in (0..self.width).step_by(self.head_width) {
                let queries = first_query * self.width + first_col;
                let keys = first_token * 2 * self.width + first_col;
                let head = Head {
                    queries: Rows { values: &query[queries..], stride: self.width, n_rows },
                    first_place,
                    key_value: &key_value[keys..],
                    n_tokens,
                };
                self.attend(&head, &mut context[queries..], scratch);
            }
            first_query += n_rows;
            first_token += n_tokens;
        }
    }

    fn attend(&self, head: &Head<'_>, context: &mut [f32], scratch: &mut AttentionScratch) {
        let AttentionScratch { keys, values, scores } = scratch;
        let &Head { queries, first_place, key_value, n_tokens } = head;
        let (stride, values_at) = (2 * self.width, self.width);
        keys.pack(self.head_width, n_tokens, |k, token| key_value[token * stride + k]);
        values.pack(n_tokens, self.head_width, |token, col| key_value[token * stride + values_at + col]);
        let line_len = n_tokens.next_multiple_of(SOFTMAX_RUN);
        scores.clear();
        scores.resize(queries.n_rows * line_len, f32::NEG_INFINITY);
        keys.multiply(queries, scores, line_len, |_, _| ());
        if self.is_causal {
            for (query_idx, line) in scores.chunks_exact_mut(line_len).enumerate() {
                line[first_place + query_idx + 1..].fill(f32::NEG_INFINITY);
            }
        }
        let scale = 1.0 / (self.head_width as f32).sqrt();
        self.instructions.run(
            #[inline(always)]
            || {
                // A loop, since a closure of an iterator would not be compiled for the instructions.
                for line in scores.chunks_exact_mut(line_len) {
                    softmax(line, scale);
                }
            },
        );
        let weights = Rows { values: scores, stride: line_len, n_rows: queries.n_rows };
        values.multiply(weights, context, self.width, |_, _| ());
    }
}

impl AttentionScratch {
    pub(in crate::tower) fn new(instructions: InstructionSet) -> Self {
        let empty = || PackedMatrix::new(instructions);
        Self { keys: empty(), values: empty(), scores: Vec::new() }
    }
}
