//! A learnt temperature, as a module of one number.

use burn::module::{Module, Param};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{ElementConversion, Tensor};

use super::adam;
use crate::train::options::{LOGIT_SCALES, initial_logit_scale};

/// `ln(1 / temperature)`.
#[derive(Module, Debug)]
struct LogitScale<B: Backend> {
    /// `[1]`
    value: Param<Tensor<B, 1>>,
}

/// The temperature and its optimiser, which has no weight decay.
pub(super) struct LearntTemperature<B: AutodiffBackend> {
    logit_scale: LogitScale<B>,
    adam: OptimizerAdaptor<Adam, LogitScale<B>, B>,
}

impl<B: AutodiffBackend> LearntTemperature<B> {
    pub(super) fn new(temperature: f64, device: &B::Device) -> Self {
        let value = Param::from_data([initial_logit_scale(temperature)], device);
        Self { logit_scale: LogitScale { value }, adam: adam::config().init() }
    }

    pub(super) fn value(&self) -> f32 {
        let logit_scale: f64 = self.logit_scale.value.val().into_scalar().elem();
        (-logit_scale).exp() as f32
    }

    /// # Shapes
    /// - similarities, output: `[n_pairs, n_pairs]`
    pub(super) fn divide(&self, similarities: Tensor<B, 2>) -> Tensor<B, 2> {
        similarities * self.logit_scale.value.val().exp().unsqueeze()
    }

    /// Takes its gradient from those of the loss.
    pub(super) fn learn(mut self, gradients: &mut B::Gradients, lr: f64) -> Self {
        let gradients = GradientsParams::from_module(gradients, &self.logit_scale);
        let logit_scale = self.adam.step(lr, self.logit_scale, gradients);
        let (low, high) = LOGIT_SCALES.into_inner();
        let value = logit_scale.value.map(|value| Tensor::from_inner(value.inner().clamp(low, high)).require_grad());
        Self { logit_scale: LogitScale { value }, adam: self.adam }
    }
}
