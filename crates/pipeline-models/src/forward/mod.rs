//! The seam between a family of encoders and the place that computes its forward pass.
//!
//! A family makes token ids and pixels, and knows no place. A place decides which rows it computes together:
//! [`processor`] mixes texts of any lengths and shares batches among threads, [`crate::gpu`] takes texts of one length
//! and batch after batch.

pub(crate) mod batches;
pub(crate) mod pixels;
pub(crate) mod processor;

use pixels::Images;

/// The forward pass of a text encoder, whose weights lie where it is computed.
pub(crate) trait TextForward: Send + Sync {
    /// The vectors of texts, given the ids of their tokens: at most `batch_rows` together, on at most `n_threads`
    /// threads. The number of threads changes no bit.
    ///
    /// # Shapes
    /// returns `[n_texts, dim]`, in the order of the texts
    fn forward(&self, texts: &[Vec<u32>], batch_rows: usize, n_threads: usize) -> Vec<f32>;
}

/// The forward pass of an image encoder, whose weights lie where it is computed.
pub(crate) trait ImageForward: Send + Sync {
    /// The vectors of images, on at most `n_threads` threads; their number changes no bit.
    ///
    /// # Shapes
    /// returns `[n_images, dim]`, in the order of the images
    fn forward(&self, images: &Images<'_>, n_threads: usize) -> Vec<f32>;
}

/// The vectors of batches in the order of the rows, whose positions `batches` has.
///
/// # Shapes
/// each of `vectors`: `[n_rows of its batch, dim]` · returns `[n_rows, dim]`
pub(crate) fn in_row_order(batches: &[Vec<usize>], vectors: &[Vec<f32>]) -> Vec<f32> {
    let (n_rows, n_values): (usize, usize) = (batches.iter().map(Vec::len).sum(), vectors.iter().map(Vec::len).sum());
    let dim = n_values.checked_div(n_rows).unwrap_or(0);
    let mut ordered = vec![0.0; n_values];
    for (batch, vectors) in batches.iter().zip(vectors) {
        for (row_idx, vector) in batch.iter().zip(vectors.chunks_exact(dim)) {
            ordered[row_idx * dim..][..dim].copy_from_slice(vector);
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
        assert_eq!(in_row_order(&[vec![2, 0], vec![1]], &vectors), [0.0, 1.0, 10.0, 11.0, 20.0, 21.0]);
        assert!(in_row_order(&[], &[]).is_empty());
    }
}
