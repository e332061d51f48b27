//! Decodes image files to RGB pixels, as Pillow's `Image.open(…).convert("RGB")` does.
//!
//! Alpha is dropped, or laid on white or black if the caller says so. EXIF orientation, colour profiles and gamma are
//! not applied. An animation gives its first frame, 16-bit gray is clamped at 255, and other 16-bit samples lose their
//! low byte. Kinds read: PNG, JPEG, GIF, BMP, WebP and TIFF; `docs/reference/images.md` has the details. A file that
//! would give other pixels is refused.

mod bmp;
mod canvas;
mod gif;
mod jpeg;
mod memory;
mod png;
mod tiff;
mod webp;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::resize::Target;
pub use canvas::Alpha;
use canvas::Canvas;
pub use memory::{Memory, Taken};

/// Pillow refuses larger images, against decompression bombs.
pub const MAX_PIXELS: u64 = 178_956_970;

/// The memory of all decoders of a program, so that the whole stays below 1 GiB. An image of [`MAX_PIXELS`] fits if its
/// decoder keeps at most four bytes per pixel.
pub const DECODER_BYTES: u64 = 768 << 20;

/// An image of 8-bit RGB pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Pixels per row.
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

/// The reason why bytes cannot be decoded. Its text depends on nothing but the bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The base64 text ends inside a byte.
    #[error("the base64 text is cut short")]
    Base64,
    /// The bytes match no supported image format.
    #[error("not an image of a known kind")]
    UnknownFormat,
    /// The bytes are of a known but unsupported format.
    #[error("{0}, which is not read here: convert it to PNG, WebP or JPEG")]
    Foreign(&'static str),
    /// More pixels than [`MAX_PIXELS`], or no pixels.
    #[error("{width} x {height} pixels are none or more than {MAX_PIXELS}")]
    Size {
        /// Pixels per row.
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
        /// The fault.
        reason: String,
    },
    /// The file may be valid, but uses an unsupported feature.
    #[error("the {format} file has {feature}, which is not supported")]
    Unsupported {
        /// The kind of file.
        format: Format,
        /// The unsupported feature.
        feature: &'static str,
    },
    /// Decoding needs more memory than all decoders together may take.
    #[error(
        "the {format} file of {width} x {height} pixels needs {} MiB to decode, more than the limit of {} MiB",
        bytes.div_ceil(1 << 20),
        limit >> 20
    )]
    Memory {
        /// The kind of file.
        format: Format,
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes needed.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The caller cancelled the work; not a fault of the file.
    #[error("decoding was stopped")]
    Cancelled,
    /// The decoder panicked.
    #[error("the {format} decoder broke down: the file may be damaged, or has something that no test has")]
    Panicked {
        /// The kind of file.
        format: Format,
    },
}

/// The width and height of an image in its file, and the image in the requested size; or the reason for its absence.
pub type Decoded = Result<((u32, u32), RgbImage), DecodeError>;

/// The limits of decoding.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// The memory budget, shared with other threads.
    pub memory: &'a Memory,
    /// Whether the caller has cancelled the work.
    pub is_cancelled: &'a dyn Fn() -> bool,
}

/// Decodes an image file; its first bytes show its format.
///
/// # Errors
/// When Pillow would not read the bytes, or their format is not supported. Never panics.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    let limits = Limits { memory: &Memory::new(DECODER_BYTES), is_cancelled: &|| false };
    decode_within(bytes, None, Alpha::Drop, limits).map(|(_, image)| image)
}

/// Decodes an image file as [`decode`] does and resizes it row by row; returns the original width and height, too.
///
/// # Errors
/// As [`decode`], and [`DecodeError::Memory`] or [`DecodeError::Cancelled`] by the limits. Never panics.
pub fn decode_within(bytes: &[u8], target: Option<Target>, alpha: Alpha, limits: Limits<'_>) -> Decoded {
    run(bytes, |format| Canvas::new(format, limits, target, alpha))
}

/// Decodes an image file for display: transparent pixels of a PNG, WebP or GIF become white.
///
/// # Errors
/// As [`decode_within`]. Never panics.
pub fn decode_on_white(bytes: &[u8], limits: Limits<'_>) -> Result<RgbImage, DecodeError> {
    decode_within(bytes, None, Alpha::White, limits).map(|(_, image)| image)
}

fn run<'a>(bytes: &[u8], canvas: impl FnOnce(Format) -> Canvas<'a>) -> Result<((u32, u32), RgbImage), DecodeError> {
    let Some(format) = Format::of(bytes) else {
        return Err(foreign(bytes).map_or(DecodeError::UnknownFormat, DecodeError::Foreign));
    };
    let work = || {
        let mut canvas = canvas(format);
        match format {
            Format::Png => png::decode(bytes, &mut canvas),
            Format::Jpeg => jpeg::decode(bytes, &mut canvas),
            Format::Gif => gif::decode(bytes, &mut canvas),
            Format::Bmp => bmp::decode(bytes, &mut canvas),
            Format::WebP => webp::decode(bytes, &mut canvas),
            Format::Tiff => tiff::decode(bytes, &mut canvas),
        }?;
        Ok(canvas.finish())
    };
    // A panic drops the unfinished work with the canvas.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DecodeError::Panicked { format }))
}

/// Names an unsupported format that users may take for an image.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let at = |from: usize, text: &[u8]| bytes.get(from..).is_some_and(|rest| rest.starts_with(text));
    let start = &bytes[..bytes.len().min(64)];
    let has = |text: &[u8]| start.windows(text.len()).any(|window| window == text);
    let kinds = [
        (at(4, b"ftyp") && (has(b"avif") || has(b"avis")), "an AVIF image"),
        (at(4, b"ftyp") && (has(b"heic") || has(b"heix") || has(b"hevc") || has(b"mif1")), "a HEIC image"),
        (at(4, b"ftyp"), "a video"),
        (at(0, b"\0\0\0\x0cjP  ") || at(0, b"\xff\x4f\xff\x51"), "a JPEG 2000 image"),
        (at(0, b"\xff\x0a") || at(0, b"\0\0\0\x0cJXL "), "a JPEG XL image"),
        (at(0, b"\0\0\x01\0") || at(0, b"\0\0\x02\0"), "a Windows icon"),
        (at(0, b"8BPS"), "a Photoshop document"),
        (at(0, b"qoif"), "a QOI image"),
        (at(0, b"DDS "), "a DDS texture"),
        (at(0, b"%PDF") || at(0, b"%!PS"), "a PDF or PostScript document"),
        (at(0, b"P") && bytes.get(1).is_some_and(|kind| (b'1'..=b'7').contains(kind)), "a PNM image"),
        (has(b"<svg") || has(b"<?xml"), "an SVG image or other XML"),
        (has(b"<!DOCTYPE html") || has(b"<html"), "a web page"),
    ];
    kinds.into_iter().find(|(is_it, _)| *is_it).map(|(_, kind)| kind)
}

impl Format {
    /// The kind's media type; `None` for TIFF, which browsers do not show.
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

    /// The format of a file with these first bytes.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'B', b'M', ..] => Some(Self::Bmp),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            // Version 43 is for files beyond 4 GiB; some writers swap the bytes of the version.
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Self::Tiff),
            [b'I', b'I', 0, 42, ..] | [b'M', b'M', 42, 0, ..] => Some(Self::Tiff),
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
