//! Forward passes on the processor: batches are shared among threads, and one thread computes a batch.

use pipeline_kernels::map_batches;

use super::pixels::Images;
use super::{ImageForward, TextForward, TextVectors, batches, in_row_order};
use crate::device::DeviceError;

/// The most images that are computed together: at 224×224, the maps of more of them do not fit the caches any better.
const BATCH_IMAGES: usize = 8;

/// The forward pass over texts, of which those of any lengths are computed together.
///
/// # Shapes
/// `model`: ids of the tokens of each text → `[n_vectors of these texts, dim]`
pub(crate) fn texts(
    gives: TextVectors,
    model: impl Fn(&[&[u32]]) -> Vec<f32> + Send + Sync + 'static,
) -> Box<dyn TextForward> {
    Box::new(TextsOnThreads { gives, model })
}

/// The forward pass over images, in their order.
///
/// # Shapes
/// `model`: pixels as `[n_images, height, width, 3]`, height and width → `[n_images · n_vectors, dim]`
pub(crate) fn images(
    model: impl Fn(&[f32], usize, usize) -> Vec<f32> + Send + Sync + 'static,
) -> Box<dyn ImageForward> {
    Box::new(ImagesOnThreads(model))
}

/// A text model that computes a batch on the thread that calls it.
struct TextsOnThreads<Model> {
    gives: TextVectors,
    model: Model,
}

/// An image model that computes a batch on the thread that calls it.
struct ImagesOnThreads<Model>(Model);

impl<Model: Fn(&[&[u32]]) -> Vec<f32> + Send + Sync> TextForward for TextsOnThreads<Model> {
    fn forward(&self, texts: &[Vec<u32>], batch_rows: usize, n_threads: usize) -> Result<Vec<f32>, DeviceError> {
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let batches = batches::of_any_length(&lengths, batch_rows, n_threads);
        let forward = |batch_idx: usize| {
            let texts: Vec<&[u32]> = batches[batch_idx].iter().map(|text_idx| texts[*text_idx].as_slice()).collect();
            (self.model)(&texts)
        };
        let vectors = map_batches(batches.len(), n_threads, forward);
        let counts: Vec<usize> = lengths.iter().map(|length| self.gives.count(*length)).collect();
        Ok(in_row_order(&batches, &counts, &vectors))
    }
}

impl<Model: Fn(&[f32], usize, usize) -> Vec<f32> + Send + Sync> ImageForward for ImagesOnThreads<Model> {
    fn forward(&self, images: &Images<'_>, n_threads: usize) -> Result<Vec<f32>, DeviceError> {
        let Images { pixels, height, width, table } = *images;
        // Few images are shared among the threads, too.
        let n_together = pixels.len().div_ceil(n_threads.max(1)).clamp(1, BATCH_IMAGES);
        let batches: Vec<&[&[u8]]> = pixels.chunks(n_together).collect();
        let forward = |batch_idx: usize| {
            let mut values = Vec::with_capacity(batches[batch_idx].len() * 3 * height * width);
            batches[batch_idx].iter().for_each(|rgb| table.append_pixels(rgb, &mut values));
            (self.0)(&values, height, width)
        };
        Ok(map_batches(batches.len(), n_threads, forward).concat())
    }
}
