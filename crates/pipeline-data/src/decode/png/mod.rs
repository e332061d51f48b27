//! PNG, with Pillow's conversions (no gamma, no transparency, palette colours as they are) and Pillow's patience.
//!
//! As in Pillow, a file may end once its last row is complete, the checksums of the header's chunks must be right, those
//! of later chunks are not looked at, and the checksum of the compressed data must be right where it is there.

mod chunks;
mod rows;

use flate2::{Decompress, FlushDecompress};

use super::{DecodeError, Format, RgbImage, check_size};
use chunks::{Header, Kind};
use rows::Pass;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Png };

pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    let (header, data) = chunks::read(bytes)?;
    check_size(u64::from(header.width), u64::from(header.height))?;
    let passes = rows::passes(&header);
    let mut rows = inflate(&data, passes.iter().map(Pass::n_bytes).sum())?;
    let mut pixels = vec![0; header.width as usize * header.height as usize * 3];
    let mut rest = &mut rows[..];
    for pass in passes {
        let (rows, after) = rest.split_at_mut(pass.n_bytes());
        rest = after;
        pass.unfilter(rows, header.pixel_bytes())?;
        for (y, row) in rows.chunks_exact(pass.row_bytes()).enumerate() {
            let line = &mut pixels[pass.line(y, &header)];
            paint(&header, &row[1..], line.as_chunks_mut::<3>().0.iter_mut().skip(pass.x0).step_by(pass.dx));
        }
    }
    Ok(RgbImage { width: header.width, height: header.height, pixels })
}

/// The first `n_bytes` of the compressed data.
fn inflate(data: &[u8], n_bytes: usize) -> Result<Vec<u8>, DecodeError> {
    let mut inflater = Decompress::new(true);
    // One byte more than wanted: without it the data's checksum, which follows their last byte, would not be read.
    let mut bytes = vec![0; n_bytes + 1];
    loop {
        let (n_read, n_written) = (inflater.total_in() as usize, inflater.total_out() as usize);
        let status = inflater.decompress(&data[n_read..], &mut bytes[n_written..], FlushDecompress::None);
        let has_moved = (n_read, n_written) != (inflater.total_in() as usize, inflater.total_out() as usize);
        if let Err(error) = &status
            && inflater.total_out() as usize <= n_bytes
        {
            return Err(DecodeError::damaged(Format::Png, error));
        }
        if matches!(status, Ok(flate2::Status::Ok)) && has_moved {
            continue;
        }
        if (inflater.total_out() as usize) < n_bytes {
            return Err(TRUNCATED);
        }
        bytes.truncate(n_bytes);
        return Ok(bytes);
    }
}

/// Converts the samples of one row.
fn paint<'a>(header: &Header, row: &[u8], pixels: impl Iterator<Item = &'a mut [u8; 3]>) {
    let sample_bytes = usize::from(header.depth / 8).max(1);
    // The first byte of a sample is the high one.
    let sample = |at: usize| row[at * sample_bytes];
    // 255 is a multiple of the largest level of every depth.
    let factor = (255 / ((1_u32 << header.depth.min(8)) - 1)) as u8;
    for (x, pixel) in pixels.enumerate() {
        *pixel = match header.kind {
            Kind::Gray if header.depth == 16 => [u16::from_be_bytes([row[2 * x], row[2 * x + 1]]).min(255) as u8; 3],
            Kind::Gray => [rows::packed(row, x, header.depth) * factor; 3],
            Kind::GrayAlpha => [sample(2 * x); 3],
            Kind::Rgb => [sample(3 * x), sample(3 * x + 1), sample(3 * x + 2)],
            Kind::RgbAlpha => [sample(4 * x), sample(4 * x + 1), sample(4 * x + 2)],
            Kind::Palette => header.colour(rows::packed(row, x, header.depth)),
        };
    }
}
