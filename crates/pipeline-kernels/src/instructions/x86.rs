//! The tile loop in the vectors of x86-64, and functions that are compiled for them.

use std::arch::x86_64::*;

use super::{Affine, Strip};

/// Zeros, as many as the widest tile has columns.
static NO_BIAS: [f32; 32] = [0.0; 32];

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,lzcnt")]
pub(super) fn run_avx512<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt")]
pub(super) fn run_avx2<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// The tile loop: two vectors wide, with its sums in registers. Sums have constant indices only, since a computed index
/// would move them to memory.
macro_rules! tile_loop {
    ($name:ident, $features:literal, $lanes:literal, $zero:ident, $load:ident, $store:ident, $spread:ident, $fma:ident, $add:ident, $max:ident) => {
        /// # Safety
        /// The processor has the instructions; from `first_row` on, `a` and `out` of the strip hold `ROWS` rows, and
        /// its panel has `depth` rows.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn $name<const ROWS: usize>(strip: &Strip<'_>, out: *mut f32, first_row: usize, depth: usize) {
            let (a_stride, out_stride) = (strip.a_stride, strip.out_stride);
            let mut sums = [[$zero(); 2]; ROWS];
            // SAFETY: every offset is of a row below `ROWS` and a depth below `depth`.
            unsafe {
                let out = out.add(first_row * out_stride);
                let (mut a, mut b) = (strip.a.as_ptr().add(first_row * a_stride), strip.panel.as_ptr().cast::<f32>());
                // Prefetches the output while the loop runs.
                for row in 0..ROWS {
                    _mm_prefetch::<_MM_HINT_T0>(out.add(row * out_stride).cast());
                    _mm_prefetch::<_MM_HINT_T0>(out.add(row * out_stride + 2 * $lanes - 1).cast());
                }
                // Row addresses are computed once per this number of steps.
                const STEPS: usize = 4;
                for _ in 0..depth / STEPS {
                    for step in 0..STEPS {
                        let b = b.add(step * 2 * $lanes);
                        let (left, right) = ($load(b), $load(b.add($lanes)));
                        for row in 0..ROWS {
                            let a = $spread(*a.add(row * a_stride + step));
                            sums[row] = [$fma(a, left, sums[row][0]), $fma(a, right, sums[row][1])];
                        }
                    }
                    (a, b) = (a.add(STEPS), b.add(STEPS * 2 * $lanes));
                }
                for step in 0..depth % STEPS {
                    let b = b.add(step * 2 * $lanes);
                    let (left, right) = ($load(b), $load(b.add($lanes)));
                    for row in 0..ROWS {
                        let a = $spread(*a.add(row * a_stride + step));
                        sums[row] = [$fma(a, left, sums[row][0]), $fma(a, right, sums[row][1])];
                    }
                }
                if let Some(Affine { scale, bias, .. }) = strip.affine {
                    let (scale, bias) = (scale.as_ptr(), bias.unwrap_or(&NO_BIAS).as_ptr());
                    for half in 0..2 {
                        let (scale, bias) = ($load(scale.add(half * $lanes)), $load(bias.add(half * $lanes)));
                        for row in 0..ROWS {
                            sums[row][half] = $fma(sums[row][half], scale, bias);
                        }
                    }
                }
                if strip.accumulate {
                    for row in 0..ROWS {
                        for half in 0..2 {
                            let out = out.add(row * out_stride + half * $lanes);
                            sums[row][half] = $add($load(out), sums[row][half]);
                        }
                    }
                }
                if strip.affine.is_some_and(|affine| affine.relu) {
                    for row in 0..ROWS {
                        // Given zero and NaN, the instruction returns its second operand.
                        sums[row] = [$max($zero(), sums[row][0]), $max($zero(), sums[row][1])];
                    }
                }
                for row in 0..ROWS {
                    for half in 0..2 {
                        $store(out.add(row * out_stride + half * $lanes), sums[row][half]);
                    }
                }
            }
        }
    };
}

tile_loop!(
    avx512,
    "avx512f",
    16,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    _mm512_max_ps
);
tile_loop!(
    avx2,
    "avx2,fma",
    8,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps,
    _mm256_max_ps
);

/// # Safety
/// The processor has AVX-512 F, and the slices of the strip are long enough.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn multiply_avx512(strip: &mut Strip<'_>, depth: usize) {
    let out = strip.out.as_mut_ptr();
    for rows in strip.tiles(12) {
        // SAFETY: as the caller promises; the number of rows is that of the tile.
        unsafe {
            match rows.len() {
                1 => avx512::<1>(strip, out, rows.start, depth),
                2 => avx512::<2>(strip, out, rows.start, depth),
                3 => avx512::<3>(strip, out, rows.start, depth),
                4 => avx512::<4>(strip, out, rows.start, depth),
                5 => avx512::<5>(strip, out, rows.start, depth),
                6 => avx512::<6>(strip, out, rows.start, depth),
                7 => avx512::<7>(strip, out, rows.start, depth),
                8 => avx512::<8>(strip, out, rows.start, depth),
                9 => avx512::<9>(strip, out, rows.start, depth),
                10 => avx512::<10>(strip, out, rows.start, depth),
                11 => avx512::<11>(strip, out, rows.start, depth),
                _ => avx512::<12>(strip, out, rows.start, depth),
            }
        }
    }
}

/// # Safety
/// The processor has AVX2 and FMA, and the slices of the strip are long enough.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn multiply_avx2(strip: &mut Strip<'_>, depth: usize) {
    let out = strip.out.as_mut_ptr();
    for rows in strip.tiles(6) {
        // SAFETY: as the caller promises; the number of rows is that of the tile.
        unsafe {
            match rows.len() {
                1 => avx2::<1>(strip, out, rows.start, depth),
                2 => avx2::<2>(strip, out, rows.start, depth),
                3 => avx2::<3>(strip, out, rows.start, depth),
                4 => avx2::<4>(strip, out, rows.start, depth),
                5 => avx2::<5>(strip, out, rows.start, depth),
                _ => avx2::<6>(strip, out, rows.start, depth),
            }
        }
    }
}
