//! Image files for people to look at in a browser.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};

use crate::{DecodeError, Filter, Format, Limits, RgbImage, decode_on_white, resize};

/// A file of at most so many bytes is shown as it is.
const MAX_BYTES: usize = 64 << 10;
/// An image is shown as it is when its sides are at most so many times as long as asked for.
const MAX_SHRINKING: u32 = 4;

/// An image file that every browser shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its type, such as `image/jpeg`.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A small picture of an image file: the file itself if it is small, so that what is transparent stays so; else a PNG,
/// whose longer side has `max_side` pixels and where white is what was transparent.
///
/// # Errors
/// When the file is no image that is read here.
pub fn picture(file: Vec<u8>, max_side: u32, limits: Limits<'_>) -> Result<Picture, DecodeError> {
    let image = decode_on_white(&file, limits)?;
    let is_small = file.len() <= MAX_BYTES && image.width.max(image.height) <= max_side.saturating_mul(MAX_SHRINKING);
    match Format::of(&file).and_then(Format::media_type).filter(|_| is_small) {
        Some(media_type) => Ok(Picture { media_type, bytes: file }),
        None => Ok(Picture { media_type: "image/png", bytes: thumbnail(&image, max_side) }),
    }
}

/// A PNG file of an image, shrunk so that no side has more than `max_side` pixels.
fn thumbnail(image: &RgbImage, max_side: u32) -> Vec<u8> {
    let longest = image.width.max(image.height);
    let shrunk = |side: u32| match longest <= max_side {
        true => side,
        false => (u64::from(side) * u64::from(max_side) / u64::from(longest)).max(1) as u32,
    };
    let small = resize(image, shrunk(image.width), shrunk(image.height), Filter::Bilinear);
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(&small.pixels, small.width, small.height, ExtendedColorType::Rgb8)
        .expect("an image that was decoded has pixels, and memory takes any number of bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DECODER_BYTES, Memory, decode};

    fn picture_of(file: Vec<u8>, max_side: u32) -> Result<Picture, DecodeError> {
        picture(file, max_side, Limits { memory: &Memory::new(DECODER_BYTES), is_cancelled: &|| false })
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        thumbnail(&RgbImage { width, height, pixels: vec![7; (width * height * 3) as usize] }, u32::MAX)
    }

    #[test]
    fn a_small_file_stays_as_it_is() {
        let file = png(40, 20);
        let expect = Picture { media_type: "image/png", bytes: file.clone() };
        assert_eq!(picture_of(file.clone(), 10).unwrap(), expect);
        assert!(picture_of(b"no image".to_vec(), 10).is_err());
    }

    #[test]
    fn the_longest_side_of_a_large_one_is_bounded() {
        for ((width, height), expect) in [((41, 20), (10, 4)), ((1, 1000), (1, 10))] {
            let image = decode(&picture_of(png(width, height), 10).unwrap().bytes).unwrap();
            assert_eq!((image.width, image.height), expect);
            assert!(image.pixels.iter().all(|value| *value == 7));
        }
    }
}
