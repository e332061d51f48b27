//! Points of a Sobol sequence: whole numbers that fill a cube evenly, however many of them are taken.

/// The largest number of dimensions.
pub const MAX_DIMENSIONS: usize = 16;

/// The degree, the inner coefficients and the first direction numbers of a dimension after the first, by S. Joe and
/// F. Y. Kuo, "Constructing Sobol sequences with better two-dimensional projections" (2008), table new-joe-kuo-6.21201.
const POLYNOMIALS: [(usize, u32, &[u32]); MAX_DIMENSIONS - 1] = [
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
    (5, 4, &[1, 1, 5, 5, 5]),
    (5, 7, &[1, 1, 7, 11, 19]),
    (5, 11, &[1, 1, 5, 1, 1]),
    (5, 13, &[1, 1, 1, 3, 11]),
    (5, 14, &[1, 3, 5, 5, 31]),
    (6, 1, &[1, 3, 3, 9, 7, 49]),
    (6, 13, &[1, 1, 1, 15, 21, 21]),
    (6, 16, &[1, 3, 1, 13, 27, 49]),
];

/// The direction numbers of a dimension, from 0: one for each bit.
#[derive(Debug, Clone)]
pub struct Directions([u32; 32]);

impl Directions {
    /// The directions of a dimension, below [`MAX_DIMENSIONS`].
    pub fn of(dimension: usize) -> Self {
        let mut directions = [0u32; 32];
        let Some((degree, coefficients, first)) = dimension.checked_sub(1).map(|idx| POLYNOMIALS[idx]) else {
            return Self(std::array::from_fn(|bit| 1 << (31 - bit)));
        };
        for bit in 0..32 {
            directions[bit] = match first.get(bit) {
                Some(number) => number << (31 - bit),
                None => {
                    let before = directions[bit - degree];
                    (1..degree)
                        .filter(|at| coefficients >> (degree - 1 - at) & 1 == 1)
                        .fold(before ^ (before >> degree), |sum, at| sum ^ directions[bit - at])
                }
            };
        }
        Self(directions)
    }

    /// The coordinate of the point at `idx`, as a fraction of 2³².
    pub fn at(&self, idx: u32) -> u32 {
        // Gray code: neighbours differ in one direction, and each power of two of points is the same set.
        let gray = idx ^ (idx >> 1);
        (0..32).filter(|bit| gray >> bit & 1 == 1).fold(0, |sum, bit| sum ^ self.0[bit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_those_of_pytorch() {
        let point = |idx: u32| -> Vec<u32> {
            (0..MAX_DIMENSIONS).map(|dimension| Directions::of(dimension).at(idx) >> 22).collect()
        };
        // torch.quasirandom.SobolEngine(16).draw(1001)[[7, 1000]] * 1024
        assert_eq!(point(7), SEVENTH);
        assert_eq!(point(1000), THOUSANDTH);
    }

    const SEVENTH: [u32; MAX_DIMENSIONS] =
        [128, 640, 384, 128, 128, 384, 640, 640, 640, 896, 640, 128, 640, 384, 128, 128];
    const THOUSANDTH: [u32; MAX_DIMENSIONS] =
        [225, 99, 531, 693, 287, 929, 47, 921, 513, 71, 87, 261, 165, 393, 147, 379];

    #[test]
    fn every_power_of_two_of_points_fills_every_dimension_evenly() {
        for dimension in 0..MAX_DIMENSIONS {
            let directions = Directions::of(dimension);
            for log in 0..10 {
                let mut parts: Vec<u32> =
                    (0..1 << log).map(|idx| directions.at(idx).checked_shr(32 - log).unwrap_or(0)).collect();
                parts.sort_unstable();
                assert_eq!(parts, (0..1 << log).collect::<Vec<_>>(), "dimension {dimension}, {} points", 1 << log);
            }
        }
    }
}
