//! JPEG, sequential and progressive, with exactly the pixels of libjpeg-turbo's default settings, which Pillow uses.
//!
//! Like libjpeg, continues after damaged entropy-coded data; like Pillow, refuses a file that ends before its pixels
//! do. Not read: arithmetic coding, lossless and 12-bit files.

mod bits;
mod frame;
mod huffman;
mod idct;
mod progressive;
mod render;
mod scan;
mod tables;
mod usual;

use bits::Source;
use frame::Frame;
pub(super) use render::without_ink;
use scan::Scan;
use tables::{Tables, check_counts};

use super::{Alpha, Canvas, Format, Limits, Memory};
use crate::DecodeError;
use pipeline_kernels::InstructionSet;

/// The most scans of a progressive file; [`MAX_BLOCKS`] limits the blocks in all of them.
///
/// libjpeg-turbo's own tests allow 500 scans, and encoders write about ten. A few bytes of a scan cost as much as the
/// whole image.
const MAX_SCANS: usize = 500;
/// The alternative limit on blocks, as a multiple of the blocks of the image; the larger limit applies.
const MAX_PASSES: usize = 16;
const MAX_BLOCKS: usize = 1 << 26;

/// The meaning of the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Gray,
    YCbCr,
    Rgb,
    /// Inverted, as Adobe's programs write it.
    Cmyk,
    Ycck,
    /// Not inverted, as in a TIFF.
    PlainCmyk,
}

pub(super) fn decode(bytes: &[u8], canvas: &mut Canvas<'_>) -> Result<(), DecodeError> {
    decode_with(bytes, canvas, InstructionSet::best_for_bytes())
}

/// Decodes a strip or tile of a TIFF file, whose tables may be elsewhere and whose colours the TIFF names.
///
/// # Shapes
/// `[height, width, 3]`
pub(super) fn decode_part(
    tables: &[u8],
    bytes: &[u8],
    [width, height]: [usize; 2],
    n_components: usize,
    colour: Colour,
) -> Result<Vec<u8>, DecodeError> {
    let instructions = InstructionSet::best_for_bytes();
    // The TIFF decoder has reserved the memory of its parts already.
    let memory = Memory::new(u64::MAX);
    let limits = Limits { memory: &memory, is_cancelled: &|| false };
    let mut canvas = Canvas::new(Format::Jpeg, limits, None, Alpha::Drop);
    let mut reader = Reader::new(bytes, instructions);
    if !tables.is_empty() {
        let mut shared = Reader::new(tables, instructions);
        shared.source.next_marker()?;
        while let Next::Segment = shared.read_segment(&mut canvas)? {}
        reader.tables = shared.tables;
    }
    reader.max_size = (width, height);
    let frame = reader.read(&mut canvas)?;
    let is_sampled = |component: &frame::Component| (component.h, component.v) != (1, 1);
    let is_odd = frame.components.iter().skip(usize::from(colour == Colour::YCbCr)).any(is_sampled);
    if (frame.width, frame.height) != (width, height) || frame.components.len() != n_components || is_odd {
        return Err(DecodeError::damaged(Format::Jpeg, "another size than its TIFF has"));
    }
    finish(frame, colour, &mut canvas, instructions);
    Ok(canvas.finish().1.pixels)
}

/// Decodes with given instructions; the pixels do not depend on them.
fn decode_with(bytes: &[u8], canvas: &mut Canvas<'_>, instructions: InstructionSet) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes, instructions);
    let frame = reader.read(canvas)?;
    let colour = reader.tables.colour(&frame);
    finish(frame, colour, canvas, instructions);
    Ok(())
}

/// The scans that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scans {
    None,
    /// A single scan of all components.
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
    n_scans: usize,
    /// Blocks in all scans so far.
    n_blocks: usize,
    /// Larger frames are refused.
    max_size: (usize, usize),
    instructions: InstructionSet,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], instructions: InstructionSet) -> Self {
        Self {
            source: Source::new(bytes),
            tables: Tables::default(),
            frame: None,
            scans: Scans::None,
            n_scans: 0,
            n_blocks: 0,
            max_size: (usize::MAX, usize::MAX),
            instructions,
        }
    }

    /// Reads all scans.
    fn read(&mut self, canvas: &mut Canvas<'_>) -> Result<Frame, DecodeError> {
        self.source.next_marker()?;
        loop {
            match self.read_segment(canvas) {
                Ok(Next::Segment) => {}
                Ok(Next::End) => break,
                // All rows are complete before libjpeg notices the missing end marker.
                Err(DecodeError::Truncated { .. }) if self.scans == Scans::Only => break,
                Err(error) => return Err(error),
            }
        }
        let frame = self.frame.take().filter(|_| self.scans != Scans::None);
        let frame = frame.ok_or(DecodeError::damaged(Format::Jpeg, "no image"))?;
        if frame.is_smoothed() {
            let feature = "scans that leave coefficients open, which libjpeg guesses";
            return Err(DecodeError::Unsupported { format: Format::Jpeg, feature });
        }
        Ok(frame)
    }

    /// Reads the next marker and its segment.
    fn read_segment(&mut self, canvas: &mut Canvas<'_>) -> Result<Next, DecodeError> {
        let marker = self.source.next_marker()?;
        match marker {
            0xd9 => return Ok(Next::End),
            // Pillow does not know this marker, and checks those before the first scan.
            0x01 if self.scans == Scans::None => {
                return Err(DecodeError::damaged(Format::Jpeg, "an unexpected marker"));
            }
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
        if marker == 0xc4 {
            check_counts(self.source.start_of_segment())?;
        }
        let segment = self.source.segment(!matches!(marker, 0xc0..=0xc4 | 0xda | 0xdb | 0xdd))?;
        match marker {
            0xc0..=0xc2 if self.frame.is_some() => return Err(DecodeError::damaged(Format::Jpeg, "a second frame")),
            0xc0..=0xc2 => {
                let mut frame = Frame::parse(segment, marker == 0xc2)?;
                if frame.width > self.max_size.0 || frame.height > self.max_size.1 {
                    return Err(DecodeError::damaged(Format::Jpeg, "another size than its TIFF has"));
                }
                canvas.begin(frame.width as u64, frame.height as u64, frame.working_bytes())?;
                frame.allocate();
                self.frame = Some(frame);
            }
            0xc4 => self.tables.add_huffman(segment)?,
            0xda => {
                canvas.check_cancelled()?;
                self.read_scan(segment)?;
            }
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
        if !frame.is_progressive && self.n_scans == 0 {
            self.tables.add_usual_huffman();
        }
        self.n_scans += 1;
        self.n_blocks += scan.n_blocks(frame);
        if self.n_scans > MAX_SCANS || self.n_blocks > MAX_BLOCKS.max(MAX_PASSES * frame.n_blocks()) {
            return Err(DecodeError::Unsupported {
                format: Format::Jpeg,
                feature: "more scans than any encoder writes",
            });
        }
        scan.read(frame, &self.tables, &mut self.source, self.instructions)?;
        let is_first = self.scans == Scans::None;
        self.scans = if is_first && scan.is_only(frame) { Scans::Only } else { Scans::Some };
        Ok(())
    }
}

/// Finishes the image after all scans.
fn finish(mut frame: Frame, colour: Colour, canvas: &mut Canvas<'_>, instructions: InstructionSet) {
    instructions.run(
        #[inline(always)]
        || {
            if frame.is_progressive {
                frame.finish(instructions);
            }
            render::render(&frame, colour, canvas, instructions);
        },
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::decode::DECODER_BYTES;

    /// Whole files, truncated files, and files with a flipped bit.
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
                    let with = |instructions| {
                        let memory = Memory::new(DECODER_BYTES);
                        let limits = Limits { memory: &memory, is_cancelled: &|| false };
                        let mut canvas = Canvas::new(Format::Jpeg, limits, None, Alpha::Drop);
                        decode_with(bytes, &mut canvas, instructions).map(|()| canvas.finish())
                    };
                    let (best, portable) = (with(InstructionSet::best_for_bytes()), with(InstructionSet::portable()));
                    assert!(best == portable, "{} at {at}", path.display());
                }
            }
        }
        assert_eq!(n_files, 13);
    }
}
