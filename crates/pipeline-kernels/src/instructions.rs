//! The instruction sets of this processor, and the innermost loops that are written for them.
//!
//! One program serves every processor: the choice is made at run time, and a value of [`InstructionSet`] proves that
//! its instructions exist. Unsafe code: calls into functions that are compiled for more instructions than the rest of
//! the program, and loads and stores of their vectors.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod x86;

/// Sixteen numbers aligned to 64 bytes, so that no load crosses a cache line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct CacheLine(pub(crate) [f32; LINE]);

/// Numbers of a [`CacheLine`].
pub(crate) const LINE: usize = 16;

/// Numbers in a row of the widest tile.
pub(crate) const MAX_COLS: usize = 2 * LINE;

/// The distance between rows for which tile loops are fastest, in numbers. It is no power of two, so that rows do not
/// share cache sets and evict each other.
pub(crate) const COPIED_STRIDE: usize = 384 + LINE;

/// Neighbouring pixels whose sums are computed together, so that each weight is read once for all of them.
pub(crate) const RUN: usize = 8;

/// Lines of a depthwise kernel over the pixels of a run.
///
/// # Shapes
/// `pixels`: lines `line_len` pixels apart, as many as the kernel has here, each `RUN + kernel - 1` pixels · `weight`:
/// `[n_lines, kernel]`
pub(crate) struct Taps<'a> {
    pub(crate) pixels: &'a [[f32; LINE]],
    pub(crate) line_len: usize,
    pub(crate) weight: &'a [[f32; LINE]],
    pub(crate) kernel: usize,
}

/// A set of instructions that this processor has.
///
/// All sets that fuse products and sums ([`InstructionSet::fuses`]) give the same bits, and so do all others. Integers
/// are the same with every set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstructionSet(Level);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// AVX-512 F, DQ and VL, and all of [`Level::Avx2`].
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2, FMA, BMI1, BMI2 and LZCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The instructions that the program was compiled for.
    Portable,
    /// The tiles of AVX-512 without its instructions, so that any machine can test the code around them.
    #[cfg(test)]
    Wide,
}

/// `out = a · panel`, or `out += a · panel`, in tiles of at most [`InstructionSet::tile_rows`] rows. An affine map of
/// the product comes before the sum with `out`, its ReLU after it.
///
/// # Shapes
/// `a`: `[n_rows, depth]`, rows `a_stride` apart · `panel`: `[depth, tile_cols]` · `out`: `[n_rows, tile_cols]`, rows
/// `out_stride` apart
pub(crate) struct Strip<'a> {
    pub(crate) n_rows: usize,
    pub(crate) a: &'a [f32],
    pub(crate) a_stride: usize,
    pub(crate) panel: &'a [CacheLine],
    /// The memory that is read after the panel and lies far away: each tile prefetches its share.
    pub(crate) later: &'a [CacheLine],
    pub(crate) out: &'a mut [f32],
    pub(crate) out_stride: usize,
    /// Adds to the values in `out`.
    pub(crate) accumulate: bool,
    pub(crate) affine: Option<Affine<'a>>,
}

/// The operations on a product: `scale · product + bias`, and optionally ReLU.
///
/// # Shapes
/// `scale`, `bias`: one number per column
#[derive(Debug, Clone, Copy)]
pub struct Affine<'a> {
    /// The factor of each column.
    pub scale: &'a [f32],
    /// The bias of each column.
    pub bias: Option<&'a [f32]>,
    /// Replaces negative values by zero; NaN stays NaN.
    pub relu: bool,
}

impl InstructionSet {
    /// The widest set that this processor has.
    pub fn best() -> Self {
        Self::available()[0]
    }

    /// All sets that this processor has, the widest first.
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt");
            let is_wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if has_avx2 && is_wide {
                levels.push(Self(Level::Avx512));
            }
            if has_avx2 {
                levels.push(Self(Level::Avx2));
            }
        }
        levels.push(Self(Level::Portable));
        #[cfg(test)]
        levels.push(Self(Level::Wide));
        levels
    }

    /// Whether a product and the sum with it are rounded once, as a fused operation.
    pub fn fuses(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx2 => true,
            Level::Portable => false,
            #[cfg(test)]
            Level::Wide => false,
        }
    }

    /// The name of the widest extension in use, as processors announce it: `avx512f`, `avx2` or `portable`.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512f",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            Level::Portable => "portable",
            #[cfg(test)]
            Level::Wide => "wide",
        }
    }

    /// The best set for code that works on bytes and gains nothing from the registers of AVX-512: AVX2 at most.
    pub fn best_for_bytes() -> Self {
        match Self::best().0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Self(Level::Avx2),
            level => Self(level),
        }
    }

    /// The set that the program was compiled for: every processor has it.
    pub fn portable() -> Self {
        Self(Level::Portable)
    }

    /// Whether this is exactly AVX2.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn is_avx2(self) -> bool {
        self.0 == Level::Avx2
    }

    /// The most rows of a tile: as many as the registers hold.
    #[inline]
    pub(crate) fn tile_rows(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => 12,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => 6,
            Level::Portable => 2,
            #[cfg(test)]
            Level::Wide => 12,
        }
    }

    /// Cache lines in a row of a tile.
    #[inline]
    pub fn tile_lines(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => 2,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => 1,
            Level::Portable => 1,
            #[cfg(test)]
            Level::Wide => 2,
        }
    }

    /// Columns of a tile.
    #[inline]
    pub fn tile_cols(self) -> usize {
        self.tile_lines() * LINE
    }

    /// Runs `work` compiled for these instructions, as far as it is inlined.
    #[inline(always)]
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        match self.0 {
            // SAFETY: a value of this level exists only where the processor has these instructions.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::run_avx512(work) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::run_avx2(work) },
            Level::Portable => work(),
            #[cfg(test)]
            Level::Wide => work(),
        }
    }

    /// Computes a strip. Each number is one sum in the order of the depth, so it does not depend on other rows or
    /// columns.
    ///
    /// # Panics
    /// When a slice is too short: a bug of the caller.
    pub(crate) fn multiply(self, mut strip: Strip<'_>) {
        let lines = self.tile_lines();
        let depth = strip.panel.len() / lines;
        let (last_row, cols) = (strip.n_rows.wrapping_sub(1), self.tile_cols());
        let fits = strip.n_rows > 0
            && strip.panel.len() == depth * lines
            && strip.a.len() >= last_row.saturating_mul(strip.a_stride).saturating_add(depth)
            && strip.out.len() >= last_row.saturating_mul(strip.out_stride).saturating_add(cols)
            && (strip.out_stride >= cols || strip.n_rows == 1)
            && strip
                .affine
                .is_none_or(|affine| affine.scale.len() >= cols && affine.bias.is_none_or(|bias| bias.len() >= cols));
        assert!(fits, "BUG: a strip of {} rows and depth {depth} does not fit its slices", strip.n_rows);
        match self.0 {
            // SAFETY: the processor has the instructions, and the slices are as long as was just checked.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::multiply_avx512(&mut strip, depth) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::multiply_avx2(&mut strip, depth) },
            Level::Portable => multiply_portable::<1>(strip),
            #[cfg(test)]
            Level::Wide => multiply_portable::<2>(strip),
        }
    }
}

impl InstructionSet {
    /// Adds the products of a depthwise kernel's weights and their pixels to the sums of a run, line by line of the
    /// kernel, from left to right.
    ///
    /// # Panics
    /// When a slice is too short: a bug of the caller.
    #[inline]
    pub(crate) fn add_taps(self, sums: &mut [[f32; LINE]; RUN], taps: &Taps<'_>) {
        let Taps { pixels, line_len, weight, kernel } = *taps;
        let n_lines = weight.len() / kernel;
        let n_pixels = n_lines.saturating_sub(1) * line_len + RUN + kernel - 1;
        assert!(pixels.len() >= n_pixels, "BUG: {n_lines} lines of a kernel need {n_pixels} pixels");
        match self.0 {
            // SAFETY: the processor has the instructions, and there are as many pixels as was just checked.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::add_taps_avx512(sums, taps) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::add_taps_avx2(sums, taps) },
            _ => {
                for (line, weight) in pixels.chunks(line_len).zip(weight.chunks_exact(kernel)) {
                    for (tap, weight) in weight.iter().enumerate() {
                        for (sum, pixel) in sums.iter_mut().zip(&line[tap..]) {
                            sum.iter_mut()
                                .zip(pixel)
                                .zip(weight)
                                .for_each(|((sum, value), weight)| *sum += value * weight);
                        }
                    }
                }
            }
        }
    }
}

impl Strip<'_> {
    /// The rows of each tile, in nearly equal numbers, and the start of its share of the memory that is read later.
    ///
    /// The tile loop prefetches the first `n_in_loop` lines of the share, and the iterator the others.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn tiles(
        &self,
        tile_rows: usize,
        n_in_loop: usize,
    ) -> impl Iterator<Item = (std::ops::Range<usize>, *const CacheLine)> + use<> {
        let (n_rows, n_tiles) = (self.n_rows, self.n_rows.div_ceil(tile_rows));
        let (n_lines, later) = (self.later.len(), self.later.as_ptr());
        let (least, n_larger) = (n_rows / n_tiles, n_rows % n_tiles);
        let share = n_lines.div_ceil(n_tiles);
        (0..n_tiles).map(move |tile_idx| {
            let first = (tile_idx * share).min(n_lines);
            for line_idx in (first + n_in_loop)..((tile_idx + 1) * share).min(n_lines) {
                use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
                // SAFETY: SSE is part of x86-64, and a prefetch has no effect that a program can see.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(later.wrapping_add(line_idx).cast()) };
            }
            let start = tile_idx * least + tile_idx.min(n_larger);
            (start..start + least + usize::from(tile_idx < n_larger), later.wrapping_add(first))
        })
    }
}

/// Stores a run of a row's product as the tile loops do.
fn finish(out: &mut [f32], product: &[f32], accumulate: bool, affine: Option<Affine<'_>>) {
    for (col, (out, product)) in out.iter_mut().zip(product).enumerate() {
        let mapped =
            affine.map_or(*product, |affine| product * affine.scale[col] + affine.bias.map_or(0.0, |bias| bias[col]));
        let sum = if accumulate { *out + mapped } else { mapped };
        *out = if affine.is_some_and(|affine| affine.relu) && sum < 0.0 { 0.0 } else { sum };
    }
}

fn multiply_portable<const N_LINES: usize>(strip: Strip<'_>) {
    let (depths, _) = strip.panel.as_chunks::<N_LINES>();
    for row_idx in 0..strip.n_rows {
        let mut sums = [[0.0; LINE]; N_LINES];
        for (a, lines) in strip.a[row_idx * strip.a_stride..].iter().zip(depths) {
            for (sums, CacheLine(line)) in sums.iter_mut().zip(lines) {
                sums.iter_mut().zip(line).for_each(|(sum, b)| *sum += a * b);
            }
        }
        let out = &mut strip.out[row_idx * strip.out_stride..][..N_LINES * LINE];
        finish(out, sums.as_flattened(), strip.accumulate, strip.affine);
    }
}
