//! The frame of a JPEG file: its size, its components and their samples.

use super::idct;
use super::progressive::N_SMOOTHED;
use crate::DecodeError;
use crate::decode::Format;
use pipeline_kernels::InstructionSet;

/// The natural position of each coefficient, by its order in the file.
pub(super) const NATURAL_ORDER: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// The contents of a start-of-frame segment.
pub(super) struct Frame {
    pub width: usize,
    pub height: usize,
    pub is_progressive: bool,
    pub components: Vec<Component>,
    /// The largest sampling factors of all components.
    pub max_h: usize,
    pub max_v: usize,
    /// The units of an interleaved scan per row and per column.
    pub n_units_x: usize,
    pub n_units_y: usize,
}

/// One colour component and its samples so far.
pub(super) struct Component {
    pub id: u8,
    pub h: usize,
    pub v: usize,
    pub quantization_idx: usize,
    /// The table at `quantization_idx` when the component's first scan began, in natural order.
    pub quantization: Option<[u16; 64]>,
    /// The number of missing low bits of the first coefficients of a progressive frame; `None` where no scan has
    /// anything.
    pub missing_bits: [Option<u32>; N_SMOOTHED],
    /// The size in samples, and in blocks that contain any of them.
    pub width: usize,
    pub height: usize,
    pub n_blocks_x: usize,
    pub n_blocks_y: usize,
    /// Samples per row of `samples`: whole units.
    pub stride: usize,
    pub n_samples: usize,
    /// `[n_units_y * v * 8, stride]`.
    pub samples: Vec<u8>,
    /// `[blocks, 64]`, for progressive frames only, whose scans refine them one after the other.
    pub coefficients: Vec<[i16; 64]>,
}

impl Frame {
    pub fn parse(segment: &[u8], is_progressive: bool) -> Result<Self, DecodeError> {
        let damaged = || DecodeError::damaged(Format::Jpeg, "a bad frame header");
        let (header, specs) = segment.split_at_checked(6).ok_or_else(damaged)?;
        let size = |at: usize| usize::from(header[at]) << 8 | usize::from(header[at + 1]);
        let (height, width) = (size(1), size(3));
        if header[0] != 8 {
            return Err(DecodeError::Unsupported { format: Format::Jpeg, feature: "more than 8 bits a sample" });
        }
        if specs.len() != usize::from(header[5]) * 3 || !matches!(header[5], 1 | 3 | 4) {
            return Err(damaged());
        }
        let mut frame = Self {
            width,
            height,
            is_progressive,
            components: Vec::new(),
            max_h: 1,
            max_v: 1,
            n_units_x: 0,
            n_units_y: 0,
        };
        for spec in specs.chunks_exact(3) {
            let (h, v) = (usize::from(spec[1] >> 4), usize::from(spec[1] & 15));
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) || spec[2] > 3 {
                return Err(damaged());
            }
            (frame.max_h, frame.max_v) = (frame.max_h.max(h), frame.max_v.max(v));
            frame.components.push(Component::new(spec[0], h, v, usize::from(spec[2])));
        }
        frame.lay_out()?;
        Ok(frame)
    }

    fn lay_out(&mut self) -> Result<(), DecodeError> {
        self.n_units_x = self.width.div_ceil(8 * self.max_h);
        self.n_units_y = self.height.div_ceil(8 * self.max_v);
        for component in &mut self.components {
            if !self.max_h.is_multiple_of(component.h) || !self.max_v.is_multiple_of(component.v) {
                return Err(DecodeError::Unsupported { format: Format::Jpeg, feature: "fractional sampling" });
            }
            component.width = (self.width * component.h).div_ceil(self.max_h);
            component.height = (self.height * component.v).div_ceil(self.max_v);
            component.n_blocks_x = component.width.div_ceil(8);
            component.n_blocks_y = component.height.div_ceil(8);
            component.stride = self.n_units_x * component.h * 8;
            component.n_samples = component.stride * self.n_units_y * component.v * 8;
        }
        Ok(())
    }

    /// Bytes of all components: their samples, and their coefficients in a progressive frame.
    pub fn working_bytes(&self) -> u64 {
        let n_samples: usize = self.components.iter().map(|component| component.n_samples).sum();
        n_samples as u64 * if self.is_progressive { 3 } else { 1 }
    }

    /// Blocks of all components.
    pub fn n_blocks(&self) -> usize {
        self.components.iter().map(|component| component.n_samples / 64).sum()
    }

    /// Allocates the components.
    pub fn allocate(&mut self) {
        for component in &mut self.components {
            component.samples = vec![128; component.n_samples];
            if self.is_progressive {
                component.coefficients = vec![[0; 64]; component.n_samples / 64];
            }
        }
    }

    /// Whether libjpeg would estimate coefficients that the scans leave open (`smoothing_ok` in `jdcoefct.c`).
    pub fn is_smoothed(&self) -> bool {
        let has_dc = |component: &Component| {
            let is_divisor =
                |table: [u16; 64]| NATURAL_ORDER[..N_SMOOTHED].iter().all(|at| table[usize::from(*at)] != 0);
            component.quantization.is_some_and(is_divisor) && component.missing_bits[0].is_some()
        };
        let is_open = |component: &Component| component.missing_bits[1..].iter().any(|missing| *missing != Some(0));
        self.is_progressive && self.components.iter().all(has_dc) && self.components.iter().any(is_open)
    }

    /// Turns the coefficients of a progressive frame into samples.
    pub fn finish(&mut self, instructions: InstructionSet) {
        for component in &mut self.components {
            // Without a scan there is no table, and the component stays gray.
            let Some(quantization) = component.quantization else { continue };
            let n_blocks_x = component.stride / 8;
            let samples = component.samples.chunks_mut(component.stride * 8);
            for (row, blocks) in samples.zip(component.coefficients.chunks(n_blocks_x)) {
                for (block_idx, block) in blocks.iter().enumerate() {
                    let samples = &mut row[block_idx * 8..];
                    idct::inverse(block, &quantization, samples, component.stride, instructions);
                }
            }
        }
    }
}

impl Component {
    fn new(id: u8, h: usize, v: usize, quantization_idx: usize) -> Self {
        Self {
            id,
            h,
            v,
            quantization_idx,
            quantization: None,
            missing_bits: [None; N_SMOOTHED],
            width: 0,
            height: 0,
            n_blocks_x: 0,
            n_blocks_y: 0,
            stride: 0,
            n_samples: 0,
            samples: Vec::new(),
            coefficients: Vec::new(),
        }
    }

    /// The coefficients of the block in column `x` and row `y`, of a progressive frame.
    #[inline(always)]
    pub fn coefficients_at(&mut self, (x, y): (usize, usize)) -> Option<&mut [i16; 64]> {
        if self.coefficients.is_empty() { None } else { Some(&mut self.coefficients[y * (self.stride / 8) + x]) }
    }
}
