//! Huffman tables.

use crate::DecodeError;
use crate::decode::Format;

/// Codes of up to so many bits are looked up at once.
pub(super) const LOOK_AHEAD: u32 = 9;

/// One table of a JPEG file.
pub(super) struct HuffmanTable {
    /// By the next [`LOOK_AHEAD`] bits: length of the code and symbol; length 0 if the code is longer.
    pub look_up: Vec<(u8, u8)>,
    /// By length: the first code, the first code that is too large, and the place of the first code's symbol.
    lengths: [(u32, u32, usize); 17],
    symbols: Vec<u8>,
}

impl HuffmanTable {
    /// Builds a table from the number of codes of each length from 1 to 16, and the symbols in the order of the codes.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, DecodeError> {
        let mut look_up = vec![(0, 0); 1 << LOOK_AHEAD];
        let mut lengths = [(0, 0, 0); 17];
        let (mut code, mut place) = (0_u32, 0);
        for length in 1..=16_u32 {
            let count = usize::from(counts[length as usize - 1]);
            lengths[length as usize] = (code, code + count as u32, place);
            for &symbol in &symbols[place..place + count] {
                if code >= 1 << length {
                    return Err(DecodeError::damaged(Format::Jpeg, "a Huffman table with too many codes"));
                }
                if length <= LOOK_AHEAD {
                    let first = (code << (LOOK_AHEAD - length)) as usize;
                    look_up[first..first + (1 << (LOOK_AHEAD - length))].fill((length as u8, symbol));
                }
                code += 1;
            }
            place += count;
            code <<= 1;
        }
        Ok(Self { look_up, lengths, symbols: symbols.to_vec() })
    }

    /// True if every symbol is a valid size of a DC difference.
    pub fn is_for_dc(&self) -> bool {
        self.symbols.iter().all(|&symbol| symbol < 16)
    }

    /// Length and symbol of a code at the top of `bits`; as in libjpeg, 17 bits and symbol 0 if there is no such code.
    pub fn find(&self, bits: u16) -> (u8, u8) {
        for length in 1..=16 {
            let code = u32::from(bits) >> (16 - length);
            let (first, end, place) = self.lengths[length];
            if (first..end).contains(&code) {
                return (length as u8, self.symbols[place + (code - first) as usize]);
            }
        }
        (17, 0)
    }
}
