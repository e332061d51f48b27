//! The inverse cosine transform of libjpeg ("islow"), bit for bit.
//!
//! Sums of inputs wrap and results between the passes saturate at 16 bits, as in libjpeg-turbo's vector code; it shows
//! only in damaged files.

use std::num::Wrapping;

const CONST_BITS: usize = 13;
const PASS1_BITS: usize = 2;

/// Multiplies a block of coefficients by its quantisation table and writes its 8 x 8 samples to `samples`, whose rows
/// are `stride` apart.
pub(super) fn inverse(coefficients: &[i16; 64], quantization: &[u16; 64], samples: &mut [u8], stride: usize) {
    let dequantized = |at: usize| coefficients[at].wrapping_mul(quantization[at] as i16);
    if coefficients[1..].iter().all(|&coefficient| coefficient == 0) {
        let sample =
            to_sample(transform([dequantized(0) << PASS1_BITS, 0, 0, 0, 0, 0, 0, 0], CONST_BITS + PASS1_BITS + 3)[0]);
        samples.chunks_mut(stride).take(8).for_each(|row| row[..8].fill(sample));
        return;
    }
    let mut columns = [0; 64];
    for column in 0..8 {
        let input: [i16; 8] = std::array::from_fn(|row| dequantized(row * 8 + column));
        let output = transform(input, CONST_BITS - PASS1_BITS);
        (0..8).for_each(|row| columns[row * 8 + column] = output[row]);
    }
    for (row, output) in columns.as_chunks::<8>().0.iter().zip(samples.chunks_mut(stride)) {
        output[..8].copy_from_slice(&transform(*row, CONST_BITS + PASS1_BITS + 3).map(to_sample));
    }
}

/// One dimension of the transform, `n_bits` fewer at the end. The factors are those of `jidctint.c`, times 2^13.
#[inline(always)]
fn transform(input: [i16; 8], n_bits: usize) -> [i16; 8] {
    let times = |value: i16, factor: i32| Wrapping(i32::from(value)) * Wrapping(factor);
    let even_2 = times(input[2], 4433) + times(input[6], 4433 - 15137);
    let even_3 = times(input[2], 4433 + 6270) + times(input[6], 4433);
    let even_0 = times(input[0].wrapping_add(input[4]), 1 << CONST_BITS);
    let even_1 = times(input[0].wrapping_sub(input[4]), 1 << CONST_BITS);
    let evens = [even_0 + even_3, even_1 + even_2, even_1 - even_2, even_0 - even_3];

    let (z3, z4) = (input[7].wrapping_add(input[3]), input[5].wrapping_add(input[1]));
    let (z3, z4) = (times(z3, 9633 - 16069) + times(z4, 9633), times(z3, 9633) + times(z4, 9633 - 3196));
    let odds = [
        times(input[1], 12299 - 7373) + times(input[7], -7373) + z4,
        times(input[3], 25172 - 20995) + times(input[5], -20995) + z3,
        times(input[5], 16819 - 20995) + times(input[3], -20995) + z4,
        times(input[7], 2446 - 7373) + times(input[1], -7373) + z3,
    ];
    std::array::from_fn(|at| {
        let value = if at < 4 { evens[at] + odds[at] } else { evens[7 - at] - odds[7 - at] };
        let rounded: Wrapping<i32> = (value + Wrapping(1 << (n_bits - 1))) >> n_bits;
        rounded.0.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
    })
}

fn to_sample(value: i16) -> u8 {
    (value.clamp(-128, 127) + 128) as u8
}
