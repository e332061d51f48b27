//! Contrastive training of the two projection heads on cached features.

mod closed_form;
pub(crate) mod cpu;
pub(crate) mod options;
pub(crate) mod positives;
mod schedule;
mod start;
pub(crate) mod steps;
mod torch_random;
mod validation;

pub use closed_form::{ClosedForm, fit};
pub use options::{LEARNT_TEMPERATURES, TopRate, TrainError, TrainOptions};
pub use positives::Positives;
pub use schedule::LrSchedule;
pub use start::{Attentive, identity_heads, initial_heads, initial_mlp_heads, with_attention};
pub use validation::Validation;

use crate::heads::{Features, Heads};
use pipeline_eval::Recall;
use pipeline_kernels::{InstructionSet, on_threads};

use crate::Device;
use crate::gpu;

/// Features and which of them belong together.
///
/// # Shapes
/// - text: `[n_texts, d_text]`, images: `[n_images, d_image]`
#[derive(Debug, Clone, Copy)]
pub struct PairedFeatures<'a> {
    /// The features of the texts.
    pub text: Features<'a>,
    /// The features of the images.
    pub images: Features<'a>,
    /// Rows of `text` and of `images`.
    pub pairs: &'a [(usize, usize)],
}

impl PairedFeatures<'_> {
    /// Says that the features of these pairs are read next.
    pub(crate) fn announce(&self, batch: &[usize]) {
        let rows = |row: fn(&(usize, usize)) -> usize| -> Vec<usize> {
            batch.iter().map(|&pair_idx| row(&self.pairs[pair_idx])).collect()
        };
        self.text.announce(&rows(|pair| pair.0));
        self.images.announce(&rows(|pair| pair.1));
    }
}

/// The loss of one step, and what the step was taken with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLoss {
    /// The epoch, from 0, or from 1 where the start is measured.
    pub epoch: usize,
    /// The step within its epoch, from 0.
    pub step: usize,
    /// The mean loss of the batch, before its update.
    pub loss: f32,
    /// The learning rate of the update.
    pub lr: f64,
    /// What similarities were divided by, before the update.
    pub temperature: f32,
}

/// What training returns.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The trained heads, of the best epoch if they were measured; `None` if there were none to train.
    pub heads: Option<Heads>,
    /// The loss of every step, in order.
    pub losses: Vec<StepLoss>,
    /// What similarities would be divided by next with these heads: as it was, if it is not learnt.
    pub temperature: f32,
    /// What was measured on held-out data after each epoch, in order, or once where there are no epochs; nothing
    /// without such data. Where the start is measured, it is the first: epoch 0.
    pub validations: Vec<Recall>,
    /// Whether the start is one of them.
    pub measures_start: bool,
    /// The first epoch whose MeanRecall on them is the highest, as [`StepLoss::epoch`] counts; 0 is the start where it
    /// is measured.
    pub best_epoch: Option<usize>,
}

impl Trained {
    /// What the kept heads find in the held-out data.
    pub fn kept_recall(&self) -> Option<&Recall> {
        self.validations.get(self.best_epoch.unwrap_or_default())
    }

    /// What the heads find in the held-out data before any step, if that is measured.
    pub fn start_recall(&self) -> Option<&Recall> {
        self.validations.first().filter(|_| self.measures_start)
    }

    /// The number of epochs that were begun.
    pub fn n_epochs(&self) -> usize {
        self.losses.chunk_by(|a, b| a.epoch == b.epoch).count()
    }
}

/// Trains `start` so that each pair's text and image meet in the shared space.
///
/// A step takes the next `batch_size` pairs (the last batch of an epoch may be smaller), maps both sides through
/// their heads, scales them to length one if `normalize`, and minimises the symmetric InfoNCE loss
/// `(CE(T·Iᵀ/τ) + CE(I·Tᵀ/τ)) / 2` with Adam (β 0.9 and 0.999, ε 1e-8, weight decay added to the gradient), as the
/// baseline notebook does. `anchor` pulls weights w to those of the start w₀ in the same way: it adds
/// `anchor · (w - w₀)` to the gradient. `learn_temperature` makes τ a weight of its own, `positives` says what becomes
/// of other pairs that belong together, `lr_schedule` and `warmup_steps` say what the learning rate of each step is.
/// Without heads (`start: None`, the features themselves are compared) nothing is trained, and the losses show how well
/// the features fit; equal batches are compared once. The thread count changes no bit of the result.
///
/// Tokens are pooled by the vectors of the start's heads, which learn with them at `attention_lr`; neither weight decay
/// nor `anchor` acts on these vectors.
///
/// Where heads begin with layers of an encoder, tokens go through these instead, and they learn at `text_top` and
/// `image_top`, but for the biases of keys; neither weight decay nor `anchor` acts on them.
///
/// With a `validation` the heads are measured after each epoch, and before the first if it says so. Those of the best
/// epoch are returned, and training ends early once it has lost its patience. `observe` sees every step; if it returns
/// false, training stops with
/// [`TrainError::Stopped`]. So it does soon after `must_stop` is true, which is asked between steps that are seen
/// together, and while features are read.
///
/// # Errors
/// When an option is out of its range, the shapes do not fit, a pair names a missing row, the device cannot be used,
/// or a loss or weight is no longer finite.
pub fn train(
    data: &PairedFeatures<'_>,
    validation: Option<&Validation<'_>>,
    options: &TrainOptions,
    start: Option<Heads>,
    device: Device,
    observe: &mut (dyn FnMut(&StepLoss) -> bool + Send),
    must_stop: &(dyn Fn() -> bool + Sync),
) -> Result<Trained, TrainError> {
    options.check()?;
    let PairedFeatures { text, images, pairs } = *data;
    options::check_shapes(text, images, start.as_ref())?;
    options::check_pairs(text.n_rows(), images.n_rows(), pairs)?;
    validation.map_or(Ok(()), |validation| options::check_held_out(data, validation))?;
    match device {
        Device::Cpu => on_threads(options.n_threads, || {
            let mut learner = cpu::CpuLearner::new(data, options, start, InstructionSet::best());
            steps::run(pairs.len(), options, validation, &mut learner, observe, must_stop)
        }),
        Device::Gpu(gpu) => {
            let mut learner = gpu::learner(gpu, data, options, start)?;
            steps::run(pairs.len(), options, validation, &mut *learner, observe, must_stop)
        }
    }
}

/// Heads that learn on the processor with these instructions.
#[cfg(test)]
pub(crate) fn processor_learner<'a>(
    data: &'a PairedFeatures<'a>,
    options: &TrainOptions,
    start: Option<Heads>,
    instructions: InstructionSet,
) -> Box<dyn steps::Learner + 'a> {
    Box::new(cpu::CpuLearner::new(data, options, start, instructions))
}

#[cfg(test)]
pub(crate) mod goldens;
#[cfg(test)]
mod option_tests;
#[cfg(test)]
mod tests;
