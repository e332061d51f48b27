//! Heads that are computed instead of trained: ridge regression and canonical correlation analysis.
//!
//! Both centre the features, solve in f64, and keep the directions in the order of their weight. Each number is summed
//! in an order that does not depend on threads. So every processor with FMA gives the same bits.

mod moments;

use nalgebra::{Cholesky, DMatrix, DVector, Dyn, SymmetricEigen};

use super::TrainError;
use super::options::check_pairs;
use crate::heads::{Heads, Linear};
use moments::Moments;
use pipeline_kernels::{Matrix, RowReader, on_threads};

/// The least weight of a direction, as a share of the first: anything smaller is rounding.
const MIN_SHARE: f64 = 1e-6;

/// The method of computing heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedForm {
    /// Maps texts to the features of their images by ridge regression, and rotates images to the directions that texts
    /// reach.
    Ridge,
    /// Maps both to the directions in which they correlate most, weighted by the correlation (Hotelling 1936; with a
    /// penalty on both covariances).
    Cca,
}

/// Computes heads from the pairs; with fewer directions than `dim`, the other rows of both weights are zero.
///
/// `penalty` is added to the diagonal of covariances, as a share of their mean diagonal. The thread count changes no
/// bit of the result.
///
/// # Shapes
/// - text: `[n_texts, d_text]`, images: `[n_images, d_image]`
/// - pairs: (row of `text`, row of `images`)
/// - output: weights `[dim, d_text]` and `[dim, d_image]`
///
/// # Errors
/// When the penalty is not a positive number, a pair names a missing row, the features cannot be read, or one of them
/// is not finite ([`TrainError::Unsolvable`]).
pub fn fit(
    text: &dyn RowReader,
    images: &dyn RowReader,
    pairs: &[(usize, usize)],
    method: ClosedForm,
    penalty: f64,
    dim: usize,
    n_threads: usize,
) -> Result<Heads, TrainError> {
    if !(penalty.is_finite() && penalty > 0.0) {
        return Err(TrainError::Option { name: "penalty", value: penalty, wanted: "a number above 0" });
    }
    check_pairs(text.n_rows(), images.n_rows(), pairs)?;
    let moments = on_threads(n_threads, || Moments::of(text, images, pairs, method == ClosedForm::Cca))?;
    let (text_weight, image_weight) = match method {
        ClosedForm::Ridge => ridge(&moments, penalty),
        ClosedForm::Cca => cca(&moments, penalty),
    }
    .ok_or(TrainError::Unsolvable)?;
    Ok(Heads {
        text: linear(text_weight, &moments.text_mean, dim).into(),
        image: linear(image_weight, &moments.image_mean, dim).into(),
    })
}

/// The map `W` of texts to images has the singular directions `U`: texts go to `Uᵀ·W`, images to `Uᵀ`.
fn ridge(moments: &Moments, penalty: f64) -> Option<(DMatrix<f64>, DMatrix<f64>)> {
    // Wᵀ, of the shape [d_text, d_image].
    let map = penalised(&moments.text, penalty)?.solve(&moments.cross);
    let Directions { left, right, weights } = directions(&map)?;
    let text = DMatrix::from_diagonal(&weights) * left.transpose();
    Some((text, right.transpose()))
}

/// With `M = Lt⁻¹ · cross · Li⁻ᵀ = U·S·Vᵀ` of the covariances' Cholesky factors, texts go to `S·Uᵀ·Lt⁻¹` and images to
/// `S·Vᵀ·Li⁻¹`.
fn cca(moments: &Moments, penalty: f64) -> Option<(DMatrix<f64>, DMatrix<f64>)> {
    let text = penalised(&moments.text, penalty)?.unpack();
    let image = penalised(&moments.image, penalty)?.unpack();
    let half = text.solve_lower_triangular(&moments.cross)?;
    let whitened = image.solve_lower_triangular(&half.transpose())?.transpose();
    let Directions { left, right, weights } = directions(&whitened)?;
    let weights = DMatrix::from_diagonal(&weights);
    // (S·Uᵀ·Lt⁻¹)ᵀ = Lt⁻ᵀ·U·S
    let head = |factor: &DMatrix<f64>, directions: DMatrix<f64>| {
        let solved = factor.transpose().solve_upper_triangular(&(directions * &weights))?;
        Some(solved.transpose())
    };
    Some((head(&text, left)?, head(&image, right)?))
}

fn penalised(covariance: &DMatrix<f64>, penalty: f64) -> Option<Cholesky<f64, Dyn>> {
    let mean_diagonal = covariance.trace() / covariance.nrows().max(1) as f64;
    // Constant features have no direction; any positive diagonal then gives heads of zeros.
    let added = if mean_diagonal == 0.0 { 1.0 } else { penalty * mean_diagonal };
    let mut covariance = covariance.clone();
    (0..covariance.nrows()).for_each(|idx| covariance[(idx, idx)] += added);
    covariance.cholesky()
}

/// A matrix as `left · weights · rightᵀ`, the largest weight first.
struct Directions {
    left: DMatrix<f64>,
    right: DMatrix<f64>,
    weights: DVector<f64>,
}

/// Computed from the eigenvectors of the smaller Gram matrix; `None` when a number is not finite.
fn directions(matrix: &DMatrix<f64>) -> Option<Directions> {
    if matrix.nrows() > matrix.ncols() {
        let Directions { left, right, weights } = directions(&matrix.transpose())?;
        return Some(Directions { left: right, right: left, weights });
    }
    if matrix.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let eigen = SymmetricEigen::new(matrix * matrix.transpose());
    let mut order: Vec<usize> = (0..matrix.nrows()).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let largest = order.first().map_or(0.0, |idx| eigen.eigenvalues[*idx].max(0.0).sqrt());
    let weight = |idx: usize| eigen.eigenvalues[idx].max(0.0).sqrt();
    order.retain(|idx| weight(*idx) > MIN_SHARE * largest);
    let mut left = DMatrix::zeros(matrix.nrows(), order.len());
    for (place, idx) in order.iter().enumerate() {
        left.set_column(place, &upright(eigen.eigenvectors.column(*idx).into_owned()));
    }
    let weights = DVector::from_iterator(order.len(), order.iter().map(|idx| weight(*idx)));
    let mut right = matrix.transpose() * &left;
    right.column_iter_mut().zip(&weights).for_each(|(mut column, weight)| column /= *weight);
    Some(Directions { left, right, weights })
}

/// The direction or its opposite, whichever has a positive largest number.
fn upright(direction: DVector<f64>) -> DVector<f64> {
    if direction[direction.iamax()] < 0.0 { -direction } else { direction }
}

/// The first `dim` rows of `weight`, and the bias that maps the mean to zero.
fn linear(weight: DMatrix<f64>, mean: &DVector<f64>, dim: usize) -> Linear {
    let d_in = weight.ncols();
    let mut linear = Linear { weight: Matrix::zeros(dim, d_in), bias: vec![0.0; dim] };
    for (row_idx, row) in weight.row_iter().take(dim).enumerate() {
        let values = &mut linear.weight.values[row_idx * d_in..][..d_in];
        values.iter_mut().zip(row.iter()).for_each(|(to, from)| *to = *from as f32);
        linear.bias[row_idx] = -row.iter().zip(mean).map(|(weight, mean)| weight * mean).sum::<f64>() as f32;
    }
    linear
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::embed;
    use crate::weights::fixtures;
    use pipeline_eval::{Similarity, rank};

    /// Texts and images made of the same 6 hidden numbers, each through its own map, with noise.
    fn twins(n: usize, noise: f32) -> (Matrix, Matrix) {
        let hidden = fixtures::noise("hidden", vec![n, 6], 1.0).values;
        let side = |name: &str, width: usize| {
            let map = fixtures::noise(name, vec![6, width], 1.0).values;
            let noisy = fixtures::noise(&format!("noise of {name}"), vec![n, width], noise).values;
            let value = |row: usize, col: usize| {
                3.0 + noisy[row * width + col] + (0..6).map(|k| hidden[row * 6 + k] * map[k * width + col]).sum::<f32>()
            };
            let values = (0..n * width).map(|idx| value(idx / width, idx % width)).collect();
            Matrix::new(n, width, values)
        };
        (side("text", 20), side("image", 33))
    }

    /// A covariance of which the lower triangle is known.
    fn symmetric(lower: &DMatrix<f64>) -> DMatrix<f64> {
        let mut whole = lower.clone();
        whole.fill_upper_triangle_with_lower_triangle();
        whole
    }

    fn first_places(text: &Matrix, images: &Matrix, heads: &Heads) -> usize {
        let queries = embed(text, Some(&heads.text), true, 1).unwrap();
        let pool = embed(images, Some(&heads.image), true, 1).unwrap();
        let own: Vec<Vec<usize>> = (0..text.n_rows).map(|row| vec![row]).collect();
        let rankings = rank(&queries, &pool, &own, 1, Similarity::Cosine, 1).unwrap();
        rankings.iter().filter(|ranking| ranking.best_rank() == Some(1)).count()
    }

    #[test]
    fn pairs_that_were_never_seen_find_each_other() {
        let (text, images) = twins(400, 0.1);
        let pairs: Vec<_> = (0..300).map(|row| (row, row)).collect();
        for method in [ClosedForm::Ridge, ClosedForm::Cca] {
            let heads = fit(&text, &images, &pairs, method, 1e-3, 8, 2).unwrap();
            assert_eq!(heads.dim(), 8);
            let found = first_places(&text, &images, &heads);
            assert!(found >= 380, "{method:?}: {found} of 400");
        }
    }

    #[test]
    fn ridge_is_the_solution_of_its_normal_equations() {
        let (text, images) = twins(50, 0.5);
        let pairs: Vec<_> = (0..50).map(|row| (row, row)).collect();
        let moments = Moments::of(&text, &images, &pairs, false).unwrap();
        let (text_head, image_head) = ridge(&moments, 0.1).unwrap();
        // Images mapped back from the directions that texts reach: Wᵀ, except for directions that no text reaches.
        let map = (image_head.transpose() * text_head).transpose();
        let mut left = symmetric(&moments.text);
        let added = 0.1 * left.trace() / 20.0;
        (0..20).for_each(|idx| left[(idx, idx)] += added);
        let rest = (left * map - &moments.cross).amax();
        assert!(rest < 1e-4 * moments.cross.amax(), "{rest:e}");
    }

    #[test]
    fn cca_correlates_each_direction_with_its_own_only() {
        let (text, images) = twins(300, 0.3);
        let pairs: Vec<_> = (0..300).map(|row| (row, row)).collect();
        let moments = Moments::of(&text, &images, &pairs, true).unwrap();
        let (text_head, image_head) = cca(&moments, 1e-6).unwrap();
        let cross = &text_head * &moments.cross * image_head.transpose();
        let own = &text_head * symmetric(&moments.text) * text_head.transpose();
        for row in 0..6 {
            for col in (0..6).filter(|col| *col != row) {
                assert!(cross[(row, col)].abs() < 1e-4, "cross {row} {col}: {}", cross[(row, col)]);
                assert!(own[(row, col)].abs() < 1e-4, "own {row} {col}: {}", own[(row, col)]);
            }
            // Weighted by the correlation: S·S·S in the cross covariance, S·S within.
            assert!((cross[(row, row)] - own[(row, row)].powf(1.5)).abs() < 1e-3);
        }
    }

    #[test]
    fn directions_that_are_not_there_are_zero() {
        let (text, images) = twins(40, 0.1);
        let pairs: Vec<_> = (0..40).map(|row| (row, row)).collect();
        let heads = fit(&text, &images, &pairs, ClosedForm::Cca, 1e-2, 64, 3).unwrap();
        assert_eq!((heads.text.output.weight.n_rows, heads.image.output.weight.n_rows), (64, 64));
        assert!(heads.text.output.weight.row(20).iter().all(|value| *value == 0.0));
        assert!(heads.is_finite());
    }

    #[test]
    fn without_pairs_heads_are_zero_and_bad_numbers_are_refused() {
        let (text, mut images) = twins(4, 0.1);
        let heads = fit(&text, &images, &[], ClosedForm::Ridge, 1e-2, 4, 1).unwrap();
        assert!(heads.text.output.weight.values.iter().all(|value| *value == 0.0));
        let wrong = fit(&text, &images, &[(0, 9)], ClosedForm::Ridge, 1e-2, 4, 1);
        assert!(matches!(wrong, Err(TrainError::Pair { row: 9, .. })));
        let wrong = fit(&text, &images, &[(0, 0)], ClosedForm::Ridge, 0.0, 4, 1);
        assert!(matches!(wrong, Err(TrainError::Option { name: "penalty", .. })));
        images.values[0] = f32::NAN;
        let wrong = fit(&text, &images, &[(0, 0), (1, 1)], ClosedForm::Cca, 1e-2, 4, 1);
        assert!(matches!(wrong, Err(TrainError::Unsolvable)));
    }
}
