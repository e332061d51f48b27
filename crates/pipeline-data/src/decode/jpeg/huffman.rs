//! Huffman tables.

/// The bits of one table look-up.
pub(super) const LOOK_AHEAD: u32 = 10;

/// One table of a JPEG file.
pub(super) struct HuffmanTable {
    /// Indexed by the next [`LOOK_AHEAD`] bits.
    look_up: Box<[Found; 1 << LOOK_AHEAD]>,
    /// By length: the first code, the first code that is too large, and the position of the first code's symbol.
    lengths: [(u32, u32, usize); 17],
    symbols: Vec<u8>,
    /// As in libjpeg, a table with too many codes is an error only when it is used.
    is_good: bool,
}

/// A decoded prefix: 8 bits of length, 8 bits of symbol, and 16 bits of value.
///
/// The symbol's low four bits are the length of the number after the code. If the look-up covers the number, the value
/// is the number, never zero, and the length includes it. Otherwise the value is zero, and the length is that of the
/// code, or zero if the code is longer than the look-up.
#[derive(Clone, Copy)]
pub(super) struct Found(u32);

impl HuffmanTable {
    /// Builds a table from the number of codes of each length from 1 to 16, and the symbols in the order of the codes.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Self {
        let mut is_good = true;
        let mut look_up = Box::new([Found(0); 1 << LOOK_AHEAD]);
        let mut lengths = [(0, 0, 0); 17];
        let (mut code, mut place) = (0_u32, 0);
        for length in 1..=16_u32 {
            let count = usize::from(counts[length as usize - 1]);
            lengths[length as usize] = (code, code + count as u32, place);
            for &symbol in &symbols[place..place + count] {
                is_good &= code < 1 << length;
                if is_good && length <= LOOK_AHEAD {
                    let first = (code << (LOOK_AHEAD - length)) as usize;
                    fill(&mut look_up[first..first + (1 << (LOOK_AHEAD - length))], length, symbol);
                }
                code += 1;
            }
            place += count;
            code <<= 1;
        }
        Self { look_up, lengths, symbols: symbols.to_vec(), is_good }
    }

    /// True if no code has more bits than its length.
    pub fn is_good(&self) -> bool {
        self.is_good
    }

    /// True if every symbol is also a valid size of a DC difference.
    pub fn is_for_dc(&self) -> bool {
        self.is_good && self.symbols.iter().all(|&symbol| symbol < 16)
    }

    /// The prefix at the top of `window`.
    #[inline(always)]
    pub fn look_up(&self, window: u64) -> Found {
        self.look_up[(window >> (64 - LOOK_AHEAD)) as usize]
    }

    /// Length and symbol of the code at the top of `window`; as in libjpeg, 17 bits and symbol 0 if there is no such
    /// code.
    #[cold]
    pub fn find(&self, window: u64) -> (u32, u32) {
        for length in 1..=16 {
            let code = (window >> (64 - length)) as u32;
            let (first, end, place) = self.lengths[length];
            if (first..end).contains(&code) {
                return (length as u32, u32::from(self.symbols[place + (code - first) as usize]));
            }
        }
        (17, 0)
    }
}

impl Found {
    #[inline(always)]
    pub fn length(self) -> u32 {
        self.0 & 0xff
    }

    #[inline(always)]
    pub fn symbol(self) -> u32 {
        self.0 >> 8 & 0xff
    }

    #[inline(always)]
    pub fn value(self) -> i32 {
        self.0 as i32 >> 16
    }
}

/// The signed number in `n` bits: without a leading one it is negative.
#[inline(always)]
pub(super) fn signed(bits: i32, n: u32) -> i32 {
    // All ones where the leading bit is not set.
    let is_negative = (bits >> n.saturating_sub(1)) - 1;
    bits + (is_negative & (1 - (1 << n)))
}

/// Fills in all prefixes that begin with one code.
fn fill(entries: &mut [Found], length: u32, symbol: u8) {
    let n = u32::from(symbol & 15);
    let symbol = u32::from(symbol) << 8;
    if n == 0 || length + n > LOOK_AHEAD {
        entries.fill(Found(symbol | length));
        return;
    }
    for (bits, entries) in entries.chunks_exact_mut(1 << (LOOK_AHEAD - length - n)).enumerate() {
        let value = signed(bits as i32, n) as u32;
        entries.fill(Found(value << 16 | symbol | (length + n)));
    }
}
