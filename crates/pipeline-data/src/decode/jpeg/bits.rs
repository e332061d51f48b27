//! The bytes of a JPEG file: its markers, their segments, and the bits between them.

use super::huffman::{HuffmanTable, LOOK_AHEAD};
use crate::DecodeError;
use crate::decode::Format;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Jpeg };
const RST0: u8 = 0xd0;

/// Reads a file from front to back; no bit behind a marker is read before the marker is taken.
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    position: usize,
    /// The marker that stopped the bits; `position` is behind it.
    marker: Option<u8>,
    /// Bits that were read ahead, the next one on top; zeros below.
    bits: u64,
    n_bits: u32,
    /// More bits were asked for than stand before the marker: like libjpeg, the rest of the interval is left out.
    pub is_spent: bool,
}

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, marker: None, bits: 0, n_bits: 0, is_spent: false }
    }

    /// The next marker; bytes that belong to none are passed over.
    pub fn next_marker(&mut self) -> Result<u8, DecodeError> {
        (self.bits, self.n_bits) = (0, 0);
        if let Some(marker) = self.marker.take() {
            return Ok(marker);
        }
        loop {
            while self.next_byte()? != 0xff {}
            let mut byte = 0xff;
            while byte == 0xff {
                byte = self.next_byte()?;
            }
            if byte != 0 {
                return Ok(byte);
            }
        }
    }

    /// What follows a marker, without its length.
    pub fn segment(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::from(self.next_byte()?) << 8 | usize::from(self.next_byte()?);
        let length = length.checked_sub(2).ok_or(DecodeError::damaged(Format::Jpeg, "a segment without a length"))?;
        let segment = self.bytes[self.position..].get(..length).ok_or(TRUNCATED)?;
        self.position += length;
        Ok(segment)
    }

    /// Passes the `number`-th restart marker (modulo 8); if another stands there, does as libjpeg does.
    pub fn restart(&mut self, number: u8) -> Result<(), DecodeError> {
        let mut marker = self.next_marker()?;
        let is_rst = |marker: u8, distance: u8| marker == RST0 + (number.wrapping_add(distance) & 7);
        loop {
            let is_ahead = !(RST0..RST0 + 8).contains(&marker) || is_rst(marker, 1) || is_rst(marker, 2);
            if marker >= 0xc0 && is_ahead {
                // The interval is missing: the marker waits for its turn.
                self.marker = Some(marker);
                return Ok(());
            }
            if marker >= 0xc0 && !is_rst(marker, 7) && !is_rst(marker, 6) {
                self.is_spent = false;
                return Ok(());
            }
            marker = self.next_marker()?;
        }
    }

    /// The next symbol. A code that is in no table counts as 0.
    pub fn symbol(&mut self, table: &HuffmanTable) -> Result<u8, DecodeError> {
        // libjpeg looks 8 bits ahead, and so finds that the data have ended although the symbol may be there.
        self.refill(8)?;
        loop {
            let (length, symbol) = match table.look_up[(self.bits >> (64 - LOOK_AHEAD)) as usize] {
                (0, _) => table.find((self.bits >> 48) as u16),
                found => found,
            };
            let length = u32::from(length);
            if length <= self.n_bits || self.marker.is_some() {
                self.drop_bits(length);
                return Ok(symbol);
            }
            self.refill(length)?;
        }
    }

    /// The next `n` bits, at most 16.
    pub fn bits(&mut self, n: u32) -> Result<i32, DecodeError> {
        if n == 0 {
            return Ok(0);
        }
        self.refill(n)?;
        let bits = (self.bits >> (64 - n)) as i32;
        self.drop_bits(n);
        Ok(bits)
    }

    /// The next `n` bits as the signed number that they stand for: without a leading one they are negative.
    pub fn signed(&mut self, n: u32) -> Result<i32, DecodeError> {
        let bits = self.bits(n)?;
        Ok(if n > 0 && bits < 1 << (n - 1) { bits - (1 << n) + 1 } else { bits })
    }

    /// Takes `n` bits; before a marker there are zeros without end.
    fn drop_bits(&mut self, n: u32) {
        if n > self.n_bits {
            self.is_spent = true;
            self.n_bits = 64;
        }
        self.bits <<= n;
        self.n_bits -= n;
    }

    /// If there are fewer than `n` bits, reads ahead until there is no more room, or until the next marker.
    fn refill(&mut self, n: u32) -> Result<(), DecodeError> {
        while self.n_bits < n && self.marker.is_none() {
            self.read_ahead()?;
        }
        Ok(())
    }

    fn read_ahead(&mut self) -> Result<(), DecodeError> {
        while self.n_bits <= 56 {
            let byte = self.next_byte()?;
            if byte == 0xff {
                let mut code = 0xff;
                while code == 0xff {
                    code = self.next_byte()?;
                }
                if code != 0 {
                    self.marker = Some(code);
                    return Ok(());
                }
            }
            self.bits |= u64::from(byte) << (56 - self.n_bits);
            self.n_bits += 8;
        }
        Ok(())
    }

    fn next_byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(self.position).ok_or(TRUNCATED)?;
        self.position += 1;
        Ok(byte)
    }
}
