//! The first frame of a GIF, on its canvas, as Pillow reads it: damage is refused where Pillow refuses it.

use super::{Canvas, DecodeError, Format};

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Gif };
const MAX_CODE_BITS: u32 = 12;
const TABLE_SIZE: usize = 1 << MAX_CODE_BITS;

pub(super) fn decode(bytes: &[u8], canvas: &mut Canvas<'_>) -> Result<(), DecodeError> {
    let mut frame = Frame::read(bytes)?;
    if let (Some(index), Some(background)) = (frame.transparent, canvas.background()) {
        frame.colours[usize::from(index)] = [background; 3];
    }
    let (width, height) = (frame.screen.0, frame.screen.1);
    canvas.begin(width as u64, height as u64, width as u64 * height as u64)?;
    if frame.width == 0 || frame.height == 0 {
        return Err(damaged("an empty image"));
    }
    // Outside of the frame Pillow has the transparent index, else 0.
    let mut indices = vec![frame.transparent.unwrap_or(0); width * height];
    let mut rows = RowOrder { y: 0, n_rows: frame.height, pass: frame.is_interlaced.then_some(0) };
    let mut codes = Codes::new(frame.data, frame.code_bits)?;
    let mut x = 0;
    'rows: loop {
        let string = codes.next()?;
        for &index in string {
            indices[(frame.top + rows.y) * width + frame.left + x] = index;
            x += 1;
            if x == frame.width {
                x = 0;
                if !rows.next() {
                    break 'rows;
                }
            }
        }
    }
    for line in indices.chunks_exact(width) {
        let row = canvas.row().as_chunks_mut::<3>().0;
        row.iter_mut().zip(line).for_each(|(pixel, &index)| *pixel = frame.colours[usize::from(index)]);
        canvas.next();
    }
    Ok(())
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::damaged(Format::Gif, reason)
}

/// The first frame: its position, its colours and the start of its compressed data.
struct Frame<'a> {
    /// Width and height of the canvas, which grows with a frame that exceeds it.
    screen: (usize, usize),
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    is_interlaced: bool,
    transparent: Option<u8>,
    colours: [[u8; 3]; 256],
    code_bits: u32,
    data: &'a [u8],
}

impl<'a> Frame<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut source = Source(bytes);
        let header = source.take(13)?;
        let flags = header[10];
        let global = if flags & 0x80 == 0 { None } else { Palette::read(&mut source, flags)? };
        let mut transparent = None;
        loop {
            match source.byte()? {
                b';' => return Err(damaged("no image")),
                b'!' => {
                    if let Some(index) = source.extension()? {
                        transparent = Some(index);
                    }
                }
                b',' => break,
                _ => {}
            }
        }
        let descriptor = source.take(9)?;
        let number = |at: usize| usize::from(u16::from_le_bytes([descriptor[at], descriptor[at + 1]]));
        let [left, top, width, height] = [0, 2, 4, 6].map(number);
        let flags = descriptor[8];
        let local = if flags & 0x80 == 0 { None } else { Some(Palette::read(&mut source, flags)?) };
        // To Pillow a gray ramp is not a palette: the global one then applies, if there is one.
        let palette = local.flatten().or(global);
        let code_bits = u32::from(source.byte()?);
        let side = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
        Ok(Self {
            screen: (side(6).max(left + width), side(8).max(top + height)),
            left,
            top,
            width,
            height,
            is_interlaced: flags & 0x40 != 0,
            transparent,
            colours: palette.map_or_else(gray_ramp, |palette| palette.0),
            code_bits,
            data: source.0,
        })
    }
}

/// A palette that is more than a gray ramp.
struct Palette([[u8; 3]; 256]);

impl Palette {
    fn read(source: &mut Source<'_>, flags: u8) -> Result<Option<Self>, DecodeError> {
        let entries = source.take(3 << ((flags & 7) + 1))?.as_chunks::<3>().0;
        if entries.iter().zip(gray_ramp()).all(|(entry, gray)| *entry == gray) {
            return Ok(None);
        }
        let mut colours = [[0; 3]; 256];
        colours[..entries.len()].copy_from_slice(entries);
        Ok(Some(Self(colours)))
    }
}

fn gray_ramp() -> [[u8; 3]; 256] {
    std::array::from_fn(|level| [level as u8; 3])
}

/// The rest of the file.
struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    fn take(&mut self, n_bytes: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(n_bytes).ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// The next block of data; a truncated last block is returned as it is.
    fn block(&mut self) -> Option<&'a [u8]> {
        let (&length, rest) = self.0.split_first()?;
        let (block, rest) = rest.split_at(rest.len().min(usize::from(length)));
        self.0 = rest;
        (!block.is_empty()).then_some(block)
    }

    /// Skips an extension; returns the transparent index, if it sets one.
    fn extension(&mut self) -> Result<Option<u8>, DecodeError> {
        let label = self.byte()?;
        let Some(block) = self.block() else {
            // Except in a comment, Pillow looks for another block after an empty one.
            if label != 254 {
                while self.block().is_some() {}
            }
            return Ok(None);
        };
        let mut transparent = None;
        if label == 249 {
            let &[flags, _, _, ref rest @ ..] = block else { return Err(damaged("a short graphic control")) };
            if flags & 1 != 0 {
                transparent = Some(*rest.first().ok_or_else(|| damaged("a short graphic control"))?);
            }
        }
        while self.block().is_some() {}
        Ok(transparent)
    }
}

/// The current row and its successor.
struct RowOrder {
    y: usize,
    n_rows: usize,
    /// The pass of an interlaced image.
    pass: Option<usize>,
}

impl RowOrder {
    /// Moves to the next row; false after the last.
    fn next(&mut self) -> bool {
        const STEPS: [usize; 4] = [8, 8, 4, 2];
        const STARTS: [usize; 4] = [0, 4, 2, 1];
        self.y += self.pass.map_or(1, |pass| STEPS[pass]);
        while self.y >= self.n_rows {
            match &mut self.pass {
                Some(pass) if *pass < 3 => {
                    *pass += 1;
                    self.y = STARTS[*pass];
                }
                _ => return false,
            }
        }
        true
    }
}

/// The strings of indices that the codes represent.
struct Codes<'a> {
    data: &'a [u8],
    /// The rest of the block.
    block: &'a [u8],
    bits: u32,
    n_bits: u32,
    start_bits: u32,
    code_bits: u32,
    next: usize,
    last: Option<usize>,
    last_index: u8,
    /// By code: its last index, and the code of its prefix.
    table: Vec<(u8, u16)>,
    /// Filled from its end; reused, so that long strings allocate nothing.
    string: Vec<u8>,
}

impl<'a> Codes<'a> {
    fn new(data: &'a [u8], start_bits: u32) -> Result<Self, DecodeError> {
        if start_bits > MAX_CODE_BITS {
            return Err(damaged("codes of too many bits"));
        }
        Ok(Self {
            data,
            block: &[],
            bits: 0,
            n_bits: 0,
            start_bits,
            code_bits: start_bits + 1,
            next: (1 << start_bits) + 2,
            last: None,
            last_index: 0,
            table: vec![(0, 0); TABLE_SIZE],
            string: Vec::new(),
        })
    }

    /// The next string, at least one index long.
    fn next(&mut self) -> Result<&[u8], DecodeError> {
        let clear = 1 << self.start_bits;
        loop {
            let code = self.code()?;
            if code == clear {
                (self.next, self.code_bits, self.last) = (clear + 2, self.start_bits + 1, None);
            } else if code == clear + 1 {
                return Err(damaged("the data end before the image does"));
            } else {
                self.expand(code, clear)?;
                return Ok(&self.string);
            }
        }
    }

    fn expand(&mut self, code: usize, clear: usize) -> Result<(), DecodeError> {
        self.string.clear();
        let Some(last) = self.last.replace(code) else {
            if code > clear {
                return Err(damaged("a code that means nothing yet"));
            }
            self.last_index = code as u8;
            self.string.push(self.last_index);
            return Ok(());
        };
        let mut rest = code;
        if code > self.next {
            return Err(damaged("a code that means nothing yet"));
        }
        if code == self.next {
            self.string.push(self.last_index);
            rest = last;
        }
        while rest >= clear {
            let &(index, before) = self
                .table
                .get(rest)
                .filter(|_| self.string.len() < TABLE_SIZE)
                .ok_or_else(|| damaged("an endless code"))?;
            self.string.push(index);
            rest = usize::from(before);
        }
        self.last_index = rest as u8;
        self.string.push(self.last_index);
        self.string.reverse();
        if self.next < TABLE_SIZE {
            self.table[self.next] = (self.last_index, last as u16);
            if self.next == (1 << self.code_bits) - 1 && self.code_bits < MAX_CODE_BITS {
                self.code_bits += 1;
            }
            self.next += 1;
        }
        Ok(())
    }

    fn code(&mut self) -> Result<usize, DecodeError> {
        while self.n_bits < self.code_bits {
            if let Some((&byte, rest)) = self.block.split_first() {
                self.block = rest;
                self.bits |= u32::from(byte) << self.n_bits;
                self.n_bits += 8;
            } else {
                // Pillow reads on after an empty block, and does not start a truncated one.
                let (&length, rest) = self.data.split_first().ok_or(TRUNCATED)?;
                (self.block, self.data) = rest.split_at_checked(usize::from(length)).ok_or(TRUNCATED)?;
            }
        }
        let code = self.bits & ((1 << self.code_bits) - 1);
        self.bits >>= self.code_bits;
        self.n_bits -= self.code_bits;
        Ok(code as usize)
    }
}
