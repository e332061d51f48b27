//! WebP: the container by the rules of libwebp, which Pillow uses; the image itself by `image-webp`.
//!
//! An animation gives its first frame, on black and without its transparency, as in Pillow.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::canvas::over;
use super::{Canvas, DecodeError, Format};

const CHUNK_HEADER_BYTES: usize = 8;
const ANIMATION: u8 = 0x02;
const ALPHA: u8 = 0x10;
/// The meaningful bits of the flags.
const KNOWN_FLAGS: u8 = 0x3e;
/// The limit on an image's pixels, whatever its file says.
const MAX_AREA: u64 = 1 << 32;

pub(super) fn decode(bytes: &[u8], canvas: &mut Canvas<'_>) -> Result<(), DecodeError> {
    let image = Container::read(bytes)?;
    let frame = image.frame.as_ref().ok_or_else(|| damaged("no image"))?;
    let area = frame.width as u64 * frame.height as u64;
    // Lossless images are decoded in place; others have planes of luma and chroma, and alpha adds two of its own.
    let bytes_per_two_pixels = match (frame.is_lossless, frame.alpha) {
        (true, _) => 8,
        (false, None) => 9,
        (false, Some(_)) => 21,
    };
    canvas.begin(image.width as u64, image.height as u64, area * bytes_per_two_pixels / 2)?;
    let mut decoder = WebPDecoder::new(Cursor::new(frame.file())).map_err(failure)?;
    if decoder.dimensions() != (frame.width as u32, frame.height as u32) {
        return Err(damaged("two sizes of one image"));
    }
    let n_samples = if decoder.has_alpha() { 4 } else { 3 };
    let mut pixels = vec![0; frame.width * frame.height * n_samples];
    decoder.read_image(&mut pixels).map_err(failure)?;
    let background = canvas.background();
    let blended = background.filter(|_| frame.is_transparent && n_samples == 4);
    let outside = [background.unwrap_or(0); 3];
    for y in 0..image.height {
        let row = canvas.row().as_chunks_mut::<3>().0;
        row.fill(outside);
        if let Some(line) = y.checked_sub(frame.top).filter(|y| *y < frame.height) {
            let line = pixels[line * frame.width * n_samples..].chunks_exact(n_samples);
            row[frame.left..frame.left + frame.width].iter_mut().zip(line).for_each(|(pixel, samples)| {
                *pixel = [samples[0], samples[1], samples[2]];
                if let Some(background) = blended {
                    *pixel = over(background, *pixel, samples[3]);
                }
            });
        }
        canvas.next();
    }
    Ok(())
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::damaged(Format::WebP, reason)
}

fn failure(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::IoError(_) => DecodeError::Truncated { format: Format::WebP },
        // Artifacts keep the reason of a rejected row, so its wording must not change.
        error => DecodeError::damaged(Format::WebP, format_args!("Format error decoding WebP: {error}")),
    }
}

/// A file's canvas and its first frame.
#[derive(Default)]
struct Container<'a> {
    width: usize,
    height: usize,
    flags: u8,
    frame: Option<Frame<'a>>,
}

/// One image and its position on the canvas.
#[derive(Default)]
struct Frame<'a> {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    is_lossless: bool,
    is_transparent: bool,
    alpha: Option<&'a [u8]>,
    data: &'a [u8],
}

/// The remaining chunks of a file.
struct Chunks<'a>(&'a [u8]);

impl<'a> Container<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::Truncated { format: Format::WebP };
        let riff_bytes = bytes.get(4..).and_then(number).ok_or(truncated.clone())? as usize;
        // Bytes after the end that the file names are ignored.
        let bytes = bytes.get(..riff_bytes.saturating_add(CHUNK_HEADER_BYTES)).ok_or(truncated)?;
        let mut chunks = Chunks(bytes.get(12..).ok_or_else(|| damaged("no image"))?);
        if chunks.0.starts_with(b"VP8X") {
            return Self::read_extended(&mut chunks);
        }
        let frame = Frame::read(&mut chunks)?.ok_or_else(|| damaged("no image"))?;
        Ok(Self { width: frame.width, height: frame.height, flags: ALPHA, frame: Some(frame.without_alpha()) })
    }

    fn read_extended(chunks: &mut Chunks<'a>) -> Result<Self, DecodeError> {
        let (_, header) = chunks.next()?;
        let &[flags, _, _, _, a, b, c, d, e, f, ..] = header else { return Err(damaged("a short header")) };
        let side = |bytes: [u8; 3]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) as usize + 1;
        let (width, height) = (side([a, b, c]), side([d, e, f]));
        if flags & !KNOWN_FLAGS != 0 || width as u64 * height as u64 >= MAX_AREA {
            return Err(damaged("a bad header"));
        }
        let mut container = Self { width, height, flags, frame: None };
        let mut is_animated = false;
        if chunks.0.is_empty() {
            return Err(damaged("no image"));
        }
        while !chunks.0.is_empty() {
            container.read_chunk(chunks, &mut is_animated)?;
        }
        Ok(container)
    }

    fn read_chunk(&mut self, chunks: &mut Chunks<'a>, is_animated: &mut bool) -> Result<(), DecodeError> {
        let is_animation = self.flags & ANIMATION != 0;
        let name = chunks.name()?;
        match &name {
            b"VP8X" => return Err(damaged("a second header")),
            b"VP8 " | b"VP8L" | b"ALPH" => {
                if *is_animated || is_animation || self.frame.is_some() {
                    return Err(damaged("a second image"));
                }
                let frame = Frame::read(chunks)?.ok_or_else(|| damaged("no image"))?;
                let frame = if self.flags & ALPHA == 0 { frame.without_alpha() } else { frame };
                if (frame.width, frame.height) != (self.width, self.height) {
                    return Err(damaged("two sizes of one image"));
                }
                self.frame = Some(frame);
            }
            b"ANIM" => {
                if chunks.next()?.1.len().next_multiple_of(2) < 6 {
                    return Err(damaged("a short chunk"));
                }
                *is_animated = true;
            }
            b"ANMF" => {
                if !*is_animated {
                    return Err(damaged("a frame before the animation"));
                }
                self.read_frame(chunks, is_animation)?;
            }
            _ => drop(chunks.next()?),
        }
        Ok(())
    }

    /// A frame of an animation; chunks after its image are read as chunks of the file, as libwebp does.
    fn read_frame(&mut self, chunks: &mut Chunks<'a>, is_animation: bool) -> Result<(), DecodeError> {
        let before = chunks.0;
        let (_, contents) = chunks.next()?;
        let &[a, b, c, d, e, f, ..] = contents else { return Err(damaged("a short frame")) };
        if contents.len().next_multiple_of(2) < 16 {
            return Err(damaged("a short frame"));
        }
        let place = |bytes: [u8; 3]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) as usize * 2;
        let mut inner = Chunks(&before[CHUNK_HEADER_BYTES + 16..]);
        let frame = Frame::read(&mut inner)?;
        let n_read = before.len() - CHUNK_HEADER_BYTES - 16 - inner.0.len();
        if n_read > contents.len().next_multiple_of(2) - 16 {
            return Err(damaged("an image that is longer than its frame"));
        }
        *chunks = inner;
        let Some(frame) = frame.filter(|_| is_animation) else { return Ok(()) };
        let frame = Frame { left: place([a, b, c]), top: place([d, e, f]), ..frame };
        if frame.left + frame.width > self.width || frame.top + frame.height > self.height {
            return Err(damaged("a frame that is larger than the image"));
        }
        self.frame.get_or_insert(frame);
        Ok(())
    }
}

impl<'a> Frame<'a> {
    /// Reads alpha and image, as far as they come next; `None` if there is no image.
    fn read(chunks: &mut Chunks<'a>) -> Result<Option<Self>, DecodeError> {
        let mut frame = Self::default();
        let mut has_image = false;
        while !chunks.0.is_empty() {
            match &chunks.name()? {
                b"ALPH" if frame.alpha.is_none() => {
                    let (_, alpha) = chunks.next()?;
                    if has_image {
                        return Err(damaged("transparency behind its image"));
                    }
                    (frame.alpha, frame.is_transparent) = (Some(alpha), true);
                }
                b"VP8L" if frame.alpha.is_some() && !has_image => {
                    return Err(damaged("transparency of a lossless image"));
                }
                name @ (b"VP8 " | b"VP8L") if !has_image => {
                    has_image = true;
                    frame.is_lossless = name == b"VP8L";
                    (_, frame.data) = chunks.next()?;
                    frame.is_transparent |= frame.is_lossless && frame.data.get(4).is_some_and(|bits| bits & 0x10 != 0);
                    (frame.width, frame.height) =
                        if frame.is_lossless { lossless_size(frame.data) } else { lossy_size(frame.data) }
                            .ok_or_else(|| damaged("a bad image header"))?;
                }
                _ => break,
            }
        }
        if !has_image && frame.alpha.is_some() {
            return Err(damaged("no image"));
        }
        Ok(has_image.then_some(frame))
    }

    fn without_alpha(self) -> Self {
        Self { alpha: None, ..self }
    }

    /// A file with this image alone.
    fn file(&self) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
        if let Some(alpha) = self.alpha {
            let (width, height) = ((self.width as u32 - 1).to_le_bytes(), (self.height as u32 - 1).to_le_bytes());
            let header = [ALPHA, 0, 0, 0, width[0], width[1], width[2], height[0], height[1], height[2]];
            add_chunk(&mut file, b"VP8X", &header);
            add_chunk(&mut file, b"ALPH", alpha);
        }
        add_chunk(&mut file, if self.is_lossless { b"VP8L" } else { b"VP8 " }, self.data);
        if self.is_lossless {
            // Sets the alpha flag: pixels of four bytes are decoded in place, others in twice the memory.
            file[12 + CHUNK_HEADER_BYTES + 4] |= 0x10;
        }
        let riff_bytes = (file.len() - CHUNK_HEADER_BYTES) as u32;
        file[4..8].copy_from_slice(&riff_bytes.to_le_bytes());
        file
    }
}

fn add_chunk(file: &mut Vec<u8>, name: &[u8; 4], contents: &[u8]) {
    file.extend_from_slice(name);
    file.extend_from_slice(&(contents.len() as u32).to_le_bytes());
    file.extend_from_slice(contents);
    file.resize(file.len().next_multiple_of(2), 0);
}

/// Width and height of a lossy image that libwebp would start to decode.
fn lossy_size(data: &[u8]) -> Option<(usize, usize)> {
    let &[a, b, c, 0x9d, 0x01, 0x2a, d, e, f, g, ..] = data else { return None };
    let bits = u32::from_le_bytes([a, b, c, 0]);
    let (is_key, profile, is_shown) = (bits & 1 == 0, bits >> 1 & 7, bits >> 4 & 1 == 1);
    let side = |low, high| usize::from(u16::from_le_bytes([low, high]) & 0x3fff);
    let (width, height) = (side(d, e), side(f, g));
    let is_good = is_key && profile <= 3 && is_shown && ((bits >> 5) as usize) < data.len() && width > 0 && height > 0;
    is_good.then_some((width, height))
}

/// Width and height of a lossless image.
fn lossless_size(data: &[u8]) -> Option<(usize, usize)> {
    let &[0x2f, a, b, c, d, ..] = data else { return None };
    let bits = u32::from_le_bytes([a, b, c, d]);
    (bits >> 29 == 0).then_some(((bits & 0x3fff) as usize + 1, (bits >> 14 & 0x3fff) as usize + 1))
}

impl<'a> Chunks<'a> {
    fn name(&self) -> Result<[u8; 4], DecodeError> {
        self.0
            .first_chunk::<4>()
            .copied()
            .filter(|_| self.0.len() >= CHUNK_HEADER_BYTES)
            .ok_or_else(|| damaged("a cut chunk"))
    }

    /// The name of the next chunk and its contents; they and their padding to an even length must be there.
    fn next(&mut self) -> Result<([u8; 4], &'a [u8]), DecodeError> {
        let name = self.name()?;
        let n_bytes = self.0.get(4..).and_then(number).ok_or_else(|| damaged("a cut chunk"))? as usize;
        let contents = self.0.get(CHUNK_HEADER_BYTES..).and_then(|rest| rest.get(..n_bytes));
        let rest = self.0.get(CHUNK_HEADER_BYTES + n_bytes.next_multiple_of(2)..);
        let (Some(contents), Some(rest)) = (contents, rest) else { return Err(damaged("a cut chunk")) };
        self.0 = rest;
        Ok((name, contents))
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}
