//! The bytes of a JPEG file: its markers, their segments, and the bits between them.

use super::huffman::{HuffmanTable, signed};
use crate::DecodeError;
use crate::decode::Format;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Jpeg };
const RST0: u8 = 0xd0;
/// libjpeg looks ahead this many bits for a code. So it may find that the data have ended although the code is there.
const CODE_AHEAD: u32 = 8;

/// Reads a file from front to back; reads no bit behind a marker before the marker is taken.
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    position: usize,
    /// The marker that stopped the bits; `position` is behind it.
    marker: Option<u8>,
    /// Fill bytes, which belong before markers, preceded a stuffed zero.
    pub has_odd_fill: bool,
}

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, marker: None, has_odd_fill: false }
    }

    /// The next marker; skips other bytes.
    pub fn next_marker(&mut self) -> Result<u8, DecodeError> {
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

    /// The segment after a marker, without its length.
    ///
    /// A length that is shorter than itself is an error only where the contents matter.
    pub fn segment(&mut self, is_skipped: bool) -> Result<&'a [u8], DecodeError> {
        let length = usize::from(self.next_byte()?) << 8 | usize::from(self.next_byte()?);
        if length < 2 && !is_skipped {
            return Err(DecodeError::damaged(Format::Jpeg, "a segment without a length"));
        }
        let length = length.saturating_sub(2);
        let segment = self.bytes[self.position..].get(..length).ok_or(TRUNCATED)?;
        self.position += length;
        Ok(segment)
    }

    /// The available part of a segment, without its length; does not advance.
    pub fn start_of_segment(&self) -> &'a [u8] {
        self.bytes.get(self.position + 2..).unwrap_or_default()
    }

    /// Moves the bytes before the next marker to `interval`, without the stuffed zeros after 0xff.
    ///
    /// True if a marker follows; otherwise the file ends.
    pub fn interval(&mut self, interval: &mut Vec<u8>) -> bool {
        interval.clear();
        while self.marker.is_none() {
            let rest = &self.bytes[self.position..];
            let Some(n_plain) = find_ff(rest) else {
                interval.extend_from_slice(rest);
                self.position = self.bytes.len();
                return false;
            };
            let n_fill = rest[n_plain..].iter().take_while(|&&byte| byte == 0xff).count();
            interval.extend_from_slice(&rest[..n_plain]);
            self.position += (n_plain + n_fill + 1).min(rest.len());
            match rest.get(n_plain + n_fill) {
                Some(0) => {
                    self.has_odd_fill |= n_fill > 1;
                    interval.push(0xff);
                }
                Some(&marker) => self.marker = Some(marker),
                None => return false,
            }
        }
        true
    }

    /// Consumes the `number`-th restart marker (modulo 8), and returns whether it was there. Recovers like libjpeg if
    /// another one stands in its place.
    pub fn restart(&mut self, number: u8) -> Result<bool, DecodeError> {
        let mut marker = self.next_marker()?;
        let is_rst = |marker: u8, distance: u8| marker == RST0 + (number.wrapping_add(distance) & 7);
        loop {
            let is_ahead = !(RST0..RST0 + 8).contains(&marker) || is_rst(marker, 1) || is_rst(marker, 2);
            if marker >= 0xc0 && is_ahead {
                // The interval is missing: the marker waits for its turn.
                self.marker = Some(marker);
                return Ok(false);
            }
            if marker >= 0xc0 && !is_rst(marker, 7) && !is_rst(marker, 6) {
                return Ok(true);
            }
            marker = self.next_marker()?;
        }
    }

    /// A copy of the source that reads the same bytes again.
    pub fn again(&self) -> Self {
        Self { ..*self }
    }

    fn next_byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(self.position).ok_or(TRUNCATED)?;
        self.position += 1;
        Ok(byte)
    }
}

/// The position of the first 0xff, eight bytes at a time.
fn find_ff(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let words = bytes.as_chunks::<8>().0;
    // A byte is 0xff where its complement is zero, and the lowest zero byte is the first to borrow.
    let holds_ff = |word: &[u8; 8]| {
        let complement = !u64::from_le_bytes(*word);
        complement.wrapping_sub(ONES) & !complement & (ONES << 7) != 0
    };
    let n_passed = words.iter().position(holds_ff).unwrap_or(words.len()) * 8;
    Some(n_passed + bytes[n_passed..].iter().position(|&byte| byte == 0xff)?)
}

/// The bits of one interval, followed by endless zeros.
///
/// If `IS_COUNTED`, it also tracks how far libjpeg would have read ahead.
pub(super) struct Bits<'a, const IS_COUNTED: bool> {
    interval: &'a [u8],
    /// The position of the byte behind the window.
    next: usize,
    /// The next bit on top.
    window: u64,
    /// Bits of the window that count as read; the bits below them are correct or zero.
    n_bits: u32,
    /// Bits that libjpeg would have read.
    n_ahead: usize,
}

impl<'a, const IS_COUNTED: bool> Bits<'a, IS_COUNTED> {
    pub fn new(interval: &'a [u8]) -> Self {
        Self { interval, next: 0, window: 0, n_bits: 0, n_ahead: 0 }
    }

    /// True if more bits were taken than there are: as in libjpeg, the rest of the interval is skipped.
    #[inline(always)]
    pub fn is_spent(&self) -> bool {
        self.position() > self.interval.len() * 8
    }

    /// True if libjpeg would have read more bits than there are; if not counted, if it may have.
    pub fn is_overread(&self) -> bool {
        let n_ahead = if IS_COUNTED { self.n_ahead } else { self.position() + 64 };
        n_ahead > self.interval.len() * 8
    }

    /// The next symbol, and the number after it; the symbol's low four bits are the number's length. An unknown code
    /// counts as symbol 0.
    #[inline(always)]
    pub fn number(&mut self, table: &HuffmanTable) -> (u32, i32) {
        self.refill();
        let found = table.look_up(self.window);
        if found.value() != 0 {
            self.count_code(found.length() - (found.symbol() & 15), found.symbol() & 15);
            self.drop_bits(found.length());
            return (found.symbol(), found.value());
        }
        let (length, symbol) =
            if found.length() > 0 { (found.length(), found.symbol()) } else { table.find(self.window) };
        let n = symbol & 15;
        self.count_code(length, n);
        self.drop_bits(length);
        let bits = (self.window >> 1 >> (63 - n)) as i32;
        self.drop_bits(n);
        (symbol, signed(bits, n))
    }

    /// The next symbol, without a number.
    #[inline(always)]
    pub fn symbol(&mut self, table: &HuffmanTable) -> u32 {
        self.refill();
        let found = table.look_up(self.window);
        let (length, symbol) = match found.length() {
            0 => table.find(self.window),
            length if found.value() != 0 => (length - (found.symbol() & 15), found.symbol()),
            length => (length, found.symbol()),
        };
        self.count_code(length, 0);
        self.drop_bits(length);
        symbol
    }

    /// The next `n` bits, at most 16.
    #[inline(always)]
    pub fn bits(&mut self, n: u32) -> i32 {
        self.refill();
        self.count(n, 0);
        let bits = (self.window >> 1 >> (63 - n)) as i32;
        self.drop_bits(n);
        bits
    }

    /// Ensures at least 56 bits, enough for a code and its number.
    #[inline(always)]
    fn refill(&mut self) {
        let bytes = self.interval.get(self.next..).and_then(<[u8]>::first_chunk);
        let word = bytes.map_or_else(|| self.last_word(), |&bytes| u64::from_be_bytes(bytes));
        self.window |= word >> self.n_bits;
        self.next += ((63 - self.n_bits) >> 3) as usize;
        self.n_bits |= 56;
    }

    /// The remaining bytes, fewer than eight, followed by zeros.
    #[cold]
    fn last_word(&self) -> u64 {
        let rest = self.interval.get(self.next..).unwrap_or_default();
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        u64::from_be_bytes(word)
    }

    #[inline(always)]
    fn drop_bits(&mut self, n: u32) {
        self.window <<= n;
        self.n_bits -= n;
    }

    #[inline(always)]
    fn position(&self) -> usize {
        self.next * 8 - self.n_bits as usize
    }

    #[inline(always)]
    fn count_code(&mut self, length: u32, n: u32) {
        self.count(CODE_AHEAD, 0);
        self.count(length, 0);
        self.count(n, length);
    }

    /// Counts a read of `n` bits that are `n_before` behind the next one. Where they are missing, libjpeg reads ahead,
    /// as long as another byte fits into 64 bits.
    #[inline(always)]
    fn count(&mut self, n: u32, n_before: u32) {
        let position = self.position() + n_before as usize;
        if IS_COUNTED && self.n_ahead < position + n as usize {
            self.n_ahead = (position + 64) & !7;
        }
    }
}
