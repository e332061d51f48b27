//! The places of rows among the columns of a batch, and columns that are picked from others.

use std::borrow::Cow;

/// The tokens of a row among all tokens of a batch, and those of them that ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) first_token: usize,
    pub(super) n_tokens: usize,
    /// The column of the first token that asks.
    pub(super) first_query: usize,
    pub(super) n_queries: usize,
    /// The place of the first token that asks among the row's tokens.
    pub(super) first_place: usize,
}

/// The rows of a batch: all tokens of each ask, or one of each.
#[derive(Debug, Default)]
pub(super) struct Spans {
    pub(super) rows: Vec<Span>,
    /// The columns of the tokens that ask; `None` where all do.
    pub(super) asking: Option<Vec<usize>>,
}

impl Spans {
    /// Rows of which every token asks.
    pub(super) fn all(lengths: &[usize]) -> Self {
        let mut first_token = 0;
        let row = |&n_tokens: &usize| {
            let span = Span { first_token, n_tokens, first_query: first_token, n_queries: n_tokens, first_place: 0 };
            first_token += n_tokens;
            span
        };
        Self { rows: lengths.iter().map(row).collect(), asking: None }
    }

    /// The same rows of which one token asks, at these places.
    pub(super) fn one(lengths: &[usize], places: &[usize]) -> Self {
        let Self { mut rows, .. } = Self::all(lengths);
        for (row_idx, (span, place)) in rows.iter_mut().zip(places).enumerate() {
            (span.first_query, span.n_queries, span.first_place) = (row_idx, 1, *place);
        }
        let asking = rows.iter().map(|span| span.first_token + span.first_place).collect();
        Self { rows, asking: Some(asking) }
    }

    pub(super) fn n_tokens(&self) -> usize {
        self.rows.last().map_or(0, |span| span.first_token + span.n_tokens)
    }

    pub(super) fn n_queries(&self) -> usize {
        self.rows.last().map_or(0, |span| span.first_query + span.n_queries)
    }

    /// The columns of the tokens that ask.
    ///
    /// # Shapes
    /// `values`: `[height, n_tokens]` · returns `[height, n_queries]`
    pub(super) fn of_asking<'a>(&self, values: &'a [f32]) -> Cow<'a, [f32]> {
        match &self.asking {
            None => Cow::Borrowed(values),
            Some(asking) => {
                let rows = values.chunks_exact(self.n_tokens());
                Cow::Owned(rows.flat_map(|row| asking.iter().map(|column| row[*column])).collect())
            }
        }
    }

    /// Adds columns of tokens that ask to those of all.
    ///
    /// # Shapes
    /// `all`: `[height, n_tokens]` · `asked`: `[height, n_queries]`
    pub(super) fn add_asking(&self, all: &mut [f32], asked: &[f32]) {
        match &self.asking {
            None => all.iter_mut().zip(asked).for_each(|(all, asked)| *all += asked),
            Some(asking) => {
                let rows = all.chunks_exact_mut(self.n_tokens()).zip(asked.chunks_exact(self.n_queries()));
                rows.for_each(|(all, asked)| {
                    asking.iter().zip(asked).for_each(|(column, value)| all[*column] += value);
                });
            }
        }
    }
}
