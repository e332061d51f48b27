//! Thumbnails: small versions of images, for display in a browser.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::png_writer::png_file;
use crate::{Alpha, DecodeError, Filter, Format, Limits, RgbImage, decode_on_white, decode_within, resize};

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
    jpeg_file(&shrunk(image, max_side))
}

/// The image, shrunk so that no side has more than `max_side` pixels. A small image keeps its size.
pub fn shrunk(image: &RgbImage, max_side: u32) -> RgbImage {
    let longer = image.width.max(image.height).max(max_side);
    let side = |side: u32| (u64::from(side) * u64::from(max_side)).div_ceil(u64::from(longer)) as u32;
    resize(image, side(image.width), side(image.height), Filter::Bilinear)
}

/// An image as a page shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// The image itself: a JPEG file, or a PNG file if it has transparent pixels.
    pub own: Vec<u8>,
    /// A JPEG file of the pixels that a model sees; `None` where they look the same.
    pub fed: Option<Vec<u8>>,
}

/// A shrunk image in both forms: as a file that keeps its transparency, and as pixels on white.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miniature {
    /// A PNG file if some pixel is transparent, else a JPEG file.
    pub file: Vec<u8>,
    /// Its pixels, laid on white.
    pub on_white: RgbImage,
}

/// Shrinks an image file so that no side has more than `max_side` pixels, and keeps its transparency.
///
/// # Errors
/// When the file is not an image of a supported format.
pub fn miniature(file: &[u8], max_side: u32, limits: Limits<'_>) -> Result<Miniature, DecodeError> {
    let on_white = shrunk(&decode_on_white(file, limits)?, max_side);
    let may_be_transparent = matches!(Format::of(file), Some(Format::Png | Format::WebP | Format::Gif));
    if may_be_transparent {
        let (_, on_black) = decode_within(file, None, Alpha::Black, limits)?;
        let on_black = shrunk(&on_black, max_side);
        if on_black != on_white {
            let file = png_file(on_white.width, on_white.height, &with_alpha(&on_white, &on_black));
            return Ok(Miniature { file, on_white });
        }
    }
    Ok(Miniature { file: jpeg_file(&on_white), on_white })
}

/// Colours with alpha, `[height, width, 4]`, of an image that was shrunk on white and on black: alpha is what the two
/// have in common, and on black a colour is multiplied by it.
fn with_alpha(on_white: &RgbImage, on_black: &RgbImage) -> Vec<u8> {
    let pixels = on_white.pixels.chunks_exact(3).zip(on_black.pixels.chunks_exact(3));
    let pixel = |(white, black): (&[u8], &[u8])| {
        let apart: u32 = white.iter().zip(black).map(|(white, black)| u32::from(white.saturating_sub(*black))).sum();
        let alpha = 255 - (apart + 1) / 3;
        let colour = |level: u8| match alpha {
            0 => 0,
            alpha => ((u32::from(level) * 255 + alpha / 2) / alpha).min(255) as u8,
        };
        [colour(black[0]), colour(black[1]), colour(black[2]), alpha as u8].map(coarse)
    };
    pixels.flat_map(pixel).collect()
}

/// One of 32 levels: a third fewer bytes, and no difference that is seen at this size.
fn coarse(level: u8) -> u8 {
    level & 0xf8 | level >> 5
}

/// A JPEG file of a small image.
fn jpeg_file(small: &RgbImage) -> Vec<u8> {
    let jpeg_side = |side: u32| u16::try_from(side).expect("BUG: a thumbnail is small");
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    // At this low quality the encoder would subsample colours, which blurs the edges of so small an image.
    encoder.set_sampling_factor(SamplingFactor::R_4_4_4);
    // Tables of its own: those that suit any image are a third of so small a file.
    encoder.set_optimized_huffman_tables(true);
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
    fn a_miniature_keeps_transparency_and_an_opaque_one_is_a_jpeg() {
        let limits = Limits { memory: &Memory::new(DECODER_BYTES), is_cancelled: &|| false };
        // Left half: red, of which a quarter shows; right half: blue that nothing hides.
        let row = [[255, 0, 0, 64].repeat(60), [0, 0, 200, 255].repeat(60)].concat();
        let small = miniature(&png_file(120, 60, &row.repeat(60)), 40, limits).unwrap();
        let (_, colours) = decode_within(&small.file, None, Alpha::Drop, limits).unwrap();
        assert_eq!((colours.width, colours.height), (40, 20));
        assert_eq!((&colours.pixels[..3], &colours.pixels[117..120]), (&[255, 0, 0][..], &[0, 0, 206][..]));
        let on_white = decode_on_white(&small.file, limits).unwrap();
        assert!(on_white.pixels.iter().zip(&small.on_white.pixels).all(|(ours, theirs)| ours.abs_diff(*theirs) <= 12));
        let opaque = miniature(&gray_file(120, 60), 40, limits).unwrap();
        assert_eq!(opaque.file, thumbnail(&opaque.on_white, 40));
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
