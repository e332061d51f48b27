//! Small PNG files for people to look at.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};

use crate::{Filter, RgbImage, resize};

/// A PNG file of an image, shrunk so that no side has more than `max_side` pixels.
///
/// # Panics
/// When the image has no pixels: a bug of the caller.
pub fn thumbnail(image: &RgbImage, max_side: u32) -> Vec<u8> {
    let longest = image.width.max(image.height);
    let shrunk = |side: u32| {
        if longest <= max_side {
            side
        } else {
            (u64::from(side) * u64::from(max_side) / u64::from(longest)).max(1) as u32
        }
    };
    let small = resize(image, shrunk(image.width), shrunk(image.height), Filter::Bilinear);
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(&small.pixels, small.width, small.height, ExtendedColorType::Rgb8)
        .expect("an image that has pixels can be written to memory");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    #[test]
    fn the_longest_side_is_bounded_and_small_images_stay() {
        let size = |width: u32, height: u32| {
            let pixels = vec![7; (width * height * 3) as usize];
            let image = decode(&thumbnail(&RgbImage { width, height, pixels }, 10)).unwrap();
            assert!(image.pixels.iter().all(|value| *value == 7));
            (image.width, image.height)
        };
        assert_eq!([size(10, 3), size(40, 20), size(1, 1000)], [(10, 3), (10, 5), (1, 10)]);
    }
}
