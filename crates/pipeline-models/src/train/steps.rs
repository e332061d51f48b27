//! The training loop, wherever its steps are computed.

use super::torch_random::TorchRandom;
use super::validation::{Kept, Validated, Validation};
use super::{StepLoss, TrainError, TrainOptions, Trained};
use crate::heads::Heads;

/// Heads that learn from batches.
pub(crate) trait Learner {
    /// Says that the features of these pairs are read next.
    fn announce(&self, batch: &[usize]);

    /// The mean loss of the pairs of a batch.
    ///
    /// # Errors
    /// When their features cannot be read, or the device fails.
    fn loss(&mut self, batch: &[usize]) -> Result<f32, TrainError>;

    /// Changes the weights against the loss of the last batch, if there are any, at these learning rates.
    ///
    /// # Errors
    /// When their features cannot be read, or the device fails.
    fn learn(&mut self, rates: Rates) -> Result<(), TrainError>;

    /// What similarities are divided by now.
    ///
    /// # Errors
    /// When the device fails.
    fn temperature(&self) -> Result<f32, TrainError>;

    /// The heads as they are now.
    ///
    /// # Errors
    /// When the device fails.
    fn heads(&self) -> Result<Option<Heads>, TrainError>;

    /// Whether there are heads.
    fn has_heads(&self) -> bool;
}

/// The learning rates of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Of heads and a learnt temperature.
    pub(crate) heads: f64,
    /// Of the vectors by which tokens are weighed.
    pub(crate) attention: f64,
    /// The share of their own rates at which the last layers of encoders learn.
    pub(crate) share_of_layers: f64,
}

/// Runs every epoch and returns the heads with all losses.
pub(crate) fn run(
    n_pairs: usize,
    options: &TrainOptions,
    validation: Option<&Validation<'_>>,
    learner: &mut dyn Learner,
    observe: &mut (dyn FnMut(&StepLoss) -> bool + Send),
) -> Result<Trained, TrainError> {
    let mut random = TorchRandom::new(options.seed);
    let [of_heads, of_attention, share_of_layers] = options.learning_rates(n_pairs);
    let mut losses: Vec<StepLoss> = Vec::new();
    let measures_start = validation.is_some_and(|validation| validation.measures_start);
    let mut validated = validation.map(|validation| Validated::new(validation, options));
    if let Some(validated) = validated.as_mut().filter(|_| measures_start) {
        validated.see(Kept { heads: learner.heads()?, temperature: learner.temperature()? })?;
    }
    let is_repeated = !options.shuffle && !learner.has_heads();
    let n_epochs = if n_pairs > 0 { options.epochs } else { 0 };
    for epoch in (usize::from(measures_start)..).take(n_epochs) {
        let order = epoch_order(n_pairs, options.shuffle, &mut random);
        let mut batches = order.chunks(options.batch_size).enumerate().peekable();
        while let Some((step, batch)) = batches.next() {
            // Where nothing changes, an epoch repeats the losses of the first.
            let is_known = |step: usize| is_repeated && step < losses.len();
            if let Some((_, next)) = batches.peek().filter(|(step, _)| !is_known(*step)) {
                learner.announce(next);
            }
            let (lr, temperature) = (of_heads.at(losses.len()), learner.temperature()?);
            let [attention, share_of_layers] = [of_attention, share_of_layers].map(|rate| rate.at(losses.len()));
            let rates = Rates { heads: lr, attention, share_of_layers };
            let loss = if is_known(step) { losses[step].loss } else { learner.loss(batch)? };
            let step_loss = StepLoss { epoch, step, loss, lr, temperature };
            if !step_loss.loss.is_finite() {
                return Err(TrainError::NotFinite { what: "loss", epoch, step });
            }
            learner.learn(rates)?;
            losses.push(step_loss);
            if !observe(&step_loss) {
                return Err(TrainError::Stopped { epoch, step });
            }
        }
        if let Some(validated) = &mut validated {
            let now = Kept { heads: learner.heads()?, temperature: learner.temperature()? };
            check_finite(now.heads.as_ref(), losses.last())?;
            if !validated.see(now)? {
                break;
            }
        }
    }
    if let Some(Validated { recalls: validations, best: Some((best_epoch, kept)), .. }) = validated {
        let Kept { heads, temperature } = kept;
        return Ok(Trained { heads, losses, temperature, validations, measures_start, best_epoch: Some(best_epoch) });
    }
    let temperature = learner.temperature()?;
    let heads = learner.heads()?;
    check_finite(heads.as_ref(), losses.last())?;
    Ok(Trained { heads, losses, temperature, validations: Vec::new(), measures_start: false, best_epoch: None })
}

fn epoch_order(n_pairs: usize, shuffle: bool, random: &mut TorchRandom) -> Vec<usize> {
    if shuffle { random.permutation(n_pairs) } else { (0..n_pairs).collect() }
}

/// The losses show the weights before each update only, so the last update is looked at here.
fn check_finite(heads: Option<&Heads>, last: Option<&StepLoss>) -> Result<(), TrainError> {
    let (Some(heads), Some(&StepLoss { epoch, step, .. })) = (heads, last) else { return Ok(()) };
    if heads.is_finite() { Ok(()) } else { Err(TrainError::NotFinite { what: "weights", epoch, step }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::identity_heads;

    /// Counts the batches that it compares.
    struct Counting {
        heads: Option<Heads>,
        n_compared: usize,
    }

    impl Learner for Counting {
        fn announce(&self, _: &[usize]) {}

        fn loss(&mut self, batch: &[usize]) -> Result<f32, TrainError> {
            self.n_compared += 1;
            Ok(batch.iter().sum::<usize>() as f32)
        }

        fn learn(&mut self, _: Rates) -> Result<(), TrainError> {
            Ok(())
        }

        fn temperature(&self) -> Result<f32, TrainError> {
            Ok(1.0)
        }

        fn heads(&self) -> Result<Option<Heads>, TrainError> {
            Ok(self.heads.clone())
        }

        fn has_heads(&self) -> bool {
            self.heads.is_some()
        }
    }

    #[test]
    fn features_without_heads_are_compared_once_for_each_different_batch() {
        let compared = |heads: Option<Heads>, shuffle| {
            let mut learner = Counting { heads, n_compared: 0 };
            let options = TrainOptions { epochs: 3, batch_size: 16, shuffle, ..Default::default() };
            let trained = run(50, &options, None, &mut learner, &mut |_| true).unwrap();
            (learner.n_compared, trained.losses)
        };
        let (n_compared, losses) = compared(None, false);
        assert_eq!((n_compared, losses.len()), (4, 12));
        assert_eq!(losses, compared(Some(identity_heads(2)), false).1, "as if every epoch was computed");
        assert_eq!(compared(None, true).0, 12);
        assert_eq!(compared(Some(identity_heads(2)), false).0, 12);
    }
}
