//! Adam with weight decay added to the gradient, as in `torch.optim.Adam`, and a pull to the start likewise.

use rayon::prelude::*;

/// `β₁`, PyTorch's default.
pub(crate) const FIRST_DECAY: f64 = 0.9;
/// `β₂`, PyTorch's default.
pub(crate) const SECOND_DECAY: f64 = 0.999;
/// `ε`, PyTorch's default.
pub(crate) const EPSILON: f32 = 1e-8;

/// The settings for all weights, and the number of steps taken.
pub(crate) struct Adam {
    weight_decay: f32,
    anchor: f32,
    n_steps: i32,
}

/// The parameters of one update.
///
/// With `g = gradient + decay · w + anchor · (w - w₀)`, where `w₀` is the start: `m += (1 - β₁) · (g - m)`, `v = β₂ ·
/// v + (1 - β₂) · g²`, `w -= lr / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamStep {
    /// The share of a weight that is added to its gradient.
    pub(crate) weight_decay: f32,
    /// The share of a weight's way from its start that is added likewise.
    pub(crate) anchor: f32,
    /// `lr / (1 - β₁ᵗ)`
    pub(crate) size: f32,
    /// `1 / √(1 - β₂ᵗ)`
    pub(crate) correction: f32,
}

/// Learnt numbers, each with the means of its gradient and of the gradient's square.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    pub(super) values: Vec<f32>,
    pub(super) means: Vec<f32>,
    pub(super) squares: Vec<f32>,
    /// The values at the start, if an anchor pulls to them; else empty.
    pub(super) starts: Vec<f32>,
}

/// A part of learnt numbers.
pub(super) struct LearntPart<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) means: &'a mut [f32],
    pub(super) squares: &'a mut [f32],
    /// As long as `values`, or empty.
    pub(super) starts: &'a [f32],
}

impl Adam {
    pub(crate) fn new(weight_decay: f64, anchor: f64) -> Self {
        Self { weight_decay: weight_decay as f32, anchor: anchor as f32, n_steps: 0 }
    }

    /// Advances to the next step, with this learning rate.
    pub(crate) fn next_step(&mut self, lr: f64) -> AdamStep {
        self.n_steps = self.n_steps.saturating_add(1);
        self.step(lr)
    }

    /// The same step with another learning rate.
    pub(super) fn step(&self, lr: f64) -> AdamStep {
        AdamStep {
            weight_decay: self.weight_decay,
            anchor: self.anchor,
            size: (lr / (1.0 - FIRST_DECAY.powi(self.n_steps))) as f32,
            correction: (1.0 / (1.0 - SECOND_DECAY.powi(self.n_steps)).sqrt()) as f32,
        }
    }
}

impl Learnt {
    pub(super) fn new(values: Vec<f32>) -> Self {
        Self { means: vec![0.0; values.len()], squares: vec![0.0; values.len()], values, starts: Vec::new() }
    }

    /// The gradients of the first step of all, which the means of gradients still show.
    #[cfg(test)]
    pub(super) fn first_gradients(&self) -> Vec<f32> {
        self.means.iter().map(|mean| mean / (1.0 - FIRST_DECAY) as f32).collect()
    }

    /// Remembers the values as the start to which the anchor pulls.
    pub(super) fn remember_start(&mut self) {
        self.starts.clone_from(&self.values);
    }

    /// Parts of this size, at least 1; the last may be smaller.
    pub(super) fn parts(&mut self, size: usize) -> impl IndexedParallelIterator<Item = LearntPart<'_>> {
        let size = size.max(1);
        let Self { values, means, squares, starts } = self;
        let starts = &starts[..];
        let moments = means.par_chunks_mut(size).zip(squares.par_chunks_mut(size));
        let parts = values.par_chunks_mut(size).zip(moments).enumerate();
        parts.map(move |(part_idx, (values, (means, squares)))| {
            let starts = if starts.is_empty() { starts } else { &starts[part_idx * size..][..values.len()] };
            LearntPart { values, means, squares, starts }
        })
    }

    pub(super) fn all(&mut self) -> LearntPart<'_> {
        let Self { values, means, squares, starts } = self;
        LearntPart { values, means, squares, starts }
    }
}

impl AdamStep {
    /// The same step for a number without weight decay.
    pub(super) fn without_decay(&self) -> Self {
        Self { weight_decay: 0.0, ..*self }
    }

    /// Updates numbers by their gradients; inlined where wide instructions are available.
    #[inline(always)]
    pub(super) fn apply(&self, part: LearntPart<'_>, gradients: &[f32]) {
        let LearntPart { values, means, squares, starts } = part;
        let numbers = values.iter_mut().zip(means.iter_mut().zip(squares)).zip(gradients);
        if starts.is_empty() {
            numbers.for_each(
                #[inline(always)]
                |((value, (mean, square)), gradient)| self.update(value, mean, square, *gradient),
            );
        } else {
            numbers.zip(starts).for_each(
                #[inline(always)]
                |(((value, (mean, square)), gradient), start)| {
                    self.update(value, mean, square, gradient + self.anchor * (*value - start));
                },
            );
        }
    }

    #[inline(always)]
    fn update(&self, value: &mut f32, mean: &mut f32, square: &mut f32, gradient: f32) {
        let Self { weight_decay, size, correction, .. } = *self;
        let (to_mean, keep_square, to_square) =
            ((1.0 - FIRST_DECAY) as f32, SECOND_DECAY as f32, (1.0 - SECOND_DECAY) as f32);
        let gradient = gradient + weight_decay * *value;
        *mean += to_mean * (gradient - *mean);
        *square = keep_square * *square + to_square * gradient * gradient;
        *value -= size * *mean / (square.sqrt() * correction + EPSILON);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_change_as_the_formula_says() {
        let (mut adam, mut learnt) = (Adam::new(0.1, 0.0), Learnt::new(vec![0.5, -2.0, 0.0]));
        let (mut values, mut means, mut squares) = ([0.5f64, -2.0, 0.0], [0f64; 3], [0f64; 3]);
        for n_steps in 1..30 {
            let lr = 0.01 / f64::from(n_steps);
            let gradients = [0.3, -1e-3 * f64::from(n_steps), 0.0];
            adam.next_step(lr).apply(learnt.all(), &gradients.map(|gradient| gradient as f32));
            for idx in 0..3 {
                let gradient = gradients[idx] + 0.1 * values[idx];
                means[idx] = 0.9 * means[idx] + 0.1 * gradient;
                squares[idx] = 0.999 * squares[idx] + 0.001 * gradient * gradient;
                let mean = means[idx] / (1.0 - 0.9f64.powi(n_steps));
                let square = squares[idx] / (1.0 - 0.999f64.powi(n_steps));
                values[idx] -= lr * mean / (square.sqrt() + 1e-8);
                assert!((f64::from(learnt.values[idx]) - values[idx]).abs() < 1e-6, "{n_steps}: {learnt:?}");
            }
        }
    }
}
