//! Image towers on the processor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use pipeline_kernels::{InstructionSet, Norm};

use super::attention::{Asking, Attention, AttentionScratch};
use super::dense::Dense;
use super::head::Head;
use super::{Layers, means, norm};
use crate::tower::{Activation, ImagePool, ImageTower, LayerShape, PatchPositions, ProbeWeights};

/// Tokens of images that are computed together at most: with more, what lies between two products leaves the caches.
const MAX_TOKENS: usize = 396;

/// An image tower with its weights laid out.
pub(crate) struct CpuImageTower {
    width: usize,
    patch: usize,
    patches: Dense,
    /// `[n_prefix, width]`
    prefix: Vec<f32>,
    positions: PatchPositions,
    /// Positions by rows and columns of the grid.
    grids: Mutex<Grids>,
    first_norm: Option<Norm>,
    layers: Layers,
    pool: Pool,
    head: Head,
}

/// Positions by rows and columns of a grid.
type Grids = BTreeMap<(usize, usize), Arc<Vec<f32>>>;

enum Pool {
    Class,
    Mean,
    Tokens,
    Probe(Box<Probe>),
}

impl CpuImageTower {
    /// Lays the weights out for the instructions of `instructions`.
    pub(crate) fn new(tower: ImageTower, instructions: InstructionSet) -> Self {
        let ImageTower { shape, patch, patches, prefix, positions, first_norm, layers, final_norm, pool, head } = tower;
        let pool = match pool {
            ImagePool::Class => Pool::Class,
            ImagePool::Mean => Pool::Mean,
            ImagePool::Tokens => Pool::Tokens,
            ImagePool::Probe(weights) => Pool::Probe(Box::new(Probe::new(*weights, &shape, instructions))),
        };
        Self {
            width: shape.width,
            patch,
            patches: Dense::new(patches, instructions),
            prefix,
            positions,
            grids: Mutex::default(),
            first_norm: first_norm.map(|weights| norm(weights, shape.epsilon, instructions)),
            layers: Layers::new(layers, final_norm, &shape, instructions),
            pool,
            head: Head::new(head, shape.epsilon, instructions),
        }
    }

    /// The tokens of an image of this size: its patches and the vectors before them.
    fn n_tokens(&self, height: usize, width: usize) -> usize {
        self.positions.n_prefix + (height / self.patch) * (width / self.patch)
    }

    /// The features of images of one size, which has room for a patch.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, height, width, 3]` · returns `[n_images, dim]`, or `[n_images · n_tokens, dim]` of
    /// [`ImagePool::Tokens`]
    pub(crate) fn forward(&self, pixels: &[f32], height: usize, width: usize) -> Vec<f32> {
        let n_together = (MAX_TOKENS / self.n_tokens(height, width)).max(1);
        let batches = pixels.chunks(n_together * height * width * 3);
        batches.flat_map(|pixels| self.forward_batch(pixels, height, width)).collect()
    }

    fn forward_batch(&self, pixels: &[f32], height: usize, width: usize) -> Vec<f32> {
        let mut hidden = self.embed(pixels, height, width);
        let n_images = pixels.len() / (height * width * 3);
        let lengths = vec![self.n_tokens(height, width); n_images];
        match &self.pool {
            Pool::Class => self.layers.forward(&mut hidden, &lengths, Asking::One(&vec![0; n_images])),
            Pool::Mean | Pool::Tokens | Pool::Probe(_) => self.layers.forward(&mut hidden, &lengths, Asking::All),
        }
        let pooled = match &self.pool {
            Pool::Class | Pool::Tokens => hidden,
            Pool::Mean => means(&hidden, self.width, &lengths, self.positions.n_prefix),
            Pool::Probe(probe) => probe.forward(&hidden, &lengths),
        };
        self.head.forward(pooled)
    }

    /// `[n_images · n_tokens, width]`
    fn embed(&self, pixels: &[f32], height: usize, width: usize) -> Vec<f32> {
        let (rows, cols) = (height / self.patch, width / self.patch);
        let positions = self.grid(rows, cols);
        let n_before = self.prefix.len();
        let (line, run) = (width * 3, self.patch * 3);
        let mut hidden = vec![0.0; pixels.len() / (height * line) * positions.len()];
        let mut patches = vec![0.0; rows * cols * self.patch * run];
        for (image, hidden) in pixels.chunks_exact(height * line).zip(hidden.chunks_exact_mut(positions.len())) {
            for (patch_idx, patch) in patches.chunks_exact_mut(self.patch * run).enumerate() {
                let start = patch_idx / cols * self.patch * line + patch_idx % cols * run;
                for (line_idx, pixels) in patch.chunks_exact_mut(run).enumerate() {
                    pixels.copy_from_slice(&image[start + line_idx * line..][..run]);
                }
            }
            let (before, of_patches) = hidden.split_at_mut(n_before);
            before.copy_from_slice(&self.prefix);
            self.patches.forward(&patches, of_patches);
            hidden.iter_mut().zip(positions.iter()).for_each(|(value, position)| *value += position);
        }
        if let Some(norm) = &self.first_norm {
            norm.apply(&mut hidden);
        }
        hidden
    }

    /// The positions for a grid, computed once.
    fn grid(&self, rows: usize, cols: usize) -> Arc<Vec<f32>> {
        let mut grids = self.grids.lock().expect("no thread panics while it holds this");
        Arc::clone(grids.entry((rows, cols)).or_insert_with(|| Arc::new(self.positions.for_grid(rows, cols))))
    }
}

/// SigLIP's head with its weights laid out.
struct Probe {
    /// The query of the probe: `[width]`
    query: Vec<f32>,
    key_value: Dense,
    attention: Attention,
    output: Dense,
    norm: Norm,
    intermediate: Dense,
    activation: Activation,
    last: Dense,
    instructions: InstructionSet,
}

impl Probe {
    fn new(weights: ProbeWeights, shape: &LayerShape, instructions: InstructionSet) -> Self {
        let mut query = vec![0.0; shape.width];
        Dense::new(weights.query, instructions).forward(&weights.probe, &mut query);
        Self {
            query,
            key_value: Dense::side_by_side(&[weights.key, weights.value], instructions),
            attention: Attention::new(shape.width, shape.n_heads, false, instructions),
            output: Dense::new(weights.output, instructions),
            norm: norm(weights.norm, shape.epsilon, instructions),
            intermediate: Dense::new(weights.intermediate, instructions),
            activation: shape.activation,
            last: Dense::new(weights.last, instructions),
            instructions,
        }
    }

    /// One vector an image, from those of its patches.
    ///
    /// # Shapes
    /// `hidden`: `[sum of lengths, width]` · returns `[n_images, width]`
    fn forward(&self, hidden: &[f32], lengths: &[usize]) -> Vec<f32> {
        let (width, n_images) = (self.query.len(), lengths.len());
        let mut key_value = vec![0.0; 2 * hidden.len()];
        self.key_value.forward(hidden, &mut key_value);
        let mut context = vec![0.0; n_images * width];
        let mut scratch = AttentionScratch::new(self.instructions);
        let asking = Asking::One(&vec![0; n_images]);
        self.attention.forward(&self.query.repeat(n_images), asking, (&key_value, lengths), &mut context, &mut scratch);
        let mut pooled = vec![0.0; n_images * width];
        self.output.forward(&context, &mut pooled);
        self.norm.apply_into(&pooled, &mut context);
        let mut inner = vec![0.0; n_images * self.intermediate.n_out()];
        self.intermediate.forward_and(&context, &mut inner, self.activation);
        self.last.add_to(&inner, &mut pooled);
        pooled
    }
}
