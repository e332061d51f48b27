//! From the vectors of a row's tokens to one: the first, their mean, or a learnt weighted mean.

use std::io;
use std::ops::Range;

use pipeline_kernels::{Matrix, RowReader, TokenMatrix, TokenReader, on_threads};
use rayon::prelude::*;

/// The sums that a dot product is computed in, side by side.
const LANES: usize = 8;

/// The features of one side: a vector for each row, or the vectors of its tokens, which its head pools.
#[derive(Debug, Clone, Copy)]
pub enum Features<'a> {
    /// # Shapes
    /// `[n_rows, width]`
    Vectors(&'a dyn RowReader),
    /// The vectors of all tokens of each row.
    Tokens(&'a dyn TokenReader),
}

/// The way from a row's tokens to one vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TokenPool<'a> {
    /// The mean of tokens `t` with the weights `softmax(t · w)`, of this vector `w`.
    Attentive(&'a [f32]),
    /// The mean of all tokens but the first `n_before` ones.
    Mean {
        /// The number of tokens before those that count.
        n_before: usize,
    },
    /// The first token.
    Cls,
}

impl<'a> From<&'a Matrix> for Features<'a> {
    fn from(vectors: &'a Matrix) -> Self {
        Self::Vectors(vectors)
    }
}

impl<'a> From<&'a dyn RowReader> for Features<'a> {
    fn from(vectors: &'a dyn RowReader) -> Self {
        Self::Vectors(vectors)
    }
}

impl<'a> From<&'a TokenMatrix> for Features<'a> {
    fn from(tokens: &'a TokenMatrix) -> Self {
        Self::Tokens(tokens)
    }
}

impl<'a> From<&'a dyn TokenReader> for Features<'a> {
    fn from(tokens: &'a dyn TokenReader) -> Self {
        Self::Tokens(tokens)
    }
}

impl<'a> Features<'a> {
    /// The number of rows.
    pub fn n_rows(self) -> usize {
        match self {
            Self::Vectors(vectors) => vectors.n_rows(),
            Self::Tokens(tokens) => tokens.n_rows(),
        }
    }

    /// The numbers of a vector.
    pub fn width(self) -> usize {
        match self {
            Self::Vectors(vectors) => vectors.n_cols(),
            Self::Tokens(tokens) => tokens.width(),
        }
    }

    /// Says that these rows are read next.
    pub(crate) fn announce(self, rows: &[usize]) {
        match self {
            Self::Vectors(vectors) => vectors.announce(rows),
            Self::Tokens(tokens) => tokens.announce(rows),
        }
    }

    /// The vectors, if each row has one.
    pub fn vectors(self) -> Option<&'a dyn RowReader> {
        match self {
            Self::Vectors(vectors) => Some(vectors),
            Self::Tokens(_) => None,
        }
    }
}

/// Pools the tokens of consecutive rows. Neither the thread count nor the other rows change a bit of a row.
///
/// # Shapes
/// returns `[rows.len(), width]`
///
/// # Errors
/// When they cannot be read.
///
/// # Panics
/// When the vector of an attentive pool has another width than the tokens: a bug of the caller.
pub fn pool(tokens: &dyn TokenReader, rows: Range<usize>, pool: TokenPool<'_>, n_threads: usize) -> io::Result<Matrix> {
    let width = tokens.width();
    if let TokenPool::Attentive(vector) = pool {
        assert_eq!(vector.len(), width, "BUG: a vector as wide as the tokens");
    }
    let mut pooled = Matrix::zeros(rows.len(), width);
    on_threads(n_threads, || {
        let rows = pooled.values.par_chunks_exact_mut(width.max(1)).zip(rows);
        rows.try_for_each_init(Vec::new, |buffer, (pooled, row_idx)| {
            let tokens = tokens.read_row(row_idx, buffer)?;
            match pool {
                TokenPool::Attentive(vector) => attend(tokens, vector, pooled, &mut Vec::new()),
                TokenPool::Mean { n_before } => mean(tokens, n_before, pooled),
                TokenPool::Cls => pooled.iter_mut().zip(tokens).for_each(|(pooled, value)| *pooled = *value),
            }
            Ok::<_, io::Error>(())
        })
    })?;
    Ok(pooled)
}

/// The mean of a row's tokens, as encoders compute it.
fn mean(tokens: &[f32], n_before: usize, pooled: &mut [f32]) {
    let width = pooled.len();
    let n_tokens = (tokens.len() / width).saturating_sub(n_before);
    let mut sums = vec![0.0; width];
    for token in tokens.chunks_exact(width).skip(n_before) {
        sums.iter_mut().zip(token).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    pooled.iter_mut().zip(&sums).for_each(|(pooled, sum)| *pooled = (sum / n_tokens as f64) as f32);
}

/// The mean of a row's tokens with the weights `softmax(tokens · vector)`, which are left in `weights`.
///
/// # Shapes
/// `tokens`: `[n_tokens, width]`, `vector`, `pooled`: `[width]`, `weights`: `[n_tokens]`
pub(crate) fn attend(tokens: &[f32], vector: &[f32], pooled: &mut [f32], weights: &mut Vec<f64>) {
    let width = vector.len();
    weights.clear();
    weights.extend(tokens.chunks_exact(width).map(|token| dot(token, vector)));
    let highest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    weights.iter_mut().for_each(|score| *score = (*score - highest).exp());
    let all: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= all);
    let mut sums = vec![0.0; width];
    for (token, weight) in tokens.chunks_exact(width).zip(&*weights) {
        sums.iter_mut().zip(token).for_each(|(sum, value)| *sum += weight * f64::from(*value));
    }
    pooled.iter_mut().zip(&sums).for_each(|(pooled, sum)| *pooled = *sum as f32);
}

/// A dot product, whose sums have one order on every processor.
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f64 {
    let mut sums = [0.0; LANES];
    let (lefts, rights) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest = lefts.remainder().iter().zip(rights.remainder());
    let rest: f64 = rest.map(|(left, right)| f64::from(*left) * f64::from(*right)).sum();
    for (left, right) in lefts.zip(rights) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += f64::from(*left) * f64::from(*right);
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::fixtures;
    use pipeline_kernels::TokenNumbers;

    #[test]
    fn a_row_is_pooled_by_its_own_tokens_alone_in_either_precision() {
        let (width, n_tokens) = (19, [3, 1, 12]);
        let noise = fixtures::noise("tokens", vec![16, width], 1.0).values;
        let tokens = TokenMatrix::new(width, n_tokens, TokenNumbers::Single(noise));
        let vector = fixtures::noise("vector", vec![width], 1.0).values;
        for tokens in [tokens.clone(), tokens.in_halves().unwrap()] {
            for by in [TokenPool::Attentive(&vector), TokenPool::Mean { n_before: 0 }, TokenPool::Cls] {
                let together = pool(&tokens, 0..3, by, 3).unwrap();
                for row_idx in 0..3 {
                    let alone = pool(&tokens, row_idx..row_idx + 1, by, 1).unwrap();
                    assert_eq!(fixtures::bits(&alone.values), fixtures::bits(together.row(row_idx)), "{by:?}");
                }
                let only = tokens.row(1, &mut Vec::new()).to_vec();
                assert_eq!(together.row(1), only, "a single token is the row: {by:?}");
            }
        }
    }

    #[test]
    fn weights_are_a_softmax_of_the_scores_and_no_size_of_them_is_too_large() {
        let tokens = TokenMatrix::new(2, [2], TokenNumbers::Single(vec![1.0, 0.0, 0.0, 3.0]));
        let third = (1.0 / 3.0f32).ln();
        let pooled = pool(&tokens, 0..1, TokenPool::Attentive(&[0.0, third / 3.0]), 1).unwrap();
        // Scores 0 and ln(1/3): weights 3/4 and 1/4.
        assert!((pooled.values[0] - 0.75).abs() < 1e-6 && (pooled.values[1] - 0.75).abs() < 1e-6, "{pooled:?}");
        let pooled = pool(&tokens, 0..1, TokenPool::Attentive(&[3e38, 0.0]), 1).unwrap();
        assert_eq!(pooled.values, [1.0, 0.0]);
        let mean = pool(&tokens, 0..1, TokenPool::Mean { n_before: 1 }, 1).unwrap();
        assert_eq!(mean.values, [0.0, 3.0]);
    }
}
