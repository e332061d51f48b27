//! The training loop, wherever its steps are computed.

use super::torch_random::TorchRandom;
use super::validation::{Kept, Validated, Validation};
use super::{StepLoss, TrainError, TrainOptions, Trained};
use crate::heads::Heads;

/// Heads that learn from batches.
pub(crate) trait Learner {
    /// The steps that it takes at once, at least 1: their losses are known together.
    fn steps_at_once(&self) -> usize {
        1
    }

    /// Says that the features of these pairs are read next.
    fn announce(&self, batch: &[usize]);

    /// Takes steps, at most [`Self::steps_at_once`]: measures the loss of each batch, then changes the weights against
    /// it, if there are any. Adds what each step has found to `taken`; of fewer steps once `must_stop` is true.
    ///
    /// # Errors
    /// When features cannot be read, or the device fails.
    fn take(
        &mut self,
        steps: &[Step<'_>],
        taken: &mut Vec<Taken>,
        must_stop: &dyn Fn() -> bool,
    ) -> Result<(), TrainError>;

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

/// A step to take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    /// Its pairs.
    pub(crate) batch: &'a [usize],
    /// Its learning rates.
    pub(crate) rates: Rates,
}

/// A step that was taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Taken {
    /// The mean loss of its batch, before its update.
    pub(crate) loss: f32,
    /// What similarities were divided by.
    pub(crate) temperature: f32,
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

/// Runs every epoch and returns the heads with all losses, unless `observe` is false of a step, or `must_stop` is true.
pub(crate) fn run(
    n_pairs: usize,
    options: &TrainOptions,
    validation: Option<&Validation<'_>>,
    learner: &mut dyn Learner,
    observe: &mut (dyn FnMut(&StepLoss) -> bool + Send),
    must_stop: &(dyn Fn() -> bool + Sync),
) -> Result<Trained, TrainError> {
    let mut random = TorchRandom::new(options.seed);
    let [of_heads, of_attention, share_of_layers] = options.learning_rates(n_pairs);
    let mut losses: Vec<StepLoss> = Vec::new();
    let measures_start = validation.is_some_and(|validation| validation.measures_start);
    let mut validated = validation.map(|validation| Validated::new(validation, options));
    let is_repeated = !options.shuffle && !learner.has_heads();
    let n_epochs = if n_pairs > 0 { options.epochs } else { 0 };
    let mut orders = (0..n_epochs).map(|_| epoch_order(n_pairs, options.shuffle, &mut random)).peekable();
    let pairs_at_once = learner.steps_at_once().saturating_mul(options.batch_size);
    let announce = |learner: &dyn Learner, order: Option<&[usize]>| {
        let block = order.and_then(|order| order.chunks(pairs_at_once).next()).unwrap_or_default();
        block.chunks(options.batch_size).for_each(|batch| learner.announce(batch));
    };
    announce(learner, orders.peek().map(Vec::as_slice));
    if let Some(validated) = validated.as_mut().filter(|_| measures_start) {
        validated.see(Kept { heads: learner.heads()?, temperature: learner.temperature()? })?;
    }
    let rates = |step_idx: usize| Rates {
        heads: of_heads.at(step_idx),
        attention: of_attention.at(step_idx),
        share_of_layers: share_of_layers.at(step_idx),
    };
    let mut taken = Vec::new();
    for epoch in usize::from(measures_start).. {
        let Some(order) = orders.next() else { break };
        // Where nothing changes, an epoch repeats the losses of the first.
        let is_known = is_repeated && !losses.is_empty();
        let mut blocks = order.chunks(pairs_at_once).peekable();
        let mut step = 0;
        while let Some(block) = blocks.next() {
            match blocks.peek() {
                _ if is_known => {}
                Some(next) => announce(learner, Some(next)),
                None if is_repeated => {}
                // The next epoch begins with other pairs than the first.
                None => announce(learner, orders.peek().map(Vec::as_slice)),
            }
            let batches = block.chunks(options.batch_size);
            let steps = batches.zip(losses.len()..).map(|(batch, step_idx)| Step { batch, rates: rates(step_idx) });
            let steps: Vec<Step<'_>> = steps.collect();
            taken.clear();
            if is_known {
                let first = losses[step..step + steps.len()].iter();
                taken.extend(first.map(|&StepLoss { loss, temperature, .. }| Taken { loss, temperature }));
            } else {
                learner.take(&steps, &mut taken, &must_stop)?;
            }
            for (&Step { rates, .. }, &Taken { loss, temperature }) in steps.iter().zip(&taken) {
                let step_loss = StepLoss { epoch, step, loss, lr: rates.heads, temperature };
                if !step_loss.loss.is_finite() {
                    return Err(TrainError::NotFinite { what: "loss", epoch, step });
                }
                losses.push(step_loss);
                if !observe(&step_loss) {
                    return Err(TrainError::Stopped { epoch, step });
                }
                step += 1;
            }
            if taken.len() < steps.len() {
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
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::train::identity_heads;

    /// A pair whose loss is not finite.
    const NOT_FINITE: usize = 66;

    /// Counts the batches that it compares, so many at once.
    struct Counting {
        heads: Option<Heads>,
        n_compared: usize,
        n_at_once: usize,
        /// The batches that it will be given next.
        announced: RefCell<VecDeque<Vec<usize>>>,
    }

    impl Counting {
        fn new(heads: Option<Heads>, n_at_once: usize) -> Self {
            Self { heads, n_compared: 0, n_at_once, announced: RefCell::default() }
        }
    }

    impl Learner for Counting {
        fn steps_at_once(&self) -> usize {
            self.n_at_once
        }

        fn announce(&self, batch: &[usize]) {
            self.announced.borrow_mut().push_back(batch.to_vec());
        }

        fn take(
            &mut self,
            steps: &[Step<'_>],
            taken: &mut Vec<Taken>,
            must_stop: &dyn Fn() -> bool,
        ) -> Result<(), TrainError> {
            assert!(steps.len() <= self.n_at_once);
            let n_taken = steps.iter().take_while(|_| !must_stop()).count();
            let steps = &steps[..n_taken];
            self.n_compared += steps.len();
            for step in steps {
                let announced = self.announced.borrow_mut().pop_front();
                assert_eq!(announced.as_deref(), Some(step.batch), "a batch is announced before it is taken");
            }
            let loss = |step: &Step<'_>| if step.batch.contains(&NOT_FINITE) { f32::NAN } else { step.batch[0] as f32 };
            taken.extend(steps.iter().map(|step| Taken { loss: loss(step), temperature: 1.0 }));
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
            let mut learner = Counting::new(heads, 1);
            let options = TrainOptions { epochs: 3, batch_size: 16, shuffle, ..Default::default() };
            let trained = run(50, &options, None, &mut learner, &mut |_| true, &|| false).unwrap();
            assert!(learner.announced.take().is_empty(), "what is announced is taken");
            (learner.n_compared, trained.losses)
        };
        let (n_compared, losses) = compared(None, false);
        assert_eq!((n_compared, losses.len()), (4, 12));
        assert_eq!(losses, compared(Some(identity_heads(2)), false).1, "as if every epoch was computed");
        assert_eq!(compared(None, true).0, 12);
        assert_eq!(compared(Some(identity_heads(2)), false).0, 12);
    }

    /// Trains on so many pairs, in epochs of batches of 10, until `stop` steps are seen.
    fn trained_at_once(n_at_once: usize, n_pairs: usize, stop: usize) -> (Result<Trained, TrainError>, Vec<StepLoss>) {
        let mut learner = Counting::new(Some(identity_heads(2)), n_at_once);
        let options = TrainOptions { epochs: 2, batch_size: 10, lr: 0.5, warmup_steps: 9, ..Default::default() };
        let mut seen = Vec::new();
        let trained = run(
            n_pairs,
            &options,
            None,
            &mut learner,
            &mut |step| {
                seen.push(*step);
                seen.len() < stop
            },
            &|| false,
        );
        (trained, seen)
    }

    #[test]
    fn steps_that_are_taken_at_once_are_seen_one_after_the_other() {
        let (expected, seen) = trained_at_once(1, 45, usize::MAX);
        let expected = expected.unwrap();
        assert_eq!((seen.len(), &seen), (10, &expected.losses));
        for n_at_once in [2, 3, 5, 64] {
            let (trained, seen_at_once) = trained_at_once(n_at_once, 45, usize::MAX);
            assert_eq!((trained.unwrap(), seen_at_once), (expected.clone(), seen.clone()), "{n_at_once} at once");
        }
    }

    #[test]
    fn the_step_of_a_loss_that_is_not_finite_is_named_among_others() {
        for n_at_once in [1, 4, 64] {
            let (trained, seen) = trained_at_once(n_at_once, 100, usize::MAX);
            let error = trained.unwrap_err();
            assert!(matches!(error, TrainError::NotFinite { what: "loss", epoch: 0, step: 6 }), "{error}");
            assert_eq!(seen.len(), 6, "what came before is seen");
        }
    }

    #[test]
    fn a_training_stops_at_the_step_that_was_seen_last() {
        for n_at_once in [1, 4, 64] {
            let (trained, seen) = trained_at_once(n_at_once, 45, 7);
            let error = trained.unwrap_err();
            assert!(matches!(error, TrainError::Stopped { epoch: 1, step: 1 }), "{error}");
            assert_eq!(seen.len(), 7);
        }
    }

    #[test]
    fn a_training_stops_among_steps_that_are_taken_at_once() {
        let mut learner = Counting::new(Some(identity_heads(2)), 4);
        let options = TrainOptions { epochs: 2, batch_size: 10, ..Default::default() };
        let n_asked = AtomicUsize::new(0);
        let mut n_seen = 0;
        let observe = &mut |_: &StepLoss| {
            n_seen += 1;
            true
        };
        let trained = run(45, &options, None, &mut learner, observe, &|| n_asked.fetch_add(1, Ordering::Relaxed) == 7);
        let error = trained.unwrap_err();
        assert!(matches!(error, TrainError::Stopped { epoch: 1, step: 2 }), "{error}");
        assert_eq!((learner.n_compared, n_seen), (7, 7));
    }
}
