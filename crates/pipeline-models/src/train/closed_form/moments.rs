//! Means and covariances of features, summed on all threads with the bits of one.

use std::io;

use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut, DVector, Dyn};
use rayon::prelude::*;

use pipeline_kernels::{RowReader, read_rows};

/// Pairs whose products are summed at once: 16 MiB of features of 2,048 numbers.
const BLOCK_PAIRS: usize = 1024;
/// Columns of a covariance that a thread sums at once, but for the last.
///
/// The library computes products in tiles, whose sides divide this number. Its sums are other ones where a tile is cut,
/// and so it is cut at the end of a matrix only, as if all columns were summed at once.
const STRIP: usize = 64;
/// Columns of a mean that a thread sums at once.
const MEAN_STRIP: usize = 128;

/// Means and covariances of the pairs' features.
pub(super) struct Moments {
    pub(super) text_mean: DVector<f64>,
    pub(super) image_mean: DVector<f64>,
    /// `[d_text, d_text]`, the lower triangle: what is above it is of no use, and partly zero.
    pub(super) text: DMatrix<f64>,
    /// `[d_image, d_image]`, the lower triangle; empty where it is not needed.
    pub(super) image: DMatrix<f64>,
    /// `[d_text, d_image]`
    pub(super) cross: DMatrix<f64>,
}

impl Moments {
    /// Sums them on the threads of the current rayon pool.
    ///
    /// # Errors
    /// When the features cannot be read.
    pub(super) fn of(
        text: &dyn RowReader,
        images: &dyn RowReader,
        pairs: &[(usize, usize)],
        with_images: bool,
    ) -> io::Result<Self> {
        let (d_text, d_image) = (text.n_cols(), images.n_cols());
        let text_mean = mean(text, pairs, |pair| pair.0)?;
        let image_mean = mean(images, pairs, |pair| pair.1)?;
        let mut moments = Self {
            text: DMatrix::zeros(d_text, d_text),
            image: if with_images { DMatrix::zeros(d_image, d_image) } else { DMatrix::zeros(0, 0) },
            cross: DMatrix::zeros(d_text, d_image),
            text_mean,
            image_mean,
        };
        let share = 1.0 / pairs.len().max(1) as f64;
        for block in pairs.chunks(BLOCK_PAIRS) {
            let text = centred(text, block, |pair| pair.0, &moments.text_mean)?;
            let image = centred(images, block, |pair| pair.1, &moments.image_mean)?;
            let mut strips = lower(&mut moments.text, &text, &text);
            strips.extend(whole(&mut moments.cross, &text, &image));
            if with_images {
                strips.extend(lower(&mut moments.image, &image, &image));
            }
            strips.into_par_iter().for_each(|strip| strip.add(share));
        }
        Ok(moments)
    }
}

/// Neighbouring columns of a sum of products, and the features that are multiplied.
struct Strip<'a> {
    /// The columns of the sum, whole.
    sums: &'a mut [f64],
    /// The first row that is summed.
    first_row: usize,
    first_col: usize,
    left: &'a Centred,
    right: &'a Centred,
}

impl Strip<'_> {
    /// Adds `share · left · rightᵀ` of the block.
    fn add(self, share: f64) {
        let Self { sums, first_row, first_col, left, right } = self;
        let n_rows = left.width;
        let n_cols = sums.len() / n_rows.max(1);
        let mut sums = DMatrixViewMut::from_slice(sums, n_rows, n_cols);
        let mut sums = sums.rows_range_mut(first_row..);
        let left = left.features();
        let right = right.rows();
        sums.gemm(share, &left.rows_range(first_row..), &right.columns(first_col, n_cols), 1.0);
    }
}

/// The strips of a sum of which only what is not above the diagonal counts.
fn lower<'a>(sums: &'a mut DMatrix<f64>, left: &'a Centred, right: &'a Centred) -> Vec<Strip<'a>> {
    let mut strips = whole(sums, left, right);
    strips.iter_mut().for_each(|strip| strip.first_row = strip.first_col);
    strips
}

/// The strips of a sum.
fn whole<'a>(sums: &'a mut DMatrix<f64>, left: &'a Centred, right: &'a Centred) -> Vec<Strip<'a>> {
    let (n_rows, n_cols) = sums.shape();
    // The last one takes the rest: a strip of few columns would be summed in another way.
    let n_strips = (n_cols / STRIP).max(1);
    let mut rest = sums.as_mut_slice();
    let mut strips = Vec::with_capacity(n_strips);
    for first_col in (0..n_strips).map(|strip_idx| strip_idx * STRIP) {
        let n_own = if first_col + STRIP == n_strips * STRIP { n_cols - first_col } else { STRIP };
        let (own, after) = rest.split_at_mut(n_own * n_rows);
        rest = after;
        strips.push(Strip { sums: own, first_row: 0, first_col, left, right });
    }
    strips
}

/// Features less their mean.
///
/// # Shapes
/// `values`: `[pairs, width]`, row by row
struct Centred {
    values: Vec<f64>,
    n_pairs: usize,
    width: usize,
}

impl Centred {
    /// # Shapes
    /// returns `[width, pairs]`
    fn features(&self) -> DMatrixView<'_, f64> {
        DMatrixView::from_slice(&self.values, self.width, self.n_pairs)
    }

    /// # Shapes
    /// returns `[pairs, width]`
    fn rows(&self) -> DMatrixView<'_, f64, Dyn, Dyn> {
        DMatrixView::from_slice_with_strides(&self.values, self.n_pairs, self.width, self.width, 1)
    }
}

fn mean(
    features: &dyn RowReader,
    pairs: &[(usize, usize)],
    row: impl Fn(&(usize, usize)) -> usize,
) -> io::Result<DVector<f64>> {
    let width = features.n_cols();
    let mut sum = DVector::zeros(width);
    for block in pairs.chunks(BLOCK_PAIRS) {
        let values = rows_of(features, block, &row)?;
        sum.as_mut_slice().par_chunks_mut(MEAN_STRIP).enumerate().for_each(|(strip_idx, sum)| {
            for row in values.chunks_exact(width) {
                let row = &row[strip_idx * MEAN_STRIP..];
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
            }
        });
    }
    Ok(sum / pairs.len().max(1) as f64)
}

fn centred(
    features: &dyn RowReader,
    pairs: &[(usize, usize)],
    row: impl Fn(&(usize, usize)) -> usize,
    mean: &DVector<f64>,
) -> io::Result<Centred> {
    let (from, width) = (rows_of(features, pairs, row)?, features.n_cols());
    let mut values = vec![0.0; from.len()];
    let rows = values.par_chunks_mut(width.max(1)).zip(from.par_chunks(width.max(1)));
    rows.for_each(|(row, from)| {
        row.iter_mut().zip(from).zip(mean).for_each(|((value, from), mean)| *value = f64::from(*from) - mean);
    });
    Ok(Centred { values, n_pairs: pairs.len(), width })
}

/// # Shapes
/// returns `[pairs, n_cols]`
fn rows_of(
    features: &dyn RowReader,
    pairs: &[(usize, usize)],
    row: impl Fn(&(usize, usize)) -> usize,
) -> io::Result<Vec<f32>> {
    read_rows(features, &pairs.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::fixtures;
    use pipeline_kernels::{Matrix, on_threads};

    /// The covariances as one thread sums them, each product at once.
    fn summed_at_once(text: &Matrix, images: &Matrix, pairs: &[(usize, usize)]) -> [DMatrix<f64>; 3] {
        let (d_text, d_image) = (text.n_cols, images.n_cols);
        let [text_mean, image_mean] =
            [mean(text, pairs, |pair| pair.0).unwrap(), mean(images, pairs, |pair| pair.1).unwrap()];
        let mut sums = [(d_text, d_text), (d_text, d_image), (d_image, d_image)].map(|(n, m)| DMatrix::zeros(n, m));
        for block in pairs.chunks(BLOCK_PAIRS) {
            let features = |matrix: &Matrix, row_idx: usize, mean: &DVector<f64>| {
                DVector::from_iterator(matrix.n_cols, matrix.row(row_idx).iter().map(|value| f64::from(*value))) - mean
            };
            let text: Vec<_> = block.iter().map(|pair| features(text, pair.0, &text_mean)).collect();
            let image: Vec<_> = block.iter().map(|pair| features(images, pair.1, &image_mean)).collect();
            let (text, image) = (DMatrix::from_columns(&text), DMatrix::from_columns(&image));
            for (sum, (left, right)) in sums.iter_mut().zip([(&text, &text), (&text, &image), (&image, &image)]) {
                sum.gemm(1.0 / pairs.len() as f64, left, &right.transpose(), 1.0);
            }
        }
        sums
    }

    fn bits(matrix: &DMatrix<f64>, is_counted: impl Fn(usize, usize) -> bool) -> Vec<u64> {
        let (n_rows, n_cols) = matrix.shape();
        let places = (0..n_rows).flat_map(|row| (0..n_cols).map(move |col| (row, col)));
        places.filter(|(row, col)| is_counted(*row, *col)).map(|place| matrix[place].to_bits()).collect()
    }

    #[test]
    fn strips_have_the_bits_of_a_sum_by_one_thread() {
        let numbers = |name: &str, n_rows, width| {
            Matrix::new(n_rows, width, fixtures::noise(name, vec![n_rows, width], 1.0).values)
        };
        // Widths below, at and above strips; blocks of few pairs, too.
        for (d_text, d_image, n_pairs) in
            [(64, 200, 2051), (1, 70, 90), (133, 3, 1024), (131, 257, 1500), (129, 128, 4)]
        {
            let (text, images) = (numbers("text", 300, d_text), numbers("images", 200, d_image));
            let pairs: Vec<_> = (0..n_pairs).map(|idx| (idx * 7 % 300, idx * 3 % 200)).collect();
            let expected = summed_at_once(&text, &images, &pairs);
            for n_threads in [1, 3] {
                let moments = on_threads(n_threads, || Moments::of(&text, &images, &pairs, true)).unwrap();
                let found = [&moments.text, &moments.cross, &moments.image];
                for (idx, (found, expected)) in found.into_iter().zip(&expected).enumerate() {
                    let is_counted = |row: usize, col: usize| idx == 1 || row >= col;
                    assert!(
                        bits(found, is_counted) == bits(expected, is_counted),
                        "sum {idx} of {d_text} and {d_image} numbers, {n_pairs} pairs, {n_threads} threads"
                    );
                }
            }
        }
    }
}
