//! Images of a pool that are the same picture.

use std::collections::BTreeMap;

use pipeline_kernels::Matrix;

/// Images with the same features, to the last bit: encoders give equal pixels equal features.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// The ids of each group of two or more images; the largest group first, then in the order of the pool.
    pub groups: Vec<Vec<String>>,
}

impl Duplicates {
    /// The number of images beyond the first of each group.
    pub fn n_spare(&self) -> usize {
        self.groups.iter().map(|group| group.len() - 1).sum()
    }
}

/// Finds the images with equal features.
///
/// # Shapes
/// features: `[ids.len(), d_features]`
pub fn duplicates(ids: &[Option<String>], features: &Matrix) -> Duplicates {
    let mut rows: BTreeMap<Vec<u32>, Vec<usize>> = BTreeMap::new();
    // The first numbers distinguish nearly all images; only rows that agree in them are compared in full.
    let n_first = features.n_cols.min(4);
    for row_idx in 0..features.n_rows {
        let first = features.row(row_idx)[..n_first].iter().map(|value| value.to_bits()).collect();
        rows.entry(first).or_default().push(row_idx);
    }
    let mut groups: Vec<Vec<usize>> =
        rows.into_values().filter(|rows| rows.len() > 1).flat_map(|rows| equal(rows, features)).collect();
    groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group[0]));
    let id = |row_idx: &usize| ids[*row_idx].clone().unwrap_or_default();
    Duplicates { groups: groups.iter().map(|group| group.iter().map(id).collect()).collect() }
}

/// The groups of two or more equal rows among `rows`.
fn equal(mut rows: Vec<usize>, features: &Matrix) -> Vec<Vec<usize>> {
    let bits = |row_idx: usize| features.row(row_idx).iter().map(|value| value.to_bits());
    rows.sort_by(|&a, &b| bits(a).cmp(bits(b)).then(a.cmp(&b)));
    let groups = rows.chunk_by(|&a, &b| bits(a).eq(bits(b)));
    groups.filter(|group| group.len() > 1).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_with_equal_features_are_one_group() {
        let ids: Vec<_> = ["a", "b", "c", "d", "e"].map(|id| Some(id.to_owned())).into();
        let rows = [[1.0_f32, 2.0, 0.0, 0.0, 9.0], [1.0, 2.0, 0.0, 0.0, 8.0], [3.0; 5]];
        let values = [rows[0], rows[1], rows[0], rows[2], rows[2]].concat();
        let found = duplicates(&ids, &Matrix::new(5, 5, values));
        assert_eq!(found.groups, [["a", "c"], ["d", "e"]]);
        assert_eq!(found.n_spare(), 2);
    }
}
