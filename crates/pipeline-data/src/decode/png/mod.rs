//! PNG, with Pillow's conversions (no gamma, no transparency, palette colours unchanged) and Pillow's tolerance.
//!
//! As in Pillow, a file may end once its last row is complete. The checksums of the header's chunks must be right, and
//! that of the compressed data where it exists; those of later chunks are ignored. An animation gives its first frame,
//! on black.

mod chunks;
mod extras;
mod rows;

use flate2::{Decompress, FlushDecompress, Status};

use super::bmp::packed;
use super::canvas::over;
use super::{Canvas, DecodeError, Format};
use chunks::{Chunks, Header, Kind};
use rows::Pass;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Png };
/// The memory of zlib and of small buffers.
const INFLATER_BYTES: u64 = 64 << 10;
/// The number of rows between checks for cancellation.
const WATCHED_ROWS: usize = 256;

/// Takes a row of a pass: its number and its unfiltered bytes.
type TakeRow<'a> = dyn FnMut(&Pass, usize, &[u8]) -> Result<(), DecodeError> + 'a;

pub(super) fn decode(bytes: &[u8], canvas: &mut Canvas<'_>) -> Result<(), DecodeError> {
    let (header, mut chunks) = chunks::read(bytes)?;
    let (width, height) = (u64::from(header.width), u64::from(header.height));
    let row_bytes = width.saturating_mul(header.pixel_bits() as u64) / 8 + 2;
    let is_plain = !header.is_interlaced && header.frame == [0, 0, header.width, header.height];
    let whole_bytes = if is_plain { 0 } else { width.saturating_mul(height).saturating_mul(3) };
    canvas.begin(width, height, (2 * row_bytes + INFLATER_BYTES).saturating_add(whole_bytes))?;
    let [left, top, frame_width, frame_height] = header.frame.map(|side| side as usize);
    if frame_width == 0 || frame_height == 0 {
        return Err(DecodeError::png("an empty frame"));
    }
    let passes = rows::passes(&header);
    let background = canvas.background();
    if is_plain {
        let mut n_rows = 0;
        read_rows(&header, &mut chunks, &passes, &mut |_, _, row| {
            paint(&header, row, canvas.row().as_chunks_mut::<3>().0.iter_mut());
            if let Some(background) = background {
                blend(&header, background, row, canvas.row().as_chunks_mut::<3>().0.iter_mut());
            }
            canvas.next();
            n_rows += 1;
            if n_rows % WATCHED_ROWS == 0 { canvas.check_cancelled() } else { Ok(()) }
        })?;
    } else {
        let (width, height) = (header.width as usize, header.height as usize);
        // Pixels in no pass have level or index 0.
        let nothing = if header.kind == Kind::Palette { header.colour(0) } else { [0; 3] };
        let mut pixels = vec![nothing; width * height];
        read_rows(&header, &mut chunks, &passes, &mut |pass, y, row| {
            // Pillow respects the offset of a frame within its rows only if it is not interlaced.
            let (left, top) = if header.is_interlaced { (0, 0) } else { (left, top) };
            let line = &mut pixels[(top + pass.row(y)) * width + left..][..frame_width];
            paint(&header, row, line.iter_mut().skip(pass.x0).step_by(pass.dx));
            if let Some(background) = background {
                blend(&header, background, row, line.iter_mut().skip(pass.x0).step_by(pass.dx));
            }
            if y % WATCHED_ROWS == 0 { canvas.check_cancelled() } else { Ok(()) }
        })?;
        for line in pixels.chunks_exact(width) {
            canvas.row().copy_from_slice(line.as_flattened());
            canvas.next();
        }
    }
    chunks.check_trailer(&header)
}

/// Inflates row by row as Pillow calls zlib, since its stopping points determine what it accepts.
fn read_rows(
    header: &Header,
    chunks: &mut Chunks<'_>,
    passes: &[Pass],
    take: &mut TakeRow<'_>,
) -> Result<(), DecodeError> {
    let mut inflater = Decompress::new(true);
    let mut piece: &[u8] = &[];
    let mut is_ended = false;
    for pass in passes {
        let mut above = vec![0; pass.row_bytes()];
        let mut row = vec![0; pass.row_bytes()];
        for y in 0..pass.n_rows {
            let mut n_there = 0;
            while n_there < row.len() && !is_ended {
                if piece.is_empty() {
                    piece = chunks.piece()?.ok_or(TRUNCATED)?;
                }
                let (n_in, n_out) = (inflater.total_in(), inflater.total_out());
                let status = inflater.decompress(piece, &mut row[n_there..], FlushDecompress::None);
                let status = status.map_err(|error| DecodeError::damaged(Format::Png, error))?;
                piece = &piece[(inflater.total_in() - n_in) as usize..];
                n_there += (inflater.total_out() - n_out) as usize;
                match status {
                    // Where the data end after a row that is not the last, the others stay black.
                    Status::StreamEnd if n_there < row.len() => return Err(TRUNCATED),
                    Status::StreamEnd => is_ended = true,
                    // The rest needs a dictionary, which PNG does not have.
                    Status::BufError if !piece.is_empty() => return Err(TRUNCATED),
                    Status::Ok | Status::BufError => {}
                }
            }
            if n_there == 0 {
                row.fill(0);
            } else {
                rows::unfilter(&mut row, &above[1..], header.pixel_bytes())?;
            }
            take(pass, y, &row[1..])?;
            std::mem::swap(&mut above, &mut row);
        }
    }
    Ok(())
}

/// Lays one row of colours on a level of all channels.
fn blend<'a>(header: &Header, background: u8, row: &[u8], pixels: impl Iterator<Item = &'a mut [u8; 3]>) {
    let pixel_bytes = header.pixel_bytes();
    for (x, pixel) in pixels.enumerate() {
        let (samples, index) = match header.depth {
            8.. => (&row[x * pixel_bytes..][..pixel_bytes], row[x * pixel_bytes]),
            depth => (&row[..0], packed(row, x, usize::from(depth))),
        };
        *pixel = over(background, *pixel, header.alpha(*pixel, samples, index));
    }
}

/// Converts the samples of one row.
fn paint<'a>(header: &Header, row: &[u8], pixels: impl Iterator<Item = &'a mut [u8; 3]>) {
    match (header.kind, header.depth) {
        (Kind::Gray, 16) => {
            let samples = row.as_chunks::<2>().0;
            pixels.zip(samples).for_each(|(pixel, &sample)| *pixel = [u16::from_be_bytes(sample).min(255) as u8; 3]);
        }
        (Kind::Gray, depth) => {
            // 255 is a multiple of the largest level of every depth.
            let factor = (255 / ((1_u32 << depth) - 1)) as u8;
            pixels.enumerate().for_each(|(x, pixel)| *pixel = [packed(row, x, usize::from(depth)) * factor; 3]);
        }
        (Kind::Palette, depth) => {
            pixels.enumerate().for_each(|(x, pixel)| *pixel = header.colour(packed(row, x, usize::from(depth))));
        }
        // The first of two bytes is the high one.
        (Kind::GrayAlpha, depth) => {
            let samples = row.chunks_exact(usize::from(depth) / 4);
            pixels.zip(samples).for_each(|(pixel, sample)| *pixel = [sample[0]; 3]);
        }
        (Kind::Rgb, 8) => pixels.zip(row.as_chunks::<3>().0).for_each(|(pixel, sample)| *pixel = *sample),
        (Kind::RgbAlpha, 8) => {
            pixels.zip(row.as_chunks::<4>().0).for_each(|(pixel, &[r, g, b, _])| *pixel = [r, g, b]);
        }
        (Kind::Rgb | Kind::RgbAlpha, _) => {
            let samples = row.chunks_exact(header.pixel_bytes());
            pixels.zip(samples).for_each(|(pixel, sample)| *pixel = [sample[0], sample[2], sample[4]]);
        }
    }
}
