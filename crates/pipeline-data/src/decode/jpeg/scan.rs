//! One scan of a JPEG file: entropy-coded blocks of one or more components.

use super::bits::{Bits, Source};
use super::frame::{Component, Frame, NATURAL_ORDER};
use super::huffman::HuffmanTable;
use super::idct;
use super::progressive::Progression;
use super::tables::Tables;
use crate::DecodeError;
use crate::decode::Format;
use pipeline_kernels::InstructionSet;

/// The contents of a start-of-scan segment.
pub(super) struct Scan {
    components: Vec<ScanComponent>,
    progression: Progression,
}

#[derive(Clone, Copy)]
struct ScanComponent {
    /// The index in the frame.
    component_idx: usize,
    dc_table: usize,
    ac_table: usize,
}

/// The state that passes from block to block and is reset at a restart.
#[derive(Default)]
pub(super) struct State {
    /// The last DC value, by component of the scan.
    pub dc: [i32; 4],
    /// The remaining blocks without further coefficients.
    pub n_empty_blocks: u32,
}

impl Scan {
    pub fn parse(segment: &[u8], frame: &Frame) -> Result<Self, DecodeError> {
        let damaged = || DecodeError::damaged(Format::Jpeg, "a bad scan header");
        let n_components = usize::from(*segment.first().ok_or_else(damaged)?);
        if !(1..=4).contains(&n_components) || segment.len() != 4 + 2 * n_components {
            return Err(damaged());
        }
        let mut components: Vec<ScanComponent> = Vec::new();
        for spec in segment[1..1 + 2 * n_components].chunks_exact(2) {
            let component_idx = frame.components.iter().position(|component| component.id == spec[0]);
            let is_new = |&at: &usize| components.iter().all(|other| other.component_idx != at);
            components.push(ScanComponent {
                component_idx: component_idx.filter(is_new).ok_or_else(damaged)?,
                dc_table: usize::from(spec[1] >> 4),
                ac_table: usize::from(spec[1] & 15),
            });
        }
        let [first, last, approximation] = segment[1 + 2 * n_components..] else { return Err(damaged()) };
        let progression = Progression::new([first, last], approximation);
        let scan = Self { components, progression };
        let is_valid = !frame.is_progressive || scan.progression.is_valid(n_components);
        if !is_valid || scan.n_blocks_in_unit(frame) > 10 {
            return Err(damaged());
        }
        Ok(scan)
    }

    /// True if no other scan follows, so that libjpeg emits rows while it reads.
    pub fn is_only(&self, frame: &Frame) -> bool {
        !frame.is_progressive && self.components.len() == frame.components.len()
    }

    /// Reads the scan's blocks into the components' samples, or into their coefficients in a progressive frame.
    pub fn read(
        &self,
        frame: &mut Frame,
        tables: &Tables,
        source: &mut Source<'_>,
        instructions: InstructionSet,
    ) -> Result<(), DecodeError> {
        self.check_tables(frame, tables)?;
        for scanned in &self.components {
            let component = &mut frame.components[scanned.component_idx];
            if component.quantization.is_none() {
                let missing = DecodeError::damaged(Format::Jpeg, "a missing quantisation table");
                component.quantization = Some(tables.quantization[component.quantization_idx].ok_or(missing)?);
            }
            self.progression.note(&mut component.missing_bits);
        }
        let mut again = source.again();
        let units = Units::<false> { scan: self, frame, tables, source, instructions };
        let may_be_cut = instructions.run(
            #[inline(always)]
            || units.read(),
        )?;
        if source.has_odd_fill && !frame.is_progressive {
            // Here libjpeg-turbo mixes coefficients of two attempts.
            return Err(DecodeError::damaged(Format::Jpeg, "fill bytes within its data"));
        }
        // Where other scans must follow, the end of the file is detected anyway.
        if may_be_cut && self.is_only(frame) {
            let counted = Units::<true> { scan: self, frame, tables, source: &mut again, instructions };
            if counted.read()? {
                return Err(DecodeError::Truncated { format: Format::Jpeg });
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn read_unit<const IS_COUNTED: bool>(
        &self,
        frame: &mut Frame,
        tables: &Tables,
        bits: &mut Bits<'_, IS_COUNTED>,
        state: &mut State,
        (x, y): (usize, usize),
        instructions: InstructionSet,
    ) {
        for (at, scanned) in self.components.iter().enumerate() {
            let component = &mut frame.components[scanned.component_idx];
            let dc_table = tables.dc.get(scanned.dc_table).and_then(Option::as_ref);
            let ac_table = tables.ac.get(scanned.ac_table).and_then(Option::as_ref);
            let (h, v) = if self.components.len() == 1 { (1, 1) } else { (component.h, component.v) };
            for block in 0..h * v {
                let place = (x * h + block % h, y * v + block / h);
                if let Some(block) = component.coefficients_at(place) {
                    self.progression.read_block(block, bits, (dc_table, ac_table), state, at);
                } else {
                    let tables = (present(dc_table), present(ac_table));
                    read_block(component, place, bits, tables, &mut state.dc[at], instructions);
                }
            }
        }
    }

    /// The number of blocks in the scan.
    pub fn n_blocks(&self, frame: &Frame) -> usize {
        self.components.iter().map(|scanned| frame.components[scanned.component_idx].n_samples / 64).sum()
    }

    fn n_blocks_in_unit(&self, frame: &Frame) -> usize {
        let components = self.components.iter().map(|scanned| &frame.components[scanned.component_idx]);
        if self.components.len() == 1 { 1 } else { components.map(|component| component.h * component.v).sum() }
    }

    fn check_tables(&self, frame: &Frame, tables: &Tables) -> Result<(), DecodeError> {
        let needs_dc = !frame.is_progressive || self.progression.needs_dc_table();
        let needs_ac = !frame.is_progressive || self.progression.needs_ac_table();
        let is_present = |scanned: &ScanComponent| {
            let dc = tables.dc.get(scanned.dc_table).and_then(Option::as_ref).is_some_and(HuffmanTable::is_for_dc);
            let ac = tables.ac.get(scanned.ac_table).and_then(Option::as_ref).is_some_and(HuffmanTable::is_good);
            (dc || !needs_dc) && (ac || !needs_ac)
        };
        let missing = DecodeError::damaged(Format::Jpeg, "a missing or bad Huffman table");
        self.components.iter().all(is_present).then_some(()).ok_or(missing)
    }
}

/// All units of a scan, read interval by interval.
struct Units<'a, 'b, const IS_COUNTED: bool> {
    scan: &'a Scan,
    frame: &'a mut Frame,
    tables: &'a Tables,
    source: &'a mut Source<'b>,
    instructions: InstructionSet,
}

impl<const IS_COUNTED: bool> Units<'_, '_, IS_COUNTED> {
    /// True if the file has ended before libjpeg would have had all bits; if they are not counted, if it may have.
    #[inline(always)]
    fn read(self) -> Result<bool, DecodeError> {
        let Self { scan, frame, tables, source, instructions } = self;
        let (n_units_x, n_units_y) = match scan.components[..] {
            [only] => {
                let component = &frame.components[only.component_idx];
                (component.n_blocks_x, component.n_blocks_y)
            }
            _ => (frame.n_units_x, frame.n_units_y),
        };
        let n_units = n_units_x * n_units_y;
        let n_units_between = if tables.restart_interval == 0 { n_units } else { tables.restart_interval };
        let mut interval = Vec::new();
        let (mut is_spent, mut is_cut) = (false, false);
        for (interval_idx, first) in (0..n_units).step_by(n_units_between).enumerate() {
            if interval_idx > 0 && source.restart((interval_idx - 1) as u8)? {
                is_spent = false;
            }
            let is_ended = !source.interval(&mut interval);
            let mut bits = Bits::<IS_COUNTED>::new(&interval);
            let mut state = State::default();
            for unit in first..n_units.min(first + n_units_between) {
                if is_spent {
                    break;
                }
                let place = (unit % n_units_x, unit / n_units_x);
                scan.read_unit(frame, tables, &mut bits, &mut state, place, instructions);
                is_spent = bits.is_spent();
            }
            is_cut = is_ended && bits.is_overread();
        }
        Ok(is_cut)
    }
}

/// Reads one block of a sequential scan directly into samples.
#[inline(always)]
fn read_block<const IS_COUNTED: bool>(
    component: &mut Component,
    (x, y): (usize, usize),
    bits: &mut Bits<'_, IS_COUNTED>,
    (dc_table, ac_table): (&HuffmanTable, &HuffmanTable),
    dc: &mut i32,
    instructions: InstructionSet,
) {
    let mut block = [0; 64];
    *dc = dc.wrapping_add(bits.number(dc_table).1);
    block[0] = *dc as i16;
    read_ac(&mut block, bits, ac_table, (1, 63), 0);
    let quantization = component.quantization.as_ref().expect("set when the scan began");
    let samples = &mut component.samples[y * 8 * component.stride + x * 8..];
    idct::inverse(&block, quantization, samples, component.stride, instructions);
}

/// Reads the coefficients from `first` to `last`, without `shift` low bits, until a symbol ends the block; returns the
/// run of that symbol.
#[inline(always)]
pub(super) fn read_ac<const IS_COUNTED: bool>(
    block: &mut [i16; 64],
    bits: &mut Bits<'_, IS_COUNTED>,
    table: &HuffmanTable,
    (first, last): (usize, usize),
    shift: u32,
) -> Option<u32> {
    let mut k = first;
    while k <= last {
        let (symbol, value) = bits.number(table);
        let run = symbol >> 4;
        if value == 0 && run < 15 {
            return Some(run);
        }
        k += run as usize;
        if value != 0 {
            block[natural(k)] = (value << shift) as i16;
        }
        k += 1;
    }
    None
}

/// A table that the scan needs.
#[inline(always)]
pub(super) fn present(table: Option<&HuffmanTable>) -> &HuffmanTable {
    table.expect("checked when the scan began")
}

/// The position of coefficient `k`; as in libjpeg, a run past the end writes to the last one.
#[inline(always)]
pub(super) fn natural(k: usize) -> usize {
    usize::from(NATURAL_ORDER[k.min(63)])
}
