//! Converts samples to RGB: libjpeg's "fancy" upsampling and its colour conversion, then Pillow's CMYK.

use super::Colour;
use super::frame::{Component, Frame};
use crate::decode::Canvas;
use pipeline_kernels::{InstructionSet, jpeg};

/// Passes the pixels of a frame to the canvas, row by row.
#[inline(always)]
pub(super) fn render(frame: &Frame, colour: Colour, canvas: &mut Canvas<'_>, instructions: InstructionSet) {
    // Whole units, as upsampling writes whole groups.
    let row = Row { samples: vec![0; frame.n_units_x * frame.max_h * 8], sums: vec![0; frame.width] };
    let mut rows = [row.clone(), row.clone(), row.clone(), row];
    for y in 0..frame.height {
        let mut samples: [&[u8]; 4] = [&[]; 4];
        for ((component, row), samples) in frame.components.iter().zip(&mut rows).zip(&mut samples) {
            *samples = &upsample(frame, component, y, row)[..frame.width];
        }
        convert(samples, colour, canvas.row(), instructions);
        canvas.next();
    }
}

/// A buffer for a component's row at frame size.
#[derive(Clone)]
struct Row {
    samples: Vec<u8>,
    /// The weighted sums of the nearer row of samples and the other one.
    sums: Vec<u16>,
}

/// Row `y` of a component at frame size.
#[inline(always)]
fn upsample<'a>(frame: &Frame, component: &'a Component, y: usize, row: &'a mut Row) -> &'a [u8] {
    let (h, v) = (frame.max_h / component.h, frame.max_v / component.v);
    let near = row_of(component, y / v);
    // The other neighbouring row: above for an even row, below for an odd one, the row itself at the border.
    let far_idx = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(component.height - 1) };
    let sums = &mut row.sums[..near.len()];
    match (h, v) {
        (1, 1) => return near,
        (2, 1) if component.width > 2 => {
            sums.iter_mut().zip(near).for_each(|(sum, &near)| *sum = u16::from(near));
            widen::<2>(sums, &mut row.samples, [1, 2]);
        }
        (1, 2) => {
            let bias = 1 + (y % 2) as u16;
            for ((output, &near), &far) in row.samples.iter_mut().zip(near).zip(row_of(component, far_idx)) {
                *output = ((u16::from(near) * 3 + u16::from(far) + bias) >> 2) as u8;
            }
        }
        (2, 2) if component.width > 2 => {
            for ((sum, &near), &far) in sums.iter_mut().zip(near).zip(row_of(component, far_idx)) {
                *sum = u16::from(near) * 3 + u16::from(far);
            }
            widen::<4>(sums, &mut row.samples, [8, 7]);
        }
        _ => near.iter().zip(row.samples.chunks_exact_mut(h)).for_each(|(&sample, group)| group.fill(sample)),
    }
    &row.samples
}

#[inline(always)]
fn row_of(component: &Component, y: usize) -> &[u8] {
    &component.samples[y * component.stride..][..component.width]
}

/// Doubles the width. Each output is three parts of the nearer sum and one of the other, which is the same one at the
/// border (`h2v1_fancy_upsample` and `h2v2_fancy_upsample`).
#[inline(always)]
fn widen<const N_BITS: u32>(sums: &[u16], output: &mut [u8], biases: [u16; 2]) {
    let weigh = |near: u16, left: u16, right: u16| {
        [(near * 3 + left + biases[0]) >> N_BITS, (near * 3 + right + biases[1]) >> N_BITS].map(|sample| sample as u8)
    };
    let last = sums.len() - 1;
    let output = &mut output.as_chunks_mut::<2>().0[..=last];
    output[0] = weigh(sums[0], sums[0], sums[1]);
    let neighbours = sums[..last - 1].iter().zip(&sums[1..last]).zip(&sums[2..]);
    for (output, ((&left, &near), &right)) in output[1..last].iter_mut().zip(neighbours) {
        *output = weigh(near, left, right);
    }
    output[last] = weigh(sums[last], sums[last - 1], sums[last]);
}

#[inline(always)]
fn convert(rows: [&[u8]; 4], colour: Colour, pixels: &mut [u8], instructions: InstructionSet) {
    let pixels = pixels.as_chunks_mut::<3>().0;
    let [first, second, third, k] = rows;
    let colours = first.iter().zip(second).zip(third).map(|((&a, &b), &c)| (a, b, c));
    match colour {
        Colour::Gray => pixels.iter_mut().zip(first).for_each(|(pixel, &gray)| *pixel = [gray; 3]),
        Colour::YCbCr => {
            let n_done = jpeg::rgb(instructions, [first, second, third], pixels);
            for (pixel, (y, cb, cr)) in pixels.iter_mut().zip(colours).skip(n_done) {
                *pixel = rgb(y, cb, cr);
            }
        }
        Colour::Rgb => pixels.iter_mut().zip(colours).for_each(|(pixel, (r, g, b))| *pixel = [r, g, b]),
        Colour::Cmyk | Colour::Ycck => {
            for ((pixel, (a, b, c)), &k) in pixels.iter_mut().zip(colours).zip(k) {
                // libjpeg returns YCCK as the complement of its RGB, and Pillow inverts all four in either case.
                let ink = if colour == Colour::Ycck { rgb(a, b, c) } else { [a, b, c].map(|ink| 255 - ink) };
                *pixel = ink.map(|ink| without_ink(ink, 255 - k));
            }
        }
        Colour::PlainCmyk => {
            for ((pixel, (c, m, y)), &k) in pixels.iter_mut().zip(colours).zip(k) {
                *pixel = [c, m, y].map(|ink| without_ink(ink, k));
            }
        }
    }
}

/// `ycc_rgb_convert` of `jdcolor.c`: 16 bits of fraction.
#[inline(always)]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let r = y + ((91_881 * cr + HALF) >> 16);
    let g = y + ((-22_554 * cb - 46_802 * cr + HALF) >> 16);
    let b = y + ((116_130 * cb + HALF) >> 16);
    [r, g, b].map(|value| value.clamp(0, 255) as u8)
}

/// The share of white that remains under one ink and black (`cmyk2rgb` of Pillow's `Convert.c`).
pub(in crate::decode) fn without_ink(ink: u8, black: u8) -> u8 {
    let white = 255 - i32::from(black);
    let product = i32::from(ink) * white + 128;
    (white - (((product >> 8) + product) >> 8)).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_processor_gives_the_same_pixel_for_every_colour() {
        let levels: Vec<u8> = (0..=255).collect();
        for first in 0..=255 {
            for second in 0..=255 {
                let pixels = |instructions| {
                    let mut pixels = [0; 256 * 3];
                    let rows = [&levels[..], &[first; 256], &[second; 256], &[]];
                    convert(rows, Colour::YCbCr, &mut pixels, instructions);
                    pixels
                };
                let (best, portable) = (pixels(InstructionSet::best_for_bytes()), pixels(InstructionSet::portable()));
                assert!(best == portable, "Cb {first}, Cr {second}");
            }
        }
    }
}
