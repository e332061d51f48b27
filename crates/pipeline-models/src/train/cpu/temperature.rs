//! A learnable divisor of similarities, which controls how sharp the softmax is.

use super::adam::{AdamStep, Learnt};
use crate::train::options::{LOGIT_SCALES, initial_logit_scale};

/// A temperature that is learnt as `s = ln(1 / temperature)`.
pub(super) struct LearntTemperature {
    logit_scale: Learnt,
}

impl LearntTemperature {
    pub(super) fn new(temperature: f64) -> Self {
        Self { logit_scale: Learnt::new(vec![initial_logit_scale(temperature)]) }
    }

    pub(super) fn value(&self) -> f32 {
        (-f64::from(self.logit_scale.values[0])).exp() as f32
    }

    /// Updates it by the loss whose gradient with respect to one side's embeddings is `gradient`.
    ///
    /// Logits are `exp(s) · similarity`, so that the slope of `s` is `Σ logit · (gradient of logit)`. Summed by
    /// embeddings first, it is `Σ embedding · (gradient of embedding)`. No weight decay or anchor acts on it, as in
    /// CLIP.
    ///
    /// # Shapes
    /// `embedded`, `gradient`: `[dim, n_pairs]`
    pub(super) fn learn(&mut self, embedded: &[f32], gradient: &[f32], step: &AdamStep) {
        let terms = embedded.iter().zip(gradient);
        let slope: f64 = terms.map(|(value, gradient)| f64::from(*value) * f64::from(*gradient)).sum();
        step.without_decay().apply(self.logit_scale.all(), &[slope as f32]);
        let value = &mut self.logit_scale.values[0];
        *value = value.clamp(*LOGIT_SCALES.start(), *LOGIT_SCALES.end());
    }
}

#[cfg(test)]
mod tests {
    use super::super::adam::Adam;
    use super::*;

    #[test]
    fn it_stays_between_a_hundredth_and_one() {
        for (slope, bound) in [(-1.0, 0.01), (1.0, 1.0)] {
            let (mut adam, mut temperature) = (Adam::new(0.1, 0.0), LearntTemperature::new(0.07));
            assert!((temperature.value() - 0.07).abs() < 1e-7);
            for _ in 0..40 {
                temperature.learn(&[1.0], &[slope], &adam.next_step(0.1));
            }
            assert!((temperature.value() - bound).abs() < 1e-6, "{}", temperature.value());
        }
    }
}
