//! The random numbers of PyTorch's CPU generator, so that seeds match those of the notebook.

use rand_mt::Mt;

/// PyTorch's CPU generator: the 32-bit Mersenne Twister, with `torch`'s way of drawing.
pub(super) struct TorchRandom(Mt);

impl TorchRandom {
    /// `torch.manual_seed(seed)`, which uses the lower 32 bits only.
    pub(super) fn new(seed: u64) -> Self {
        Self(Mt::new((seed & u64::from(u32::MAX)) as u32))
    }

    /// `tensor.uniform_(-bound, bound)` for a contiguous `f32` tensor of `n_values` numbers.
    pub(super) fn uniform(&mut self, bound: f32, n_values: usize) -> Vec<f32> {
        // PyTorch keeps the lower 24 bits of a draw: as many as an f32 between 0 and 1 can hold.
        let mut unit = || (self.0.next_u32() & 0x00ff_ffff) as f32 * (1.0 / 16_777_216.0);
        // PyTorch's compiled code fuses the product and the sum; rounding between them changes some last bits.
        (0..n_values).map(|_| unit().mul_add(bound - -bound, -bound)).collect()
    }

    /// Draws so many numbers of [`TorchRandom::uniform`] for nothing.
    pub(super) fn skip(&mut self, n_values: usize) {
        (0..n_values).for_each(|_| _ = self.0.next_u32());
    }

    /// `torch.randperm(n_values)`, for fewer than 2^32 / 20 values.
    pub(super) fn permutation(&mut self, n_values: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n_values).collect();
        for place in 0..n_values.saturating_sub(1) {
            let offset = self.0.next_u32() as usize % (n_values - place);
            order.swap(place, place + offset);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_is_pytorchs() {
        assert_eq!(TorchRandom::new(0).permutation(10), [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]);
        assert_eq!(TorchRandom::new(42).permutation(10), [2, 6, 1, 8, 4, 5, 0, 9, 3, 7]);
    }

    #[test]
    fn a_permutation_holds_every_value_once_and_depends_on_the_seed() {
        let order = TorchRandom::new(7).permutation(100);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(order, TorchRandom::new(7).permutation(100));
        assert_ne!(order, TorchRandom::new(8).permutation(100));
    }
}
