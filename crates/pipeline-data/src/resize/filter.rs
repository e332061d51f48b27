//! The filters of a resize, and their weights as Pillow computes them.

use std::f64::consts::PI;

/// Coefficients are multiples of 2^-22: 32 bits minus 8-bit samples and two bits of headroom.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The kernel that weights the input pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Equal weights within a radius of 0.5.
    Box,
    /// A triangle of radius 1.
    Bilinear,
    /// A sinc of radius 1 under Hamming's window.
    Hamming,
    /// Keys' cubic of radius 2 with a = -0.5.
    Bicubic,
    /// A sinc of radius 3 under a wider sinc.
    Lanczos,
}

/// The weights of one output pixel: its first input pixel and the weights from there on.
pub(super) type Weights = (usize, Vec<i32>);

impl Filter {
    /// Input pixels on either side of an output pixel's centre, at the same size.
    pub(super) fn radius(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let distance = x.abs();
        match self {
            // Not symmetric at its edges.
            Self::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Self::Bilinear => (1.0 - distance).max(0.0),
            Self::Hamming if distance < 1.0 => sinc(distance) * (0.54 + 0.46 * (distance * PI).cos()),
            Self::Bicubic if distance < 1.0 => ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0,
            Self::Bicubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A,
            Self::Lanczos if distance < 3.0 => sinc(distance) * sinc(distance / 3.0),
            Self::Hamming | Self::Bicubic | Self::Lanczos => 0.0,
        }
    }

    /// The first input pixel of an output pixel, and the one behind its last.
    pub(super) fn range(self, n_inputs: usize, n_outputs: usize, output: usize) -> (usize, usize) {
        let scale = n_inputs as f64 / n_outputs as f64;
        let radius = self.radius() * scale.max(1.0);
        let center = (output as f64 + 0.5) * scale;
        // The cast saturates a negative float at 0.
        ((center - radius + 0.5) as usize, ((center + radius + 0.5) as usize).min(n_inputs))
    }

    /// The weights of an output pixel.
    pub(super) fn weights(self, n_inputs: usize, n_outputs: usize, output: usize) -> Weights {
        let scale = n_inputs as f64 / n_outputs as f64;
        // Multiplied instead of divided, for the same rounding as in Pillow.
        let inverse_scale = 1.0 / scale.max(1.0);
        let center = (output as f64 + 0.5) * scale;
        let (first, end) = self.range(n_inputs, n_outputs, output);
        let at = |input: usize| self.at((input as f64 - center + 0.5) * inverse_scale);
        let sum = (first..end).fold(0.0, |sum, input| sum + at(input));
        let weight = |input: usize| fixed_point(if sum == 0.0 { at(input) } else { at(input) / sum });
        (first, (first..end).map(weight).collect())
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

/// Rounds half away from zero.
fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}
