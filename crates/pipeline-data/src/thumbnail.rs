//! Thumbnails: small JPEG files for display.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::{Filter, RgbImage, resize};

/// Good enough at a glance, about 2 KiB at 72 pixels.
const QUALITY: u8 = 72;

/// A JPEG file of the image, shrunk so that no side has more than `max_side` pixels. A small image keeps its size.
///
/// Equal pixels give equal bytes.
///
/// # Panics
/// When the image has no pixels, its pixels do not match its size, or `max_side` exceeds the limits of JPEG: a bug of
/// the caller.
pub fn thumbnail(image: &RgbImage, max_side: u32) -> Vec<u8> {
    let longer = image.width.max(image.height).max(max_side);
    let side = |side: u32| (u64::from(side) * u64::from(max_side)).div_ceil(u64::from(longer)) as u32;
    let small = resize(image, side(image.width), side(image.height), Filter::Bilinear);
    let jpeg_side = |side: u32| u16::try_from(side).expect("BUG: a thumbnail is small");
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    // At this low quality the encoder would subsample colours, which blurs the edges of so small an image.
    encoder.set_sampling_factor(SamplingFactor::R_4_4_4);
    encoder
        .encode(&small.pixels, jpeg_side(small.width), jpeg_side(small.height), ColorType::Rgb)
        .expect("memory takes any bytes, and a small image of RGB pixels is always a JPEG");
    jpeg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    #[test]
    fn a_thumbnail_is_a_small_image_of_the_same_shape() {
        let large = RgbImage { width: 300, height: 150, pixels: [200, 100, 50].repeat(300 * 150) };
        let jpeg = thumbnail(&large, 72);
        let small = decode(&jpeg).unwrap();
        assert_eq!((small.width, small.height), (72, 36));
        assert!(small.pixels.chunks_exact(3).all(|rgb| rgb[0].abs_diff(200) < 6 && rgb[2].abs_diff(50) < 6));
        assert!(jpeg.len() < 1_500, "{}", jpeg.len());
        assert_eq!(jpeg, thumbnail(&large, 72));
    }

    #[test]
    fn a_small_image_keeps_its_size() {
        let small = RgbImage { width: 5, height: 1, pixels: vec![7; 15] };
        let read = decode(&thumbnail(&small, 72)).unwrap();
        assert_eq!((read.width, read.height), (5, 1));
    }
}
