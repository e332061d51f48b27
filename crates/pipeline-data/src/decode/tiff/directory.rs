//! The directory of a TIFF file: the description of its first image.

use std::collections::BTreeMap;

use super::{TRUNCATED, damaged, unsupported};
use crate::DecodeError;

/// The relevant entries, by their tag.
pub(super) mod tag {
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const ORIENTATION: u16 = 274;
    pub const N_SAMPLES: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_BYTES: u16 = 279;
    pub const PLANAR: u16 = 284;
    pub const T6_OPTIONS: u16 = 293;
    pub const PREDICTOR: u16 = 317;
    pub const COLOUR_MAP: u16 = 320;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_BYTES: u16 = 325;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const JPEG_TABLES: u16 = 347;
    pub const YCBCR_SAMPLING: u16 = 530;
    /// Marks another format that only begins like a TIFF.
    pub const HD_PHOTO: u16 = 0xbc01;
    pub const ALL: [u16; 24] = [
        WIDTH,
        HEIGHT,
        BITS,
        COMPRESSION,
        PHOTOMETRIC,
        FILL_ORDER,
        STRIP_OFFSETS,
        ORIENTATION,
        N_SAMPLES,
        ROWS_PER_STRIP,
        STRIP_BYTES,
        PLANAR,
        T6_OPTIONS,
        PREDICTOR,
        COLOUR_MAP,
        TILE_WIDTH,
        TILE_HEIGHT,
        TILE_OFFSETS,
        TILE_BYTES,
        EXTRA_SAMPLES,
        SAMPLE_FORMAT,
        JPEG_TABLES,
        YCBCR_SAMPLING,
        HD_PHOTO,
    ];
}

/// The entries of the first image.
pub(super) struct Directory {
    pub is_big_endian: bool,
    /// The file ends within it: Pillow uses the rest, libtiff does not.
    pub is_cut: bool,
    entries: BTreeMap<u16, Vec<u64>>,
}

/// Byte widths of the parts of a directory.
struct Layout {
    /// The number of entries.
    count: usize,
    entry: usize,
    /// The value of an entry, or its offset.
    value: usize,
}

/// Numbers of a file in its byte order.
struct Source<'a> {
    bytes: &'a [u8],
    is_big_endian: bool,
}

impl Directory {
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let source = Source { bytes, is_big_endian: bytes.starts_with(b"MM") };
        // Some writers swap the bytes of the version.
        let is_big_file = bytes[2] == 43 || bytes[3] == 43;
        if is_big_file != (source.number(2, 2)? == 43) || (!is_big_file && source.number(2, 2)? != 42) {
            return Err(unsupported("a version in the wrong byte order"));
        }
        if is_big_file && source.is_big_endian {
            // Pillow reads such a file with 32-bit offsets.
            return Err(unsupported("offsets of 64 bits, the highest byte first"));
        }
        let start = usize::try_from(if is_big_file { source.number(8, 8)? } else { source.number(4, 4)? })
            .map_err(|_| TRUNCATED)?;
        let layout = if is_big_file {
            Layout { count: 8, entry: 20, value: 8 }
        } else {
            Layout { count: 2, entry: 12, value: 4 }
        };
        let n_entries = source.number(start, layout.count)?;
        if start == 0 {
            return Err(damaged("a bad directory"));
        }
        let mut directory = Self { is_big_endian: source.is_big_endian, is_cut: false, entries: BTreeMap::new() };
        let mut n_bytes = 0;
        for entry_idx in 0..n_entries {
            let at = (entry_idx as usize).saturating_mul(layout.entry).saturating_add(start + layout.count);
            match directory.read_entry(&source, at, &layout, &mut n_bytes) {
                Ok(()) => {}
                Err(DecodeError::Truncated { .. }) => {
                    directory.is_cut = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if directory.entries.contains_key(&tag::HD_PHOTO) {
            return Err(unsupported("the contents of a Windows Media Photo"));
        }
        Ok(directory)
    }

    /// Reads one entry as Pillow does: the first of its tag counts; skips one of an unknown type or longer than the
    /// file.
    fn read_entry(
        &mut self,
        source: &Source<'_>,
        at: usize,
        layout: &Layout,
        n_bytes: &mut usize,
    ) -> Result<(), DecodeError> {
        let tag = source.number(at, 2)? as u16;
        source.number(at.saturating_add(layout.entry - 1), 1)?;
        let (kind, count) = (source.number(at + 2, 2)?, source.number(at + 4, layout.value)?);
        let size = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 => 8,
            _ => return Ok(()),
        };
        if self.entries.contains_key(&tag) {
            return Ok(());
        }
        let total = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(size);
        let place = at + 4 + layout.value;
        let start = if total <= layout.value {
            place
        } else {
            *n_bytes = n_bytes.saturating_add(total);
            if *n_bytes > source.bytes.len() {
                return Ok(());
            }
            usize::try_from(source.number(place, layout.value)?).map_err(|_| TRUNCATED)?
        };
        source.bytes.get(start..).and_then(|rest| rest.get(..total)).ok_or(TRUNCATED)?;
        if !tag::ALL.contains(&tag) || total == 0 {
            return Ok(());
        }
        // Pillow reads bytes as text, and not as a number.
        let has_bytes = matches!(tag, tag::JPEG_TABLES | tag::HD_PHOTO);
        if !matches!(kind, 1 | 3 | 4 | 7 | 16) || has_bytes != matches!(kind, 1 | 7) {
            return Err(damaged("an entry of the wrong type"));
        }
        let numbers: Result<Vec<u64>, _> =
            (0..total / size).map(|idx| source.number(start + idx * size, size)).collect();
        self.entries.insert(tag, numbers?);
        Ok(())
    }

    /// All numbers of an entry; `None` if it is not there.
    pub fn numbers(&self, tag: u16) -> Option<&[u64]> {
        self.entries.get(&tag).map(Vec::as_slice)
    }

    /// The single number of an entry, or `default`.
    pub fn number(&self, tag: u16, default: u64) -> Result<u64, DecodeError> {
        match self.numbers(tag) {
            None => Ok(default),
            Some(&[number]) => Ok(number),
            Some(_) => Err(damaged("an entry of more than one number")),
        }
    }
}

impl Source<'_> {
    fn number(&self, at: usize, n_bytes: usize) -> Result<u64, DecodeError> {
        let bytes = at.checked_add(n_bytes).and_then(|end| self.bytes.get(at..end)).ok_or(TRUNCATED)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(if self.is_big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }
}
