//! JPEG, sequential and progressive, to the very pixels of libjpeg-turbo's default settings, which Pillow uses.
//!
//! Like libjpeg, goes on where entropy-coded data are damaged; like Pillow, refuses a file that ends before its pixels
//! do. Not read: arithmetic coding, lossless and 12-bit files.

mod bits;
mod frame;
mod huffman;
mod idct;
mod progressive;
mod render;
mod scan;
#[cfg(target_arch = "x86_64")]
mod vector;

use bits::Source;
use frame::{Frame, NATURAL_ORDER};
use huffman::HuffmanTable;
use scan::Scan;

use super::{Format, RgbImage};
use crate::DecodeError;
use crate::instructions::{InstructionSet, Work};

/// What the components are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Gray,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

/// What stands between the markers and is used by later scans.
#[derive(Default)]
struct Tables {
    /// In natural order.
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
    /// Units between restart markers, 0 for none.
    restart_interval: usize,
    is_jfif: bool,
    adobe_transform: Option<u8>,
}

pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    decode_with(bytes, InstructionSet::best())
}

/// The same pixels whatever the instructions.
fn decode_with(bytes: &[u8], instructions: InstructionSet) -> Result<RgbImage, DecodeError> {
    let source = Source::new(bytes);
    let mut reader = Reader { source, tables: Tables::default(), frame: None, scans: Scans::None, instructions };
    reader.source.next_marker()?;
    loop {
        match reader.read_segment() {
            Ok(Next::Segment) => {}
            Ok(Next::End) => break,
            // All rows were given out before libjpeg finds that there is no end marker.
            Err(DecodeError::Truncated { .. }) if reader.scans == Scans::Only => break,
            Err(error) => return Err(error),
        }
    }
    let frame = reader.frame.filter(|_| reader.scans != Scans::None);
    let frame = frame.ok_or(DecodeError::damaged(Format::Jpeg, "no image"))?;
    Ok(instructions.run(Finish { frame, tables: &reader.tables, instructions }))
}

/// The scans that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scans {
    None,
    /// The one scan of all components.
    Only,
    /// One or more, and others may follow.
    Some,
}

enum Next {
    Segment,
    End,
}

struct Reader<'a> {
    source: Source<'a>,
    tables: Tables,
    frame: Option<Frame>,
    scans: Scans,
    instructions: InstructionSet,
}

impl Reader<'_> {
    /// Reads the next marker and what belongs to it.
    fn read_segment(&mut self) -> Result<Next, DecodeError> {
        let marker = self.source.next_marker()?;
        match marker {
            0xd9 => return Ok(Next::End),
            0x01 | 0xd0..=0xd7 => return Ok(Next::Segment),
            0xc3 | 0xc5..=0xcb | 0xcd..=0xcf => {
                return Err(DecodeError::Unsupported {
                    format: Format::Jpeg,
                    feature: "lossless or arithmetic coding",
                });
            }
            0..=0xbf | 0xd8 | 0xde..=0xdf | 0xf0..=0xfd | 0xff => {
                return Err(DecodeError::damaged(Format::Jpeg, "an unexpected marker"));
            }
            _ => {}
        }
        let segment = self.source.segment()?;
        match marker {
            0xc0..=0xc2 if self.frame.is_some() => return Err(DecodeError::damaged(Format::Jpeg, "a second frame")),
            0xc0..=0xc2 => self.frame = Some(Frame::parse(segment, marker == 0xc2)?),
            0xc4 => self.tables.add_huffman(segment)?,
            0xda => self.read_scan(segment)?,
            0xdb => self.tables.add_quantization(segment)?,
            0xdd => self.tables.set_restart_interval(segment)?,
            0xe0 => self.tables.is_jfif |= segment.get(..14).is_some_and(|data| data.starts_with(b"JFIF\0")),
            0xee => self.tables.add_adobe(segment),
            _ => {}
        }
        Ok(Next::Segment)
    }

    fn read_scan(&mut self, segment: &[u8]) -> Result<(), DecodeError> {
        if self.scans == Scans::Only {
            return Err(DecodeError::damaged(Format::Jpeg, "a second scan of all components"));
        }
        let frame = self.frame.as_mut().ok_or(DecodeError::damaged(Format::Jpeg, "a scan before the frame"))?;
        let scan = Scan::parse(segment, frame)?;
        scan.read(frame, &self.tables, &mut self.source, self.instructions)?;
        let is_first = self.scans == Scans::None;
        self.scans = if is_first && scan.is_only(frame) { Scans::Only } else { Scans::Some };
        Ok(())
    }
}

/// What is left to do when all scans were read.
struct Finish<'a> {
    frame: Frame,
    tables: &'a Tables,
    instructions: InstructionSet,
}

impl Work for Finish<'_> {
    type Output = RgbImage;

    #[inline(always)]
    fn run(self) -> RgbImage {
        let Self { mut frame, tables, instructions } = self;
        if frame.is_progressive {
            frame.finish(instructions);
        }
        let pixels = render::render(&frame, tables.colour(&frame), instructions);
        RgbImage { width: frame.width as u32, height: frame.height as u32, pixels }
    }
}

impl Tables {
    fn add_huffman(&mut self, mut segment: &[u8]) -> Result<(), DecodeError> {
        let damaged = || DecodeError::damaged(Format::Jpeg, "a bad Huffman table");
        while let Some((&[class_and_number, ref counts @ ..], rest)) = segment.split_first_chunk::<17>() {
            let n_symbols: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(n_symbols).filter(|_| n_symbols <= 256).ok_or_else(damaged)?;
            let tables = if class_and_number & 0x10 == 0 { &mut self.dc } else { &mut self.ac };
            let number = usize::from(class_and_number & !0x10);
            *tables.get_mut(number).ok_or_else(damaged)? = Some(HuffmanTable::new(counts, symbols)?);
            segment = rest;
        }
        segment.is_empty().then_some(()).ok_or_else(damaged)
    }

    fn add_quantization(&mut self, mut segment: &[u8]) -> Result<(), DecodeError> {
        let damaged = || DecodeError::damaged(Format::Jpeg, "a bad quantisation table");
        while let Some((&precision_and_number, rest)) = segment.split_first() {
            let n_bytes = if precision_and_number >> 4 == 0 { 1 } else { 2 };
            let (values, rest) = rest.split_at_checked(64 * n_bytes).ok_or_else(damaged)?;
            let mut table = [0; 64];
            for (value, &place) in values.chunks_exact(n_bytes).zip(&NATURAL_ORDER) {
                table[usize::from(place)] = value.iter().fold(0, |value, &byte| value << 8 | u16::from(byte));
            }
            *self.quantization.get_mut(usize::from(precision_and_number & 15)).ok_or_else(damaged)? = Some(table);
            segment = rest;
        }
        Ok(())
    }

    fn set_restart_interval(&mut self, segment: &[u8]) -> Result<(), DecodeError> {
        let &[high, low] = segment else {
            return Err(DecodeError::damaged(Format::Jpeg, "a bad restart interval"));
        };
        self.restart_interval = usize::from(high) << 8 | usize::from(low);
        Ok(())
    }

    fn add_adobe(&mut self, segment: &[u8]) {
        if let (true, Some(&transform)) = (segment.starts_with(b"Adobe"), segment.get(11)) {
            self.adobe_transform = Some(transform);
        }
    }

    /// The rules of `default_decompress_parms` in libjpeg's `jdapimin.c`.
    fn colour(&self, frame: &Frame) -> Colour {
        let ids: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
        match (frame.components.len(), self.adobe_transform) {
            (1, _) => Colour::Gray,
            (3, Some(0)) if !self.is_jfif => Colour::Rgb,
            (3, None) if !self.is_jfif && ids == *b"RGB" => Colour::Rgb,
            (3, _) => Colour::YCbCr,
            (_, None | Some(0)) => Colour::Cmyk,
            _ => Colour::Ycck,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Whole files, cut ones, and ones with a flipped bit.
    #[test]
    fn every_processor_gives_the_same_image_or_error() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/images");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut n_files = 0;
        for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "jpg")) {
            n_files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for at in (0..bytes.len()).step_by(1 + bytes.len() / 60) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                for bytes in [&bytes[..], &bytes[..at], &flipped] {
                    let (best, portable) = (decode(bytes), decode_with(bytes, InstructionSet::portable()));
                    assert!(best == portable, "{} at {at}", path.display());
                }
            }
        }
        assert_eq!(n_files, 13);
    }
}
