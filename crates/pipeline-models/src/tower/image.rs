//! The plain weights of an image tower: a vision transformer.

use super::{DenseWeights, HeadStep, LayerShape, LayerWeights, NormWeights};

/// An image encoder: patches, positions, layers, and the way from the patches' vectors to the image's.
#[derive(Debug)]
pub(crate) struct ImageTower {
    pub(crate) shape: LayerShape,
    /// Pixels of a patch's side.
    pub(crate) patch: usize,
    /// The map of a patch; its inputs are line by line, pixel by pixel, channel by channel.
    pub(crate) patches: DenseWeights,
    /// The vectors before the patches', such as a class token: `[n_prefix, width]`.
    pub(crate) prefix: Vec<f32>,
    pub(crate) positions: PatchPositions,
    /// Of the sums of patches and positions.
    pub(crate) first_norm: Option<NormWeights>,
    pub(crate) layers: Vec<LayerWeights>,
    /// Of the last layer's vectors.
    pub(crate) final_norm: Option<NormWeights>,
    pub(crate) pool: ImagePool,
    pub(crate) head: Vec<HeadStep>,
}

/// The way from an image's many vectors to one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ImagePool {
    /// The class token's vector: the first one.
    Class,
    /// The mean over the patches, vectors before them left out.
    Mean,
    /// No pooling: all vectors, those before the patches included.
    Tokens,
    /// A learned query that attends to the patches: SigLIP's head.
    Probe(Box<ProbeWeights>),
}

/// SigLIP's head: attention of one learned query, then a feed-forward part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProbeWeights {
    /// `[width]`
    pub(crate) probe: Vec<f32>,
    pub(crate) query: DenseWeights,
    pub(crate) key: DenseWeights,
    pub(crate) value: DenseWeights,
    pub(crate) output: DenseWeights,
    pub(crate) norm: NormWeights,
    pub(crate) intermediate: DenseWeights,
    pub(crate) last: DenseWeights,
}

/// The positions of the vectors of an image: those before the patches, then a square grid of patches.
///
/// # Shapes
/// `values`: `[n_prefix + side², width]`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PatchPositions {
    pub(crate) n_prefix: usize,
    pub(crate) side: usize,
    pub(crate) values: Vec<f32>,
}

impl PatchPositions {
    /// The positions for a grid of `rows` × `cols` patches, interpolated where it is not the model's own.
    ///
    /// Bicubic as `torch.nn.functional.interpolate`: a = -0.75, half-pixel centres, edges repeated, no antialiasing.
    ///
    /// # Shapes
    /// returns `[n_prefix + rows · cols, width]`
    pub(crate) fn for_grid(&self, rows: usize, cols: usize) -> Vec<f32> {
        if (rows, cols) == (self.side, self.side) {
            return self.values.clone();
        }
        let width = self.values.len() / (self.n_prefix + self.side * self.side);
        let (prefix, grid) = self.values.split_at(self.n_prefix * width);
        let grid: Vec<f64> = grid.iter().map(|value| f64::from(*value)).collect();
        // Lines first, then the places within each: `[side, side, width]` to `[rows, side, width]` to
        // `[rows, cols, width]`.
        let lines = resized(&grid, self.side * width, rows);
        let places: Vec<f64> =
            lines.chunks_exact(self.side * width).flat_map(|line| resized(line, width, cols)).collect();
        prefix.iter().copied().chain(places.iter().map(|value| *value as f32)).collect()
    }
}

/// Resizes a list of equally long runs of numbers to `n_out` runs.
fn resized(runs: &[f64], run_len: usize, n_out: usize) -> Vec<f64> {
    let n_in = runs.len() / run_len;
    let mut out = vec![0.0; n_out * run_len];
    for (out_idx, out) in out.chunks_exact_mut(run_len).enumerate() {
        let centre = (out_idx as f64 + 0.5) * n_in as f64 / n_out as f64 - 0.5;
        let base = centre.floor();
        for step in [-1.0, 0.0, 1.0, 2.0] {
            let (place, weight) = (base + step, cubic(centre - (base + step)));
            let in_idx = place.clamp(0.0, n_in as f64 - 1.0) as usize;
            out.iter_mut().zip(&runs[in_idx * run_len..]).for_each(|(out, value)| *out += weight * value);
        }
    }
    out
}

/// The kernel of cubic convolution with a = -0.75.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.75;
    let d = distance.abs();
    if d <= 1.0 {
        ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0
    } else if d < 2.0 {
        ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_grid_is_taken_as_it_is_and_others_are_interpolated() {
        let values: Vec<f32> = (0_i8..10).map(f32::from).collect();
        let positions = PatchPositions { n_prefix: 1, side: 3, values: values.clone() };
        assert_eq!(positions.for_grid(3, 3), values);
        // The grid 1, 2, … 9 resized by cubic convolution in NumPy.
        let expected = [1.5024, 2.1040, 3.0444, 3.6460, 6.3540, 6.9556, 7.8960, 8.4976];
        let found = positions.for_grid(2, 4);
        assert_eq!(found[0], 0.0);
        for (found, expected) in found[1..].iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
        }
    }
}
