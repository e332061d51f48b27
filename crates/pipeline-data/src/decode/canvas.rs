//! The destination of a decoder's rows: an image of the same size, or a smaller one at once.

use super::{DecodeError, Format, Limits, MAX_PIXELS, Taken};
use crate::RgbImage;
use crate::resize::{Resizer, Target};

/// The treatment of transparency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Alpha {
    /// Pixels keep the colour that they have in the file, however transparent they are.
    #[default]
    Drop,
    /// Lays colours on white.
    White,
    /// Lays colours on black.
    Black,
}

impl Alpha {
    /// The level of all channels behind transparent pixels; `None` where transparency is dropped.
    fn background(self) -> Option<u8> {
        match self {
            Self::Drop => None,
            Self::White => Some(255),
            Self::Black => Some(0),
        }
    }
}

/// Takes the rows of one image, from the top.
pub(super) struct Canvas<'a> {
    format: Format,
    limits: Limits<'a>,
    target: Option<Target>,
    size: (u32, u32),
    taken: Option<Taken<'a>>,
    rows: Rows,
    n_rows: u32,
    background: Option<u8>,
}

enum Rows {
    /// Every row of the image.
    Whole(Vec<u8>),
    /// The row that is being filled, and the resizer of those before.
    Resized(Vec<u8>, Box<Resizer>),
}

impl<'a> Canvas<'a> {
    pub fn new(format: Format, limits: Limits<'a>, target: Option<Target>, alpha: Alpha) -> Self {
        let rows = Rows::Whole(Vec::new());
        let background = alpha.background();
        Self { format, limits, target, size: (0, 0), taken: None, rows, n_rows: 0, background }
    }

    /// The level of all channels behind transparent pixels; `None` where they keep their hidden colour.
    pub fn background(&self) -> Option<u8> {
        self.background
    }

    /// Reserves memory for an image of this size, whose decoder works with `decoder_bytes` beside the rows, before
    /// anything is allocated.
    ///
    /// Waits while other threads hold the memory.
    pub fn begin(&mut self, width: u64, height: u64, decoder_bytes: u64) -> Result<(), DecodeError> {
        check_size(width, height)?;
        let (width, height) = (width as u32, height as u32);
        let resized = self.target.filter(|target| target.changes(width, height));
        let row_bytes = u64::from(width) * 3;
        let own_bytes = match resized {
            Some(target) => row_bytes + Resizer::working_bytes(target.axes(width, height), target.filter),
            None => row_bytes * u64::from(height),
        };
        // Released first: some decoders learn of their needs in two steps.
        self.taken = None;
        let bytes = decoder_bytes.saturating_add(own_bytes);
        let limit = self.limits.memory.bytes();
        if bytes > limit {
            return Err(DecodeError::Memory { format: self.format, width, height, bytes, limit });
        }
        let taken = self.limits.memory.take(bytes, self.limits.is_cancelled);
        self.taken = Some(taken.ok_or(DecodeError::Cancelled)?);
        (self.size, self.n_rows) = ((width, height), 0);
        self.rows = match resized {
            Some(target) => {
                let resizer = Resizer::new(target.axes(width, height), target.filter);
                Rows::Resized(vec![0; width as usize * 3], Box::new(resizer))
            }
            None => Rows::Whole(vec![0; width as usize * height as usize * 3]),
        };
        Ok(())
    }

    /// The buffer of the next row, to be filled before [`Canvas::next`] is called.
    #[inline]
    pub fn row(&mut self) -> &mut [u8] {
        match &mut self.rows {
            Rows::Whole(pixels) => {
                let row_bytes = self.size.0 as usize * 3;
                &mut pixels[self.n_rows as usize * row_bytes..][..row_bytes]
            }
            Rows::Resized(row, _) => row,
        }
    }

    /// Takes the row that was filled.
    #[inline]
    pub fn next(&mut self) {
        if let Rows::Resized(row, resizer) = &mut self.rows {
            resizer.push(row);
        }
        self.n_rows += 1;
    }

    /// Fails if the caller has cancelled the work; called by decoders during long work.
    pub fn check_cancelled(&self) -> Result<(), DecodeError> {
        if (self.limits.is_cancelled)() { Err(DecodeError::Cancelled) } else { Ok(()) }
    }

    /// The original size, and the image in the requested size.
    ///
    /// # Panics
    /// When a row is missing: a bug of the decoder.
    pub fn finish(self) -> ((u32, u32), RgbImage) {
        let (width, height) = self.size;
        assert_eq!(self.n_rows, height, "BUG: the {} decoder left out rows", self.format);
        let image = match self.rows {
            Rows::Whole(pixels) => RgbImage { width, height, pixels },
            Rows::Resized(_, resizer) => resizer.finish(),
        };
        (self.size, image)
    }
}

/// A colour over a level of all channels, rounded like Pillow's `alpha_composite`.
pub(super) fn over(background: u8, colour: [u8; 3], alpha: u8) -> [u8; 3] {
    let (below, alpha) = (u16::from(background), u16::from(alpha));
    colour.map(|level| ((u16::from(level) * alpha + below * (255 - alpha) + 127) / 255) as u8)
}

/// Refuses an image by the size in its header, before anything is allocated for it.
pub(super) fn check_size(width: u64, height: u64) -> Result<(), DecodeError> {
    let is_good = (1..=MAX_PIXELS).contains(&width.saturating_mul(height)) && width.max(height) <= u64::from(u32::MAX);
    is_good.then_some(()).ok_or(DecodeError::Size { width, height })
}
