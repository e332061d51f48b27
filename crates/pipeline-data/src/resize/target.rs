//! The size of images after a resize, and the treatment of those that have another shape.

use super::Resizer;
use super::filter::Filter;
use crate::RgbImage;

/// The size to which images are resized while they are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The filter of the resize.
    pub filter: Filter,
    /// The treatment of images of another shape.
    pub fit: Fit,
}

/// The treatment of an image whose shape is not that of its new size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Resizes height and width independently.
    Squash,
    /// Resizes the shorter edge to `edge`, and the longer one in proportion, rounded down. Then takes the middle, with
    /// black around it where it is too small.
    Crop {
        /// The length of the shorter edge before the crop.
        edge: u32,
        /// The rounding of the place where the middle begins.
        offset: CropOffset,
    },
}

/// The rounding of half the pixels that a crop takes off an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CropOffset {
    /// Down, as transformers does.
    Down,
    /// Half to even, as torchvision does.
    HalfEven,
}

/// One axis of a resize: its whole new length, and the kept part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(super) n_inputs: usize,
    /// The length before the crop.
    pub(super) n_outputs: usize,
    /// The first kept output.
    pub(super) first: usize,
    /// The number of kept outputs.
    pub(super) n_kept: usize,
    /// Black pixels before them.
    pub(super) n_before: usize,
    /// The length with the black pixels on both sides.
    pub(super) len: usize,
}

impl Target {
    /// Resizes an image.
    pub fn of(self, image: &RgbImage) -> RgbImage {
        if !self.changes(image.width, image.height) {
            return image.clone();
        }
        let mut resizer = Resizer::new(self.axes(image.width, image.height), self.filter);
        image.pixels.chunks_exact(image.width as usize * 3).for_each(|row| resizer.push(row));
        resizer.finish()
    }

    /// Whether an image of this width and height is changed.
    pub fn changes(self, width: u32, height: u32) -> bool {
        self.axes(width, height).iter().any(|axis| axis.n_outputs != axis.n_inputs || axis.len != axis.n_inputs)
    }

    /// The columns and rows of an image of this width and height.
    pub(crate) fn axes(self, width: u32, height: u32) -> [Axis; 2] {
        let axis = |side: u32, len: u32| match self.fit {
            Fit::Squash => Axis::whole(side as usize, len as usize),
            Fit::Crop { edge, offset } => {
                let resized = u64::from(edge) * u64::from(side) / u64::from(width.min(height).max(1));
                Axis::middle(side as usize, resized as usize, len as usize, offset)
            }
        };
        [axis(width, self.width), axis(height, self.height)]
    }
}

impl Axis {
    fn whole(n_inputs: usize, len: usize) -> Self {
        Self { n_inputs, n_outputs: len, first: 0, n_kept: len, n_before: 0, len }
    }

    fn middle(n_inputs: usize, n_outputs: usize, len: usize, offset: CropOffset) -> Self {
        let (first, n_before) = match (n_outputs.checked_sub(len), offset) {
            (Some(spare), CropOffset::Down) => (spare / 2, 0),
            (Some(spare), CropOffset::HalfEven) => (spare / 2 + (spare % 2) * (spare / 2 % 2), 0),
            // transformers rounds the place of the crop down, torchvision the place of the smaller image.
            (None, CropOffset::Down) => (0, (len - n_outputs).div_ceil(2)),
            (None, CropOffset::HalfEven) => (0, (len - n_outputs) / 2),
        };
        Self { n_inputs, n_outputs, first, n_kept: n_outputs.min(len), n_before, len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First kept and black before, of a crop to 4.
    fn middle(n_outputs: usize, offset: CropOffset) -> (usize, usize) {
        let axis = Axis::middle(9, n_outputs, 4, offset);
        assert_eq!((axis.n_kept, axis.len), (n_outputs.min(4), 4));
        (axis.first, axis.n_before)
    }

    #[test]
    fn the_middle_begins_where_each_library_has_it() {
        for (n_outputs, down, half_even) in
            [(4, 0, 0), (5, 0, 0), (6, 1, 1), (7, 1, 2), (8, 2, 2), (9, 2, 2), (10, 3, 3), (11, 3, 4)]
        {
            let found = [CropOffset::Down, CropOffset::HalfEven].map(|offset| middle(n_outputs, offset));
            assert_eq!(found, [(down, 0), (half_even, 0)], "{n_outputs}");
        }
        for (n_outputs, down, half_even) in [(3, 1, 0), (2, 1, 1), (1, 2, 1)] {
            let found = [CropOffset::Down, CropOffset::HalfEven].map(|offset| middle(n_outputs, offset));
            assert_eq!(found, [(0, down), (0, half_even)], "{n_outputs}");
        }
    }

    #[test]
    fn the_longer_edge_keeps_its_proportion_and_is_rounded_down() {
        let fit = Fit::Crop { edge: 224, offset: CropOffset::Down };
        let target = Target { width: 224, height: 224, filter: Filter::Bicubic, fit };
        let sizes = |width, height| target.axes(width, height).map(|axis| axis.n_outputs);
        assert_eq!(sizes(500, 20), [5600, 224]);
        assert_eq!(sizes(3, 5), [224, 373]);
        assert_eq!(sizes(1, 178_956_970), [224, 40_086_361_280]);
        assert!(!target.changes(224, 224) && target.changes(224, 225) && target.changes(448, 448));
        let squashed = Target { fit: Fit::Squash, ..target };
        assert!(!squashed.changes(224, 224) && squashed.changes(224, 225));
    }
}
