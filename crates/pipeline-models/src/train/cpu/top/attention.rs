//! Attention whose gradient is wanted, head by head; tokens are columns.

use rayon::prelude::*;

use pipeline_kernels::{InstructionSet, PackedMatrix, Rows, SOFTMAX_RUN, softmax};

use super::spans::{Span, Spans};
use crate::tower::LayerShape;

/// `context = V · softmax(Kᵀ·Q / sqrt(head width))`, for each row and head.
pub(super) struct TrainedAttention {
    head_width: usize,
    is_causal: bool,
    instructions: InstructionSet,
    heads: Vec<AttentionHead>,
}

/// Queries, keys and values of the tokens, or their gradients.
///
/// # Shapes
/// `query`: `[width, n_queries]` · `key`, `value`: `[width, n_tokens]`
#[derive(Debug, Default)]
pub(super) struct Projected {
    pub(super) query: Vec<f32>,
    pub(super) key: Vec<f32>,
    pub(super) value: Vec<f32>,
}

/// A head: the shares of the last batch, and memory.
struct AttentionHead {
    /// The shares that every token has in every asking one of its row, row after row: `[n_queries, line]`.
    shares: Vec<f32>,
    packed: PackedMatrix,
    turned: Vec<f32>,
    slopes: Vec<f32>,
}

/// The part of a head in queries, keys and values.
#[derive(Clone, Copy)]
struct OfHead<'a> {
    query: &'a [f32],
    key: &'a [f32],
    value: &'a [f32],
    spans: &'a Spans,
    head_width: usize,
}

impl TrainedAttention {
    pub(super) fn new(shape: &LayerShape, instructions: InstructionSet) -> Self {
        let head = || AttentionHead {
            shares: Vec::new(),
            packed: PackedMatrix::new(instructions),
            turned: Vec::new(),
            slopes: Vec::new(),
        };
        let heads = (0..shape.n_heads).map(|_| head()).collect();
        Self { head_width: shape.width / shape.n_heads, is_causal: shape.is_causal, instructions, heads }
    }

    /// The contexts of the tokens that ask.
    ///
    /// # Shapes
    /// returns `[width, n_queries]`
    pub(super) fn forward(&mut self, projected: &Projected, spans: &Spans) -> Vec<f32> {
        let Self { head_width, is_causal, instructions, heads } = self;
        let mut context = vec![0.0; projected.query.len()];
        let parts = context.par_chunks_mut(*head_width * spans.n_queries()).zip(heads).enumerate();
        parts.for_each(|(head_idx, (context, head))| {
            head.forward(projected.part(head_idx, *head_width, spans), *is_causal, *instructions, context);
        });
        context
    }

    /// The gradients of the last batch's queries, keys and values.
    ///
    /// # Shapes
    /// `gradient`: `[width, n_queries]`
    pub(super) fn differentiate(&mut self, projected: &Projected, spans: &Spans, gradient: &[f32]) -> Projected {
        let head_width = self.head_width;
        let zeros = |like: &Vec<f32>| vec![0.0; like.len()];
        let Projected { query, key, value } = projected;
        let mut slopes = Projected { query: zeros(query), key: zeros(key), value: zeros(value) };
        let (of_asking, of_tokens) = (head_width * spans.n_queries(), head_width * spans.n_tokens());
        let asking = slopes.query.par_chunks_mut(of_asking).zip(gradient.par_chunks(of_asking));
        let tokens = slopes.key.par_chunks_mut(of_tokens).zip(slopes.value.par_chunks_mut(of_tokens));
        let parts = self.heads.par_iter_mut().zip(asking.zip(tokens)).enumerate();
        parts.for_each(|(head_idx, (head, ((query, gradient), (key, value))))| {
            head.differentiate(projected.part(head_idx, head_width, spans), gradient, [query, key, value]);
        });
        slopes
    }
}

impl Projected {
    fn part<'a>(&'a self, head_idx: usize, head_width: usize, spans: &'a Spans) -> OfHead<'a> {
        let of_head = |values: &'a [f32], n_columns: usize| {
            let len = head_width * n_columns;
            &values[head_idx * len..][..len]
        };
        OfHead {
            query: of_head(&self.query, spans.n_queries()),
            key: of_head(&self.key, spans.n_tokens()),
            value: of_head(&self.value, spans.n_tokens()),
            spans,
            head_width,
        }
    }
}

/// The numbers between two lines of scores.
fn line_len(span: &Span) -> usize {
    span.n_tokens.next_multiple_of(SOFTMAX_RUN)
}

impl AttentionHead {
    fn forward(&mut self, part: OfHead<'_>, is_causal: bool, instructions: InstructionSet, context: &mut [f32]) {
        let Self { shares, packed, turned, .. } = self;
        let OfHead { query, key, value, spans, head_width } = part;
        let (n_tokens, n_queries) = (spans.n_tokens(), spans.n_queries());
        let scale = 1.0 / (head_width as f32).sqrt();
        shares.clear();
        for span in &spans.rows {
            let (line_len, start) = (line_len(span), shares.len());
            packed.pack(head_width, span.n_tokens, |k, token| key[k * n_tokens + span.first_token + token]);
            turn(query, n_queries, span, turned);
            shares.resize(start + span.n_queries * line_len, f32::NEG_INFINITY);
            let lines = &mut shares[start..];
            let asking = Rows { values: turned, stride: head_width, n_rows: span.n_queries };
            packed.multiply(asking, lines, line_len, |_, _| ());
            if is_causal {
                for (query_idx, line) in lines.chunks_exact_mut(line_len).enumerate() {
                    line[span.first_place + query_idx + 1..].fill(f32::NEG_INFINITY);
                }
            }
            instructions.run(
                #[inline(always)]
                || {
                    // A loop, since a closure of an iterator would not be compiled for the instructions.
                    for line in lines.chunks_exact_mut(line_len) {
                        softmax(line, scale);
                    }
                },
            );
            packed.pack(span.n_tokens, span.n_queries, |token, query_idx| lines[query_idx * line_len + token]);
            let values = Rows { values: &value[span.first_token..], stride: n_tokens, n_rows: head_width };
            packed.multiply(values, &mut context[span.first_query..], n_queries, |_, _| ());
        }
    }

    /// With shares `P` and `G` the gradient of contexts: of values `G·P`; of scores
    /// `S = P ∘ (GᵀV - Σ P ∘ GᵀV) · scale`; then of queries `K·Sᵀ` and of keys `Q·S`.
    fn differentiate(&mut self, part: OfHead<'_>, gradient: &[f32], [of_query, of_key, of_value]: [&mut [f32]; 3]) {
        let Self { shares, packed, turned, slopes } = self;
        let OfHead { query, key, value, spans, head_width } = part;
        let (n_tokens, n_queries) = (spans.n_tokens(), spans.n_queries());
        let scale = 1.0 / (head_width as f32).sqrt();
        let mut shares = &shares[..];
        for span in &spans.rows {
            let line_len = line_len(span);
            let (lines, later) = shares.split_at(span.n_queries * line_len);
            shares = later;
            packed.pack(span.n_queries, span.n_tokens, |query_idx, token| lines[query_idx * line_len + token]);
            let asking = |values| Rows { values, stride: n_queries, n_rows: head_width };
            packed.multiply(
                asking(&gradient[span.first_query..]),
                &mut of_value[span.first_token..],
                n_tokens,
                |_, _| (),
            );

            turn(gradient, n_queries, span, turned);
            packed.pack(head_width, span.n_tokens, |k, token| value[k * n_tokens + span.first_token + token]);
            slopes.resize(span.n_queries * span.n_tokens, 0.0);
            let turned = Rows { values: turned, stride: head_width, n_rows: span.n_queries };
            packed.multiply(turned, slopes, span.n_tokens, |_, _| ());
            for (slopes, shares) in slopes.chunks_exact_mut(span.n_tokens).zip(lines.chunks_exact(line_len)) {
                let terms = slopes.iter().zip(shares).map(|(slope, share)| f64::from(*slope) * f64::from(*share));
                let mean = terms.sum::<f64>() as f32;
                slopes.iter_mut().zip(shares).for_each(|(slope, share)| *slope = share * (*slope - mean) * scale);
            }

            packed.pack(span.n_tokens, span.n_queries, |token, query_idx| slopes[query_idx * span.n_tokens + token]);
            let keys = Rows { values: &key[span.first_token..], stride: n_tokens, n_rows: head_width };
            packed.multiply(keys, &mut of_query[span.first_query..], n_queries, |_, _| ());
            packed.pack(span.n_queries, span.n_tokens, |query_idx, token| slopes[query_idx * span.n_tokens + token]);
            packed.multiply(asking(&query[span.first_query..]), &mut of_key[span.first_token..], n_tokens, |_, _| ());
        }
    }
}

/// The columns of the tokens of a row that ask, as rows: `[n_queries of the row, head width]`.
fn turn(values: &[f32], n_queries: usize, span: &Span, turned: &mut Vec<f32>) {
    turned.clear();
    for query in span.first_query..span.first_query + span.n_queries {
        turned.extend(values[query..].iter().step_by(n_queries));
    }
}
