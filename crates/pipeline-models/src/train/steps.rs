//! The training loop, wherever its steps are computed.

use super::torch_random::TorchRandom;
use super::validation::{Kept, Validated, Validation};
use super::{StepLoss, TrainError, TrainOptions, Trained};
use crate::heads::Heads;

/// Heads that learn from batches.
pub(crate) trait Learner {
    /// The mean loss of the pairs of a batch.
    fn loss(&mut self, batch: &[usize]) -> f32;

    /// Changes the weights against the loss of the last batch, if there are any, at that learning rate.
    fn learn(&mut self, lr: f64);

    /// What similarities are divided by now.
    fn temperature(&self) -> f32;

    /// The heads as they are now.
    fn heads(&self) -> Option<Heads>;
}

/// Runs every epoch and returns the heads with all losses.
pub(super) fn run(
    n_pairs: usize,
    options: &TrainOptions,
    validation: Option<&Validation<'_>>,
    learner: &mut dyn Learner,
    observe: &mut (dyn FnMut(&StepLoss) -> bool + Send),
) -> Result<Trained, TrainError> {
    let mut random = TorchRandom::new(options.seed);
    let learning_rate = options.learning_rate(n_pairs);
    let mut losses: Vec<StepLoss> = Vec::new();
    let mut validated = validation.filter(|_| n_pairs > 0).map(|validation| Validated::new(validation, options));
    for epoch in 0..options.epochs {
        let order = epoch_order(n_pairs, options.shuffle, &mut random);
        for (step, batch) in order.chunks(options.batch_size).enumerate() {
            let (lr, temperature) = (learning_rate.at(losses.len()), learner.temperature());
            let step_loss = StepLoss { epoch, step, loss: learner.loss(batch), lr, temperature };
            if !step_loss.loss.is_finite() {
                return Err(TrainError::NotFinite { what: "loss", epoch, step });
            }
            learner.learn(lr);
            losses.push(step_loss);
            if !observe(&step_loss) {
                return Err(TrainError::Stopped { epoch, step });
            }
        }
        if let Some(validated) = &mut validated {
            let now = Kept { heads: learner.heads(), temperature: learner.temperature() };
            check_finite(now.heads.as_ref(), losses.last())?;
            if !validated.see(now) {
                break;
            }
        }
    }
    if let Some(Validated { recalls: validations, best: Some((best_epoch, kept)), .. }) = validated {
        let Kept { heads, temperature } = kept;
        return Ok(Trained { heads, losses, temperature, validations, best_epoch: Some(best_epoch) });
    }
    let temperature = learner.temperature();
    let heads = learner.heads();
    check_finite(heads.as_ref(), losses.last())?;
    Ok(Trained { heads, losses, temperature, validations: Vec::new(), best_epoch: None })
}

fn epoch_order(n_pairs: usize, shuffle: bool, random: &mut TorchRandom) -> Vec<usize> {
    if shuffle { random.permutation(n_pairs) } else { (0..n_pairs).collect() }
}

/// The losses show the weights before each update only, so the last update is looked at here.
fn check_finite(heads: Option<&Heads>, last: Option<&StepLoss>) -> Result<(), TrainError> {
    let (Some(heads), Some(&StepLoss { epoch, step, .. })) = (heads, last) else { return Ok(()) };
    if heads.is_finite() { Ok(()) } else { Err(TrainError::NotFinite { what: "weights", epoch, step }) }
}
