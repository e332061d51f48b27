//! The blocks of a progressive scan, whose coefficients arrive bit by bit.

use super::bits::Bits;
use super::huffman::HuffmanTable;
use super::scan::{State, natural, present, read_ac};

/// libjpeg smooths an image as long as one of this many coefficients lacks bits.
pub(super) const N_SMOOTHED: usize = 10;

/// The part of every coefficient that a scan contains.
pub(super) struct Progression {
    /// The first and last coefficient.
    spectrum: (usize, usize),
    /// Bits that earlier scans left out, and bits that this one leaves out.
    approximation: (u32, u32),
}

impl Progression {
    /// From the last three bytes of a scan's header.
    pub fn new([first, last]: [u8; 2], approximation: u8) -> Self {
        Self {
            spectrum: (usize::from(first), usize::from(last)),
            approximation: (u32::from(approximation >> 4), u32::from(approximation & 15)),
        }
    }

    pub fn is_valid(&self, n_components: usize) -> bool {
        let (first, last) = self.spectrum;
        let is_valid_spectrum = if first == 0 { last == 0 } else { first <= last && last < 64 && n_components == 1 };
        let (earlier, shift) = self.approximation;
        is_valid_spectrum && shift <= 13 && (earlier == 0 || shift + 1 == earlier)
    }

    /// Records the bits that the first coefficients still lack after this scan.
    pub fn note(&self, missing: &mut [Option<u32>; N_SMOOTHED]) {
        let (first, last) = self.spectrum;
        missing.iter_mut().take(last + 1).skip(first).for_each(|missing| *missing = Some(self.approximation.1));
    }

    pub fn needs_dc_table(&self) -> bool {
        self.spectrum.0 == 0 && self.approximation.0 == 0
    }

    pub fn needs_ac_table(&self) -> bool {
        self.spectrum.0 > 0
    }

    /// Reads the scan's part of a block of its `at`-th component.
    pub fn read_block<const IS_COUNTED: bool>(
        &self,
        block: &mut [i16; 64],
        bits: &mut Bits<'_, IS_COUNTED>,
        (dc_table, ac_table): (Option<&HuffmanTable>, Option<&HuffmanTable>),
        state: &mut State,
        at: usize,
    ) {
        let (earlier, shift) = self.approximation;
        match (self.spectrum.0, earlier) {
            (0, 0) => {
                state.dc[at] = state.dc[at].wrapping_add(bits.number(present(dc_table)).1);
                block[0] = (state.dc[at] << shift) as i16;
            }
            (0, _) => block[0] |= (bits.bits(1) << shift) as i16,
            (_, 0) if state.n_empty_blocks > 0 => state.n_empty_blocks -= 1,
            (_, 0) => {
                if let Some(run) = read_ac(block, bits, present(ac_table), self.spectrum, shift) {
                    state.n_empty_blocks = (1 << run) - 1 + bits.bits(run) as u32;
                }
            }
            _ => self.refine_ac(block, bits, present(ac_table), &mut state.n_empty_blocks),
        }
    }

    /// Adds one bit to every nonzero coefficient, and inserts new ones.
    fn refine_ac<const IS_COUNTED: bool>(
        &self,
        block: &mut [i16; 64],
        bits: &mut Bits<'_, IS_COUNTED>,
        table: &HuffmanTable,
        n_empty_blocks: &mut u32,
    ) {
        let bit = 1_i16 << self.approximation.1;
        let (mut k, last) = self.spectrum;
        while *n_empty_blocks == 0 && k <= last {
            let symbol = bits.symbol(table);
            let (run, n_bits) = (symbol >> 4, symbol & 15);
            if n_bits == 0 && run < 15 {
                *n_empty_blocks = (1 << run) + bits.bits(run) as u32;
                break;
            }
            let new = match n_bits {
                0 => 0,
                _ if bits.bits(1) == 1 => bit,
                _ => -bit,
            };
            k = refine(block, bits, bit, (k, last), run);
            if new != 0 {
                block[natural(k)] = new;
            }
            k += 1;
        }
        if *n_empty_blocks > 0 {
            refine(block, bits, bit, (k, last), u32::MAX);
            *n_empty_blocks -= 1;
        }
    }
}

/// Adds a bit to every nonzero coefficient, until it finds another zero after `n_zeros` of them; returns its position.
fn refine<const IS_COUNTED: bool>(
    block: &mut [i16; 64],
    bits: &mut Bits<'_, IS_COUNTED>,
    bit: i16,
    (first, last): (usize, usize),
    mut n_zeros: u32,
) -> usize {
    for k in first..=last {
        let coefficient = &mut block[natural(k)];
        if *coefficient == 0 {
            if n_zeros == 0 {
                return k;
            }
            n_zeros -= 1;
        } else if bits.bits(1) == 1 && *coefficient & bit == 0 {
            *coefficient = coefficient.wrapping_add(if *coefficient >= 0 { bit } else { -bit });
        }
    }
    last + 1
}
