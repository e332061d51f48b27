//! The way in which a model's own library decodes images.

/// The way in which a model's own library decodes images, as far as its files say. It is only compared here, since
/// `decode-images` has come before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageExpectations {
    /// Height and width of the pixels.
    pub size: Option<[u64; 2]>,
    /// `bilinear`, `bicubic`, …
    pub interpolation: Option<String>,
    /// The treatment of images of another shape.
    pub fit: Option<ExpectedFit>,
}

/// The treatment of an image of another shape by a model's own library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedFit {
    /// Resizes height and width independently.
    Squash,
    /// Resizes the shorter edge to `edge` and takes the middle.
    Crop {
        /// The length of the shorter edge before the crop.
        edge: u64,
        /// The rounding of the place where the middle begins.
        offset: ExpectedOffset,
    },
    /// Something else, in words that follow "images are".
    Other(String),
}

/// The rounding of half the pixels that a library's crop takes off an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedOffset {
    /// Down, as transformers does.
    Down,
    /// Half to even, as torchvision does.
    HalfEven,
}

impl ImageExpectations {
    /// Takes from `other` whatever is not said here.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            size: self.size.or(other.size),
            interpolation: self.interpolation.or(other.interpolation),
            fit: self.fit.or(other.fit),
        }
    }
}

/// One edge or both, as files write it: a number or `[height, width]`.
pub(super) fn both_edges(size: &serde_json::Value) -> Option<[u64; 2]> {
    match size.as_u64() {
        Some(edge) => Some([edge, edge]),
        None => match size.as_array()?.as_slice() {
            [height, width] => Some([height.as_u64()?, width.as_u64()?]),
            _ => None,
        },
    }
}
