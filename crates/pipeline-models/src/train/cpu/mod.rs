//! Training on the processor: a step reads and writes every weight once, and allocates nothing once batches have their
//! size.
//!
//! A batch's vectors are columns here (`[dim, n_pairs]`). A head's weights are then the left side of its product
//! unchanged, and only the small batch is packed. One thread computes every number, in an order that does not depend on
//! the others.

mod activation;
pub(crate) mod adam;
mod attention;
mod contrast;
mod head;
mod layer;
mod loss;
mod positives;
mod side;
mod temperature;
mod top;

use super::positives::Relevance;
use super::steps::{Learner, Rates, Step, Taken};
use super::{PairedFeatures, TrainError, TrainOptions};
use crate::heads::Heads;
use adam::Adam;
use contrast::Contrast;
use pipeline_kernels::InstructionSet;
use side::{PoolSteps, Side};
use temperature::LearntTemperature;

/// Heads and optimiser in memory.
pub(super) struct CpuLearner<'a> {
    data: &'a PairedFeatures<'a>,
    text: Side<'a>,
    image: Side<'a>,
    contrast: Contrast,
    /// The relevant pairs, where other pairs than its own may matter to a pair.
    relevance: Option<Relevance>,
    temperature: Option<LearntTemperature>,
    adam: Adam,
    has_heads: bool,
}

impl<'a> CpuLearner<'a> {
    /// Works on the threads of the current rayon pool.
    pub(super) fn new(
        data: &'a PairedFeatures<'a>,
        options: &TrainOptions,
        start: Option<Heads>,
        instructions: InstructionSet,
    ) -> Self {
        let has_heads = start.is_some();
        let (text, image) = start.map(|heads| (heads.text, heads.image)).unzip();
        let mut text = Side::new(data.text, text, options.text_top, options.normalize, instructions);
        let mut image = Side::new(data.images, image, options.image_top, options.normalize, instructions);
        if options.anchor > 0.0 {
            text.remember_start();
            image.remember_start();
        }
        Self {
            data,
            text,
            image,
            contrast: Contrast::new(options.temperature, options.positives, instructions),
            relevance: Relevance::needed(data, options),
            temperature: options.learn_temperature.then(|| LearntTemperature::new(options.temperature)),
            adam: Adam::new(options.weight_decay, options.anchor),
            has_heads,
        }
    }
}

impl CpuLearner<'_> {
    /// The mean loss of the pairs of a batch.
    fn loss(&mut self, batch: &[usize]) -> Result<f32, TrainError> {
        let pairs = self.data.pairs;
        let (text, image) = rayon::join(
            || self.text.embed(batch.iter().map(|&pair_idx| pairs[pair_idx].0)),
            || self.image.embed(batch.iter().map(|&pair_idx| pairs[pair_idx].1)),
        );
        text.and(image)?;
        let pairs = batch.iter().map(|&pair_idx| pairs[pair_idx]);
        let others = self.relevance.as_mut().map_or(&[][..], |relevance| relevance.others(pairs));
        Ok(self.contrast.loss(&self.text.embedded, &self.image.embedded, batch.len(), others))
    }

    /// Changes the weights against the loss of the last batch, if there are any.
    fn learn(&mut self, rates: Rates) -> Result<(), TrainError> {
        if !self.has_heads {
            return Ok(());
        }
        let step = self.adam.next_step(rates.heads);
        let pool_steps = PoolSteps {
            attention: self.adam.step(rates.attention).without_decay(),
            share_of_layers: rates.share_of_layers,
        };
        let Self { text, image, contrast, temperature, .. } = self;
        contrast.differentiate(&text.embedded, &image.embedded, &mut text.gradient, &mut image.gradient);
        if let Some(temperature) = temperature {
            temperature.learn(&text.embedded, &text.gradient, &step);
            contrast.temperature = temperature.value();
        }
        let (text, image) = rayon::join(|| text.learn(&step, &pool_steps), || image.learn(&step, &pool_steps));
        Ok(text.and(image)?)
    }
}

impl Learner for CpuLearner<'_> {
    fn announce(&self, batch: &[usize]) {
        self.data.announce(batch);
    }

    fn take(&mut self, steps: &[Step<'_>], taken: &mut Vec<Taken>, _: &dyn Fn() -> bool) -> Result<(), TrainError> {
        for step in steps {
            let (temperature, loss) = (self.contrast.temperature, self.loss(step.batch)?);
            self.learn(step.rates)?;
            taken.push(Taken { loss, temperature });
        }
        Ok(())
    }

    fn temperature(&self) -> Result<f32, TrainError> {
        Ok(self.contrast.temperature)
    }

    fn heads(&self) -> Result<Option<Heads>, TrainError> {
        Ok(self.text.to_head().zip(self.image.to_head()).map(|(text, image)| Heads { text, image }))
    }

    fn has_heads(&self) -> bool {
        self.has_heads
    }
}

#[cfg(test)]
pub(crate) mod tests;
