//! The images to search, packed for products a block at a time.

use std::io;
use std::ops::Range;

use rayon::prelude::*;

use super::Similarity;
use pipeline_kernels::length;
use pipeline_kernels::{InstructionSet, PackedMatrix, RowReader, consecutive_rows, read_rows};

/// Images per panel group: its scores with a block of queries stay in the second-level cache.
pub(super) const GROUP_IMAGES: usize = 512;
/// Panel groups that are packed at once: 16 MiB of embeddings of 512 numbers.
const BLOCK_GROUPS: usize = 16;

/// The images of a search. Of images that do not lie in memory, it reads a block at a time.
pub(super) struct Pool<'a> {
    images: &'a dyn RowReader,
    similarity: Similarity,
}

/// Consecutive images, packed as the right side of products.
pub(super) struct Group {
    pub(super) first_image: usize,
    pub(super) n_images: usize,
    /// `[dim, n_images]`
    pub(super) packed: PackedMatrix,
    buffer: Vec<f32>,
}

impl<'a> Pool<'a> {
    pub(super) fn new(images: &'a dyn RowReader, similarity: Similarity) -> Self {
        Self { images, similarity }
    }

    /// The row ranges of the blocks in which the images are packed.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        self.blocks_of(BLOCK_GROUPS * GROUP_IMAGES)
    }

    /// The row ranges of blocks of so many images.
    pub(super) fn blocks_of(&self, step: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let n_images = self.images.n_rows();
        (0..n_images).step_by(step).map(move |start| start..n_images.min(start + step))
    }

    /// The numbers of an embedding.
    pub(super) fn dim(&self) -> usize {
        self.images.n_cols()
    }

    /// Reads the images of a block, each divided by its length where the similarity is the cosine.
    ///
    /// # Shapes
    /// `values` becomes `[block.len(), dim]`
    ///
    /// # Errors
    /// When the images cannot be read.
    pub(super) fn read(&self, block: &Range<usize>, values: &mut Vec<f32>) -> io::Result<()> {
        let dim = self.dim();
        values.resize(block.len() * dim, 0.0);
        let groups = values.par_chunks_mut((GROUP_IMAGES * dim).max(1)).enumerate();
        groups.try_for_each_init(Vec::new, |buffer, (group_idx, group)| {
            let start = block.start + group_idx * GROUP_IMAGES;
            group.copy_from_slice(consecutive_rows(self.images, start..start + group.len() / dim, buffer)?);
            for image in group.chunks_exact_mut(dim) {
                let divisor = self.divisor(image);
                image.iter_mut().for_each(|value| *value /= divisor);
            }
            Ok(())
        })
    }

    /// Packs a block, reusing the memory of the previous one.
    ///
    /// # Errors
    /// When the images cannot be read.
    pub(super) fn pack(
        &self,
        block: &Range<usize>,
        groups: &mut Vec<Group>,
        instructions: InstructionSet,
    ) -> io::Result<()> {
        let empty =
            || Group { first_image: 0, n_images: 0, packed: PackedMatrix::new(instructions), buffer: Vec::new() };
        groups.resize_with(block.len().div_ceil(GROUP_IMAGES), empty);
        groups.par_iter_mut().enumerate().try_for_each(|(group_idx, group)| {
            group.first_image = block.start + group_idx * GROUP_IMAGES;
            group.n_images = GROUP_IMAGES.min(block.end - group.first_image);
            let rows = group.first_image..group.first_image + group.n_images;
            let values = consecutive_rows(self.images, rows, &mut group.buffer)?;
            self.pack_values(values, group.n_images, &mut group.packed);
            Ok(())
        })
    }

    /// Packs the given images, in their order.
    ///
    /// # Errors
    /// When the images cannot be read.
    pub(super) fn gather(&self, rows: &[usize], packed: &mut PackedMatrix) -> io::Result<()> {
        self.pack_values(&read_rows(self.images, rows)?, rows.len(), packed);
        Ok(())
    }

    /// Packs images, each divided by its length where the similarity is the cosine.
    fn pack_values(&self, values: &[f32], n_images: usize, packed: &mut PackedMatrix) {
        let dim = self.dim();
        let image = |image_idx: usize| &values[image_idx * dim..][..dim];
        let divisors: Vec<f32> = (0..n_images).map(|image_idx| self.divisor(image(image_idx))).collect();
        packed.pack(dim, n_images, |k, col| image(col)[k] / divisors[col]);
    }

    fn divisor(&self, image: &[f32]) -> f32 {
        match self.similarity {
            Similarity::Cosine => length(image),
            Similarity::Dot => 1.0,
        }
    }
}
