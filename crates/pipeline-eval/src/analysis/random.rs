//! Seeded random numbers for drawing queries and points: the same on every machine.

use crate::statistics::Draws;

/// A stream of draws.
pub struct Random(Draws);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(Draws::new(seed, 0))
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.bits()) * n as u128) >> 64) as usize
    }

    /// `n` different numbers below `total`, or all if there are fewer, in random order.
    pub fn choose(&mut self, total: usize, n: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..total).collect();
        let n = n.min(total);
        for idx in 0..n {
            all.swap(idx, idx + self.below(total - idx));
        }
        all.truncate(n);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_has_no_number_twice_and_is_the_same_each_time() {
        let draw = || Random::new(3).choose(50, 20);
        let mut sorted = draw();
        assert_eq!(sorted, draw());
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!((sorted.len(), sorted.iter().all(|number| *number < 50)), (20, true));
        assert_eq!(Random::new(3).choose(2, 5).len(), 2);
    }
}
