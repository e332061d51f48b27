//! The images to search, packed for products a block at a time.

use std::ops::Range;

use rayon::prelude::*;

use super::Similarity;
use pipeline_kernels::Matrix;
use pipeline_kernels::length;
use pipeline_kernels::{InstructionSet, PackedMatrix};

/// Images per panel group: its scores with a block of queries stay in the second-level cache.
pub(super) const GROUP_IMAGES: usize = 512;
/// Panel groups that are packed at once: 16 MiB of embeddings of 512 numbers.
const BLOCK_GROUPS: usize = 16;

/// The images of a search, as a matrix, and the divisor of each.
pub(super) struct Pool<'a> {
    images: &'a Matrix,
    /// The divisor of each image: its length, or one.
    lengths: Vec<f32>,
}

/// Consecutive images, packed as the right side of products.
pub(super) struct Group {
    pub(super) first_image: usize,
    pub(super) n_images: usize,
    /// `[dim, n_images]`
    pub(super) packed: PackedMatrix,
}

impl<'a> Pool<'a> {
    pub(super) fn new(images: &'a Matrix, similarity: Similarity) -> Self {
        let lengths = match similarity {
            Similarity::Cosine => {
                (0..images.n_rows).into_par_iter().map(|row_idx| length(images.row(row_idx))).collect()
            }
            Similarity::Dot => vec![1.0; images.n_rows],
        };
        Self { images, lengths }
    }

    /// The row ranges of the blocks in which the images are packed.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (n_images, step) = (self.images.n_rows, BLOCK_GROUPS * GROUP_IMAGES);
        (0..n_images).step_by(step).map(move |start| start..n_images.min(start + step))
    }

    /// Packs a block, reusing the memory of the previous one.
    pub(super) fn pack(&self, block: &Range<usize>, groups: &mut Vec<Group>, instructions: InstructionSet) {
        let empty = || Group { first_image: 0, n_images: 0, packed: PackedMatrix::new(instructions) };
        groups.resize_with(block.len().div_ceil(GROUP_IMAGES), empty);
        groups.par_iter_mut().enumerate().for_each(|(group_idx, group)| {
            group.first_image = block.start + group_idx * GROUP_IMAGES;
            group.n_images = GROUP_IMAGES.min(block.end - group.first_image);
            let first_image = group.first_image;
            group.packed.pack(self.images.n_cols, group.n_images, |k, col| self.value(first_image + col, k));
        });
    }

    /// Packs the given images, in their order.
    pub(super) fn gather(&self, rows: &[usize], packed: &mut PackedMatrix) {
        packed.pack(self.images.n_cols, rows.len(), |k, col| self.value(rows[col], k));
    }

    fn value(&self, row_idx: usize, k: usize) -> f32 {
        self.images.values[row_idx * self.images.n_cols + k] / self.lengths[row_idx]
    }
}
