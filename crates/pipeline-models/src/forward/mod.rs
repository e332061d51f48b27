//! The seam between a family of encoders and the place that computes its forward pass.
//!
//! A family makes token ids and pixels, and knows no place. A place decides which rows it computes together:
//! [`processor`] mixes texts of any lengths and shares batches among threads, [`crate::gpu`] takes texts of one length
//! and batch after batch.

pub(crate) mod batches;
pub(crate) mod pixels;
pub(crate) mod processor;

use crate::device::DeviceError;
use crate::tower::TextPool;
use pixels::Images;

/// The vectors that a text encoder gives for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextVectors {
    /// One for the text.
    One,
    /// One for each of its tokens.
    OfTokens,
}

impl TextVectors {
    /// The vectors of a pooling.
    pub(crate) fn of(pool: TextPool) -> Self {
        if pool == TextPool::Tokens { Self::OfTokens } else { Self::One }
    }

    /// The number of vectors of a text with so many tokens.
    pub(crate) fn count(self, n_tokens: usize) -> usize {
        match self {
            Self::One => 1,
            Self::OfTokens => n_tokens,
        }
    }
}

/// The forward pass of a text encoder, whose weights lie where it is computed.
pub(crate) trait TextForward: Send + Sync {
    /// The vectors of texts, given the ids of their tokens: at most `batch_rows` together, on at most `n_threads`
    /// threads. The number of threads changes no bit.
    ///
    /// # Shapes
    /// returns `[n_texts, dim]`, or `[n_tokens of all texts, dim]`, in the order of the texts
    ///
    /// # Errors
    /// When the device fails.
    fn forward(&self, texts: &[Vec<u32>], batch_rows: usize, n_threads: usize) -> Result<Vec<f32>, DeviceError>;
}

/// The forward pass of an image encoder, whose weights lie where it is computed.
pub(crate) trait ImageForward: Send + Sync {
    /// The vectors of images, on at most `n_threads` threads; their number changes no bit.
    ///
    /// # Shapes
    /// returns `[n_images, dim]`, or `[n_images · n_tokens, dim]`, in the order of the images
    ///
    /// # Errors
    /// When the device fails.
    fn forward(&self, images: &Images<'_>, n_threads: usize) -> Result<Vec<f32>, DeviceError>;
}

/// The vectors of batches in the order of the rows, whose positions `batches` has; `counts` are the vectors of each
/// row.
///
/// # Shapes
/// each of `vectors`: `[n_vectors of its batch, dim]` · returns `[n_vectors, dim]`
pub(crate) fn in_row_order(batches: &[Vec<usize>], counts: &[usize], vectors: &[Vec<f32>]) -> Vec<f32> {
    let (n_vectors, n_values): (usize, usize) = (counts.iter().sum(), vectors.iter().map(Vec::len).sum());
    let dim = n_values.checked_div(n_vectors).unwrap_or(0);
    let mut starts = Vec::with_capacity(counts.len());
    starts.extend(counts.iter().scan(0, |end, count| {
        *end += count * dim;
        Some(*end - count * dim)
    }));
    let mut ordered = vec![0.0; n_values];
    for (batch, vectors) in batches.iter().zip(vectors) {
        let mut rest = vectors.as_slice();
        for &row_idx in batch {
            let (of_row, after) = rest.split_at(counts[row_idx] * dim);
            ordered[starts[row_idx]..][..of_row.len()].copy_from_slice(of_row);
            rest = after;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_return_to_the_order_of_their_rows() {
        let vectors = [vec![20.0, 21.0, 0.0, 1.0], vec![10.0, 11.0]];
        assert_eq!(in_row_order(&[vec![2, 0], vec![1]], &[1; 3], &vectors), [0.0, 1.0, 10.0, 11.0, 20.0, 21.0]);
        let of_tokens = [vec![20.0, 21.0, 0.0], vec![10.0, 11.0, 12.0]];
        let ordered = in_row_order(&[vec![2, 0], vec![1]], &[1, 3, 2], &of_tokens);
        assert_eq!(ordered, [0.0, 10.0, 11.0, 12.0, 20.0, 21.0]);
        assert!(in_row_order(&[], &[], &[]).is_empty());
    }
}
