//! Image files for display in a browser.

use crate::{DecodeError, Format, Limits, decode_on_white, thumbnail};

/// The size up to which a file is shown unchanged, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// The largest ratio of an image's sides to the requested size at which it is shown unchanged.
const MAX_SHRINKING: u32 = 4;

/// An image file that every browser can show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its media type, such as `image/jpeg`.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A small version of an image file: the file itself if it is small, which keeps transparency. Otherwise a thumbnail,
/// whose longer side has `max_side` pixels and whose transparent pixels are white.
///
/// # Errors
/// When the file is not an image of a supported format.
pub fn picture(file: Vec<u8>, max_side: u32, limits: Limits<'_>) -> Result<Picture, DecodeError> {
    let image = decode_on_white(&file, limits)?;
    let is_small = file.len() <= MAX_BYTES && image.width.max(image.height) <= max_side.saturating_mul(MAX_SHRINKING);
    match Format::of(&file).and_then(Format::media_type).filter(|_| is_small) {
        Some(media_type) => Ok(Picture { media_type, bytes: file }),
        None => Ok(Picture { media_type: "image/jpeg", bytes: thumbnail(&image, max_side) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DECODER_BYTES, Memory, RgbImage, decode};

    fn picture_of(file: Vec<u8>, max_side: u32) -> Result<Picture, DecodeError> {
        picture(file, max_side, Limits { memory: &Memory::new(DECODER_BYTES), is_cancelled: &|| false })
    }

    fn gray_file(width: u32, height: u32) -> Vec<u8> {
        thumbnail(&RgbImage { width, height, pixels: vec![128; (width * height * 3) as usize] }, u32::MAX)
    }

    #[test]
    fn a_small_file_stays_as_it_is() {
        let file = gray_file(40, 20);
        let expect = Picture { media_type: "image/jpeg", bytes: file.clone() };
        assert_eq!(picture_of(file, 10).unwrap(), expect);
        assert!(picture_of(b"no image".to_vec(), 10).is_err());
    }

    #[test]
    fn the_longest_side_of_a_large_one_is_bounded() {
        for ((width, height), expect) in [((41, 20), (10, 5)), ((1, 1000), (1, 10))] {
            let picture = picture_of(gray_file(width, height), 10).unwrap();
            assert_eq!(picture.media_type, "image/jpeg");
            let image = decode(&picture.bytes).unwrap();
            assert_eq!((image.width, image.height), expect);
            assert!(image.pixels.iter().all(|value| *value == 128));
        }
    }
}
