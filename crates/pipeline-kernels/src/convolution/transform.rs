//! The one-dimensional transforms of Winograd's F(4, 3), for the interpolation points 0, ±1, ±2 and ∞.
//!
//! `conv(d, g) = Aᵀ · ((G·g) ⊙ (Bᵀ·d))`: four outputs of a kernel of three from six inputs by six products.

use std::ops::{Add, Mul, Sub};

/// Inputs of a tile along an axis.
pub(super) const N_INPUTS: usize = 6;
/// Outputs of a tile along an axis.
pub(super) const N_OUTPUTS: usize = 4;

/// `G`
const KERNEL: [[f64; 3]; N_INPUTS] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// One number for each of `N` channels.
#[derive(Clone, Copy)]
pub(super) struct Lanes<const N: usize>(pub(super) [f32; N]);

/// One number of `G · g · Gᵀ`.
///
/// # Shapes
/// `kernel`: `[3, 3]` · `tap`: below 36
pub(super) fn kernel_at(kernel: &[f32], tap: usize) -> f32 {
    let (column, row) = (KERNEL[tap / N_INPUTS], KERNEL[tap % N_INPUTS]);
    let lines = kernel.chunks_exact(3).map(|line| line.iter().zip(row).map(|(g, factor)| f64::from(*g) * factor).sum());
    lines.zip(column).map(|(sum, factor): (f64, f64)| sum * factor).sum::<f64>() as f32
}

/// `Bᵀ · d`
#[inline(always)]
pub(super) fn inputs<const N: usize>(d: [Lanes<N>; N_INPUTS]) -> [Lanes<N>; N_INPUTS] {
    let (even, odd) = (d[4] - d[2] * 4.0, d[3] - d[1] * 4.0);
    let (far_even, far_odd) = (d[4] - d[2], (d[3] - d[1]) * 2.0);
    [
        d[0] * 4.0 - d[2] * 5.0 + d[4],
        even + odd,
        even - odd,
        far_even + far_odd,
        far_even - far_odd,
        d[1] * 4.0 - d[3] * 5.0 + d[5],
    ]
}

/// `Aᵀ · m`
#[inline(always)]
pub(super) fn outputs<const N: usize>(m: [Lanes<N>; N_INPUTS]) -> [Lanes<N>; N_OUTPUTS] {
    let (near, near_difference) = (m[1] + m[2], m[1] - m[2]);
    let (far, far_difference) = (m[3] + m[4], m[3] - m[4]);
    [
        m[0] + near + far,
        near_difference + far_difference * 2.0,
        near + far * 4.0,
        near_difference + far_difference * 8.0 + m[5],
    ]
}

impl<const N: usize> Lanes<N> {
    #[inline(always)]
    pub(super) fn read(values: &[f32], at: usize) -> Self {
        let mut lanes = [0.0; N];
        lanes.copy_from_slice(&values[at..at + N]);
        Self(lanes)
    }

    #[inline(always)]
    pub(super) fn write(self, values: &mut [f32], at: usize) {
        values[at..at + N].copy_from_slice(&self.0);
    }

    /// Not `max`, which would turn NaN into 0 and hide it.
    #[inline(always)]
    pub(super) fn relu(self) -> Self {
        Self(self.0.map(|value| if value < 0.0 { 0.0 } else { value }))
    }
}

impl<const N: usize> Add for Lanes<N> {
    type Output = Self;

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for lane in 0..N {
            self.0[lane] += other.0[lane];
        }
        self
    }
}

impl<const N: usize> Sub for Lanes<N> {
    type Output = Self;

    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        for lane in 0..N {
            self.0[lane] -= other.0[lane];
        }
        self
    }
}

impl<const N: usize> Mul for Lanes<N> {
    type Output = Self;

    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        for lane in 0..N {
            self.0[lane] *= other.0[lane];
        }
        self
    }
}

impl<const N: usize> Mul<f32> for Lanes<N> {
    type Output = Self;

    #[inline(always)]
    fn mul(mut self, factor: f32) -> Self {
        for lane in 0..N {
            self.0[lane] *= factor;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transformed_tiles_multiply_to_a_convolution() {
        let d: [f32; N_INPUTS] = [1.0, -2.0, 3.5, 0.25, -1.5, 2.0];
        let g: [f32; 3] = [0.5, -1.25, 2.0];
        // Both axes have the same transform. A kernel that is 1 in the middle of the other axis shows this one.
        let transformed = inputs(d.map(|value| Lanes([value])));
        let factors = KERNEL.map(|row| row.iter().zip(g).map(|(factor, g)| factor * f64::from(g)).sum::<f64>() as f32);
        let mut products = transformed;
        products.iter_mut().zip(factors).for_each(|(product, factor)| *product = *product * factor);
        for (idx, Lanes([value])) in outputs(products).into_iter().enumerate() {
            let expected: f32 = (0..3).map(|tap| d[idx + tap] * g[tap]).sum();
            assert!((value - expected).abs() < 1e-5, "output {idx}: {value} instead of {expected}");
        }
    }
}
