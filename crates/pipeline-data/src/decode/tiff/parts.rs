//! The strips or tiles of a TIFF file: their offsets and their bytes.

use std::borrow::Cow;

use super::codecs::{deflate, group4, lzw, pack_bits};
use super::directory::{Directory, tag};
use super::pixel::{Colour, Pixel};
use super::{TRUNCATED, damaged, unsupported};
use crate::DecodeError;
use crate::decode::jpeg;

/// The compression of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Group4,
    Lzw,
    Jpeg,
    Deflate,
    PackBits,
}

/// The strips or tiles of an image, plane by plane, row by row.
pub(super) struct Parts<'a> {
    bytes: &'a [u8],
    compression: Compression,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    /// Size of the image and of a part.
    image: [usize; 2],
    part: [usize; 2],
    is_tiled: bool,
    /// Samples are stored as differences to the pixel on the left.
    has_predictor: bool,
    is_big_endian: bool,
    are_bits_reversed: bool,
    jpeg_tables: Vec<u8>,
}

/// One part: the columns and rows of the image that it covers, and its plane.
pub(super) struct Part {
    idx: usize,
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
    pub plane: usize,
}

impl<'a> Parts<'a> {
    pub fn read(bytes: &'a [u8], directory: &Directory, pixel: &Pixel, image: [usize; 2]) -> Result<Self, DecodeError> {
        let compression = match directory.number(tag::COMPRESSION, 1)? {
            1 => Compression::None,
            4 => Compression::Group4,
            5 => Compression::Lzw,
            7 => Compression::Jpeg,
            8 | 32946 => Compression::Deflate,
            32773 => Compression::PackBits,
            2 | 3 => return Err(unsupported("a fax compression other than group 4")),
            6 => return Err(unsupported("JPEG compression of the old kind")),
            _ => return Err(unsupported("an unusual compression")),
        };
        let is_tiled = directory.numbers(tag::TILE_OFFSETS).is_some();
        if is_tiled == directory.numbers(tag::STRIP_OFFSETS).is_some()
            || is_tiled != directory.numbers(tag::TILE_WIDTH).is_some()
        {
            return Err(damaged("neither strips nor tiles, or both"));
        }
        let side = |tag: u16, default: usize| -> Result<usize, DecodeError> {
            Ok(directory.number(tag, default as u64)?.min(u64::from(u32::MAX)) as usize)
        };
        let (offsets, lengths, part) = if is_tiled {
            (tag::TILE_OFFSETS, tag::TILE_BYTES, [side(tag::TILE_WIDTH, 0)?, side(tag::TILE_HEIGHT, 0)?])
        } else {
            let n_rows = side(tag::ROWS_PER_STRIP, image[1])?.min(image[1]);
            (tag::STRIP_OFFSETS, tag::STRIP_BYTES, [image[0], n_rows])
        };
        if part.contains(&0) || (is_tiled && part[0] % 16 != 0) {
            return Err(unsupported("strips or tiles of an unusual size"));
        }
        let are_bits_reversed = match directory.number(tag::FILL_ORDER, 1)? {
            1 => false,
            2 if pixel.bits <= 8 && pixel.n_samples == 1 || pixel.n_samples == 3 && pixel.bits == 8 => true,
            _ => return Err(unsupported("an unusual order of bits")),
        };
        let predictor = directory.number(tag::PREDICTOR, 1)?;
        let has_predictor = matches!(compression, Compression::Lzw | Compression::Deflate) && predictor != 1;
        if has_predictor && (predictor != 2 || pixel.bits < 8) {
            return Err(unsupported("an unusual predictor"));
        }
        if directory.is_cut && compression != Compression::None {
            return Err(TRUNCATED);
        }
        let is_jpeg = compression == Compression::Jpeg;
        if (pixel.colour == Colour::YCbCr) != is_jpeg && pixel.colour == Colour::YCbCr {
            return Err(unsupported("colours as brightness and two differences outside of JPEG"));
        }
        if is_jpeg
            && (pixel.is_planar || pixel.bits != 8 || pixel.n_samples == 2 || pixel.n_samples > 4 || are_bits_reversed)
        {
            return Err(unsupported("an unusual layout of JPEG"));
        }
        if compression == Compression::Group4 && (pixel.bits != 1 || pixel.n_samples != 1) {
            return Err(damaged("a fax of more than one bit a pixel"));
        }
        if compression == Compression::None && pixel.is_planar && pixel.bits == 16 {
            return Err(unsupported("planes of 16 bits a sample"));
        }
        Ok(Self {
            bytes,
            compression,
            offsets: directory.numbers(offsets).unwrap_or_default().to_vec(),
            lengths: directory.numbers(lengths).unwrap_or_default().to_vec(),
            image,
            part,
            is_tiled,
            has_predictor,
            is_big_endian: directory.is_big_endian,
            are_bits_reversed,
            jpeg_tables: directory
                .numbers(tag::JPEG_TABLES)
                .unwrap_or_default()
                .iter()
                .map(|byte| *byte as u8)
                .collect(),
        })
    }

    /// The memory for reading one part, in bytes.
    pub fn working_bytes(&self, pixel: &Pixel) -> u64 {
        let n_pixels = self.part[0] as u64 * self.part[1] as u64;
        match self.compression {
            Compression::None if !self.are_bits_reversed => 0,
            Compression::Jpeg => n_pixels.saturating_mul(4 * 3 + 3),
            Compression::Group4 => n_pixels.saturating_mul(2),
            _ => (pixel.row_bytes(self.part[0]) as u64).saturating_mul(self.part[1] as u64),
        }
    }

    /// All parts of the planes that are read.
    pub fn all(&self, pixel: &Pixel, reads_alpha: bool) -> Result<Vec<Part>, DecodeError> {
        let [width, height] = self.image;
        let (n_across, n_down) = (width.div_ceil(self.part[0]), height.div_ceil(self.part[1]));
        let n_parts = n_across * n_down;
        let n_needed = n_parts * if pixel.is_planar { pixel.n_samples } else { 1 };
        // Extra parts are read twice by Pillow, and missing ones left black.
        if self.offsets.len() != n_needed && !(pixel.is_planar && self.offsets.len() > n_needed) {
            return Err(unsupported("more or fewer strips or tiles than it needs"));
        }
        let part = |idx: usize| {
            let (left, top) = (idx % n_parts % n_across * self.part[0], idx % n_parts / n_across * self.part[1]);
            Part {
                idx,
                left,
                top,
                width: self.part[0].min(width - left),
                height: self.part[1].min(height - top),
                plane: idx / n_parts,
            }
        };
        Ok((0..n_parts * pixel.n_planes(reads_alpha)).map(part).collect())
    }

    /// The rows of a part, and the bytes per row.
    pub fn rows(&self, part: &Part, pixel: &Pixel) -> Result<(Cow<'a, [u8]>, usize), DecodeError> {
        let row_bytes = pixel.row_bytes(if self.is_tiled { self.part[0] } else { part.width });
        // A tile beyond the edge of the image is stored whole, a strip is not.
        let n_rows = if self.is_tiled && self.compression != Compression::None { self.part[1] } else { part.height };
        let n_bytes = row_bytes * n_rows;
        let data = self.data(part, n_bytes)?;
        let mut rows: Cow<'_, [u8]> = match self.compression {
            Compression::None => data,
            Compression::Lzw => lzw(&data, n_bytes)?.into(),
            Compression::Deflate => deflate(&data, n_bytes)?.into(),
            Compression::PackBits => pack_bits(&data, n_bytes)?.into(),
            Compression::Group4 => group4(&data, self.part[0].min(self.width_of(part)), n_rows)?.into(),
            Compression::Jpeg => self.jpeg(&data, [self.width_of(part), n_rows], pixel)?.into(),
        };
        if self.has_predictor {
            let n_samples = if pixel.is_planar { 1 } else { pixel.n_samples };
            rows.to_mut().chunks_exact_mut(row_bytes).for_each(|row| self.add_differences(row, n_samples, pixel.bits));
        }
        let row_bytes = if self.compression == Compression::Jpeg { 3 * self.width_of(part) } else { row_bytes };
        Ok((rows, row_bytes))
    }

    fn width_of(&self, part: &Part) -> usize {
        if self.is_tiled { self.part[0] } else { part.width }
    }

    /// The bytes of a part as stored in the file.
    fn data(&self, part: &Part, n_bytes: usize) -> Result<Cow<'a, [u8]>, DecodeError> {
        let start = usize::try_from(self.offsets[part.idx]).map_err(|_| TRUNCATED)?;
        let length = match self.compression {
            // Pillow ignores the length of uncompressed data.
            Compression::None => n_bytes,
            _ => {
                let length = *self.lengths.get(part.idx).ok_or_else(|| damaged("no length of a strip or tile"))?;
                usize::try_from(length).map_err(|_| TRUNCATED)?
            }
        };
        let data = self.bytes.get(start..).and_then(|rest| rest.get(..length)).ok_or(TRUNCATED)?;
        if self.are_bits_reversed {
            return Ok(data.iter().map(|byte| byte.reverse_bits()).collect());
        }
        Ok(data.into())
    }

    fn add_differences(&self, row: &mut [u8], n_samples: usize, bits: usize) {
        if bits == 8 {
            for at in n_samples..row.len() {
                row[at] = row[at].wrapping_add(row[at - n_samples]);
            }
            return;
        }
        let read =
            |bytes: [u8; 2]| if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
        let write = |number: u16| if self.is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        let samples = row.as_chunks_mut::<2>().0;
        for at in n_samples..samples.len() {
            samples[at] = write(read(samples[at]).wrapping_add(read(samples[at - n_samples])));
        }
    }

    fn jpeg(&self, data: &[u8], size: [usize; 2], pixel: &Pixel) -> Result<Vec<u8>, DecodeError> {
        let colour = match pixel.colour {
            Colour::YCbCr => jpeg::Colour::YCbCr,
            Colour::Gray { is_inverted: false } => jpeg::Colour::Gray,
            Colour::Rgb { is_multiplied: false } => jpeg::Colour::Rgb,
            Colour::Cmyk => jpeg::Colour::PlainCmyk,
            _ => return Err(unsupported("an unusual layout of JPEG")),
        };
        jpeg::decode_part(&self.jpeg_tables, data, size, pixel.n_samples, colour)
            .map_err(|error| damaged(&format!("a strip or tile: {error}")))
    }

    /// True if rows arrive as RGB, whatever the pixel is.
    pub fn gives_rgb(&self) -> bool {
        self.compression == Compression::Jpeg
    }
}
