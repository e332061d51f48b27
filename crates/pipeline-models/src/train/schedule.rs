//! The learning rate of each step.

/// The schedule of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LrSchedule {
    /// It stays constant.
    #[default]
    Constant,
    /// It falls to 0 along half a cosine.
    Cosine,
}

/// The learning rate of a training as a function of the step.
///
/// With `n` steps in all, of which `w` warm up, step `s` (from 0) has `lr · (s + 1) / w` while `s < w`, and then `lr`,
/// or `½ · (1 + cos(π · (s - w) / (n - w))) · lr`: open_clip's `const_lr` and `cosine_lr`.
#[derive(Debug, Clone, Copy)]
pub(super) struct LearningRate {
    pub(super) lr: f64,
    pub(super) schedule: LrSchedule,
    pub(super) warmup_steps: usize,
    pub(super) n_steps: usize,
}

impl LearningRate {
    /// The learning rate of a step, counted from 0 through all epochs.
    pub(super) fn at(&self, step_idx: usize) -> f64 {
        let Self { lr, schedule, warmup_steps, n_steps } = *self;
        if step_idx < warmup_steps {
            return lr * (step_idx + 1) as f64 / warmup_steps as f64;
        }
        match schedule {
            LrSchedule::Constant => lr,
            LrSchedule::Cosine => {
                let (done, all) = (step_idx - warmup_steps, n_steps - warmup_steps);
                0.5 * (1.0 + (std::f64::consts::PI * done as f64 / all as f64).cos()) * lr
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: LrSchedule, warmup_steps: usize, n_steps: usize, expected: &[f64]) {
        let rate = LearningRate { lr: 0.8, schedule, warmup_steps, n_steps };
        let found: Vec<_> = (0..n_steps).map(|step_idx| rate.at(step_idx)).collect();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15, "{rate:?}: {found} instead of {expected}");
        }
    }

    #[test]
    fn it_warms_up_and_then_stays_or_falls_along_a_cosine() {
        check(LrSchedule::Constant, 0, 3, &[0.8, 0.8, 0.8]);
        check(LrSchedule::Constant, 2, 4, &[0.4, 0.8, 0.8, 0.8]);
        let eighth = 0.4 * (1.0 + 0.5f64.sqrt());
        check(LrSchedule::Cosine, 0, 4, &[0.8, eighth, 0.4, 0.8 - eighth]);
        check(LrSchedule::Cosine, 4, 6, &[0.2, 0.4, 0.6, 0.8, 0.8, 0.4]);
    }

    #[test]
    fn a_training_shorter_than_its_warm_up_never_reaches_the_whole_rate() {
        check(LrSchedule::Cosine, 8, 3, &[0.1, 0.2, 0.8 * 3.0 / 8.0]);
    }
}
