//! Forward passes on the processor: batches are shared among threads, and one thread computes a batch.

use pipeline_kernels::map_batches;

use super::pixels::Images;
use super::{ImageForward, TextForward, batches, in_row_order};

/// Images that are computed together: at 224×224, the maps of more of them do not fit the caches any better.
const BATCH_IMAGES: usize = 8;

/// The forward pass over texts, of which those of any lengths are computed together.
///
/// # Shapes
/// `model`: ids of the tokens of each text → `[n_texts, dim]`
pub(crate) fn texts(model: impl Fn(&[&[u32]]) -> Vec<f32> + Send + Sync + 'static) -> Box<dyn TextForward> {
    Box::new(OnThreads(model))
}

/// The forward pass over images, in their order.
///
/// # Shapes
/// `model`: pixels as `[n_images, height, width, 3]`, height and width → `[n_images, dim]`
pub(crate) fn images(
    model: impl Fn(&[f32], usize, usize) -> Vec<f32> + Send + Sync + 'static,
) -> Box<dyn ImageForward> {
    Box::new(OnThreads(model))
}

/// A model that computes a batch on the thread that calls it.
struct OnThreads<Model>(Model);

impl<Model: Fn(&[&[u32]]) -> Vec<f32> + Send + Sync> TextForward for OnThreads<Model> {
    fn forward(&self, texts: &[Vec<u32>], batch_rows: usize, n_threads: usize) -> Vec<f32> {
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let batches = batches::of_any_length(&lengths, batch_rows, n_threads);
        let forward = |batch_idx: usize| {
            let texts: Vec<&[u32]> = batches[batch_idx].iter().map(|text_idx| texts[*text_idx].as_slice()).collect();
            (self.0)(&texts)
        };
        let vectors = map_batches(batches.len(), n_threads, forward);
        in_row_order(&batches, &vectors)
    }
}

impl<Model: Fn(&[f32], usize, usize) -> Vec<f32> + Send + Sync> ImageForward for OnThreads<Model> {
    fn forward(&self, images: &Images<'_>, n_threads: usize) -> Vec<f32> {
        let Images { pixels, height, width, table } = *images;
        let batches: Vec<&[&[u8]]> = pixels.chunks(BATCH_IMAGES).collect();
        let forward = |batch_idx: usize| {
            let mut values = Vec::with_capacity(batches[batch_idx].len() * 3 * height * width);
            batches[batch_idx].iter().for_each(|rgb| table.append_pixels(rgb, &mut values));
            (self.0)(&values, height, width)
        };
        map_batches(batches.len(), n_threads, forward).concat()
    }
}
