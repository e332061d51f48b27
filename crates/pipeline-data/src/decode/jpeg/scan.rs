//! One scan of a JPEG file: entropy-coded blocks of one or more components.

use super::bits::Source;
use super::frame::{Component, Frame, NATURAL_ORDER};
use super::huffman::HuffmanTable;
use super::{Tables, idct};
use crate::DecodeError;
use crate::decode::Format;

/// What a start-of-scan segment says.
pub(super) struct Scan {
    /// The components by their place in the frame, each with the numbers of its DC and AC tables.
    components: Vec<(usize, usize, usize)>,
    /// The first and last coefficient.
    spectrum: (usize, usize),
    /// Bits that earlier scans left out, and bits that this one leaves out.
    approximation: (u32, u32),
}

/// What runs from block to block and begins anew at a restart.
#[derive(Default)]
struct State {
    /// The last DC value by component of the scan.
    dc: [i32; 4],
    /// Blocks still to come without further coefficients.
    n_empty_blocks: u32,
}

impl Scan {
    pub fn parse(segment: &[u8], frame: &Frame) -> Result<Self, DecodeError> {
        let damaged = || DecodeError::damaged(Format::Jpeg, "a bad scan header");
        let n_components = usize::from(*segment.first().ok_or_else(damaged)?);
        if !(1..=4).contains(&n_components) || segment.len() != 4 + 2 * n_components {
            return Err(damaged());
        }
        let mut components: Vec<(usize, usize, usize)> = Vec::new();
        for spec in segment[1..1 + 2 * n_components].chunks_exact(2) {
            let component = frame.components.iter().position(|component| component.id == spec[0]);
            let component = component.filter(|&at| components.iter().all(|&(other, ..)| other != at));
            components.push((component.ok_or_else(damaged)?, usize::from(spec[1] >> 4), usize::from(spec[1] & 15)));
        }
        let [first, last, approximation] = segment[1 + 2 * n_components..] else { return Err(damaged()) };
        let scan = Self {
            components,
            spectrum: (usize::from(first), usize::from(last)),
            approximation: (u32::from(approximation >> 4), u32::from(approximation & 15)),
        };
        if frame.is_progressive && !scan.is_valid_progression() || scan.n_blocks_in_unit(frame) > 10 {
            return Err(damaged());
        }
        Ok(scan)
    }

    /// True if no other scan follows, so that libjpeg gives out rows while it reads.
    pub fn is_only(&self, frame: &Frame) -> bool {
        !frame.is_progressive && self.components.len() == frame.components.len()
    }

    /// Reads the scan's blocks into the components' samples, or of a progressive frame into their coefficients.
    pub fn read(&self, frame: &mut Frame, tables: &Tables, source: &mut Source<'_>) -> Result<(), DecodeError> {
        self.check_tables(frame, tables)?;
        for &(component, ..) in &self.components {
            let component = &mut frame.components[component];
            if component.quantization.is_none() {
                let missing = DecodeError::damaged(Format::Jpeg, "a missing quantisation table");
                component.quantization = Some(tables.quantization[component.quantization_idx].ok_or(missing)?);
            }
        }
        let (n_units_x, n_units_y) = match self.components[..] {
            [(only, ..)] => (frame.components[only].n_blocks_x, frame.components[only].n_blocks_y),
            _ => (frame.n_units_x, frame.n_units_y),
        };
        source.is_spent = false;
        let mut state = State::default();
        for unit in 0..n_units_x * n_units_y {
            if tables.restart_interval > 0 && unit > 0 && unit % tables.restart_interval == 0 {
                source.restart((unit / tables.restart_interval - 1) as u8)?;
                state = State::default();
            }
            if !source.is_spent {
                self.read_unit(frame, tables, source, &mut state, (unit % n_units_x, unit / n_units_x))?;
            }
        }
        Ok(())
    }

    fn read_unit(
        &self,
        frame: &mut Frame,
        tables: &Tables,
        source: &mut Source<'_>,
        state: &mut State,
        (x, y): (usize, usize),
    ) -> Result<(), DecodeError> {
        for (at, &(component, dc, ac)) in self.components.iter().enumerate() {
            let component = &mut frame.components[component];
            let (h, v) = if self.components.len() == 1 { (1, 1) } else { (component.h, component.v) };
            for block in 0..h * v {
                let block = (x * h + block % h, y * v + block / h);
                if component.coefficients.is_empty() {
                    let (dc, ac) = (table(&tables.dc[dc]), table(&tables.ac[ac]));
                    read_block(component, block, source, (dc, ac), &mut state.dc[at])?;
                } else {
                    let block = &mut component.coefficients[block.1 * (component.stride / 8) + block.0];
                    self.refine_block(block, tables, source, state, (at, dc, ac))?;
                }
            }
        }
        Ok(())
    }

    /// One block of a progressive scan.
    fn refine_block(
        &self,
        block: &mut [i16; 64],
        tables: &Tables,
        source: &mut Source<'_>,
        state: &mut State,
        (at, dc, ac): (usize, usize, usize),
    ) -> Result<(), DecodeError> {
        let (earlier, shift) = self.approximation;
        match (self.spectrum.0, earlier) {
            (0, 0) => {
                let n_bits = source.symbol(table(&tables.dc[dc]))?;
                state.dc[at] = state.dc[at].wrapping_add(source.signed(u32::from(n_bits))?);
                block[0] = (state.dc[at] << shift) as i16;
            }
            (0, _) => block[0] |= (source.bits(1)? << shift) as i16,
            (_, 0) => self.read_ac(block, source, table(&tables.ac[ac]), &mut state.n_empty_blocks)?,
            _ => self.refine_ac(block, source, table(&tables.ac[ac]), &mut state.n_empty_blocks)?,
        }
        Ok(())
    }

    fn read_ac(
        &self,
        block: &mut [i16; 64],
        source: &mut Source<'_>,
        table: &HuffmanTable,
        n_empty_blocks: &mut u32,
    ) -> Result<(), DecodeError> {
        if *n_empty_blocks > 0 {
            *n_empty_blocks -= 1;
            return Ok(());
        }
        let mut k = self.spectrum.0;
        while k <= self.spectrum.1 {
            let (run, n_bits) = split(source.symbol(table)?);
            if n_bits == 0 && run < 15 {
                *n_empty_blocks = (1 << run) - 1 + source.bits(run)? as u32;
                break;
            }
            k += run as usize;
            if n_bits > 0 {
                block[natural(k)] = (source.signed(n_bits)? << self.approximation.1) as i16;
            }
            k += 1;
        }
        Ok(())
    }

    /// Adds one bit to every coefficient that is not zero, and brings new ones in between.
    fn refine_ac(
        &self,
        block: &mut [i16; 64],
        source: &mut Source<'_>,
        table: &HuffmanTable,
        n_empty_blocks: &mut u32,
    ) -> Result<(), DecodeError> {
        let bit = 1_i16 << self.approximation.1;
        let mut k = self.spectrum.0;
        while *n_empty_blocks == 0 && k <= self.spectrum.1 {
            let (mut run, n_bits) = split(source.symbol(table)?);
            if n_bits == 0 && run < 15 {
                *n_empty_blocks = (1 << run) + source.bits(run)? as u32;
                break;
            }
            let new = if n_bits == 0 {
                0
            } else if source.bits(1)? == 1 {
                bit
            } else {
                -bit
            };
            while k <= self.spectrum.1 {
                let coefficient = &mut block[natural(k)];
                if *coefficient != 0 {
                    refine(coefficient, bit, source)?;
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                k += 1;
            }
            if new != 0 {
                block[natural(k)] = new;
            }
            k += 1;
        }
        if *n_empty_blocks > 0 {
            for k in k..=self.spectrum.1 {
                let coefficient = &mut block[natural(k)];
                if *coefficient != 0 {
                    refine(coefficient, bit, source)?;
                }
            }
            *n_empty_blocks -= 1;
        }
        Ok(())
    }

    fn is_valid_progression(&self) -> bool {
        let (first, last) = self.spectrum;
        let is_valid_spectrum =
            if first == 0 { last == 0 } else { first <= last && last < 64 && self.components.len() == 1 };
        let (earlier, shift) = self.approximation;
        is_valid_spectrum && shift <= 13 && (earlier == 0 || shift + 1 == earlier)
    }

    fn n_blocks_in_unit(&self, frame: &Frame) -> usize {
        let components = self.components.iter().map(|&(component, ..)| &frame.components[component]);
        if self.components.len() == 1 { 1 } else { components.map(|component| component.h * component.v).sum() }
    }

    fn check_tables(&self, frame: &Frame, tables: &Tables) -> Result<(), DecodeError> {
        let needs_dc = !frame.is_progressive || self.spectrum.0 == 0 && self.approximation.0 == 0;
        let needs_ac = !frame.is_progressive || self.spectrum.0 > 0;
        let is_present = |&(_, dc, ac): &(usize, usize, usize)| {
            let dc = tables.dc.get(dc).and_then(Option::as_ref).is_some_and(HuffmanTable::is_for_dc);
            let ac = tables.ac.get(ac).is_some_and(Option::is_some);
            (dc || !needs_dc) && (ac || !needs_ac)
        };
        let missing = DecodeError::damaged(Format::Jpeg, "a missing or bad Huffman table");
        self.components.iter().all(is_present).then_some(()).ok_or(missing)
    }
}

/// One block of a sequential scan, straight to samples.
fn read_block(
    component: &mut Component,
    (x, y): (usize, usize),
    source: &mut Source<'_>,
    (dc_table, ac_table): (&HuffmanTable, &HuffmanTable),
    dc: &mut i32,
) -> Result<(), DecodeError> {
    let mut block = [0; 64];
    let n_bits = source.symbol(dc_table)?;
    *dc = dc.wrapping_add(source.signed(u32::from(n_bits))?);
    block[0] = *dc as i16;
    let mut k = 1;
    while k < 64 {
        let (run, n_bits) = split(source.symbol(ac_table)?);
        if n_bits == 0 && run < 15 {
            break;
        }
        k += run as usize;
        if n_bits > 0 {
            block[natural(k)] = source.signed(n_bits)? as i16;
        }
        k += 1;
    }
    let quantization = component.quantization.as_ref().expect("set when the scan began");
    idct::inverse(&block, quantization, &mut component.samples[y * 8 * component.stride + x * 8..], component.stride);
    Ok(())
}

fn refine(coefficient: &mut i16, bit: i16, source: &mut Source<'_>) -> Result<(), DecodeError> {
    if source.bits(1)? == 1 && *coefficient & bit == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient >= 0 { bit } else { -bit });
    }
    Ok(())
}

fn table(table: &Option<HuffmanTable>) -> &HuffmanTable {
    table.as_ref().expect("checked when the scan began")
}

fn split(symbol: u8) -> (u32, u32) {
    (u32::from(symbol >> 4), u32::from(symbol & 15))
}

/// The place of coefficient `k`; as in libjpeg, a run past the end writes to the last one.
fn natural(k: usize) -> usize {
    usize::from(NATURAL_ORDER[k.min(63)])
}
