//! The rows of a PNG image: interlacing passes, filters, packed samples.

use super::chunks::Header;
use crate::DecodeError;

/// The Adam7 passes: first column and row, and the distances to the next.
const ADAM7: [[usize; 4]; 7] =
    [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

/// The pixels that are consecutive in the file: all of them, or those of one interlacing pass.
pub(super) struct Pass {
    pub x0: usize,
    y0: usize,
    pub dx: usize,
    dy: usize,
    pub n_rows: usize,
    /// Bytes per row without the filter byte.
    line_bytes: usize,
}

/// The nonempty passes of an image, in the order of the file.
pub(super) fn passes(header: &Header) -> Vec<Pass> {
    let [_, _, width, height] = header.frame.map(|side| side as usize);
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
    /// Bytes per row in the file: the filter and the samples.
    pub fn row_bytes(&self) -> usize {
        1 + self.line_bytes
    }

    /// The row of the image for row `y` of the pass.
    pub fn row(&self, y: usize) -> usize {
        self.y0 + y * self.dy
    }
}

/// Reverses the filter of a row, its first byte, in place.
pub(super) fn unfilter(row: &mut [u8], above: &[u8], pixel_bytes: usize) -> Result<(), DecodeError> {
    let (filter, line) = row.split_first_mut().expect("a row has its filter");
    match filter {
        0 => {}
        1 => (pixel_bytes..line.len()).for_each(|at| line[at] = line[at].wrapping_add(line[at - pixel_bytes])),
        2 => line.iter_mut().zip(above).for_each(|(byte, &above)| *byte = byte.wrapping_add(above)),
        3 => unfilter_average(line, above, pixel_bytes),
        4 => unfilter_paeth(line, above, pixel_bytes),
        _ => return Err(DecodeError::png("an unknown filter")),
    }
    Ok(())
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

/// The neighbour that is nearest to left + above - corner.
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
