//! Rows on a device, batch after batch: equal lengths need neither padding nor mask.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use crate::forward::pixels::{Images, PixelTable};
use crate::forward::{ImageForward, TextForward, TextVectors, in_row_order};
use crate::gpu::DeviceError;

/// Images that are computed together.
const BATCH_IMAGES: usize = 8;

/// The forward pass over texts, of which those with the same number of tokens are computed together.
///
/// # Shapes
/// `model`: the ids of texts with the same number of tokens → `[n_vectors of these texts, dim]`
pub(super) fn texts<B: Backend>(
    gives: TextVectors,
    model: impl Fn(&[&[u32]]) -> Tensor<B, 2> + Send + Sync + 'static,
) -> Box<dyn TextForward> {
    Box::new(TextsOfOneLength { gives, model, backend: PhantomData })
}

/// The forward pass over images, in their order.
///
/// # Shapes
/// `model`: `[n_images, 3, height, width]` → `[n_images · n_vectors, dim]`
pub(super) fn images<B: Backend>(
    device: B::Device,
    model: impl Fn(Tensor<B, 4>) -> Tensor<B, 2> + Send + Sync + 'static,
) -> Box<dyn ImageForward> {
    Box::new(BatchAfterBatch { device, model })
}

/// A text encoder on its device, which is as fast without threads of ours.
struct TextsOfOneLength<B: Backend, Model> {
    gives: TextVectors,
    model: Model,
    backend: PhantomData<fn() -> B>,
}

/// An image encoder on its device.
struct BatchAfterBatch<B: Backend, Model> {
    device: B::Device,
    model: Model,
}

impl<B, Model> TextForward for TextsOfOneLength<B, Model>
where
    B: Backend,
    Model: Fn(&[&[u32]]) -> Tensor<B, 2> + Send + Sync,
{
    fn forward(&self, texts: &[Vec<u32>], batch_rows: usize, _: usize) -> Result<Vec<f32>, DeviceError> {
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let batches = of_one_length(&lengths, batch_rows);
        let forward = |batch: &Vec<usize>| {
            let texts: Vec<&[u32]> = batch.iter().map(|text_idx| texts[*text_idx].as_slice()).collect();
            to_values((self.model)(&texts))
        };
        let vectors: Vec<Vec<f32>> = batches.iter().map(forward).collect();
        let counts: Vec<usize> = lengths.iter().map(|length| self.gives.count(*length)).collect();
        Ok(in_row_order(&batches, &counts, &vectors))
    }
}

impl<B, Model> ImageForward for BatchAfterBatch<B, Model>
where
    B: Backend,
    Model: Fn(Tensor<B, 4>) -> Tensor<B, 2> + Send + Sync,
{
    fn forward(&self, images: &Images<'_>, _: usize) -> Result<Vec<f32>, DeviceError> {
        let Images { pixels, height, width, table } = *images;
        let forward = |batch: &[&[u8]]| {
            let mut planes = Vec::with_capacity(batch.len() * 3 * height * width);
            batch.iter().for_each(|rgb| append_planes(table, rgb, &mut planes));
            let planes = TensorData::new(planes, [batch.len(), 3, height, width]);
            to_values((self.model)(Tensor::from_data(planes, &self.device)))
        };
        Ok(pixels.chunks(BATCH_IMAGES).flat_map(forward).collect())
    }
}

fn to_values<B: Backend>(vectors: Tensor<B, 2>) -> Vec<f32> {
    vectors.into_data().into_vec().expect("vectors are of type f32")
}

/// Indices of texts with equal numbers of tokens, at most `batch_rows` per batch, long ones first.
fn of_one_length(lengths: &[usize], batch_rows: usize) -> Vec<Vec<usize>> {
    let mut by_length = BTreeMap::<usize, Vec<usize>>::new();
    for (text_idx, length) in lengths.iter().enumerate() {
        by_length.entry(*length).or_default().push(text_idx);
    }
    by_length.values().rev().flat_map(|text_idxs| text_idxs.chunks(batch_rows).map(<[usize]>::to_vec)).collect()
}

/// Appends an image channel by channel.
///
/// # Shapes
/// `rgb`: `[height, width, 3]` · appended: `[3, height, width]`
fn append_planes(table: &PixelTable, rgb: &[u8], planes: &mut Vec<f32>) {
    for (channel, levels) in table.channels().iter().enumerate() {
        planes.extend(rgb[channel..].iter().step_by(3).map(|level| levels[usize::from(*level)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_batch_have_one_length() {
        assert_eq!(of_one_length(&[3, 5, 3, 5, 3], 2), [vec![1, 3], vec![0, 2], vec![4]]);
    }

    #[test]
    fn channels_become_planes() {
        let table = PixelTable::new(1.0, [0.0, 10.0, 20.0], [1.0; 3]);
        let mut planes = Vec::new();
        append_planes(&table, &[21, 22, 23, 24, 25, 26], &mut planes);
        assert_eq!(planes, [21.0, 24.0, 12.0, 15.0, 3.0, 6.0]);
    }
}
