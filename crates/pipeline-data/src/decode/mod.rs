//! Image files to RGB pixels, as Pillow's `Image.open(…).convert("RGB")` does it.
//!
//! Alpha is dropped and not blended, EXIF orientation, colour profiles and gamma are not applied, of an animation the
//! first frame is taken, 16-bit gray is cut at 255 and other 16-bit samples lose their low byte. Kinds read: PNG, JPEG,
//! GIF, BMP, WebP, and TIFF with 8 bits a sample.

mod gif;
mod jpeg;
mod plain;
mod png;

use std::fmt;
use std::panic::catch_unwind;

/// Pillow refuses images of more pixels than this, against decompression bombs.
pub const MAX_PIXELS: u64 = 178_956_970;

/// An image of 8-bit RGB pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `[height, width, 3]`.
    pub pixels: Vec<u8>,
}

/// The kinds of image file that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// Graphics Interchange Format.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// WebP.
    WebP,
    /// Tagged Image File Format.
    Tiff,
}

/// Why some bytes could not be made an image. The text depends on nothing but the bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The base64 text ends inside a byte.
    #[error("the base64 text is cut short")]
    Base64,
    /// The bytes begin like no kind of image that can be read.
    #[error("not an image of a known kind")]
    UnknownFormat,
    /// More pixels than [`MAX_PIXELS`], or none.
    #[error("{width} x {height} pixels are none or more than {MAX_PIXELS}")]
    Size {
        /// Pixels in a row.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// The file ends before the image does.
    #[error("the {format} file is cut short")]
    Truncated {
        /// The kind of file.
        format: Format,
    },
    /// The file breaks the rules of its kind.
    #[error("the {format} file is damaged: {reason}")]
    Damaged {
        /// The kind of file.
        format: Format,
        /// What is wrong.
        reason: String,
    },
    /// The file may be good, but is not read here.
    #[error("the {format} file has {feature}, which is not supported")]
    Unsupported {
        /// The kind of file.
        format: Format,
        /// What is not supported.
        feature: &'static str,
    },
    /// The decoder of this kind of file broke down.
    #[error("the {format} decoder broke down")]
    Panicked {
        /// The kind of file.
        format: Format,
    },
}

/// Decodes an image file; its kind is told by its first bytes.
///
/// # Errors
/// When the bytes are no image that Pillow would read, or of a kind that is not read here. Never panics.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    let format = Format::of(bytes).ok_or(DecodeError::UnknownFormat)?;
    let decoded = catch_unwind(|| match format {
        Format::Png => png::decode(bytes),
        Format::Jpeg => jpeg::decode(bytes),
        Format::Gif => gif::decode(bytes),
        Format::Bmp | Format::WebP | Format::Tiff => plain::decode(format, bytes),
    });
    decoded.unwrap_or(Err(DecodeError::Panicked { format }))
}

impl Format {
    /// The kind's media type; none for TIFF, which browsers do not show.
    pub(crate) const fn media_type(self) -> Option<&'static str> {
        match self {
            Self::Png => Some("image/png"),
            Self::Jpeg => Some("image/jpeg"),
            Self::Gif => Some("image/gif"),
            Self::Bmp => Some("image/bmp"),
            Self::WebP => Some("image/webp"),
            Self::Tiff => None,
        }
    }

    /// The kind of a file that begins so.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'B', b'M', ..] => Some(Self::Bmp),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some(Self::Tiff),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
        })
    }
}

impl DecodeError {
    fn damaged(format: Format, reason: impl fmt::Display) -> Self {
        Self::Damaged { format, reason: reason.to_string() }
    }
}

/// Refuses an image by the size in its header, before anything is allocated for it.
fn check_size(width: u64, height: u64) -> Result<(), DecodeError> {
    let is_good = (1..=MAX_PIXELS).contains(&width.saturating_mul(height));
    is_good.then_some(()).ok_or(DecodeError::Size { width, height })
}
