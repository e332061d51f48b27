//! Turns bytes into the numbers that an encoder was trained on.

/// Images of one size, and the numbers of their levels.
#[derive(Clone, Copy)]
pub(crate) struct Images<'a> {
    /// Each `[height, width, 3]`, RGB.
    pub(crate) pixels: &'a [&'a [u8]],
    /// Lines of an image.
    pub(crate) height: usize,
    /// Pixels of a line.
    pub(crate) width: usize,
    /// The numbers of their levels.
    pub(crate) table: &'a PixelTable,
}

impl<'a> Images<'a> {
    /// Images of `height × width` pixels.
    ///
    /// # Panics
    /// When an image has another number of bytes: a bug of the caller.
    pub(crate) fn new(pixels: &'a [&'a [u8]], height: usize, width: usize, table: &'a PixelTable) -> Self {
        let n_bytes = height * width * 3;
        assert!(n_bytes > 0 && pixels.iter().all(|rgb| rgb.len() == n_bytes), "BUG: an image needs {n_bytes} bytes");
        Self { pixels, height, width, table }
    }
}

/// The normalised value of every level of every channel: `(level · factor - mean) / std` in `f32`. It is bit for bit
/// that of torchvision's `ToTensor` and `Normalize`.
pub(crate) struct PixelTable {
    channels: [[f32; 256]; 3],
}

impl PixelTable {
    /// Computes the numbers of all levels; a factor of 1/255 divides, as `ToTensor` does.
    pub(crate) fn new(factor: f64, mean: [f32; 3], std: [f32; 3]) -> Self {
        let is_fraction = factor == 1.0 / 255.0;
        let scaled = |level: usize| if is_fraction { level as f32 / 255.0 } else { (level as f64 * factor) as f32 };
        let channel = |idx: usize| std::array::from_fn(|level| (scaled(level) - mean[idx]) / std[idx]);
        Self { channels: std::array::from_fn(channel) }
    }

    /// The numbers of the levels of red, green and blue.
    pub(crate) fn channels(&self) -> &[[f32; 256]; 3] {
        &self.channels
    }

    /// Appends an image pixel by pixel.
    ///
    /// # Shapes
    /// `rgb`: `[height, width, 3]` · appended: the same
    pub(crate) fn append_pixels(&self, rgb: &[u8], values: &mut Vec<f32>) {
        let [red, green, blue] = self.channels();
        values.extend(
            rgb.chunks_exact(3).flat_map(|pixel| {
                [red[usize::from(pixel[0])], green[usize::from(pixel[1])], blue[usize::from(pixel[2])]]
            }),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_a_deviation_and_a_factor_are_followed() {
        let table = PixelTable::new(1.0 / 127.5, [1.0; 3], [0.5, 1.0, 2.0]);
        let of = |level: usize| [0, 1, 2].map(|channel| table.channels[channel][level]);
        assert_eq!((of(0), of(255)), ([-2.0, -1.0, -0.5], [2.0, 1.0, 0.5]));
    }

    #[test]
    fn the_channels_of_a_pixel_stay_together() {
        let table = PixelTable::new(1.0, [0.0, 10.0, 20.0], [1.0; 3]);
        let mut pixels = Vec::new();
        table.append_pixels(&[21, 22, 23, 24, 25, 26], &mut pixels);
        assert_eq!(pixels, [21.0, 12.0, 3.0, 24.0, 15.0, 6.0]);
    }
}
