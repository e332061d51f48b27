//! From samples to RGB: libjpeg's "fancy" upsampling and its colour conversion, then Pillow's CMYK.

use super::Colour;
use super::frame::{Component, Frame};

/// The pixels of a frame, row by row, three bytes each.
pub(super) fn render(frame: &Frame, colour: Colour) -> Vec<u8> {
    let mut pixels = vec![0; frame.width * frame.height * 3];
    // A whole unit and one sample more than the width, as upsampling writes whole groups.
    let mut rows = vec![vec![0; frame.n_units_x * frame.max_h * 8]; frame.components.len()];
    let mut sums = Vec::new();
    for (y, pixels) in pixels.chunks_exact_mut(frame.width * 3).enumerate() {
        for (component, row) in frame.components.iter().zip(&mut rows) {
            upsample(frame, component, y, row, &mut sums);
        }
        convert(&rows, colour, pixels);
    }
    pixels
}

/// Row `y` of a component in the size of the frame.
fn upsample(frame: &Frame, component: &Component, y: usize, output: &mut [u8], sums: &mut Vec<i32>) {
    let (h, v) = (frame.max_h / component.h, frame.max_v / component.v);
    let near = row(component, y / v);
    // The other row that the output lies between: above for an even row, below for an odd one, itself at the border.
    let far_idx = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(component.height - 1) };
    match (h, v) {
        (1, 1) => output[..near.len()].copy_from_slice(near),
        (2, 1) if component.width > 2 => widen(near, output),
        (1, 2) => {
            let bias = 1 + (y % 2) as u16;
            for ((output, &near), &far) in output.iter_mut().zip(near).zip(row(component, far_idx)) {
                *output = ((u16::from(near) * 3 + u16::from(far) + bias) >> 2) as u8;
            }
        }
        (2, 2) if component.width > 2 => {
            sums.clear();
            let pairs = near.iter().zip(row(component, far_idx));
            sums.extend(pairs.map(|(&near, &far)| i32::from(near) * 3 + i32::from(far)));
            widen_sums(sums, output);
        }
        _ => near.iter().zip(output.chunks_exact_mut(h)).for_each(|(&sample, group)| group.fill(sample)),
    }
}

fn row(component: &Component, y: usize) -> &[u8] {
    &component.samples[y * component.stride..][..component.width]
}

/// Twice the width: each output is three parts of the nearer sample and one of the other (`h2v1_fancy_upsample`).
fn widen(input: &[u8], output: &mut [u8]) {
    let weigh = |near: u8, far: u8, bias: u16| ((u16::from(near) * 3 + u16::from(far) + bias) >> 2) as u8;
    let last = input.len() - 1;
    output[0] = input[0];
    output[1] = weigh(input[0], input[1], 2);
    for (window, output) in input.windows(3).zip(output[2..].chunks_exact_mut(2)) {
        output[0] = weigh(window[1], window[0], 1);
        output[1] = weigh(window[1], window[2], 2);
    }
    output[last * 2] = weigh(input[last], input[last - 1], 1);
    output[last * 2 + 1] = input[last];
}

/// The same for sums of two rows, which weigh four (`h2v2_fancy_upsample`).
fn widen_sums(input: &[i32], output: &mut [u8]) {
    let last = input.len() - 1;
    output[0] = ((input[0] * 4 + 8) >> 4) as u8;
    output[1] = ((input[0] * 3 + input[1] + 7) >> 4) as u8;
    for (window, output) in input.windows(3).zip(output[2..].chunks_exact_mut(2)) {
        output[0] = ((window[1] * 3 + window[0] + 8) >> 4) as u8;
        output[1] = ((window[1] * 3 + window[2] + 7) >> 4) as u8;
    }
    output[last * 2] = ((input[last] * 3 + input[last - 1] + 8) >> 4) as u8;
    output[last * 2 + 1] = ((input[last] * 4 + 7) >> 4) as u8;
}

fn convert(rows: &[Vec<u8>], colour: Colour, pixels: &mut [u8]) {
    let pixels = pixels.as_chunks_mut::<3>().0;
    match (colour, rows) {
        (Colour::Gray, [gray]) => pixels.iter_mut().zip(gray).for_each(|(pixel, &gray)| *pixel = [gray; 3]),
        (Colour::YCbCr, [y, cb, cr]) => {
            for (((pixel, &y), &cb), &cr) in pixels.iter_mut().zip(y).zip(cb).zip(cr) {
                *pixel = rgb(y, cb, cr);
            }
        }
        (Colour::Rgb, [r, g, b]) => {
            for (((pixel, &r), &g), &b) in pixels.iter_mut().zip(r).zip(g).zip(b) {
                *pixel = [r, g, b];
            }
        }
        (Colour::Cmyk | Colour::Ycck, [first, second, third, k]) => {
            for ((((pixel, &a), &b), &c), &k) in pixels.iter_mut().zip(first).zip(second).zip(third).zip(k) {
                // libjpeg gives YCCK as the complement of its RGB, and Pillow inverts all four in either case.
                let ink = if colour == Colour::Ycck { rgb(a, b, c) } else { [a, b, c].map(|ink| 255 - ink) };
                *pixel = ink.map(|ink| without_ink(ink, 255 - k));
            }
        }
        _ => unreachable!("BUG: the colour was chosen by the number of components"),
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

/// What is left of white under one ink and black (`cmyk2rgb` of Pillow's `Convert.c`).
fn without_ink(ink: u8, black: u8) -> u8 {
    let white = 255 - i32::from(black);
    let product = i32::from(ink) * white + 128;
    (white - (((product >> 8) + product) >> 8)).clamp(0, 255) as u8
}
