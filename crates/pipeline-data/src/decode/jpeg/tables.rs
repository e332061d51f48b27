//! The tables of a JPEG file, and the colours that its application segments name.

use super::frame::{Frame, NATURAL_ORDER};
use super::huffman::HuffmanTable;
use super::{Colour, usual};
use crate::DecodeError;
use crate::decode::Format;

/// The segments between scans that later scans use.
#[derive(Default)]
pub(super) struct Tables {
    /// In natural order.
    pub quantization: [Option<[u16; 64]>; 4],
    pub dc: [Option<HuffmanTable>; 4],
    pub ac: [Option<HuffmanTable>; 4],
    /// Units between restart markers; 0 without restarts.
    pub restart_interval: usize,
    pub is_jfif: bool,
    pub adobe_transform: Option<u8>,
}

/// libjpeg refuses a table with too many symbols before it notices that the file ends within it.
pub(super) fn check_counts(segment: &[u8]) -> Result<(), DecodeError> {
    let n_symbols = segment.get(1..17).map_or(0, |counts| counts.iter().map(|&count| usize::from(count)).sum());
    if n_symbols > 256 { Err(DecodeError::damaged(Format::Jpeg, "a bad Huffman table")) } else { Ok(()) }
}

impl Tables {
    /// For a sequential file without tables, such as a frame of Motion JPEG, libjpeg uses those of the standard.
    pub fn add_usual_huffman(&mut self) {
        let tables = [(&mut self.dc, usual::DC), (&mut self.ac, usual::AC)];
        for (tables, usual) in tables {
            for (table, (counts, symbols)) in tables.iter_mut().zip(usual) {
                table.get_or_insert_with(|| HuffmanTable::new(counts, symbols));
            }
        }
    }

    pub fn add_huffman(&mut self, mut segment: &[u8]) -> Result<(), DecodeError> {
        let damaged = || DecodeError::damaged(Format::Jpeg, "a bad Huffman table");
        while let Some((&[class_and_number, ref counts @ ..], rest)) = segment.split_first_chunk::<17>() {
            let n_symbols: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(n_symbols).filter(|_| n_symbols <= 256).ok_or_else(damaged)?;
            let tables = if class_and_number & 0x10 == 0 { &mut self.dc } else { &mut self.ac };
            let number = usize::from(class_and_number & !0x10);
            *tables.get_mut(number).ok_or_else(damaged)? = Some(HuffmanTable::new(counts, symbols));
            segment = rest;
        }
        segment.is_empty().then_some(()).ok_or_else(damaged)
    }

    pub fn add_quantization(&mut self, mut segment: &[u8]) -> Result<(), DecodeError> {
        let damaged = || DecodeError::damaged(Format::Jpeg, "a bad quantisation table");
        while let Some((&precision_and_number, rest)) = segment.split_first() {
            let n_bytes = if precision_and_number >> 4 == 0 { 1 } else { 2 };
            let (values, rest) = rest.split_at_checked(64 * n_bytes).ok_or_else(damaged)?;
            let mut table = [0; 64];
            for (value, &place) in values.chunks_exact(n_bytes).zip(&NATURAL_ORDER) {
                table[usize::from(place)] = value.iter().fold(0, |value, &byte| value << 8 | u16::from(byte));
            }
            *self.quantization.get_mut(usize::from(precision_and_number & 15)).ok_or_else(damaged)? = Some(table);
            segment = rest;
        }
        Ok(())
    }

    pub fn set_restart_interval(&mut self, segment: &[u8]) -> Result<(), DecodeError> {
        let &[high, low] = segment else {
            return Err(DecodeError::damaged(Format::Jpeg, "a bad restart interval"));
        };
        self.restart_interval = usize::from(high) << 8 | usize::from(low);
        Ok(())
    }

    pub fn add_adobe(&mut self, segment: &[u8]) {
        if let (true, Some(&transform)) = (segment.starts_with(b"Adobe"), segment.get(11)) {
            self.adobe_transform = Some(transform);
        }
    }

    /// The rules of `default_decompress_parms` in libjpeg's `jdapimin.c`.
    pub fn colour(&self, frame: &Frame) -> Colour {
        let ids: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
        match (frame.components.len(), self.adobe_transform) {
            (1, _) => Colour::Gray,
            (3, Some(0)) if !self.is_jfif => Colour::Rgb,
            (3, None) if !self.is_jfif && ids == *b"RGB" => Colour::Rgb,
            (3, _) => Colour::YCbCr,
            (_, None | Some(0)) => Colour::Cmyk,
            _ => Colour::Ycck,
        }
    }
}
