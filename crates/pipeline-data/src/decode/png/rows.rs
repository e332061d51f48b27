//! The rows of a PNG image: interlacing passes, filters, packed samples.

use std::ops::Range;

use super::chunks::Header;
use crate::DecodeError;
use crate::decode::Format;

/// The Adam7 passes: first column and row, and the distances to the next.
const ADAM7: [[usize; 4]; 7] =
    [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

/// The pixels that follow one another in the file: all of them, or those of one interlacing pass.
pub(super) struct Pass {
    pub x0: usize,
    y0: usize,
    pub dx: usize,
    dy: usize,
    n_rows: usize,
    /// Bytes of a row without its filter.
    line_bytes: usize,
}

/// The passes of an image that hold any pixel, in the order of the file.
pub(super) fn passes(header: &Header) -> Vec<Pass> {
    let (width, height) = (header.width as usize, header.height as usize);
    let passes: &[[usize; 4]] = if header.is_interlaced { &ADAM7 } else { &[[0, 0, 1, 1]] };
    let pass = |&[x0, y0, dx, dy]: &[usize; 4]| Pass {
        x0,
        y0,
        dx,
        dy,
        n_rows: height.saturating_sub(y0).div_ceil(dy),
        line_bytes: (width.saturating_sub(x0).div_ceil(dx) * header.pixel_bits()).div_ceil(8),
    };
    passes.iter().map(pass).filter(|pass| pass.n_rows > 0 && pass.line_bytes > 0).collect()
}

impl Pass {
    /// Bytes of a row in the file: the filter and the samples.
    pub fn row_bytes(&self) -> usize {
        1 + self.line_bytes
    }

    pub fn n_bytes(&self) -> usize {
        self.n_rows * self.row_bytes()
    }

    /// Where row `y` of the pass belongs in the image's RGB bytes.
    pub fn line(&self, y: usize, header: &Header) -> Range<usize> {
        let line_bytes = header.width as usize * 3;
        let start = (self.y0 + y * self.dy) * line_bytes;
        start..start + line_bytes
    }

    /// Takes the filters off the rows, in place.
    pub fn unfilter(&self, rows: &mut [u8], pixel_bytes: usize) -> Result<(), DecodeError> {
        let mut above = vec![0; self.line_bytes];
        for row in rows.chunks_exact_mut(self.row_bytes()) {
            let (filter, line) = row.split_first_mut().expect("a row has its filter");
            match filter {
                0 => {}
                1 => (pixel_bytes..line.len()).for_each(|at| line[at] = line[at].wrapping_add(line[at - pixel_bytes])),
                2 => line.iter_mut().zip(&above).for_each(|(byte, &above)| *byte = byte.wrapping_add(above)),
                3 => unfilter_average(line, &above, pixel_bytes),
                4 => unfilter_paeth(line, &above, pixel_bytes),
                _ => return Err(DecodeError::damaged(Format::Png, "an unknown filter")),
            }
            above.copy_from_slice(line);
        }
        Ok(())
    }
}

/// Sample `x` of a line of up to 8 bits a sample.
pub(super) fn packed(line: &[u8], x: usize, depth: u8) -> u8 {
    let n_bits = usize::from(depth);
    let shift = 8 - n_bits - x * n_bits % 8;
    line[x * n_bits / 8] >> shift & (0xff >> (8 - n_bits))
}

fn unfilter_average(line: &mut [u8], above: &[u8], pixel_bytes: usize) {
    for at in 0..line.len() {
        let left = if at < pixel_bytes { 0 } else { line[at - pixel_bytes] };
        line[at] = line[at].wrapping_add(((u16::from(left) + u16::from(above[at])) / 2) as u8);
    }
}

fn unfilter_paeth(line: &mut [u8], above: &[u8], pixel_bytes: usize) {
    for at in 0..line.len() {
        let (left, corner) = if at < pixel_bytes { (0, 0) } else { (line[at - pixel_bytes], above[at - pixel_bytes]) };
        line[at] = line[at].wrapping_add(paeth(left, above[at], corner));
    }
}

/// Of the three neighbours the one nearest to left + above - corner.
fn paeth(left: u8, above: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(above), i16::from(corner));
    let (to_left, to_above, to_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if to_left <= to_above && to_left <= to_corner {
        left
    } else if to_above <= to_corner {
        above
    } else {
        corner
    }
}
