//! The chunks of a PNG file: its header, its palette, and its compressed data in one piece.

use super::TRUNCATED;
use crate::DecodeError;
use crate::decode::Format;

const SIGNATURE_BYTES: usize = 8;

/// What a pixel is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gray,
    Rgb,
    Palette,
    GrayAlpha,
    RgbAlpha,
}

/// What stands before the image data.
pub(super) struct Header {
    pub width: u32,
    pub height: u32,
    pub kind: Kind,
    /// Bits of a sample: 1, 2, 4, 8 or 16.
    pub depth: u8,
    pub is_interlaced: bool,
    palette: Vec<[u8; 3]>,
}

impl Header {
    /// Bits of a pixel.
    pub fn pixel_bits(&self) -> usize {
        let n_samples = match self.kind {
            Kind::Gray | Kind::Palette => 1,
            Kind::GrayAlpha => 2,
            Kind::Rgb => 3,
            Kind::RgbAlpha => 4,
        };
        n_samples * usize::from(self.depth)
    }

    /// Bytes of a pixel, at least one.
    pub fn pixel_bytes(&self) -> usize {
        self.pixel_bits().div_ceil(8)
    }

    /// A colour of the palette.
    pub fn colour(&self, index: u8) -> [u8; 3] {
        self.palette.get(usize::from(index)).copied().unwrap_or_default()
    }

    fn parse(chunk: &[u8]) -> Result<Self, DecodeError> {
        let damaged = || DecodeError::damaged(Format::Png, "a bad header");
        let &[a, b, c, d, e, f, g, h, depth, kind, _, 0, interlace, ..] = chunk else { return Err(damaged()) };
        let kind = match (kind, depth) {
            (0, 1 | 2 | 4 | 8 | 16) => Kind::Gray,
            (2, 8 | 16) => Kind::Rgb,
            (3, 1 | 2 | 4 | 8) => Kind::Palette,
            (4, 8 | 16) => Kind::GrayAlpha,
            (6, 8 | 16) => Kind::RgbAlpha,
            _ => return Err(damaged()),
        };
        let (width, height) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        Ok(Self { width, height, kind, depth, is_interlaced: interlace != 0, palette: Vec::new() })
    }
}

/// Reads the header, and the data of all image chunks as far as they are there.
pub(super) fn read(bytes: &[u8]) -> Result<(Header, Vec<u8>), DecodeError> {
    let mut rest = &bytes[SIGNATURE_BYTES..];
    let (mut header, mut palette) = (None, Vec::new());
    while let Some((name, length, after)) = chunk_start(rest) {
        if name == *b"IDAT" {
            let mut header: Header = header.ok_or(DecodeError::damaged(Format::Png, "no header"))?;
            header.palette = palette;
            return Ok((header, image_data(rest)?));
        }
        let (chunk, after) = after.split_at_checked(length).ok_or(TRUNCATED)?;
        let (checksum, after) = after.split_first_chunk::<4>().ok_or(TRUNCATED)?;
        if crc32fast::hash(&rest[4..8 + length]) != u32::from_be_bytes(*checksum) {
            return Err(DecodeError::damaged(Format::Png, "a wrong checksum in the header"));
        }
        match &name {
            b"IHDR" => header = Some(Header::parse(chunk)?),
            b"PLTE" => palette = chunk.as_chunks::<3>().0.to_vec(),
            b"IEND" => break,
            _ => {}
        }
        rest = after;
    }
    Err(TRUNCATED)
}

/// The contents of the image chunks that `rest` begins with.
fn image_data(mut rest: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut data = Vec::with_capacity(rest.len());
    while let Some((name, length, after)) = chunk_start(rest) {
        if name != *b"IDAT" {
            check_trailer(rest)?;
            break;
        }
        let (chunk, after) = after.split_at_checked(length).unwrap_or((after, &[]));
        data.extend_from_slice(chunk);
        rest = after.get(4..).unwrap_or_default();
    }
    Ok(data)
}

/// Pillow reads on behind the image and refuses a chunk that is cut there.
fn check_trailer(mut rest: &[u8]) -> Result<(), DecodeError> {
    while let Some((name, length, after)) = chunk_start(rest) {
        if name == *b"IEND" || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            break;
        }
        let after = after.get(length..).ok_or(TRUNCATED)?;
        rest = after.get(4..).unwrap_or_default();
    }
    Ok(())
}

/// The name and length of the chunk that `rest` begins with, and what follows them.
fn chunk_start(rest: &[u8]) -> Option<([u8; 4], usize, &[u8])> {
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_first_chunk::<4>()?;
    Some((*name, u32::from_be_bytes(*length) as usize, rest))
}
