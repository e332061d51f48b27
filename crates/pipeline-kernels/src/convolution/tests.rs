//! Convolutions of every kind against their definition in double precision, with every instruction set.

use super::*;
use crate::fixtures::{assert_same_bits, noise};

/// Sums of up to 576 terms are about 4 here, and Winograd's intermediate values about thirty times larger.
const TOLERANCE: f64 = 2e-4;

const SIZES: [[usize; 2]; 7] = [[1, 1], [2, 3], [4, 4], [5, 9], [7, 7], [14, 13], [17, 4]];

fn weights([n_in, n_out, kernel, stride]: [usize; 4]) -> ConvWeights {
    let weight = noise("weight", n_out * n_in * kernel * kernel, 0.5);
    let scale = noise("scale", n_out, 1.0).iter().map(|scale| f64::from(*scale)).collect();
    ConvWeights { n_out, n_in, kernel, stride, weight, scale, bias: noise("bias", n_out, 1.0) }
}

/// `scale · conv(x) + bias`: `[height, width, n_out]`
fn expected(weights: &ConvWeights, image: &[f32], size: Size, after: Size) -> Vec<f64> {
    let ConvWeights { n_out, n_in, kernel, stride, .. } = *weights;
    let value = |y: usize, x: usize, out: usize| {
        let mut sum = 0.0;
        for (tap_y, tap_x) in (0..kernel).flat_map(|tap_y| (0..kernel).map(move |tap_x| (tap_y, tap_x))) {
            let (y, x) = (y * stride + tap_y, x * stride + tap_x);
            let padding = kernel / 2;
            if (padding..size.height + padding).contains(&y) && (padding..size.width + padding).contains(&x) {
                let pixel = ((y - padding) * size.width + x - padding) * n_in;
                for channel in 0..n_in {
                    let weight = weights.weight[((out * n_in + channel) * kernel + tap_y) * kernel + tap_x];
                    sum += f64::from(image[pixel + channel]) * f64::from(weight);
                }
            }
        }
        sum * weights.scale[out] + f64::from(weights.bias[out])
    };
    let places = (0..after.height).flat_map(|y| (0..after.width).map(move |x| (y, x)));
    places.flat_map(|(y, x)| (0..n_out).map(move |out| (y, x, out))).map(|(y, x, out)| value(y, x, out)).collect()
}

fn check_conv(shape: [usize; 4], [height, width]: [usize; 2], instructions: InstructionSet) {
    let size = Size { height, width };
    let conv = Conv::new(weights(shape), instructions);
    let (after, n_images) = (conv.size(size), 3);
    let image_len = size.n_pixels() * shape[0];
    let maps = noise("maps", n_images * image_len, 1.0);
    let shortcut = noise("shortcut", n_images * after.n_pixels() * shape[1], 1.0);
    let exact = maps.chunks_exact(image_len).flat_map(|image| expected(&weights(shape), image, size, after));
    let exact: Vec<f64> = exact.collect();
    for (adds, relu) in [(false, false), (false, true), (true, true)] {
        let mut out = shortcut.clone();
        conv.forward(&maps, size, &mut out, Then { adds, relu }, &mut Buffers::default());
        for ((value, exact), shortcut) in out.iter().zip(&exact).zip(&shortcut) {
            let sum = if adds { exact + f64::from(*shortcut) } else { *exact };
            let exact = if relu { sum.max(0.0) } else { sum };
            let case = format!("{instructions:?}, {shape:?} of {height} x {width}, adds: {adds}, relu: {relu}");
            assert!((f64::from(*value) - exact).abs() < TOLERANCE, "{case}: {value} instead of {exact}");
        }
    }
}

#[test]
fn convolutions_follow_their_definition_at_any_size() {
    for instructions in InstructionSet::available() {
        for size in SIZES {
            for shape in [[5, 7, 1, 1], [16, 40, 1, 2], [5, 7, 3, 1], [64, 16, 3, 1], [8, 24, 3, 1], [16, 32, 3, 2]] {
                check_conv(shape, size, instructions);
            }
        }
    }
}

#[test]
fn the_stem_follows_its_definition_at_any_size() {
    for instructions in InstructionSet::available() {
        for [height, width] in SIZES {
            let size = Size { height, width };
            let inner = Size { height: height.div_ceil(2), width: width.div_ceil(2) };
            let image = noise("image", size.n_pixels() * 3, 1.0);
            let maps = expected(&weights([3, 20, 7, 2]), &image, size, inner);
            let stem = Stem::new(weights([3, 20, 7, 2]), instructions);
            let after = stem.size(size);
            let mut out = vec![9.0; after.n_pixels() * 20];
            stem.forward(&image, size, &mut out, &mut Buffers::default());
            for (idx, value) in out.iter().enumerate() {
                let (y, x, channel) = (idx / 20 / after.width, idx / 20 % after.width, idx % 20);
                let window = |at: usize, side: usize| (2 * at).saturating_sub(1)..(2 * at + 2).min(side);
                let pixels = window(y, inner.height).flat_map(|y| window(x, inner.width).map(move |x| (y, x)));
                let values = pixels.map(|(y, x)| maps[(y * inner.width + x) * 20 + channel]);
                let exact = values.fold(0.0, f64::max);
                let case = format!("{instructions:?}, {height} x {width}");
                assert!((f64::from(*value) - exact).abs() < TOLERANCE, "{case}: {value} instead of {exact}");
            }
        }
    }
}

/// Deeper than a block of a product, and with fewer channels than a tile has columns.
#[test]
fn convolutions_have_the_same_bits_with_every_instruction_set() {
    let size = Size { height: 9, width: 13 };
    for shape in [[5, 7, 1, 1], [520, 40, 1, 1], [900, 72, 1, 2], [65, 24, 3, 1], [400, 24, 3, 1], [90, 48, 3, 2]] {
        let maps = noise("maps", 2 * size.n_pixels() * shape[0], 1.0);
        for (adds, relu) in [(false, false), (false, true), (true, true)] {
            assert_same_bits(&format!("{shape:?}, adds: {adds}, relu: {relu}"), |instructions| {
                let conv = Conv::new(weights(shape), instructions);
                let mut out = noise("shortcut", 2 * conv.size(size).n_pixels() * shape[1], 1.0);
                conv.forward(&maps, size, &mut out, Then { adds, relu }, &mut Buffers::default());
                out
            });
        }
    }
    let image = noise("image", size.n_pixels() * 3, 1.0);
    assert_same_bits("the stem", |instructions| {
        let stem = Stem::new(weights([3, 20, 7, 2]), instructions);
        let mut out = vec![0.0; stem.size(size).n_pixels() * 20];
        stem.forward(&image, size, &mut out, &mut Buffers::default());
        out
    });
}

#[test]
fn what_is_not_a_number_is_not_hidden() {
    let size = Size { height: 9, width: 9 };
    for instructions in InstructionSet::available() {
        for shape in [[16, 40, 1, 1], [5, 7, 3, 1], [64, 16, 3, 1], [16, 32, 3, 2]] {
            let conv = Conv::new(weights(shape), instructions);
            let mut maps = noise("maps", size.n_pixels() * shape[0], 1.0);
            maps[40 * shape[0] + 3] = f32::NAN;
            let mut out = vec![0.0; conv.size(size).n_pixels() * shape[1]];
            conv.forward(&maps, size, &mut out, Then { adds: false, relu: true }, &mut Buffers::default());
            let middle = out.len() / shape[1] / 2 * shape[1];
            assert!(out[middle..][..shape[1]].iter().all(|value| value.is_nan()), "{instructions:?}, {shape:?}");
        }
        let mut image = noise("image", size.n_pixels() * 3, 1.0);
        image[0] = f32::NAN;
        let mut out = vec![0.0; 9 * 20];
        Stem::new(weights([3, 20, 7, 2]), instructions).forward(&image, size, &mut out, &mut Buffers::default());
        assert!(out[..20].iter().all(|value| value.is_nan()), "{instructions:?}");
    }
}
