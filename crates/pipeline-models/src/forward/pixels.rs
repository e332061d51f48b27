//! Converts bytes to the numbers that an encoder was trained on.

use crate::preprocessing::Preprocessing;

/// The normalised value of every level of every channel: `(level / 255 - mean) / std` in `f32`. It is bit for bit that
/// of torchvision's `ToTensor` and `Normalize`.
pub(crate) struct PixelTable {
    values: [[f32; 256]; 3],
}

impl PixelTable {
    pub(crate) fn new(preprocessing: &Preprocessing) -> Self {
        let Preprocessing { factor, mean, std } = preprocessing;
        let is_fraction = *factor == 1.0 / 255.0;
        let scaled = |level: usize| if is_fraction { level as f32 / 255.0 } else { (level as f64 * factor) as f32 };
        let channel = |idx: usize| std::array::from_fn(|level| (scaled(level) - mean[idx]) / std[idx]);
        Self { values: std::array::from_fn(channel) }
    }

    /// Appends an image pixel by pixel.
    ///
    /// # Shapes
    /// `rgb`: `[height, width, 3]` · appended: the same
    pub(crate) fn append_pixels(&self, rgb: &[u8], values: &mut Vec<f32>) {
        let [red, green, blue] = &self.values;
        values.extend(
            rgb.chunks_exact(3).flat_map(|pixel| {
                [red[usize::from(pixel[0])], green[usize::from(pixel[1])], blue[usize::from(pixel[2])]]
            }),
        );
    }

    /// Appends an image channel by channel.
    ///
    /// # Shapes
    /// `rgb`: `[height, width, 3]` · appended: `[3, height, width]`
    #[cfg(any(feature = "cuda", test))]
    pub(crate) fn append_planes(&self, rgb: &[u8], planes: &mut Vec<f32>) {
        for (channel, levels) in self.values.iter().enumerate() {
            planes.extend(rgb[channel..].iter().step_by(3).map(|level| levels[usize::from(*level)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::fixtures;

    #[test]
    fn every_level_is_bit_equal_to_torchvision() {
        let table = PixelTable::new(&Preprocessing::default());
        let golden = &fixtures::tensors("goldens/pixel_table.safetensors")["normalized_level"];
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(table.values.as_flattened()), bits(&golden.values));
    }

    #[test]
    fn another_mean_deviation_and_factor_are_followed() {
        let preprocessing = Preprocessing { factor: 1.0 / 127.5, mean: [1.0; 3], std: [0.5, 1.0, 2.0] };
        let table = PixelTable::new(&preprocessing);
        let of = |level: usize| [0, 1, 2].map(|channel| table.values[channel][level]);
        assert_eq!((of(0), of(255)), ([-2.0, -1.0, -0.5], [2.0, 1.0, 0.5]));
    }

    #[test]
    fn channels_become_planes_or_stay_together() {
        let table = PixelTable::new(&Preprocessing::default());
        let mut planes = Vec::new();
        table.append_planes(&[1, 2, 3, 4, 5, 6], &mut planes);
        let levels = |channel: usize, level: usize| table.values[channel][level];
        assert_eq!(planes, [levels(0, 1), levels(0, 4), levels(1, 2), levels(1, 5), levels(2, 3), levels(2, 6)]);
        let mut pixels = Vec::new();
        table.append_pixels(&[1, 2, 3, 4, 5, 6], &mut pixels);
        assert_eq!(pixels, [levels(0, 1), levels(1, 2), levels(2, 3), levels(0, 4), levels(1, 5), levels(2, 6)]);
    }
}
