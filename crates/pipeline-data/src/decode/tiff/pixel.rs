//! The samples of a TIFF file's pixels, and their colours in RGB.

use super::directory::{Directory, tag};
use super::{damaged, unsupported};
use crate::DecodeError;
use crate::decode::bmp::packed;
use crate::decode::canvas::over;
use crate::decode::jpeg::without_ink;

/// The conversion of samples to a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    /// Gray levels; inverted where zero is white.
    Gray {
        is_inverted: bool,
    },
    Palette,
    /// Premultiplied alpha is divided out.
    Rgb {
        is_multiplied: bool,
    },
    Cmyk,
    /// In JPEG only, whose decoder returns RGB.
    YCbCr,
}

/// The layout of a pixel.
pub(super) struct Pixel {
    pub colour: Colour,
    /// Bits per sample: 1, 2, 4, 8 or 16.
    pub bits: usize,
    /// Samples per pixel in the file.
    pub n_samples: usize,
    /// The sample of transparency.
    pub alpha: Option<usize>,
    /// Each kind of sample has its own strips.
    pub is_planar: bool,
    is_big_endian: bool,
    palette: Vec<[u8; 3]>,
}

impl Pixel {
    pub fn read(directory: &Directory) -> Result<Self, DecodeError> {
        let photometric = directory.number(tag::PHOTOMETRIC, 0)?;
        let mut n_samples = directory.number(tag::N_SAMPLES, 1)? as usize;
        let is_planar = match directory.number(tag::PLANAR, 1)? {
            1 => false,
            2 => n_samples > 1,
            _ => return Err(damaged("an unknown order of samples")),
        };
        let formats = directory.numbers(tag::SAMPLE_FORMAT).unwrap_or(&[1]);
        // Pillow reads signed 8-bit levels as unsigned ones.
        let is_signed_gray =
            formats == [2] && photometric == 1 && directory.numbers(tag::BITS) == Some(&[8]) && n_samples == 1;
        if formats.iter().any(|format| *format != 1) && !is_signed_gray {
            return Err(unsupported("signed or floating-point samples"));
        }
        if !(1..=6).contains(&n_samples) {
            return Err(unsupported("an unusual number of samples"));
        }
        let mut extras = directory.numbers(tag::EXTRA_SAMPLES).unwrap_or_default().to_vec();
        let bits = bits_of(directory, n_samples)?;
        if is_planar && extras.iter().all(|extra| *extra == 0) {
            // Samples without a meaning in planes of their own are ignored.
            n_samples = n_samples.checked_sub(extras.len()).ok_or_else(|| damaged("too many extra samples"))?;
            extras.clear();
        }
        let is_rest_unspecified = extras.iter().skip(1).all(|extra| *extra == 0);
        let n_colours = n_samples.checked_sub(extras.len()).filter(|_| is_rest_unspecified);
        let first = extras.first().copied();
        let colour = match (photometric, n_colours, first, bits) {
            (0 | 1, Some(1), None, 1 | 2 | 4 | 8) => Colour::Gray { is_inverted: photometric == 0 },
            (1, Some(1), None, 16) => Colour::Gray { is_inverted: false },
            // Pillow supports it in one byte order only, and does not invert it.
            (0, Some(1), None, 16) if !directory.is_big_endian => Colour::Gray { is_inverted: false },
            (1, Some(1), Some(0 | 2), 8) if n_samples == 2 => Colour::Gray { is_inverted: false },
            (2, Some(3), None | Some(0 | 2), 8) | (2, Some(4), None, 8 | 16) => Colour::Rgb { is_multiplied: false },
            (2, Some(3), Some(1), 8) if !is_planar => Colour::Rgb { is_multiplied: true },
            (2, Some(3), None, 16) => Colour::Rgb { is_multiplied: false },
            (2, Some(3), Some(0 | 2), 16) if n_samples == 4 => Colour::Rgb { is_multiplied: false },
            (2, Some(3), Some(1), 16) if n_samples == 4 && !is_planar => Colour::Rgb { is_multiplied: true },
            (3, Some(1), None, 1 | 2 | 4 | 8) => Colour::Palette,
            (3, Some(1), Some(0 | 2), 8) if n_samples == 2 && !is_planar => Colour::Palette,
            (5, Some(4), None | Some(0), 8) if !is_planar => Colour::Cmyk,
            (5, Some(4), None, 16) if !is_planar => Colour::Cmyk,
            (6, Some(1), None, 8) => Colour::Gray { is_inverted: false },
            (6, Some(3), None, 8) if !is_planar => Colour::YCbCr,
            _ => return Err(unsupported("an unusual layout of its pixels")),
        };
        // To Pillow a fourth sample of RGB without a meaning is transparency.
        let alpha = match (first, n_colours) {
            (Some(1 | 2), Some(n_colours)) => Some(n_colours),
            (None, Some(4)) if colour == (Colour::Rgb { is_multiplied: false }) => Some(3),
            _ => None,
        };
        let palette = if colour == Colour::Palette { palette(directory)? } else { Vec::new() };
        Ok(Self { colour, bits, n_samples, alpha, is_planar, is_big_endian: directory.is_big_endian, palette })
    }

    /// Bytes per row of `width` pixels, in one plane.
    pub fn row_bytes(&self, width: usize) -> usize {
        let n_samples = if self.is_planar { 1 } else { self.n_samples };
        (width * n_samples * self.bits).div_ceil(8)
    }

    /// The number of planes that are read, those of colours before that of transparency.
    pub fn n_planes(&self, reads_alpha: bool) -> usize {
        let alpha = self.alpha.filter(|_| reads_alpha).map_or(0, |at| at + 1);
        if self.is_planar { self.n_samples.min(3).max(alpha) } else { 1 }
    }

    /// Lays the painted colours of one row on a level of all channels, if the row has their transparency.
    pub fn blend(&self, row: &[u8], plane: usize, background: u8, pixels: &mut [[u8; 3]]) {
        let at = match self.alpha {
            Some(at) if !self.is_planar => at,
            Some(at) if at == plane => 0,
            _ => return,
        };
        let high = usize::from(self.bits == 16 && !self.is_big_endian);
        let n_samples = if self.is_planar { 1 } else { self.n_samples };
        for (x, pixel) in pixels.iter_mut().enumerate() {
            *pixel = over(background, *pixel, row[(x * n_samples + at) * self.bits.div_ceil(8) + high]);
        }
    }

    /// Converts one row, or one sample of each pixel in a planar image.
    pub fn paint(&self, row: &[u8], plane: usize, pixels: &mut [[u8; 3]]) {
        let high = usize::from(self.bits == 16 && !self.is_big_endian);
        let sample_bytes = self.bits.div_ceil(8);
        let sample = |x: usize, at: usize| row[(x * self.n_samples + at) * sample_bytes + high];
        for (x, pixel) in pixels.iter_mut().enumerate() {
            *pixel = match self.colour {
                _ if self.is_planar && !matches!(self.colour, Colour::Rgb { .. }) => {
                    if plane > 0 {
                        *pixel
                    } else {
                        [row[x * sample_bytes + high]; 3]
                    }
                }
                Colour::Rgb { .. } if self.is_planar => {
                    let mut colour = *pixel;
                    if plane < 3 {
                        colour[plane] = row[x * sample_bytes + high];
                    }
                    colour
                }
                Colour::Gray { .. } if self.bits == 16 => {
                    let bytes = [row[2 * x], row[2 * x + 1]];
                    let level = if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
                    [level.min(255) as u8; 3]
                }
                Colour::Gray { is_inverted } => {
                    let level = if self.n_samples > 1 { row[x * self.n_samples] } else { packed(row, x, self.bits) };
                    let level = level * (255 / ((1_u16 << self.bits) - 1)) as u8;
                    [if is_inverted { 255 - level } else { level }; 3]
                }
                Colour::Palette => {
                    let index = if self.n_samples > 1 { row[x * self.n_samples] } else { packed(row, x, self.bits) };
                    self.palette.get(usize::from(index)).copied().unwrap_or_default()
                }
                Colour::Rgb { is_multiplied: false } | Colour::YCbCr => [sample(x, 0), sample(x, 1), sample(x, 2)],
                Colour::Rgb { is_multiplied: true } => [0, 1, 2].map(|at| without_alpha(sample(x, at), sample(x, 3))),
                Colour::Cmyk => [0, 1, 2].map(|at| without_ink(sample(x, at), sample(x, 3))),
            };
        }
    }
}

/// A level before premultiplication by alpha.
fn without_alpha(level: u8, alpha: u8) -> u8 {
    match alpha {
        0 => 0,
        255 => level,
        _ => (u16::from(level) * 255 / u16::from(alpha)).min(255) as u8,
    }
}

fn bits_of(directory: &Directory, n_samples: usize) -> Result<usize, DecodeError> {
    let bits = directory.numbers(tag::BITS).unwrap_or(&[1]);
    let is_good =
        (bits.len() == 1 || bits.len() >= n_samples) && bits.iter().take(n_samples).all(|other| *other == bits[0]);
    if !is_good {
        return Err(unsupported("samples of different sizes"));
    }
    Ok(bits[0] as usize)
}

fn palette(directory: &Directory) -> Result<Vec<[u8; 3]>, DecodeError> {
    let map = directory.numbers(tag::COLOUR_MAP).ok_or_else(|| damaged("no palette"))?;
    let n_colours = map.len() / 3;
    if n_colours > 256 || map.len() % 3 != 0 {
        return Err(damaged("a palette of the wrong size"));
    }
    let level = |at: usize| (map[at] / 256) as u8;
    Ok((0..n_colours).map(|idx| [level(idx), level(idx + n_colours), level(idx + 2 * n_colours)]).collect())
}
