//! Layer norm, and the addition before it.

use crate::InstructionSet;

/// Partial sums of a row: as many as the widest registers hold.
const N_SUMS: usize = 16;

/// `y = (x - mean) / sqrt(variance + epsilon) · scale + shift`, over each row
pub struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f32,
    instructions: InstructionSet,
}

impl Norm {
    /// # Shapes
    /// `scale`, `shift`: one number per column
    pub fn new(scale: Vec<f32>, shift: Vec<f32>, epsilon: f64, instructions: InstructionSet) -> Self {
        Self { scale, shift, epsilon: epsilon as f32, instructions }
    }

    /// Normalises rows in place.
    pub fn apply(&self, rows: &mut [f32]) {
        self.instructions.run(
            #[inline(always)]
            || {
                for row in rows.chunks_exact_mut(self.scale.len()) {
                    self.apply_to_row(row);
                }
            },
        );
    }

    /// Normalises rows into `out`, which has as many numbers.
    pub fn apply_into(&self, rows: &[f32], out: &mut [f32]) {
        let width = self.scale.len();
        self.instructions.run(
            #[inline(always)]
            || {
                for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                    out.copy_from_slice(row);
                    self.apply_to_row(out);
                }
            },
        );
    }

    /// Adds `others` to rows and normalises the sums in place.
    pub fn add_and_apply(&self, rows: &mut [f32], others: &[f32]) {
        let width = self.scale.len();
        self.instructions.run(
            #[inline(always)]
            || {
                for (row, other) in rows.chunks_exact_mut(width).zip(others.chunks_exact(width)) {
                    row.iter_mut().zip(other).for_each(|(value, other)| *value += other);
                    self.apply_to_row(row);
                }
            },
        );
    }

    #[inline(always)]
    fn apply_to_row(&self, row: &mut [f32]) {
        let width = row.len() as f32;
        let mean = sum_of(row, |value| value) / width;
        let variance = sum_of(row, |value| (value - mean) * (value - mean)) / width;
        let inverse = 1.0 / (variance + self.epsilon).sqrt();
        for ((value, scale), shift) in row.iter_mut().zip(&self.scale).zip(&self.shift) {
            *value = (*value - mean) * inverse * scale + shift;
        }
    }
}

/// The sum of `term` over the numbers of a row, in an order that depends on the row's width alone.
#[inline(always)]
fn sum_of(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; N_SUMS];
    let (runs, rest) = row.as_chunks::<N_SUMS>();
    for run in runs {
        sums.iter_mut().zip(run).for_each(|(sum, value)| *sum += term(*value));
    }
    sums.iter_mut().zip(rest).for_each(|(sum, value)| *sum += term(*value));
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_and_normalised() {
        let norm = || Norm::new(vec![2.0; 20], vec![0.5; 20], 1e-12, InstructionSet::best());
        let (mut rows, others): (Vec<f32>, Vec<f32>) = (0..40).map(|idx| (idx as f32, (idx % 7) as f32)).unzip();
        let sums: Vec<f32> = rows.iter().zip(&others).map(|(row, other)| row + other).collect();
        norm().add_and_apply(&mut rows, &others);
        for (row, sums) in rows.chunks(20).zip(sums.chunks(20)) {
            let mean = sums.iter().sum::<f32>() / 20.0;
            let deviation = (sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f32>() / 20.0).sqrt();
            for (value, sum) in row.iter().zip(sums) {
                assert!((value - ((sum - mean) / deviation * 2.0 + 0.5)).abs() < 1e-5);
            }
        }
        let mut alone = sums[20..].to_vec();
        norm().apply(&mut alone);
        assert_eq!(alone, rows[20..]);
        let mut elsewhere = vec![0.0; 20];
        norm().apply_into(&sums[20..], &mut elsewhere);
        assert_eq!(elsewhere, rows[20..]);
    }
}
