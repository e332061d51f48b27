//! PNG, with Pillow's conversions: no gamma, no transparency, palette colours as they are.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, DecodingError, Info, Transformations};

use super::{DecodeError, Format, RgbImage, check_size};

const SIGNATURE_BYTES: usize = 8;
/// The chunk that ends a file.
const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    check_header(&bytes[SIGNATURE_BYTES..])?;
    // Pillow does not miss the end chunk, the decoder would.
    let mut decoder = Decoder::new(Cursor::new([bytes, END].concat()));
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.ignore_checksums(true);
    let mut reader = decoder.read_info().map_err(failure)?;
    let (width, height) = reader.info().size();
    check_size(u64::from(width), u64::from(height))?;
    let n_bytes = reader.output_buffer_size().ok_or(DecodeError::damaged(Format::Png, "too large a row"))?;
    let mut samples = vec![0; n_bytes];
    let line_bytes = reader.next_frame(&mut samples).map_err(failure)?.line_size;
    let pixels = to_rgb(reader.info(), samples, line_bytes);
    Ok(RgbImage { width, height, pixels })
}

/// Compares the checksums of the chunks before the image data; Pillow looks at no other.
fn check_header(mut chunks: &[u8]) -> Result<(), DecodeError> {
    const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Png };
    loop {
        let (length, rest) = chunks.split_first_chunk::<4>().ok_or(TRUNCATED)?;
        if rest.starts_with(b"IDAT") {
            return Ok(());
        }
        let length = u32::from_be_bytes(*length) as usize;
        let (chunk, rest) = rest.split_at_checked(4 + length).ok_or(TRUNCATED)?;
        let (checksum, rest) = rest.split_first_chunk::<4>().ok_or(TRUNCATED)?;
        if crc32fast::hash(chunk) != u32::from_be_bytes(*checksum) {
            return Err(DecodeError::damaged(Format::Png, "a wrong checksum in the header"));
        }
        chunks = rest;
    }
}

fn to_rgb(info: &Info<'_>, samples: Vec<u8>, line_bytes: usize) -> Vec<u8> {
    if (info.color_type, info.bit_depth) == (ColorType::Rgb, BitDepth::Eight) {
        return samples;
    }
    let width = info.width as usize;
    let mut pixels = Vec::with_capacity(width * info.height as usize * 3);
    for line in samples.chunks_exact(line_bytes) {
        match (info.color_type, info.bit_depth) {
            (ColorType::Indexed, depth) => {
                let palette = info.palette.as_deref().unwrap_or_default().as_chunks::<3>().0;
                pixels.extend((0..width).flat_map(|x| colour(palette, packed(line, x, depth))));
            }
            (ColorType::Grayscale, BitDepth::Sixteen) => {
                let levels = line.as_chunks::<2>().0.iter().map(|&level| u16::from_be_bytes(level).min(255) as u8);
                pixels.extend(levels.flat_map(|level| [level; 3]));
            }
            (ColorType::Grayscale, depth) => {
                // 255 is a multiple of the largest level of every depth.
                let factor = (255 / ((1_u16 << depth as u8) - 1)) as u8;
                pixels.extend((0..width).flat_map(|x| [packed(line, x, depth) * factor; 3]));
            }
            (color_type, depth) => {
                // The first byte of a sample is the high one.
                let (n_channels, sample_bytes) = (color_type.samples(), depth as usize / 8);
                for pixel in line.chunks_exact(n_channels * sample_bytes) {
                    let channel = |at: usize| pixel[if n_channels < 3 { 0 } else { at * sample_bytes }];
                    pixels.extend([channel(0), channel(1), channel(2)]);
                }
            }
        }
    }
    pixels
}

/// Sample `x` of a line of up to 8 bits a sample.
fn packed(line: &[u8], x: usize, depth: BitDepth) -> u8 {
    let n_bits = depth as usize;
    let byte = line[x * n_bits / 8];
    let shift = 8 - n_bits - x * n_bits % 8;
    byte >> shift & (0xff >> (8 - n_bits))
}

/// A colour that is not in the palette is black, as in Pillow.
fn colour(palette: &[[u8; 3]], index: u8) -> [u8; 3] {
    palette.get(usize::from(index)).copied().unwrap_or_default()
}

fn failure(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::IoError(_) => DecodeError::Truncated { format: Format::Png },
        error => DecodeError::damaged(Format::Png, error),
    }
}
