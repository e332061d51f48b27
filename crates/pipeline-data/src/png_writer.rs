//! Writes PNG files of small images with transparency.

use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Bytes of a pixel: red, green, blue, alpha.
const PIXEL: usize = 4;
/// The filters of a row, in the order of their numbers: none, left, above, mean of both, Paeth's choice.
const N_FILTERS: u8 = 5;

/// A PNG file of `rgba`, `[height, width, 4]`, whose colours are not multiplied by alpha. Equal pixels give equal
/// bytes.
pub(crate) fn png_file(width: u32, height: u32, rgba: &[u8]) -> Vec<u8> {
    let mut header = Vec::from(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    // Eight bits a channel, colours with alpha, the only methods of compression and filters, not interlaced.
    header.extend([8, 6, 0, 0, 0]);
    let mut file = SIGNATURE.to_vec();
    chunk(&mut file, *b"IHDR", &header);
    chunk(&mut file, *b"IDAT", &compressed(&filtered(width as usize * PIXEL, rgba)));
    chunk(&mut file, *b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    let length = u32::try_from(content.len()).expect("BUG: a thumbnail is small");
    file.extend(length.to_be_bytes());
    let mut crc = Crc::new();
    crc.update(&name);
    crc.update(content);
    file.extend(name);
    file.extend(content);
    file.extend(crc.sum().to_be_bytes());
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a Vec takes any bytes")
}

/// The rows, each by the filter that leaves the smallest differences.
fn filtered(row_bytes: usize, pixels: &[u8]) -> Vec<u8> {
    let zeros = vec![0; row_bytes];
    let mut above = zeros.as_slice();
    let mut filtered = Vec::new();
    for row in pixels.chunks_exact(row_bytes) {
        let candidates = (0..N_FILTERS).map(|filter| (filter, differences(filter, row, above)));
        let size =
            |(_, row): &(u8, Vec<u8>)| row.iter().map(|byte| u64::from(byte.cast_signed().unsigned_abs())).sum::<u64>();
        let (filter, row_of_differences) = candidates.min_by_key(size).expect("there are filters");
        filtered.push(filter);
        filtered.extend(row_of_differences);
        above = row;
    }
    filtered
}

fn differences(filter: u8, row: &[u8], above: &[u8]) -> Vec<u8> {
    let at = |bytes: &[u8], idx: usize| idx.checked_sub(PIXEL).map_or(0, |idx| bytes[idx]);
    let difference = |idx: usize| {
        let (left, up, corner) = (at(row, idx), above[idx], at(above, idx));
        row[idx].wrapping_sub(match filter {
            0 => 0,
            1 => left,
            2 => up,
            3 => u8::midpoint(left, up),
            _ => nearest(left, up, corner),
        })
    };
    (0..row.len()).map(difference).collect()
}

/// Paeth's choice: which of the three is nearest to `left + up - corner`.
fn nearest(left: u8, up: u8, corner: u8) -> u8 {
    let [a, b, c] = [left, up, corner].map(i16::from);
    let distances = [(a, b - c), (b, a - c), (c, a + b - 2 * c)].map(|(value, distance)| (value, distance.abs()));
    let (value, _) = distances.into_iter().min_by_key(|(_, distance)| *distance).expect("there are three");
    value as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Alpha, DECODER_BYTES, Limits, Memory, decode_within};

    #[test]
    fn a_file_is_read_back_as_it_was_written() {
        let (width, height) = (23, 17);
        let rgba: Vec<u8> = (0..width * height * 4).map(|idx: u32| (idx * idx / 7 % 251) as u8).collect();
        let file = png_file(width, height, &rgba);
        let limits = Limits { memory: &Memory::new(DECODER_BYTES), is_cancelled: &|| false };
        let (_, image) = decode_within(&file, None, Alpha::Drop, limits).unwrap();
        let colours: Vec<u8> = rgba.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        assert_eq!((image.width, image.height, image.pixels), (width, height, colours));
    }
}
