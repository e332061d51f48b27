//! The numbers of a storage that make up a tensor: its shape, strides and offset, checked against the storage.

use std::ops::Range;

use super::element::Element;

/// The most axes: more than any tensor has.
const MAX_AXES: usize = 64;

/// A tensor's view of a storage; all its numbers lie in the storage.
///
/// # Shapes
/// `strides`: one per axis, in numbers
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    /// The index of the storage in the file.
    pub(super) storage_idx: usize,
    pub(super) element: Element,
    /// The length of each axis.
    pub(super) shape: Vec<usize>,
    strides: Vec<usize>,
    /// The index of the first number.
    offset: usize,
    n_numbers: usize,
}

impl View {
    /// A view that has been checked against a storage of `n_stored` numbers.
    ///
    /// # Errors
    /// Its fault, such as `reaches beyond its storage`.
    pub(super) fn new(
        storage_idx: usize,
        (element, n_stored): (Element, usize),
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Result<Self, &'static str> {
        if shape.len() != strides.len() || shape.len() > MAX_AXES {
            return Err("has as many strides as no tensor has");
        }
        let n_numbers = if shape.contains(&0) {
            0
        } else {
            shape.iter().try_fold(1usize, |n, length| n.checked_mul(*length)).ok_or("is larger than any memory")?
        };
        let view = Self { storage_idx, element, shape, strides, offset, n_numbers };
        match view.end() {
            Some(end) if end <= n_stored => Ok(view),
            _ => Err("reaches beyond its storage"),
        }
    }

    /// A view of a whole storage, the last axis contiguous.
    ///
    /// # Errors
    /// When the storage has fewer numbers.
    pub(super) fn whole(storage_idx: usize, stored: (Element, usize), shape: Vec<usize>) -> Result<Self, &'static str> {
        let strides = row_major(&shape);
        Self::new(storage_idx, stored, 0, shape, strides)
    }

    /// The number of the tensor's numbers.
    pub(super) fn n_numbers(&self) -> usize {
        self.n_numbers
    }

    /// The range of the storage from the tensor's first to its last number.
    pub(super) fn covered(&self) -> Range<usize> {
        if self.n_numbers == 0 {
            return 0..0;
        }
        self.offset..self.end().expect("a view is made only if its end can be computed")
    }

    /// Gathers the tensor's numbers from the covered range, the last axis contiguous.
    pub(super) fn gather(&self, covered: Vec<f32>) -> Vec<f32> {
        if self.is_row_major() {
            return covered;
        }
        let Some((&row_length, outer_shape)) = self.shape.split_last() else { return covered };
        let row_stride = self.strides[outer_shape.len()];
        let mut values = Vec::with_capacity(self.n_numbers);
        let mut position = vec![0; outer_shape.len()];
        let mut start = 0;
        while values.len() < self.n_numbers {
            values.extend((0..row_length).map(|column| covered[start + column * row_stride]));
            // The next row: the last axis advances first, as on an odometer.
            for axis in (0..outer_shape.len()).rev() {
                position[axis] += 1;
                start += self.strides[axis];
                if position[axis] < outer_shape[axis] {
                    break;
                }
                start -= self.strides[axis] * outer_shape[axis];
                position[axis] = 0;
            }
        }
        values
    }

    /// One past the last number, 0 without numbers; `None` on overflow.
    fn end(&self) -> Option<usize> {
        if self.n_numbers == 0 {
            return Some(0);
        }
        let step = |end: usize, (length, stride): (&usize, &usize)| end.checked_add((length - 1).checked_mul(*stride)?);
        let last = self.shape.iter().zip(&self.strides).try_fold(self.offset, step)?;
        last.checked_add(1)
    }

    fn is_row_major(&self) -> bool {
        let wanted = row_major(&self.shape);
        let mut axes = self.shape.iter().zip(&self.strides).zip(&wanted);
        axes.all(|((length, stride), wanted)| *length == 1 || stride == wanted)
    }
}

fn row_major(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len()).map(|axis| shape[axis..].iter().fold(1usize, |n, length| n.saturating_mul(*length))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(n_stored: usize, offset: usize, shape: &[usize], strides: &[usize]) -> Result<View, &'static str> {
        View::new(0, (Element::F32, n_stored), offset, shape.to_vec(), strides.to_vec())
    }

    #[test]
    fn a_tensor_is_read_in_the_order_of_its_axes() {
        let storage: Vec<f32> = (0..24).map(|n| n as f32).collect();
        for (offset, shape, strides, expected) in [
            (0, vec![2, 3], vec![3, 1], vec![0, 1, 2, 3, 4, 5]),
            (1, vec![3, 2], vec![1, 3], vec![1, 4, 2, 5, 3, 6]),
            (4, vec![2, 2], vec![0, 2], vec![4, 6, 4, 6]),
            (2, vec![2, 2, 2], vec![1, 12, 2], vec![2, 4, 14, 16, 3, 5, 15, 17]),
            (5, vec![], vec![], vec![5]),
            (23, vec![1, 1], vec![7, 9], vec![23]),
            (9, vec![0, 4], vec![4, 1], vec![]),
        ] {
            let view = view(24, offset, &shape, &strides).unwrap();
            let values = view.gather(storage[view.covered()].to_vec());
            let expected: Vec<f32> = expected.into_iter().map(|n| n as f32).collect();
            assert_eq!((values.len(), values), (view.n_numbers(), expected), "{shape:?} {strides:?}");
        }
    }

    #[test]
    fn what_lies_outside_the_storage_is_refused() {
        let huge = usize::MAX / 2;
        for (offset, shape, strides) in [
            (0, vec![25], vec![1]),
            (24, vec![1], vec![1]),
            (0, vec![2, 2], vec![23, 1]),
            (usize::MAX, vec![2], vec![1]),
            (0, vec![huge, 4], vec![0, 1]),
            (0, vec![3, 3], vec![huge, 1]),
            (0, vec![2], vec![1, 1]),
            (0, vec![1; 65], vec![1; 65]),
        ] {
            assert!(view(24, offset, &shape, &strides).is_err(), "{offset} {shape:?} {strides:?}");
        }
        assert!(view(24, 0, &[huge, 0], &[1, 1]).is_ok());
    }
}
