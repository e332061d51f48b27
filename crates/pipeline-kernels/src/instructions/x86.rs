//! The tile loop in the vectors of x86-64, and functions that are compiled for them.

use std::arch::x86_64::*;

use super::{Affine, COPIED_STRIDE, CacheLine, LINE, RUN, Strip, Taps};

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

/// Steps of the depth for which row addresses are computed once.
const STEPS: usize = 4;
/// The distance at which the loop fetches its panel from the second-level cache, in steps.
const AHEAD: usize = 8;

/// The tile loop: two vectors wide, with its sums in registers. Sums have constant indices only, since a computed index
/// would move them to memory.
///
/// `STRIDE` is the distance between rows of `a`; zero stands for that of the strip. A distance that the compiler knows
/// leaves registers free, so that only such a loop prefetches: its panel, and a share of the memory that is read later.
macro_rules! tile_loop {
    (
        $name:ident, $features:literal, $lanes:literal, $zero:ident, $load:ident, $store:ident, $spread:ident,
        $fma:ident, $add:ident, $max:ident
    ) => {
        /// # Safety
        /// The processor has the instructions; from `first_row` on, `a` and `out` of the strip hold `ROWS` rows, and
        /// its panel has `depth` rows.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn $name<const ROWS: usize, const STRIDE: usize>(
            strip: &Strip<'_>,
            out: *mut f32,
            first_row: usize,
            depth: usize,
            mut later: *const CacheLine,
        ) {
            let a_stride = if STRIDE > 0 { STRIDE } else { strip.a_stride };
            let out_stride = strip.out_stride;
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
                for _ in 0..depth / STEPS {
                    if STRIDE > 0 {
                        _mm_prefetch::<_MM_HINT_T1>(later.cast());
                        later = later.wrapping_add(1);
                    }
                    for step in 0..STEPS {
                        let b = b.add(step * 2 * $lanes);
                        if STRIDE > 0 {
                            let ahead = b.wrapping_add(AHEAD * 2 * $lanes);
                            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                            if $lanes == LINE {
                                _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add($lanes).cast());
                            }
                        }
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

/// The tiles of a strip, of any number of rows at most that of the largest.
macro_rules! strip_loop {
    ($name:ident, $tiles:ident, $tile:ident, $features:literal, $tile_rows:literal, $($rows:literal)*) => {
        /// # Safety
        /// The processor has the instructions, and the slices of the strip are long enough.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(strip: &mut Strip<'_>, depth: usize) {
            // SAFETY: as the caller promises.
            unsafe {
                if strip.a_stride == COPIED_STRIDE {
                    $tiles::<COPIED_STRIDE>(strip, depth);
                } else {
                    $tiles::<0>(strip, depth);
                }
            }
        }

        /// # Safety
        /// The same; `STRIDE` is that of the strip, or zero.
        #[target_feature(enable = $features)]
        unsafe fn $tiles<const STRIDE: usize>(strip: &mut Strip<'_>, depth: usize) {
            let out = strip.out.as_mut_ptr();
            for (rows, later) in strip.tiles($tile_rows, if STRIDE > 0 { depth / STEPS } else { 0 }) {
                // SAFETY: as the caller promises; the number of rows is that of the tile.
                unsafe {
                    match rows.len() {
                        $($rows => $tile::<$rows, STRIDE>(strip, out, rows.start, depth, later),)*
                        _ => $tile::<$tile_rows, STRIDE>(strip, out, rows.start, depth, later),
                    }
                }
            }
        }
    };
}

strip_loop!(multiply_avx512, tiles_avx512, avx512, "avx512f", 12, 1 2 3 4 5 6 7 8 9 10 11);
strip_loop!(multiply_avx2, tiles_avx2, avx2, "avx2,fma", 6, 1 2 3 4 5);

/// The loop of depthwise kernels: the sums of a run in registers, `LINE / lanes` times.
macro_rules! tap_loop {
    ($name:ident, $features:literal, $lanes:literal, $load:ident, $store:ident, $fma:ident) => {
        /// # Safety
        /// The processor has the instructions, and there are as many pixels as the lines of the kernel need.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(sums: &mut [[f32; LINE]; RUN], taps: &Taps<'_>) {
            let (kernel, n_lines) = (taps.kernel, taps.weight.len() / taps.kernel);
            for first in (0..LINE).step_by($lanes) {
                // SAFETY: every offset is of a line, a tap and a pixel of the run.
                unsafe {
                    let mut run = [$load(sums[0].as_ptr().add(first)); RUN];
                    for idx in 1..RUN {
                        run[idx] = $load(sums[idx].as_ptr().add(first));
                    }
                    let mut weight = taps.weight.as_ptr().cast::<f32>().add(first);
                    for line in 0..n_lines {
                        let mut pixels = taps.pixels.as_ptr().add(line * taps.line_len).cast::<f32>().add(first);
                        for _ in 0..kernel {
                            let factor = $load(weight);
                            for idx in 0..RUN {
                                run[idx] = $fma($load(pixels.add(idx * LINE)), factor, run[idx]);
                            }
                            (weight, pixels) = (weight.add(LINE), pixels.add(LINE));
                        }
                    }
                    for idx in 0..RUN {
                        $store(sums[idx].as_mut_ptr().add(first), run[idx]);
                    }
                }
            }
        }
    };
}

tap_loop!(add_taps_avx512, "avx512f", 16, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);
tap_loop!(add_taps_avx2, "avx2,fma", 8, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);
