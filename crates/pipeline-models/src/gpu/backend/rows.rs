//! Rows on a device, batch after batch: texts of like lengths together, padded to the longest; images as levels.
//!
//! Several threads may come with rows at once. Each puts whole batches on the device and waits for its own, so that the
//! device has work while a thread makes the next batch. Batches are not mixed: their values would be in memory
//! together.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::arithmetic::{Arithmetic, Site, of_primitive};
use crate::forward::pixels::Images;
use crate::forward::{ImageForward, TextForward, TextVectors, in_row_order};
use crate::gpu::DeviceError;

/// The most tokens of a batch, padding included, for each of the rows that the caller computes together: 8,192 of the
/// usual 32.
const TOKENS_PER_ROW: usize = 256;
/// Lengths are padded to multiples of it, which are the sizes that tensor cores take.
const PADDED_TO: usize = 8;
/// The most images that are computed together; the caller may give fewer.
const BATCH_IMAGES: usize = 256;
/// The most pixels of a batch of several images: larger images come fewer at once, and need no more memory. Kernels
/// count the numbers of a map in 32 bits.
const BATCH_PIXELS: usize = BATCH_IMAGES * 224 * 224;

/// Texts that are computed together.
pub(super) struct TextBatch<'a> {
    /// The ids of each text's tokens.
    pub(super) texts: Vec<&'a [u32]>,
    /// The tokens of every text once it is padded.
    pub(super) n_tokens: usize,
}

impl TextBatch<'_> {
    /// Whether some text is shorter than others.
    pub(super) fn has_padding(&self) -> bool {
        self.texts.iter().any(|ids| ids.len() < self.n_tokens)
    }

    /// The places of all tokens that are not padding, in the order of the texts.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        let of_text = |(text_idx, ids): (usize, &&[u32])| (text_idx * self.n_tokens..).take(ids.len());
        self.texts.iter().enumerate().flat_map(of_text)
    }
}

/// The forward pass over texts.
///
/// # Shapes
/// `model`: a batch → `[n_vectors of its texts, dim]`
pub(super) fn texts<B: Arithmetic>(
    gives: TextVectors,
    device: B::Device,
    model: impl Fn(&TextBatch<'_>) -> Tensor<B, 2> + Send + Sync + 'static,
) -> Box<dyn TextForward> {
    Box::new(TextsOfLikeLengths::<B, _> { gives, model, device })
}

/// The forward pass over images, in their order.
///
/// # Shapes
/// `model`: `[n_images, height, width, 3]` → `[n_images · n_vectors, dim]`
pub(super) fn images<B: Arithmetic>(
    site: Site<B>,
    model: impl Fn(Tensor<B, 4>) -> Tensor<B, 2> + Send + Sync + 'static,
) -> Box<dyn ImageForward> {
    Box::new(BatchAfterBatch { site, model })
}

/// A text encoder on its device.
struct TextsOfLikeLengths<B: Backend, Model> {
    gives: TextVectors,
    model: Model,
    device: B::Device,
}

/// An image encoder on its device.
struct BatchAfterBatch<B: Backend, Model> {
    site: Site<B>,
    model: Model,
}

impl<B, Model> TextForward for TextsOfLikeLengths<B, Model>
where
    B: Arithmetic,
    Model: Fn(&TextBatch<'_>) -> Tensor<B, 2> + Send + Sync,
{
    fn forward(&self, texts: &[Vec<u32>], batch_rows: usize, _: usize) -> Result<Vec<f32>, DeviceError> {
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let batches = of_like_lengths(&lengths, batch_rows.saturating_mul(TOKENS_PER_ROW));
        let forward = |batch: &Vec<usize>| {
            let texts: Vec<&[u32]> = batch.iter().map(|text_idx| texts[*text_idx].as_slice()).collect();
            let n_tokens = padded(texts.first().map_or(0, |ids| ids.len()));
            B::in_turn(&self.device, || (self.model)(&TextBatch { texts, n_tokens }))
        };
        let vectors = read_behind(batches.iter().map(forward));
        let counts: Vec<usize> = lengths.iter().map(|length| self.gives.count(*length)).collect();
        Ok(in_row_order(&batches, &counts, &vectors))
    }
}

impl<B, Model> ImageForward for BatchAfterBatch<B, Model>
where
    B: Arithmetic,
    Model: Fn(Tensor<B, 4>) -> Tensor<B, 2> + Send + Sync,
{
    fn forward(&self, images: &Images<'_>, _: usize) -> Result<Vec<f32>, DeviceError> {
        let Images { pixels, height, width, table } = *images;
        let device = &self.site.device;
        let numbers = TensorData::new(table.channels().concat(), [3 * 256]);
        let numbers = Tensor::<B, 1>::from_data(numbers, device);
        let forward = |batch: &[&[u8]]| {
            let levels = TensorData::new(batch.concat(), [batch.len(), height, width, 3]);
            let numbers = numbers.clone().into_primitive().tensor();
            B::in_turn(device, || (self.model)(of_primitive(B::numbers_of_levels(levels, numbers, device))))
        };
        Ok(read_behind(pixels.chunks(images_at_once(height, width)).map(forward)).concat())
    }
}

/// Reads the vectors of each batch once the next one is on its way: reading waits for the device, which then has work.
fn read_behind<B: Backend>(batches: impl Iterator<Item = Tensor<B, 2>>) -> Vec<Vec<f32>> {
    let (mut read, mut before) = (Vec::new(), None);
    for batch in batches {
        read.extend(before.replace(batch).map(to_values));
    }
    read.extend(before.map(to_values));
    read
}

fn to_values<B: Backend>(vectors: Tensor<B, 2>) -> Vec<f32> {
    vectors.into_data().into_vec().expect("vectors are of type f32")
}

/// The images of a size that are computed together.
fn images_at_once(height: usize, width: usize) -> usize {
    (BATCH_PIXELS / (height * width).max(1)).clamp(1, BATCH_IMAGES)
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(PADDED_TO)
}

/// Indices of texts, long ones first, whose padded tokens are at most `max_tokens` per batch where one text is not
/// more.
fn of_like_lengths(lengths: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
    let mut by_length: Vec<usize> = (0..lengths.len()).collect();
    by_length.sort_by_key(|text_idx| std::cmp::Reverse(lengths[*text_idx]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for text_idx in by_length {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * padded(lengths[batch[0]]) <= max_tokens => batch.push(text_idx),
            _ => batches.push(vec![text_idx]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_like_lengths_share_a_batch_within_its_tokens() {
        assert_eq!(of_like_lengths(&[3, 9, 3, 17, 3, 9], 32), [vec![3], vec![1, 5], vec![0, 2, 4]]);
        assert_eq!(of_like_lengths(&[50, 40], 32), [[0], [1]]);
        assert!(of_like_lengths(&[], 32).is_empty());
    }

    #[test]
    fn large_images_come_fewer_at_once() {
        let sides = [32, 224, 225, 384, 448, 5_000];
        assert_eq!(sides.map(|side| images_at_once(side, side)), [256, 256, 253, 87, 64, 1]);
    }

    #[test]
    fn padding_has_no_place() {
        let batch = TextBatch { texts: vec![&[5, 6, 7], &[8]], n_tokens: 8 };
        assert!(batch.has_padding());
        assert_eq!(batch.places().collect::<Vec<_>>(), [0, 1, 2, 8]);
    }
}
