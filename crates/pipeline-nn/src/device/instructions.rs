//! What this processor can do, and the innermost loops that are written for it.
//!
//! One program serves every processor: the choice is made at run time, and a value of [`InstructionSet`] is the proof that
//! it may be used. Its unsafe code: calls into functions that are compiled for more instructions than the rest of the
//! program, and loads and stores of their vectors.

#![allow(unsafe_code)]

/// Sixteen numbers that begin at a multiple of 64 bytes, so that no load crosses a border of the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct CacheLine(pub(crate) [f32; LINE]);

/// Numbers of a [`CacheLine`].
pub(crate) const LINE: usize = 16;

/// Numbers of the largest tile.
pub(crate) const MAX_TILE: usize = 12 * 2 * LINE;

/// Instructions that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InstructionSet(Level);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// AVX-512 F, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the program was compiled for.
    Portable,
    /// The tiles of AVX-512 without its instructions, so that any machine can test what surrounds them.
    #[cfg(test)]
    Wide,
}

/// `out = a · panel`, or `out += a · panel`, for a tile of at most [`InstructionSet::tile_rows`] rows.
///
/// # Shapes
/// `a`: `[n_rows, depth]`, rows `a_stride` apart · `panel`: `[depth, tile_cols]` ·
/// `out`: `[n_rows, tile_cols]`, rows `out_stride` apart
pub(crate) struct Tile<'a> {
    pub(crate) n_rows: usize,
    pub(crate) a: &'a [f32],
    pub(crate) a_stride: usize,
    pub(crate) panel: &'a [CacheLine],
    pub(crate) out: &'a mut [f32],
    pub(crate) out_stride: usize,
    /// Adds to what is in `out`.
    pub(crate) accumulate: bool,
}

impl InstructionSet {
    /// The widest that this processor has.
    pub(crate) fn best() -> Self {
        Self::available()[0]
    }

    /// All that this processor has, the widest first.
    pub(crate) fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let has_fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let is_wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if has_fma && is_wide {
                levels.push(Self(Level::Avx512));
            }
            if has_fma {
                levels.push(Self(Level::Avx2));
            }
        }
        levels.push(Self(Level::Portable));
        #[cfg(test)]
        levels.push(Self(Level::Wide));
        levels
    }

    /// The most rows of a tile: as many as the registers hold.
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
    pub(crate) fn tile_lines(self) -> usize {
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
    pub(crate) fn tile_cols(self) -> usize {
        self.tile_lines() * LINE
    }

    /// Runs `work` compiled for these instructions, as far as it is inlined.
    pub(crate) fn run<T>(self, work: impl FnOnce() -> T) -> T {
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

    /// Computes a tile. Each number is one sum in the order of the depth, so that no other row or column shows in it.
    ///
    /// # Panics
    /// When a slice is too short or there are more rows than fit: a bug of the caller.
    pub(crate) fn multiply(self, tile: Tile<'_>) {
        let lines = self.tile_lines();
        let depth = tile.panel.len() / lines;
        let (last_row, cols) = (tile.n_rows.wrapping_sub(1), self.tile_cols());
        let fits = (1..=self.tile_rows()).contains(&tile.n_rows)
            && tile.panel.len() == depth * lines
            && tile.a.len() >= last_row.saturating_mul(tile.a_stride).saturating_add(depth)
            && tile.out.len() >= last_row.saturating_mul(tile.out_stride).saturating_add(cols)
            && (tile.out_stride >= cols || tile.n_rows == 1);
        assert!(fits, "BUG: a tile of {} rows and depth {depth} does not fit its slices", tile.n_rows);
        match self.0 {
            // SAFETY: the processor has the instructions, and the slices are as long as was just checked.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::multiply_avx512(tile, depth) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::multiply_avx2(tile, depth) },
            Level::Portable => multiply_portable::<1>(tile),
            #[cfg(test)]
            Level::Wide => multiply_portable::<2>(tile),
        }
    }

    /// Asks the processor to fetch lines that will soon be read.
    pub(crate) fn prefetch(self, lines: &[CacheLine]) {
        #[cfg(target_arch = "x86_64")]
        for line in lines {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            // SAFETY: SSE is part of x86-64, and a prefetch changes nothing that a program can see.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(line).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = lines;
    }
}

fn multiply_portable<const N_LINES: usize>(tile: Tile<'_>) {
    let (depths, _) = tile.panel.as_chunks::<N_LINES>();
    for row_idx in 0..tile.n_rows {
        let mut sums = [[0.0; LINE]; N_LINES];
        for (a, lines) in tile.a[row_idx * tile.a_stride..].iter().zip(depths) {
            for (sums, CacheLine(line)) in sums.iter_mut().zip(lines) {
                sums.iter_mut().zip(line).for_each(|(sum, b)| *sum += a * b);
            }
        }
        let out = &mut tile.out[row_idx * tile.out_stride..][..N_LINES * LINE];
        for (out, sum) in out.iter_mut().zip(sums.as_flattened()) {
            *out = if tile.accumulate { *out + sum } else { *sum };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Tile;

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
    pub(super) fn run_avx512<T>(work: impl FnOnce() -> T) -> T {
        work()
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn run_avx2<T>(work: impl FnOnce() -> T) -> T {
        work()
    }

    /// The loop of a tile: two vectors wide, sums in registers. Sums are named by constants only, since an index that is
    /// computed would move them to memory.
    macro_rules! tile_loop {
        ($name:ident, $features:literal, $lanes:literal, $zero:ident, $load:ident, $store:ident, $spread:ident, $fma:ident, $add:ident) => {
            /// # Safety
            /// The processor has the instructions; `a`, `panel` and `out` of the tile hold `ROWS` rows of `depth`.
            #[target_feature(enable = $features)]
            unsafe fn $name<const ROWS: usize>(tile: Tile<'_>, depth: usize) {
                let (a, panel) = (tile.a.as_ptr(), tile.panel.as_ptr().cast::<f32>());
                let out = tile.out.as_mut_ptr();
                let mut sums = [[$zero(); 2]; ROWS];
                // SAFETY: every offset is of a row below `ROWS` and a depth below `depth`.
                unsafe {
                    // What is written at the end is on its way while the loop runs.
                    for row in 0..ROWS {
                        _mm_prefetch::<_MM_HINT_T0>(out.add(row * tile.out_stride).cast());
                        _mm_prefetch::<_MM_HINT_T0>(out.add(row * tile.out_stride + 2 * $lanes - 1).cast());
                    }
                    for k in 0..depth {
                        let b = panel.add(k * 2 * $lanes);
                        let (left, right) = ($load(b), $load(b.add($lanes)));
                        for row in 0..ROWS {
                            let a = $spread(*a.add(row * tile.a_stride + k));
                            sums[row] = [$fma(a, left, sums[row][0]), $fma(a, right, sums[row][1])];
                        }
                    }
                    for row in 0..ROWS {
                        for half in 0..2 {
                            let out = out.add(row * tile.out_stride + half * $lanes);
                            let sum = sums[row][half];
                            $store(out, if tile.accumulate { $add($load(out), sum) } else { sum });
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
        _mm512_add_ps
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
        _mm256_add_ps
    );

    /// # Safety
    /// The processor has AVX-512 F, and the slices of the tile are long enough.
    pub(super) unsafe fn multiply_avx512(tile: Tile<'_>, depth: usize) {
        // SAFETY: as the caller promises; the number of rows is that of the tile.
        unsafe {
            match tile.n_rows {
                1 => avx512::<1>(tile, depth),
                2 => avx512::<2>(tile, depth),
                3 => avx512::<3>(tile, depth),
                4 => avx512::<4>(tile, depth),
                5 => avx512::<5>(tile, depth),
                6 => avx512::<6>(tile, depth),
                7 => avx512::<7>(tile, depth),
                8 => avx512::<8>(tile, depth),
                9 => avx512::<9>(tile, depth),
                10 => avx512::<10>(tile, depth),
                11 => avx512::<11>(tile, depth),
                _ => avx512::<12>(tile, depth),
            }
        }
    }

    /// # Safety
    /// The processor has AVX2 and FMA, and the slices of the tile are long enough.
    pub(super) unsafe fn multiply_avx2(tile: Tile<'_>, depth: usize) {
        // SAFETY: as the caller promises; the number of rows is that of the tile.
        unsafe {
            match tile.n_rows {
                1 => avx2::<1>(tile, depth),
                2 => avx2::<2>(tile, depth),
                3 => avx2::<3>(tile, depth),
                4 => avx2::<4>(tile, depth),
                5 => avx2::<5>(tile, depth),
                _ => avx2::<6>(tile, depth),
            }
        }
    }
}
