//! Thumbnails: small versions of images, for display in a browser.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::{DecodeError, Filter, Format, Limits, RgbImage, decode_on_white, resize};

/// Good enough at a glance, about 2 KiB at 72 pixels.
const QUALITY: u8 = 72;
/// The size up to which a file is its own thumbnail, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// The largest ratio of an image's sides to the requested size at which its file is its own thumbnail.
const MAX_SHRINKING: u32 = 4;

/// A thumbnail as a file that every browser can show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// Its media type, such as `image/jpeg`.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

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

/// The thumbnail of an image file: the file itself if it is small, which keeps transparency. Otherwise a JPEG file
/// whose longer side has `max_side` pixels, with white for transparent pixels.
///
/// # Errors
/// When the file is not an image of a supported format.
pub fn thumbnail_of_file(file: Vec<u8>, max_side: u32, limits: Limits<'_>) -> Result<Thumbnail, DecodeError> {
    let image = decode_on_white(&file, limits)?;
    let is_small = file.len() <= MAX_BYTES && image.width.max(image.height) <= max_side.saturating_mul(MAX_SHRINKING);
    match Format::of(&file).and_then(Format::media_type).filter(|_| is_small) {
        Some(media_type) => Ok(Thumbnail { media_type, bytes: file }),
        None => Ok(Thumbnail { media_type: "image/jpeg", bytes: thumbnail(&image, max_side) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DECODER_BYTES, Memory, decode};

    fn thumbnail_of(file: Vec<u8>, max_side: u32) -> Result<Thumbnail, DecodeError> {
        thumbnail_of_file(file, max_side, Limits { memory: &Memory::new(DECODER_BYTES), is_cancelled: &|| false })
    }

    fn gray_file(width: u32, height: u32) -> Vec<u8> {
        thumbnail(&RgbImage { width, height, pixels: vec![128; (width * height * 3) as usize] }, u32::MAX)
    }

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

    #[test]
    fn a_small_file_is_its_own_thumbnail() {
        let file = gray_file(40, 20);
        let expect = Thumbnail { media_type: "image/jpeg", bytes: file.clone() };
        assert_eq!(thumbnail_of(file, 10).unwrap(), expect);
        assert!(thumbnail_of(b"no image".to_vec(), 10).is_err());
    }

    #[test]
    fn the_longer_side_of_the_thumbnail_of_a_large_file_is_bounded() {
        for ((width, height), expect) in [((41, 20), (10, 5)), ((1, 1000), (1, 10))] {
            let shown = thumbnail_of(gray_file(width, height), 10).unwrap();
            assert_eq!(shown.media_type, "image/jpeg");
            let image = decode(&shown.bytes).unwrap();
            assert_eq!((image.width, image.height), expect);
            assert!(image.pixels.iter().all(|value| *value == 128));
        }
    }
}
