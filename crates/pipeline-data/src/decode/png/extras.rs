//! Chunks of a PNG that do not affect its pixels, but for which Pillow refuses a file when they are wrong.

use flate2::{Decompress, FlushDecompress, Status};

use super::TRUNCATED;
use super::chunks::{Header, Kind};
use crate::DecodeError;

/// The most bytes of an inflated text.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// The most bytes of all texts together.
const MAX_TEXTS_BYTES: usize = 64 << 20;

/// The chunks seen so far.
#[derive(Default)]
pub(super) struct Extras {
    /// Left, top, width and height of the announced frame.
    pub frame: Option<[u32; 4]>,
    n_frames: Option<u32>,
    last_number: Option<u32>,
    n_text_bytes: usize,
}

pub(super) fn damaged(reason: &str) -> DecodeError {
    DecodeError::png(reason)
}

impl Extras {
    pub fn is_animated(&self) -> bool {
        self.n_frames.is_some_and(|n_frames| n_frames > 1)
    }

    /// Refuses a chunk that Pillow refuses.
    pub fn check(&mut self, name: [u8; 4], contents: &[u8], header: Option<&Header>) -> Result<(), DecodeError> {
        let at_least = |n_bytes: usize| {
            if contents.len() < n_bytes { Err(damaged("a chunk that is too short")) } else { Ok(()) }
        };
        match &name {
            b"gAMA" => at_least(4),
            b"cHRM" => at_least(32),
            b"sRGB" => at_least(1),
            b"pHYs" => at_least(9),
            b"tRNS" => at_least(match header.map(|header| (header.kind, header.depth)) {
                Some((Kind::Gray, _)) => 2,
                Some((Kind::Rgb, _)) => 6,
                _ => 0,
            }),
            b"iCCP" => check_profile(contents),
            b"tEXt" => {
                let (key, text) = split(contents);
                self.add_text(key, text.unwrap_or_default().len())
            }
            b"zTXt" => self.check_compressed_text(contents),
            b"iTXt" => self.check_international_text(contents),
            b"acTL" => {
                at_least(8)?;
                let n_frames = u32::from_be_bytes([contents[0], contents[1], contents[2], contents[3]]);
                self.n_frames = match self.n_frames {
                    Some(_) => None,
                    None => Some(n_frames).filter(|n_frames| (1..=0x8000_0000).contains(n_frames)),
                };
                Ok(())
            }
            b"fcTL" => {
                at_least(26)?;
                self.begin_frame(contents, header)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the sequence number of a frame's data follows the last one.
    pub fn check_sequence(&mut self, contents: Option<&[u8]>) -> Result<(), DecodeError> {
        let number = contents.and_then(|contents| contents.first_chunk::<4>()).ok_or(TRUNCATED)?;
        let number = u32::from_be_bytes(*number);
        if self.last_number.is_none_or(|last| last.checked_add(1) != Some(number)) {
            return Err(damaged("frames of an animation in the wrong order"));
        }
        self.last_number = Some(number);
        Ok(())
    }

    fn begin_frame(&mut self, contents: &[u8], header: Option<&Header>) -> Result<(), DecodeError> {
        if self.last_number.is_none() && contents[..4] == [0; 4] {
            self.last_number = Some(0);
        } else {
            self.check_sequence(Some(contents))?;
        }
        let side = |at: usize| u32::from_be_bytes([contents[at], contents[at + 1], contents[at + 2], contents[at + 3]]);
        let [width, height, left, top] = [4, 8, 12, 16].map(side);
        let (max_width, max_height) = header.map_or((0, 0), |header| (header.width, header.height));
        let fits = |start: u32, side: u32, max: u32| u64::from(start) + u64::from(side) <= u64::from(max);
        if !fits(left, width, max_width) || !fits(top, height, max_height) {
            return Err(damaged("a frame that is larger than the image"));
        }
        self.frame = Some([left, top, width, height]);
        Ok(())
    }

    fn check_compressed_text(&mut self, contents: &[u8]) -> Result<(), DecodeError> {
        let (key, text) = split(contents);
        let text = text.unwrap_or_default();
        if text.first().is_some_and(|method| *method != 0) {
            return Err(damaged("an unknown compression of a text"));
        }
        let n_bytes = inflated_bytes(text.get(1..).unwrap_or_default())?;
        self.add_text(key, n_bytes.unwrap_or(0))
    }

    fn check_international_text(&mut self, contents: &[u8]) -> Result<(), DecodeError> {
        let (key, Some([is_compressed, method, rest @ ..])) = split(contents) else { return Ok(()) };
        let (_, Some(rest)) = split(rest) else { return Ok(()) };
        let (_, Some(text)) = split(rest) else { return Ok(()) };
        let n_bytes = match (is_compressed, method) {
            (0, _) => Some(text.len()),
            (_, 0) => inflated_bytes(text)?,
            _ => None,
        };
        n_bytes.map_or(Ok(()), |n_bytes| self.add_text(key, n_bytes))
    }

    fn add_text(&mut self, key: &[u8], n_bytes: usize) -> Result<(), DecodeError> {
        self.n_text_bytes += if key.is_empty() { 0 } else { n_bytes };
        if self.n_text_bytes > MAX_TEXTS_BYTES { Err(damaged("texts of more than 64 MiB")) } else { Ok(()) }
    }
}

fn check_profile(contents: &[u8]) -> Result<(), DecodeError> {
    let name_bytes = contents.iter().position(|byte| *byte == 0);
    // Without the name's terminator Pillow takes the first byte for the method.
    let method_at = name_bytes.map_or(0, |end| end + 1);
    match contents.get(method_at) {
        Some(0) => inflated_bytes(contents.get(method_at + 1..).unwrap_or_default()).map(|_| ()),
        _ => Err(damaged("an unknown compression of its colour profile")),
    }
}

/// The bytes before the first zero, and those after it if there is one.
fn split(contents: &[u8]) -> (&[u8], Option<&[u8]>) {
    match contents.iter().position(|byte| *byte == 0) {
        Some(end) => (&contents[..end], Some(&contents[end + 1..])),
        None => (contents, None),
    }
}

/// The inflated length of a compressed text; `None` if it is damaged, which Pillow ignores.
fn inflated_bytes(text: &[u8]) -> Result<Option<usize>, DecodeError> {
    let mut inflater = Decompress::new(true);
    let mut inflated = vec![0; MAX_TEXT_BYTES];
    loop {
        let (n_read, n_written) = (inflater.total_in() as usize, inflater.total_out() as usize);
        let status = inflater.decompress(&text[n_read..], &mut inflated[n_written..], FlushDecompress::None);
        match status {
            Err(_) => return Ok(None),
            Ok(Status::StreamEnd) => return Ok(Some(inflater.total_out() as usize)),
            Ok(_) => {}
        }
        let (n_read_now, n_written_now) = (inflater.total_in() as usize, inflater.total_out() as usize);
        if n_written_now == MAX_TEXT_BYTES && n_read_now < text.len() {
            return Err(damaged("a compressed text or profile of more than 1 MiB"));
        }
        if (n_read_now, n_written_now) == (n_read, n_written) || n_read_now == text.len() {
            return Ok(Some(n_written_now));
        }
    }
}
