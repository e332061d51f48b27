//! Both modalities in the plane: the principal components of embedded queries and images together.

use pipeline_kernels::Matrix;

use super::random::Random;

/// The most points per modality, so that the page stays small.
const MAX_POINTS: usize = 1_200;

/// Rounds of power iteration; a map needs no more digits.
const N_ROUNDS: usize = 60;

/// Queries and images in the plane of their first two principal components.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Map {
    /// The queries.
    pub queries: Vec<Point>,
    /// The images.
    pub images: Vec<Point>,
    /// The shares of the variance along the two axes, fractions in 0..=1.
    pub variance: [f64; 2],
}

/// A query or an image on the map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Point {
    /// Its coordinates.
    pub at: [f64; 2],
    /// Its text for people.
    pub label: String,
}

/// The rows on a map: `MAX_POINTS` of `n_rows`, drawn with `seed`, in ascending order.
pub fn sample(n_rows: usize, seed: u64) -> Vec<usize> {
    let mut rows = Random::new(seed).choose(n_rows, MAX_POINTS);
    rows.sort_unstable();
    rows
}

impl Map {
    /// Projects embedded queries and images, with their labels. Deterministic.
    ///
    /// # Shapes
    /// queries: `[query_labels.len(), dim]`, images: `[image_labels.len(), dim]`
    ///
    /// # Panics
    /// When the numbers of rows and labels differ, or the widths do: a bug of the caller.
    pub fn new(queries: &Matrix, query_labels: Vec<String>, images: &Matrix, image_labels: Vec<String>) -> Self {
        assert_eq!((query_labels.len(), image_labels.len()), (queries.n_rows, images.n_rows), "BUG: a label a row");
        let both = Centered::new(&[queries, images]);
        let first = both.component(&[]);
        let second = both.component(&[&first]);
        let total: f64 = both.rows.iter().flatten().map(|value| value * value).sum();
        let share = |axis: &[f64]| {
            if total > 0.0 { both.along(axis).map(|place| place * place).sum::<f64>() / total } else { 0.0 }
        };
        let places: Vec<[f64; 2]> = both.along(&first).zip(both.along(&second)).map(|(x, y)| [x, y]).collect();
        let variance = [share(&first), share(&second)];
        let points = |places: &[[f64; 2]], labels: Vec<String>| {
            places.iter().zip(labels).map(|(at, label)| Point { at: *at, label }).collect()
        };
        let (of_queries, of_images) = places.split_at(queries.n_rows);
        Self { queries: points(of_queries, query_labels), images: points(of_images, image_labels), variance }
    }
}

/// Rows minus the mean of each column.
struct Centered {
    rows: Vec<Vec<f64>>,
    n_cols: usize,
}

impl Centered {
    fn new(parts: &[&Matrix]) -> Self {
        let n_cols = parts[0].n_cols;
        let rows = parts.iter().flat_map(|part| (0..part.n_rows).map(|row_idx| part.row(row_idx)));
        let mut rows: Vec<Vec<f64>> = rows.map(|row| row.iter().map(|value| f64::from(*value)).collect()).collect();
        for col_idx in 0..n_cols {
            let mean = rows.iter().map(|row| row[col_idx]).sum::<f64>() / rows.len().max(1) as f64;
            rows.iter_mut().for_each(|row| row[col_idx] -= mean);
        }
        Self { rows, n_cols }
    }

    /// The direction of the greatest variance that is orthogonal to `earlier`, by power iteration from a fixed start.
    fn component(&self, earlier: &[&Vec<f64>]) -> Vec<f64> {
        let mut random = Random::new(earlier.len() as u64);
        let mut axis: Vec<f64> = (0..self.n_cols).map(|_| random.below(2_001) as f64 - 1_000.0).collect();
        for _ in 0..N_ROUNDS {
            let mut next = vec![0.0; self.n_cols];
            for (row, place) in self.rows.iter().zip(self.along(&axis)) {
                next.iter_mut().zip(row).for_each(|(sum, value)| *sum += place * value);
            }
            for other in earlier {
                let overlap = dot(&next, other);
                next.iter_mut().zip(other.iter()).for_each(|(value, other)| *value -= overlap * other);
            }
            let length = dot(&next, &next).sqrt();
            if length <= f64::MIN_POSITIVE {
                // No variance is left.
                return vec![0.0; self.n_cols];
            }
            next.iter_mut().for_each(|value| *value /= length);
            axis = next;
        }
        // The sign of a component is arbitrary; this picks one of the two.
        let largest = axis.iter().copied().fold(0.0_f64, |a, b| if b.abs() > a.abs() { b } else { a });
        if largest < 0.0 {
            axis.iter_mut().for_each(|value| *value = -*value);
        }
        axis
    }

    /// The coordinate of each row along an axis.
    fn along<'a>(&'a self, axis: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.rows.iter().map(|row| dot(row, axis))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axes_are_those_of_the_greatest_variance() {
        // Ten times as wide along x as along z, and constant along y.
        let row = |idx: usize| [idx as f32 * 10.0, 3.0, if idx.is_multiple_of(2) { 1.0 } else { -1.0 }];
        let values = |rows: std::ops::Range<usize>| rows.flat_map(row).collect::<Vec<_>>();
        let labels = |n: usize| vec![String::new(); n];
        let map = Map::new(&Matrix::new(4, 3, values(0..4)), labels(4), &Matrix::new(6, 3, values(4..10)), labels(6));
        assert_eq!((map.queries.len(), map.images.len()), (4, 6));
        assert!(map.variance[0] > 0.99 && map.variance[0] + map.variance[1] > 0.999_999, "{:?}", map.variance);
        let step = map.queries[1].at[0] - map.queries[0].at[0];
        assert!((step.abs() - 10.0).abs() < 0.1, "{:?}", map.queries);
    }

    #[test]
    fn a_map_of_equal_points_is_one_point() {
        let map = Map::new(&Matrix::zeros(1, 2), vec![String::new()], &Matrix::zeros(1, 2), vec![String::new()]);
        assert_eq!(map.queries[0].at, [0.0, 0.0]);
        assert_eq!(map.variance, [0.0, 0.0]);
    }

    #[test]
    fn a_sample_is_a_part_of_the_rows_in_order() {
        assert_eq!(sample(3, 0), [0, 1, 2]);
        let rows = sample(10_000, 0);
        assert!(rows.len() == MAX_POINTS && rows.is_sorted());
    }
}
