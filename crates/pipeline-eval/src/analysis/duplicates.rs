//! Images of a pool that are the same picture.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io;

use pipeline_kernels::{RowReader, each_block, read_rows};

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

/// Finds the images with equal features. Reads them once, and those that may be equal again.
///
/// # Shapes
/// features: `[ids.len(), d_features]`
///
/// # Errors
/// When they cannot be read.
pub fn duplicates(ids: &[Option<String>], features: &dyn RowReader) -> io::Result<Duplicates> {
    let mut rows: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    each_block(features, |block, values| {
        for (row_idx, row) in block.zip(values.chunks_exact(features.n_cols().max(1))) {
            rows.entry(hash(row)).or_default().push(row_idx);
        }
        Ok::<_, io::Error>(())
    })?;
    let mut groups = Vec::new();
    for rows in rows.into_values().filter(|rows| rows.len() > 1) {
        groups.extend(equal(&rows, features)?);
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group[0]));
    let id = |row_idx: &usize| ids[*row_idx].clone().unwrap_or_default();
    Ok(Duplicates { groups: groups.iter().map(|group| group.iter().map(id).collect()).collect() })
}

fn hash(row: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.iter().for_each(|value| hasher.write_u32(value.to_bits()));
    hasher.finish()
}

/// The groups of two or more equal rows among rows of one hash: unless by rare chance, all of them are equal.
fn equal(rows: &[usize], features: &dyn RowReader) -> io::Result<Vec<Vec<usize>>> {
    let mut groups: Vec<(Vec<u32>, Vec<usize>)> = Vec::new();
    for row_idx in rows {
        let bits: Vec<u32> = read_rows(features, &[*row_idx])?.iter().map(|value| value.to_bits()).collect();
        match groups.iter_mut().find(|(first, _)| *first == bits) {
            Some((_, group)) => group.push(*row_idx),
            None => groups.push((bits, vec![*row_idx])),
        }
    }
    Ok(groups.into_iter().map(|(_, group)| group).filter(|group| group.len() > 1).collect())
}

#[cfg(test)]
mod tests {
    use pipeline_kernels::Matrix;

    use super::*;

    #[test]
    fn images_with_equal_features_are_one_group() {
        let ids: Vec<_> = ["a", "b", "c", "d", "e"].map(|id| Some(id.to_owned())).into();
        let rows = [[1.0_f32, 2.0, 0.0, 0.0, 9.0], [1.0, 2.0, 0.0, 0.0, 8.0], [3.0; 5]];
        let values = [rows[0], rows[1], rows[0], rows[2], rows[2]].concat();
        let found = duplicates(&ids, &Matrix::new(5, 5, values.clone())).unwrap();
        assert_eq!(found.groups, [["a", "c"], ["d", "e"]]);
        assert_eq!(found.n_spare(), 2);
        // Even if all of them had one hash.
        let found = equal(&[0, 1, 2, 3, 4], &Matrix::new(5, 5, values)).unwrap();
        assert_eq!(found, [[0, 2], [3, 4]]);
    }
}
