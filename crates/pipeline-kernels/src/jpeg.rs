//! The inverse cosine transform and the colour conversion of JPEG in vectors, with exactly the results of
//! libjpeg-turbo.
//!
//! Without AVX2 these return nothing, and the decoder runs plain code. Unsafe code: loads and stores of vectors, and
//! calls for which an [`InstructionSet`] is the proof.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod x86;

use crate::InstructionSet;

/// Fraction bits of the constants.
pub const CONST_BITS: usize = 13;
/// Fraction bits that the first pass keeps.
pub const PASS1_BITS: usize = 2;

/// The rows of samples of a block; `None` where the instructions are not AVX2.
#[inline(always)]
pub fn inverse(
    instructions: InstructionSet,
    coefficients: &[i16; 64],
    quantization: &[u16; 64],
) -> Option<[[u8; 8]; 8]> {
    #[cfg(target_arch = "x86_64")]
    if instructions.is_avx2() {
        // SAFETY: the processor has AVX2.
        return Some(unsafe { x86::inverse(coefficients, quantization) });
    }
    let _ = (instructions, coefficients, quantization);
    None
}

/// Converts samples of Y, Cb and Cr to RGB, sixteen at a time. Returns the number of converted pixels, 0 unless the
/// instructions are AVX2.
#[inline(always)]
pub fn rgb(instructions: InstructionSet, [y, cb, cr]: [&[u8]; 3], pixels: &mut [[u8; 3]]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if instructions.is_avx2() {
        // SAFETY: the processor has AVX2.
        return unsafe { x86::rgb([y, cb, cr].map(|row| row.as_chunks().0), pixels.as_chunks_mut().0) };
    }
    let _ = (instructions, y, cb, cr, pixels);
    0
}
