//! Seeded random numbers for resampling and for drawing queries: the same everywhere and always.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// `n` different numbers below `total`, all of them if there are fewer, in random order.
    pub(crate) fn choose(&mut self, total: usize, n: usize) -> Vec<usize> {
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
