//! The inverse cosine transform of libjpeg ("islow"), bit for bit.
//!
//! Sums of inputs wrap and results between the passes saturate at 16 bits, as in libjpeg-turbo's vector code; only
//! damaged files show it.

use std::num::Wrapping;

use pipeline_kernels::InstructionSet;
use pipeline_kernels::jpeg::{self, CONST_BITS, PASS1_BITS};

/// Multiplies a block of coefficients by its quantisation table and writes its 8 x 8 samples to `samples`, whose rows
/// are `stride` apart.
#[inline(always)]
pub(super) fn inverse(
    coefficients: &[i16; 64],
    quantization: &[u16; 64],
    samples: &mut [u8],
    stride: usize,
    instructions: InstructionSet,
) {
    if coefficients[8..].iter().all(|&coefficient| coefficient == 0) {
        let row = of_first_row(coefficients, quantization);
        samples.chunks_mut(stride).take(8).for_each(|samples| samples[..8].copy_from_slice(&row));
        return;
    }
    let rows = match jpeg::inverse(instructions, coefficients, quantization) {
        Some(rows) => rows,
        None => rows(coefficients, quantization),
    };
    samples.chunks_mut(stride).zip(rows).for_each(|(samples, row)| samples[..8].copy_from_slice(&row));
}

/// Every row of a block whose only coefficients are in its first row.
///
/// Here libjpeg-turbo skips the first pass, which saturates its results; so they wrap.
#[inline(always)]
fn of_first_row(coefficients: &[i16; 64], quantization: &[u16; 64]) -> [u8; 8] {
    let columns: [i16; 8] =
        std::array::from_fn(|at| coefficients[at].wrapping_mul(quantization[at] as i16) << PASS1_BITS);
    if columns[1..].iter().all(|&column| column == 0) {
        return [to_sample(transform(columns, CONST_BITS + PASS1_BITS + 3)[0]); 8];
    }
    transform(columns, CONST_BITS + PASS1_BITS + 3).map(to_sample)
}

fn rows(coefficients: &[i16; 64], quantization: &[u16; 64]) -> [[u8; 8]; 8] {
    let dequantized = |at: usize| coefficients[at].wrapping_mul(quantization[at] as i16);
    let mut columns = [0; 64];
    for column in 0..8 {
        let input: [i16; 8] = std::array::from_fn(|row| dequantized(row * 8 + column));
        let output = transform(input, CONST_BITS - PASS1_BITS);
        (0..8).for_each(|row| columns[row * 8 + column] = output[row]);
    }
    let row = |row: usize| std::array::from_fn(|column| columns[row * 8 + column]);
    std::array::from_fn(|at| transform(row(at), CONST_BITS + PASS1_BITS + 3).map(to_sample))
}

/// One dimension of the transform, with `n_bits` fewer fraction bits at the end. The factors are those of `jidctint.c`,
/// times 2^13.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// xorshift64.
    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn every_processor_gives_the_same_samples() {
        let mut state = 5;
        for round in 0..20_000 {
            // From ordinary blocks to those of damaged files only, dense and sparse.
            let n_bits = 4 + round % 13;
            let share = 1 + random(&mut state) % 16;
            let coefficients: [i16; 64] = std::array::from_fn(|_| {
                let value = random(&mut state);
                if value % 16 < share { (value >> 32) as i16 >> (16 - n_bits) } else { 0 }
            });
            let factor_bits = random(&mut state) % 17;
            let quantization: [u16; 64] =
                std::array::from_fn(|_| 1 | (random(&mut state) >> 32) as u16 & ((1_u32 << factor_bits) - 1) as u16);
            let samples = |instructions| {
                let mut samples = [0; 8 * 11];
                inverse(&coefficients, &quantization, &mut samples, 11, instructions);
                samples
            };
            let (best, portable) = (samples(InstructionSet::best_for_bytes()), samples(InstructionSet::portable()));
            assert_eq!(best, portable, "{coefficients:?} {quantization:?}");
        }
    }
}
