//! The chunks of a PNG file: its header, its palette, and the pieces of its compressed data, as Pillow reads them.

use super::TRUNCATED;
use super::extras::{Extras, damaged};
use crate::DecodeError;
use crate::decode::Format;

const SIGNATURE_BYTES: usize = 8;
/// The most bytes that Pillow passes to its decoder at once.
const PIECE_BYTES: usize = 1 << 16;

/// The samples of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gray,
    Rgb,
    Palette,
    GrayAlpha,
    RgbAlpha,
}

/// The contents of the chunks before the image data.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub width: u32,
    pub height: u32,
    pub kind: Kind,
    /// Bits per sample: 1, 2, 4, 8 or 16.
    pub depth: u8,
    pub is_interlaced: bool,
    /// Left, top, width and height of the first frame of an animation, which may be smaller than the image.
    pub frame: [u32; 4],
    palette: Vec<[u8; 3]>,
    /// The contents of the chunk `tRNS`: the alpha of each palette colour, or the samples of the transparent colour.
    transparency: Vec<u8>,
}

impl Header {
    /// Bits per pixel.
    pub fn pixel_bits(&self) -> usize {
        let n_samples = match self.kind {
            Kind::Gray | Kind::Palette => 1,
            Kind::GrayAlpha => 2,
            Kind::Rgb => 3,
            Kind::RgbAlpha => 4,
        };
        n_samples * usize::from(self.depth)
    }

    /// Bytes per pixel, at least one.
    pub fn pixel_bytes(&self) -> usize {
        self.pixel_bits().div_ceil(8)
    }

    /// A colour of the palette.
    pub fn colour(&self, index: u8) -> [u8; 3] {
        self.palette.get(usize::from(index)).copied().unwrap_or_default()
    }

    /// The alpha of a pixel, given its colour, its samples as in the file, and its index, if it has a palette.
    pub fn alpha(&self, colour: [u8; 3], samples: &[u8], index: u8) -> u8 {
        match self.kind {
            Kind::Palette => self.transparency.get(usize::from(index)).copied().unwrap_or(255),
            Kind::GrayAlpha | Kind::RgbAlpha => samples[samples.len() - usize::from(self.depth / 8)],
            Kind::Gray | Kind::Rgb => {
                if self.transparent() == Some(colour) {
                    0
                } else {
                    255
                }
            }
        }
    }

    /// The transparent colour, which Pillow compares after the conversion to 8 bits, and of which it keeps 8 bits.
    fn transparent(&self) -> Option<[u8; 3]> {
        let key = self.transparency.as_chunks::<2>().0;
        let low = |[_, low]: [u8; 2]| low;
        match self.kind {
            Kind::Rgb => Some(*key.first_chunk::<3>()?).map(|key| key.map(low)),
            // In black and white anything but 0 is white.
            _ if self.depth == 1 => key.first().map(|key| [if *key == [0, 0] { 0 } else { 255 }; 3]),
            _ => key.first().map(|key| [low(*key); 3]),
        }
    }

    /// A header replaces the previous one, unless its kind of pixel does not exist.
    fn parse(chunk: &[u8], previous: Option<Self>) -> Result<Self, DecodeError> {
        let &[a, b, c, d, e, f, g, h, depth, kind, _, 0, interlace, ..] = chunk else {
            return Err(damaged("a bad header"));
        };
        let kind = match (kind, depth) {
            (0, 1 | 2 | 4 | 8 | 16) => Some((Kind::Gray, depth)),
            (2, 8 | 16) => Some((Kind::Rgb, depth)),
            (3, 1 | 2 | 4 | 8) => Some((Kind::Palette, depth)),
            (4, 8 | 16) => Some((Kind::GrayAlpha, depth)),
            (6, 8 | 16) => Some((Kind::RgbAlpha, depth)),
            _ => previous.as_ref().map(|previous| (previous.kind, previous.depth)),
        };
        let (kind, depth) = kind.ok_or_else(|| damaged("a bad header"))?;
        let (width, height) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        let is_interlaced = interlace != 0 || previous.as_ref().is_some_and(|previous| previous.is_interlaced);
        let (palette, transparency) =
            previous.map(|previous| (previous.palette, previous.transparency)).unwrap_or_default();
        Ok(Self { width, height, kind, depth, is_interlaced, frame: [0, 0, width, height], palette, transparency })
    }
}

/// The chunks of a file, in order.
pub(super) struct Chunks<'a> {
    bytes: &'a [u8],
    position: usize,
    extras: Extras,
    /// The bytes left in the current chunk of image data.
    n_left: usize,
}

struct Chunk<'a> {
    name: [u8; 4],
    length: usize,
    /// The offset of its contents.
    start: usize,
    /// Its contents; `None` if the file ends within them.
    contents: Option<&'a [u8]>,
}

/// Reads the header; the returned chunks stand at the first image data.
pub(super) fn read(bytes: &[u8]) -> Result<(Header, Chunks<'_>), DecodeError> {
    let mut chunks = Chunks { bytes, position: SIGNATURE_BYTES, extras: Extras::default(), n_left: 0 };
    let mut header: Option<Header> = None;
    loop {
        let chunk = chunks.next()?;
        match &chunk.name {
            b"IDAT" => chunks.n_left = chunk.length,
            b"fdAT" => chunks.begin_frame_data(&chunk)?,
            b"IEND" => return Err(TRUNCATED),
            _ => {
                let contents = chunk.contents.ok_or(TRUNCATED)?;
                match &chunk.name {
                    b"IHDR" => header = Some(Header::parse(contents, header)?),
                    b"PLTE" => {
                        if let Some(header) = header.as_mut().filter(|header| header.kind == Kind::Palette) {
                            header.palette = contents.as_chunks::<3>().0.to_vec();
                        }
                    }
                    _ => chunks.extras.check(chunk.name, contents, header.as_ref())?,
                }
                if let Some(header) = header.as_mut().filter(|_| chunk.name == *b"tRNS") {
                    header.transparency = contents.to_vec();
                }
                chunks.check_sum(&chunk)?;
                continue;
            }
        }
        let mut header = header.ok_or_else(|| damaged("no header"))?;
        if header.kind == Kind::Palette && header.palette.len() > 256 {
            return Err(damaged("a palette of too many colours"));
        }
        if let Some(frame) = chunks.extras.frame {
            header.frame = frame;
        }
        return Ok((header, chunks));
    }
}

impl<'a> Chunks<'a> {
    /// The next piece of the image's data; `None` where other chunks follow.
    pub fn piece(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        while self.n_left == 0 {
            self.position += 4;
            let start = self.position;
            let chunk = self.next()?;
            match &chunk.name {
                b"IDAT" | b"DDAT" => self.n_left = chunk.length,
                b"fdAT" => self.begin_frame_data(&chunk)?,
                _ => {
                    // Its turn comes again, after a checksum that was skipped already.
                    self.position = start - 4;
                    return Ok(None);
                }
            }
        }
        let n_bytes = self.n_left.min(PIECE_BYTES);
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let piece = &rest[..rest.len().min(n_bytes)];
        self.position += piece.len();
        self.n_left -= n_bytes;
        if piece.is_empty() { Err(TRUNCATED) } else { Ok(Some(piece)) }
    }

    /// Reads on after the image as Pillow does, which refuses some trailing chunks.
    pub fn check_trailer(&mut self, header: &Header) -> Result<(), DecodeError> {
        self.position = self.bytes.len().min(self.position + self.n_left);
        loop {
            self.position += 4;
            let Ok(chunk) = self.next() else { return Ok(()) };
            match &chunk.name {
                b"IEND" => return Ok(()),
                b"fcTL" if self.extras.is_animated() => return Ok(()),
                b"fdAT" => {
                    self.extras.check_sequence(chunk.contents)?;
                    chunk.contents.ok_or(TRUNCATED)?;
                }
                b"IHDR" => drop(Header::parse(chunk.contents.ok_or(TRUNCATED)?, Some(header.clone()))?),
                _ => {
                    let contents = chunk.contents.ok_or(TRUNCATED)?;
                    if !matches!(&chunk.name, b"IDAT" | b"PLTE") {
                        self.extras.check(chunk.name, contents, Some(header))?;
                    }
                }
            }
            self.position = chunk.start + chunk.length;
        }
    }

    /// The chunk at the current position; skips its contents if they are there.
    fn next(&mut self) -> Result<Chunk<'a>, DecodeError> {
        let rest = self.bytes.get(self.position..).ok_or(TRUNCATED)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(TRUNCATED)?;
        let (name, rest) = rest.split_first_chunk::<4>().ok_or(TRUNCATED)?;
        if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            return Err(damaged("a chunk without a name"));
        }
        let length = u32::from_be_bytes(*length) as usize;
        self.position += 8;
        Ok(Chunk { name: *name, length, start: self.position, contents: rest.get(..length) })
    }

    /// Skips the contents of a chunk and verifies their checksum.
    fn check_sum(&mut self, chunk: &Chunk<'_>) -> Result<(), DecodeError> {
        let end = chunk.start + chunk.length;
        let sum = self.bytes.get(end..).and_then(|rest| rest.first_chunk::<4>()).ok_or(TRUNCATED)?;
        if crc32fast::hash(&self.bytes[chunk.start - 4..end]) != u32::from_be_bytes(*sum) {
            return Err(damaged("a wrong checksum in the header"));
        }
        self.position = end + 4;
        Ok(())
    }

    /// The image data of an animation frame, after its sequence number.
    fn begin_frame_data(&mut self, chunk: &Chunk<'_>) -> Result<(), DecodeError> {
        self.extras.check_sequence(self.bytes.get(chunk.start..).filter(|_| chunk.length >= 4))?;
        self.n_left = chunk.length - 4;
        self.position = chunk.start + 4;
        Ok(())
    }
}

impl DecodeError {
    pub(super) fn png(reason: &str) -> Self {
        Self::damaged(Format::Png, reason)
    }
}
