//! Contrastive training of the two projection heads on cached features.

mod closed_form;
mod cpu;
#[cfg(any(feature = "cuda", test))]
mod framework;
mod options;
mod positives;
mod schedule;
mod start;
mod steps;
mod torch_random;

pub use closed_form::{ClosedForm, fit};
pub use options::{LEARNT_TEMPERATURES, TrainError, TrainOptions};
pub use positives::Positives;
pub use schedule::LrSchedule;
pub use start::{initial_heads, initial_mlp_heads};

use crate::checkpoint::Heads;
use crate::device::{InstructionSet, on_threads};
use crate::{Device, Matrix};

/// The loss of one step, and what the step was taken with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLoss {
    /// The epoch, from 0.
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
    /// The trained heads; `None` if there were none to train.
    pub heads: Option<Heads>,
    /// The loss of every step, in order.
    pub losses: Vec<StepLoss>,
    /// What similarities would be divided by next: as it was, if it is not learnt.
    pub temperature: f32,
}

/// Trains `start` so that each pair's text and image meet in the shared space.
///
/// A step takes the next `batch_size` pairs (the last batch of an epoch may be smaller), maps both sides through
/// their heads, scales them to length one if `normalize`, and minimises the symmetric InfoNCE loss
/// `(CE(T·Iᵀ/τ) + CE(I·Tᵀ/τ)) / 2` with Adam (β 0.9 and 0.999, ε 1e-8, weight decay added to the gradient), as the
/// baseline notebook does; `learn_temperature` makes τ a weight of its own, `positives` says what becomes of other pairs that belong together, `lr_schedule` and `warmup_steps` say what the learning rate of each step is. Without heads (`start: None`, the features themselves are compared) nothing is trained,
/// and the losses tell how well the features fit. The thread count changes no bit of the result.
///
/// `observe` is told every step; if it returns false, training stops with [`TrainError::Stopped`].
///
/// # Shapes
/// - text: `[n_texts, d_text]`, images: `[n_images, d_image]`
/// - pairs: (row of `text`, row of `images`)
///
/// # Errors
/// When an option is out of its range, the shapes do not fit, a pair names a missing row, the device cannot be used,
/// or a loss or weight is no longer finite.
pub fn train(
    text: &Matrix,
    images: &Matrix,
    pairs: &[(usize, usize)],
    options: &TrainOptions,
    start: Option<Heads>,
    device: Device,
    observe: &mut (dyn FnMut(&StepLoss) -> bool + Send),
) -> Result<Trained, TrainError> {
    options.check()?;
    options::check_shapes(text, images, start.as_ref())?;
    options::check_pairs(text, images, pairs)?;
    let data = steps::PairedFeatures { text, images, pairs };
    match device {
        Device::Cpu => on_threads(options.n_threads, || {
            let learner = cpu::CpuLearner::new(&data, options, start, InstructionSet::best());
            steps::run(pairs.len(), options, learner, observe)
        }),
        Device::Cuda => train_on_cuda(&data, options, start, observe),
    }
}

#[cfg(feature = "cuda")]
fn train_on_cuda(
    data: &steps::PairedFeatures<'_>,
    options: &TrainOptions,
    start: Option<Heads>,
    observe: &mut (dyn FnMut(&StepLoss) -> bool + Send),
) -> Result<Trained, TrainError> {
    crate::device::probe(Device::Cuda)?;
    type Backend = burn::backend::Autodiff<burn_cuda::Cuda<f32, i32>>;
    let learner = framework::FrameworkLearner::<Backend>::new(data, options, start, Default::default());
    steps::run(data.pairs.len(), options, learner, observe)
}

#[cfg(not(feature = "cuda"))]
fn train_on_cuda(
    _: &steps::PairedFeatures<'_>,
    _: &TrainOptions,
    _: Option<Heads>,
    _: &mut (dyn FnMut(&StepLoss) -> bool + Send),
) -> Result<Trained, TrainError> {
    crate::device::probe(Device::Cuda)?;
    unreachable!("BUG: a build without CUDA has found a CUDA device")
}

#[cfg(test)]
pub(crate) mod goldens;
#[cfg(test)]
mod option_tests;
#[cfg(test)]
mod tests;
