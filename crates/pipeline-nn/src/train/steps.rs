//! The training loop, on any burn backend.

use burn::module::AutodiffModule;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{ElementConversion, Tensor};

use super::loss::{info_nce, normalize_rows};
use super::projector::{Projector, gather_rows};
use super::torch_random::TorchRandom;
use super::{StepLoss, TrainError, TrainOptions, Trained};
use crate::Matrix;
use crate::checkpoint::Heads;

/// PyTorch's default; burn's is 1e-5.
const ADAM_EPSILON: f32 = 1e-8;

/// Feature rows and the pairs among them.
pub(super) struct PairedFeatures<'a> {
    pub(super) text: &'a Matrix,
    pub(super) images: &'a Matrix,
    pub(super) pairs: &'a [(usize, usize)],
}

/// Runs every epoch and returns the heads with all losses.
pub(super) fn run<B: AutodiffBackend>(
    data: &PairedFeatures<'_>,
    options: &TrainOptions,
    start: Option<Heads>,
    device: &B::Device,
    observe: &mut (dyn FnMut(&StepLoss) -> bool + Send),
) -> Result<Trained, TrainError> {
    let mut projector = start.map(|heads| Projector::<B>::new(&heads, device));
    let weight_decay = WeightDecayConfig::new(options.weight_decay as f32);
    let mut adam = AdamConfig::new().with_epsilon(ADAM_EPSILON).with_weight_decay(Some(weight_decay)).init();
    let mut random = TorchRandom::new(options.seed);
    let mut losses = Vec::new();
    for epoch in 0..options.epochs {
        let order = epoch_order(data.pairs.len(), options.shuffle, &mut random);
        for (step, batch) in order.chunks(options.batch_size).enumerate() {
            let loss = batch_loss(data, batch, options, projector.as_ref(), device);
            let step_loss = StepLoss { epoch, step, loss: loss.clone().into_scalar().elem() };
            if !step_loss.loss.is_finite() {
                return Err(TrainError::NotFinite { what: "loss", epoch, step });
            }
            projector = projector.map(|projector| {
                let gradients = GradientsParams::from_grads(loss.backward(), &projector);
                adam.step(options.lr, projector, gradients)
            });
            losses.push(step_loss);
            if !observe(&step_loss) {
                return Err(TrainError::Stopped { epoch, step });
            }
        }
    }
    let heads = projector.map(|projector| projector.valid().into_heads());
    check_finite(heads.as_ref(), losses.last())?;
    Ok(Trained { heads, losses })
}

fn epoch_order(n_pairs: usize, shuffle: bool, random: &mut TorchRandom) -> Vec<usize> {
    if shuffle { random.permutation(n_pairs) } else { (0..n_pairs).collect() }
}

fn batch_loss<B: AutodiffBackend>(
    data: &PairedFeatures<'_>,
    batch: &[usize],
    options: &TrainOptions,
    projector: Option<&Projector<B>>,
    device: &B::Device,
) -> Tensor<B, 1> {
    let text = gather_rows(data.text, batch.iter().map(|&pair_idx| data.pairs[pair_idx].0), device);
    let image = gather_rows(data.images, batch.iter().map(|&pair_idx| data.pairs[pair_idx].1), device);
    let (text, image) = match projector {
        Some(projector) => projector.forward(text, image),
        None => (text, image),
    };
    let (text, image) = if options.normalize { (normalize_rows(text), normalize_rows(image)) } else { (text, image) };
    info_nce(text, image, options.temperature)
}

/// The losses show the weights before each update only, so the last update is looked at here.
fn check_finite(heads: Option<&Heads>, last: Option<&StepLoss>) -> Result<(), TrainError> {
    let (Some(heads), Some(&StepLoss { epoch, step, .. })) = (heads, last) else { return Ok(()) };
    if heads.is_finite() { Ok(()) } else { Err(TrainError::NotFinite { what: "weights", epoch, step }) }
}
