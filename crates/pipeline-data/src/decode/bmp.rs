//! BMP, by the rules of Pillow's reader, which knows some layouts by their masks and refuses others.

use super::canvas::over;
use super::{Canvas, DecodeError, Format};

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Bmp };
const RAW: u32 = 0;
const RLE8: u32 = 1;
const RLE4: u32 = 2;
const BITFIELDS: u32 = 3;

/// The conversion of the bytes of a row to pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Palette indices with this number of bits.
    Palette(u32),
    /// Gray levels of one byte.
    Gray,
    /// Black and white, one bit each.
    Bilevel,
    /// Five bits each of blue, green and red.
    Rgb555,
    /// Five bits of blue, six of green, five of red.
    Rgb565,
    /// The bytes per pixel, and the positions of red, green and blue among them, and of alpha.
    Bytes(usize, [usize; 3], Option<usize>),
}

struct Header {
    width: u32,
    height: u32,
    is_top_down: bool,
    bits: u32,
    compression: u32,
    n_colours: u32,
    /// Bytes per palette entry.
    entry_bytes: usize,
    /// Red, green, blue and alpha, if the header has them.
    masks: [u32; 4],
    /// The offset of the palette: after header and masks.
    palette_at: usize,
    /// The offset of the pixels; 0 for directly after the palette.
    pixels_at: usize,
}

pub(super) fn decode(bytes: &[u8], canvas: &mut Canvas<'_>) -> Result<(), DecodeError> {
    let header = Header::read(bytes)?;
    let (mut layout, colours, behind_palette) = header.layout(bytes)?;
    let data = bytes.get(if header.pixels_at == 0 { behind_palette } else { header.pixels_at }..).ok_or(TRUNCATED)?;
    let (width, height) = (header.width as usize, header.height as usize);
    let is_packed = matches!(header.compression, RLE8 | RLE4);
    let n_pixels = u64::from(header.width) * u64::from(header.height);
    canvas.begin(u64::from(header.width), u64::from(header.height), if is_packed { n_pixels } else { 0 })?;
    let unpacked;
    let (rows, stride) = if is_packed {
        let offset = bytes.len() - data.len();
        unpacked = unpack(data, offset, width, width * height, header.compression == RLE4);
        layout = match layout {
            Layout::Palette(_) => Layout::Palette(8),
            Layout::Gray => layout,
            _ => return Err(unsupported("run lengths of other than 256 colours")),
        };
        (&unpacked[..], width)
    } else {
        (data, ((width * header.bits as usize + 31) >> 3) & !3)
    };
    let row_bytes = (width * layout.bits()).div_ceil(8);
    if row_bytes > stride {
        return Err(unsupported("a palette of grays with fewer than 8 bits"));
    }
    let background = canvas.background();
    for y in 0..height {
        let y = if header.is_top_down { y } else { height - 1 - y };
        let row = rows.get(y * stride..).and_then(|rows| rows.get(..row_bytes)).ok_or(TRUNCATED)?;
        layout.paint(row, &colours, background, canvas.row().as_chunks_mut::<3>().0);
        canvas.next();
    }
    Ok(())
}

fn unsupported(feature: &'static str) -> DecodeError {
    DecodeError::Unsupported { format: Format::Bmp, feature }
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let number =
            |at: usize| bytes.get(at..at + 4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let short = |at: usize| bytes.get(at..at + 2).map(|bytes| u32::from(u16::from_le_bytes([bytes[0], bytes[1]])));
        let (pixels_at, size) = (number(10).ok_or(TRUNCATED)?, number(14).ok_or(TRUNCATED)?);
        let size = size as usize;
        if !matches!(size, 12 | 40 | 52 | 56 | 64 | 108 | 124) {
            return Err(unsupported("a header of unknown length"));
        }
        if bytes.len() < 14 + size {
            return Err(TRUNCATED);
        }
        let known = |value: Option<u32>| value.ok_or(TRUNCATED);
        let mut header = if size == 12 {
            Self {
                width: known(short(18))?,
                height: known(short(20))?,
                is_top_down: false,
                bits: known(short(24))?,
                compression: RAW,
                n_colours: 0,
                entry_bytes: 3,
                masks: [0; 4],
                palette_at: 14 + size,
                pixels_at: pixels_at as usize,
            }
        } else {
            let is_top_down = bytes[25] == 0xff;
            let height = known(number(22))?;
            Self {
                width: known(number(18))?,
                height: if is_top_down { height.wrapping_neg() } else { height },
                is_top_down,
                bits: known(short(28))?,
                compression: known(number(30))?,
                n_colours: known(number(46))?,
                entry_bytes: 4,
                masks: [0; 4],
                palette_at: 14 + size,
                pixels_at: pixels_at as usize,
            }
        };
        if header.compression == BITFIELDS {
            let n_masks = if size >= 56 { 4 } else { 3 };
            for (mask_idx, mask) in header.masks.iter_mut().take(n_masks).enumerate() {
                *mask = known(number(54 + 4 * mask_idx))?;
            }
            if size == 40 {
                header.palette_at += 12;
            }
        }
        if header.n_colours == 0 {
            header.n_colours = 1_u32.checked_shl(header.bits).unwrap_or(0);
        }
        if header.pixels_at == 14 + size && header.bits <= 8 {
            header.pixels_at += header.entry_bytes * header.n_colours as usize;
        }
        Ok(header)
    }

    /// The layout of pixels, the palette, and the end of the palette.
    fn layout(&self, bytes: &[u8]) -> Result<(Layout, [[u8; 3]; 256], usize), DecodeError> {
        let mut layout = match self.bits {
            bits @ (1 | 4 | 8) => Layout::Palette(bits),
            16 => Layout::Rgb555,
            24 => Layout::Bytes(3, [2, 1, 0], None),
            32 => Layout::Bytes(4, [2, 1, 0], None),
            _ => return Err(unsupported("an unusual number of bits a pixel")),
        };
        match self.compression {
            RAW | RLE8 | RLE4 => {}
            BITFIELDS => {
                layout = self.layout_of_masks().ok_or_else(|| unsupported("an unusual order of its colour bits"))?
            }
            _ => return Err(unsupported("an unusual compression")),
        }
        let mut colours = [[0; 3]; 256];
        let mut behind = self.palette_at;
        if matches!(layout, Layout::Palette(_)) {
            if !(1..=65536).contains(&self.n_colours) {
                return Err(unsupported("a palette of too many colours"));
            }
            let n_colours = self.n_colours as usize;
            let palette = bytes.get(self.palette_at..).unwrap_or_default();
            let palette = &palette[..palette.len().min(n_colours * self.entry_bytes)];
            behind += palette.len();
            let level = |idx: usize| if n_colours == 2 { (idx * 255) as u8 } else { idx as u8 };
            let is_gray = |idx: usize| {
                palette.get(idx * self.entry_bytes..).and_then(|entry| entry.get(..3)) == Some(&[level(idx); 3])
            };
            if (0..n_colours).all(is_gray) {
                layout = if n_colours <= 2 { Layout::Bilevel } else { Layout::Gray };
            } else if palette.len() / self.entry_bytes > 256 {
                return Err(unsupported("a palette of too many colours"));
            }
            for (colour, entry) in colours.iter_mut().zip(palette.chunks_exact(self.entry_bytes)) {
                *colour = [entry[2], entry[1], entry[0]];
            }
        }
        Ok((layout, colours, behind))
    }

    /// The layouts that Pillow knows.
    fn layout_of_masks(&self) -> Option<Layout> {
        let alpha = |at: usize| (self.masks[3] != 0 || self.masks == [0; 4]).then_some(at);
        Some(match (self.bits, self.masks) {
            (32, [0xff_0000, 0xff00, 0xff, 0 | 0xff00_0000] | [0, 0, 0, 0]) => Layout::Bytes(4, [2, 1, 0], alpha(3)),
            (32, [0xff00_0000, 0xff_0000, 0xff00, 0 | 0xff]) => Layout::Bytes(4, [3, 2, 1], alpha(0)),
            (32, [0xff00_0000, 0xff00, 0xff, 0 | 0xff_0000]) => Layout::Bytes(4, [3, 1, 0], alpha(2)),
            (32, [0xff, 0xff00, 0xff_0000, 0xff00_0000]) => Layout::Bytes(4, [0, 1, 2], alpha(3)),
            (24, [0xff_0000, 0xff00, 0xff, _]) => Layout::Bytes(3, [2, 1, 0], None),
            (16, [0xf800, 0x7e0, 0x1f, _]) => Layout::Rgb565,
            (16, [0x7c00, 0x3e0, 0x1f, _]) => Layout::Rgb555,
            _ => return None,
        })
    }
}

impl Layout {
    /// Bits per pixel.
    fn bits(self) -> usize {
        match self {
            Self::Palette(bits) => bits as usize,
            Self::Bilevel => 1,
            Self::Gray => 8,
            Self::Rgb555 | Self::Rgb565 => 16,
            Self::Bytes(n_bytes, ..) => 8 * n_bytes,
        }
    }

    fn paint(self, row: &[u8], colours: &[[u8; 3]; 256], background: Option<u8>, pixels: &mut [[u8; 3]]) {
        let short = |x: usize| u32::from(u16::from_le_bytes([row[2 * x], row[2 * x + 1]]));
        let scaled = |level: u32, max: u32| ((level & max) * 255 / max) as u8;
        for (x, pixel) in pixels.iter_mut().enumerate() {
            *pixel = match self {
                Self::Palette(bits) => colours[usize::from(packed(row, x, bits as usize))],
                Self::Bilevel => [packed(row, x, 1) * 255; 3],
                Self::Gray => [row[x]; 3],
                Self::Rgb555 => [scaled(short(x) >> 10, 31), scaled(short(x) >> 5, 31), scaled(short(x), 31)],
                Self::Rgb565 => [scaled(short(x) >> 11, 31), scaled(short(x) >> 5, 63), scaled(short(x), 31)],
                Self::Bytes(n_bytes, order, alpha) => {
                    let colour = order.map(|at| row[x * n_bytes + at]);
                    match (background, alpha) {
                        (Some(background), Some(at)) => over(background, colour, row[x * n_bytes + at]),
                        _ => colour,
                    }
                }
            };
        }
    }
}

/// Sample `x` of a row with up to 8 bits per sample, the highest bits first.
pub(super) fn packed(row: &[u8], x: usize, n_bits: usize) -> u8 {
    let shift = 8 - n_bits - x * n_bits % 8;
    row[x * n_bits / 8] >> shift & (0xff >> (8 - n_bits))
}

/// Expands run lengths to indices, in the order of the file; `offset` is the position of `data` in the file.
///
/// Pixels that a jump or the end of a line skips have index 0, as in Pillow, and a run ends with its line.
fn unpack(data: &[u8], offset: usize, width: usize, n_pixels: usize, is_rle4: bool) -> Vec<u8> {
    let mut indices = Vec::with_capacity(n_pixels);
    let (mut at, mut x) = (0, 0);
    while indices.len() < n_pixels {
        let Some(&[count, value]) = data.get(at..).and_then(|data| data.first_chunk::<2>()) else { break };
        at += 2;
        let halves = [value >> 4, value & 15];
        match (count, value) {
            (0, 0) => {
                indices.resize(indices.len().next_multiple_of(width), 0);
                x = 0;
            }
            (0, 1) => break,
            (0, 2) => {
                let Some(&[right, up]) = data.get(at..).and_then(|data| data.first_chunk::<2>()) else { break };
                at += 2;
                let n_left_out = usize::from(right) + usize::from(up) * width;
                indices.resize((indices.len() + n_left_out).min(n_pixels), 0);
                x = indices.len() % width;
            }
            (0, n_literal) => {
                let n_wanted = usize::from(n_literal).min(n_pixels - indices.len());
                let n_bytes = if is_rle4 { n_wanted.div_ceil(2) } else { n_wanted };
                let rest = data.get(at..).unwrap_or_default();
                let literal = &rest[..rest.len().min(n_bytes)];
                at += literal.len();
                if is_rle4 {
                    indices.extend(literal.iter().flat_map(|&byte| [byte >> 4, byte & 15]).take(n_wanted));
                } else {
                    indices.extend_from_slice(literal);
                }
                if literal.len() < n_bytes || indices.len() == n_pixels {
                    break;
                }
                x += usize::from(n_literal);
                at += (offset + at) % 2;
            }
            (count, _) => {
                let n_run = usize::from(count).min(width.saturating_sub(x));
                if is_rle4 {
                    indices.extend(halves.iter().cycle().take(n_run));
                } else {
                    indices.resize(indices.len() + n_run, value);
                }
                x += n_run;
            }
        }
    }
    indices
}
