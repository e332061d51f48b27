//! The forward pass of a ResNet on the processor: channels last, every convolution by products with weights laid out
//! once.
//!
//! General convolutions lay weights and maps out anew at every call, which costs more than the arithmetic. One thread
//! computes a batch, and an image's features depend on no other image.

use std::sync::Mutex;

use crate::families::pooling::MapPooling;
use crate::tower::cpu::means;

use super::weights::{BlockWeights, ResNetWeights, StemWeights};
use pipeline_kernels::convolution::{Conv, Size, Stem, Then};
use pipeline_kernels::{Buffer, Buffers, InstructionSet};

/// Images that pass a stage together, stage by stage: maps shrink, and weights that are fetched from far away grow.
const STAGE_IMAGES: [usize; 4] = [1, 2, 4, 8];

/// A ResNet with weights laid out for [`CpuResNet::forward`].
pub(in crate::families) struct CpuResNet {
    stem: Start,
    stages: Vec<Vec<Block>>,
    n_features: usize,
    pooling: MapPooling,
    /// Of batches that are done, for those to come: one for each thread.
    buffers: Mutex<Vec<Buffers>>,
}

/// The way from pixels to the first block.
enum Start {
    Single(Stem),
    Deep(Box<[Conv; 3]>),
}

struct Block {
    convs: Vec<Conv>,
    halves: bool,
    last: Conv,
    shortcut: Option<Conv>,
}

impl CpuResNet {
    /// Lays the weights out for the instructions of `instructions`.
    pub(in crate::families) fn new(weights: ResNetWeights, instructions: InstructionSet) -> Self {
        let stem = match weights.stem {
            StemWeights::Single(conv) => Start::Single(Stem::new(conv, instructions)),
            StemWeights::Deep(convs) => Start::Deep(Box::new(convs.map(|conv| Conv::new(conv, instructions)))),
        };
        let mut stages: Vec<Vec<Block>> = Vec::new();
        for block in weights.blocks {
            let shrinks = block.halves || block.convs.iter().any(|conv| conv.stride > 1);
            if shrinks || stages.is_empty() {
                stages.push(Vec::new());
            }
            let block = Block::new(block, instructions);
            stages.last_mut().expect("a stage was pushed before its first block").push(block);
        }
        Self { stem, stages, n_features: weights.n_features, pooling: weights.pooling, buffers: Mutex::default() }
    }

    /// The features of normalised images of one size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, height, width, 3]` · returns `[n_images, n_features]`, or `[n_images · n_cells,
    /// n_features]` of [`MapPooling::Cells`]
    pub(in crate::families) fn forward(&self, pixels: &[f32], height: usize, width: usize) -> Vec<f32> {
        self.forward_and(pixels, height, width, |maps, map_len| match self.pooling {
            MapPooling::Mean => {
                let n_places = vec![map_len / self.n_features; maps.len() / map_len];
                means(maps, self.n_features, &n_places, 0)
            }
            MapPooling::Cells => maps.to_vec(),
        })
    }

    /// The result of `pool` over the maps of all images, given with the numbers of one.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, height, width, 3]` · `maps` of `pool`: `[n_images, n_places, n_features]`
    pub(in crate::families) fn forward_and(
        &self,
        pixels: &[f32],
        height: usize,
        width: usize,
        pool: impl FnOnce(&[f32], usize) -> Vec<f32>,
    ) -> Vec<f32> {
        let size = Size { height, width };
        let mut buffers = self.buffers.lock().expect("no thread panics while it holds this").pop().unwrap_or_default();
        let n_images = pixels.len() / (3 * size.n_pixels());
        let map_len = self.size_after(self.stages.len(), size).n_pixels() * self.n_features;
        let mut maps = buffers.take(n_images * map_len);
        self.forward_stages(self.stages.len(), pixels, size, &mut maps, &mut buffers);
        let features = pool(&maps, map_len);
        buffers.give(maps);
        self.buffers.lock().expect("no thread panics while it holds this").push(buffers);
        features
    }

    /// The maps after the stem and `n_stages` stages. As many images as pass a stage together are taken through all
    /// that is before it first, so that maps are read soon after they were written.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, height, width, 3]` · `out`: `[n_images, height, width, n_channels]` after these stages
    fn forward_stages(&self, n_stages: usize, pixels: &[f32], size: Size, out: &mut [f32], buffers: &mut Buffers) {
        let image_len = 3 * size.n_pixels();
        let map_len = |n_stages: usize| self.size_after(n_stages, size).n_pixels() * self.n_channels(n_stages);
        if n_stages == 0 {
            let images = pixels.chunks_exact(image_len).zip(out.chunks_exact_mut(map_len(0)));
            return images.for_each(|(image, out)| self.stem.forward(image, size, out, buffers));
        }
        let (map_len, map_len_before) = (map_len(n_stages), map_len(n_stages - 1));
        let n_together = STAGE_IMAGES[(n_stages - 1).min(STAGE_IMAGES.len() - 1)];
        for (images, out) in pixels.chunks(n_together * image_len).zip(out.chunks_mut(n_together * map_len)) {
            let mut maps = buffers.take(images.len() / image_len * map_len_before);
            self.forward_stages(n_stages - 1, images, size, &mut maps, buffers);
            let mut size = self.size_after(n_stages - 1, size);
            let (first, others) = self.stages[n_stages - 1].split_first().expect("a stage has a block");
            first.forward(&maps, size, out, buffers);
            size = first.size(size);
            buffers.give(maps);
            others.iter().for_each(|block| block.replace(size, out, buffers));
        }
    }

    fn size_after(&self, n_stages: usize, size: Size) -> Size {
        self.stages[..n_stages].iter().flatten().fold(self.stem.size(size), |size, block| block.size(size))
    }

    fn n_channels(&self, n_stages: usize) -> usize {
        let blocks = self.stages[..n_stages].last().and_then(|stage| stage.last());
        blocks.map_or(self.stem.n_out(), |block| block.last.n_out())
    }
}

impl Start {
    /// Channels of its maps.
    fn n_out(&self) -> usize {
        match self {
            Self::Single(stem) => stem.n_out(),
            Self::Deep(convs) => convs[2].n_out(),
        }
    }

    /// The size of its maps.
    fn size(&self, size: Size) -> Size {
        match self {
            Self::Single(stem) => stem.size(size),
            Self::Deep(convs) => half(convs.iter().fold(size, |size, conv| conv.size(size))),
        }
    }

    /// The maps of one image.
    ///
    /// # Shapes
    /// `image`: `[height, width, 3]` · `out`: `[height, width, n_out]` of [`Start::size`]
    fn forward(&self, image: &[f32], size: Size, out: &mut [f32], buffers: &mut Buffers) {
        match self {
            Self::Single(stem) => stem.forward(image, size, out, buffers),
            Self::Deep(convs) => {
                let (maps, size) = in_turn(&convs[..], image, size, buffers);
                halved(&maps, size, self.n_out(), out);
                buffers.give(maps);
            }
        }
    }
}

/// The maps after several convolutions, each with ReLU.
fn in_turn(convs: &[Conv], maps: &[f32], mut size: Size, buffers: &mut Buffers) -> (Buffer, Size) {
    let mut inner: Option<Buffer> = None;
    for conv in convs {
        let input = inner.as_deref().unwrap_or(maps);
        let n_images = input.len() / (size.n_pixels() * conv.n_in());
        let mut out = buffers.take(n_images * conv.size(size).n_pixels() * conv.n_out());
        conv.forward(input, size, &mut out, Then { adds: false, relu: true }, buffers);
        size = conv.size(size);
        inner.replace(out).into_iter().for_each(|old| buffers.give(old));
    }
    (inner.expect("there is a convolution"), size)
}

/// The size after the mean of 2×2 places.
fn half(size: Size) -> Size {
    Size { height: size.height / 2, width: size.width / 2 }
}

/// The means of 2×2 places; a last line or place without a partner is dropped.
///
/// # Shapes
/// `maps`: `[n_images, height, width, n_channels]` · `out`: `[n_images, height / 2, width / 2, n_channels]`
fn halved(maps: &[f32], size: Size, n_channels: usize, out: &mut [f32]) {
    let line = size.width * n_channels;
    let out_line = half(size).width * n_channels;
    let n_lines = half(size).height;
    for (map, out) in maps.chunks_exact(size.height * line).zip(out.chunks_exact_mut(n_lines * out_line)) {
        for (lines, out) in map.chunks_exact(2 * line).zip(out.chunks_exact_mut(out_line)) {
            let (above, below) = lines.split_at(line);
            let pairs = above.chunks_exact(2 * n_channels).zip(below.chunks_exact(2 * n_channels));
            for ((above, below), out) in pairs.zip(out.chunks_exact_mut(n_channels)) {
                let ((a, b), (c, d)) = (above.split_at(n_channels), below.split_at(n_channels));
                for (channel, out) in out.iter_mut().enumerate() {
                    *out = (a[channel] + b[channel] + c[channel] + d[channel]) * 0.25;
                }
            }
        }
    }
}

impl Block {
    fn new(weights: BlockWeights, instructions: InstructionSet) -> Self {
        let mut convs: Vec<_> = weights.convs.into_iter().map(|conv| Conv::new(conv, instructions)).collect();
        let last = convs.pop().expect("a block has two or three convolutions");
        Self {
            convs,
            halves: weights.halves,
            last,
            shortcut: weights.shortcut.map(|conv| Conv::new(conv, instructions)),
        }
    }

    /// The size of the maps after it.
    fn size(&self, size: Size) -> Size {
        let size = self.convs.iter().fold(size, |size, conv| conv.size(size));
        self.last.size(if self.halves { half(size) } else { size })
    }

    /// The last convolution adds to what the shortcut has left in `out`.
    fn forward(&self, maps: &[f32], size: Size, out: &mut [f32], buffers: &mut Buffers) {
        let then = Then { adds: false, relu: false };
        match &self.shortcut {
            Some(shortcut) if self.halves => {
                let mut halves = buffers.take(out.len() / shortcut.n_out() * shortcut.n_in());
                halved(maps, size, shortcut.n_in(), &mut halves);
                shortcut.forward(&halves, half(size), out, then, buffers);
                buffers.give(halves);
            }
            Some(shortcut) => shortcut.forward(maps, size, out, then, buffers),
            None => out.copy_from_slice(maps),
        }
        self.add(self.inner(maps, size, buffers), out, buffers);
    }

    /// Replaces maps by what the block makes of them.
    fn replace(&self, size: Size, maps: &mut [f32], buffers: &mut Buffers) {
        if self.shortcut.is_none() {
            return self.add(self.inner(maps, size, buffers), maps, buffers);
        }
        let mut old = buffers.take(maps.len());
        old.copy_from_slice(maps);
        self.forward(&old, size, maps, buffers);
        buffers.give(old);
    }

    /// All convolutions but the last, and the mean before it.
    fn inner(&self, maps: &[f32], size: Size, buffers: &mut Buffers) -> (Buffer, Size) {
        let (inner, size) = in_turn(&self.convs, maps, size, buffers);
        if !self.halves {
            return (inner, size);
        }
        let n_channels = self.last.n_in();
        let n_images = inner.len() / (size.n_pixels() * n_channels);
        let mut halves = buffers.take(n_images * half(size).n_pixels() * n_channels);
        halved(&inner, size, n_channels, &mut halves);
        buffers.give(inner);
        (halves, half(size))
    }

    fn add(&self, (inner, size): (Buffer, Size), out: &mut [f32], buffers: &mut Buffers) {
        self.last.forward(&inner, size, out, Then { adds: true, relu: true }, buffers);
        buffers.give(inner);
    }
}
