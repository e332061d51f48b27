//! Reproducible random numbers for resampling.

/// SplitMix64: each seed gives its own stream, so that any thread can draw a resample.
///
/// Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
#[derive(Debug, Clone)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// Stream number `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut draws = Self { state: seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95) };
        // Streams of neighbouring numbers begin far apart.
        draws.state = draws.bits();
        draws
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Two random indices in `0..n`, from the two halves of 64 bits. `n` is less than 2^32.
    pub fn two_places(&mut self, n: u32) -> [usize; 2] {
        let bits = self.bits();
        [bits >> 32, bits & 0xffff_ffff].map(|half| ((half * u64::from(n)) >> 32) as usize)
    }

    /// A random number in `0.0..1.0`.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spread_evenly() {
        let mut counts = [0_u32; 7];
        let mut draws = Draws::new(1, 2);
        for _ in 0..35_000 {
            draws.two_places(7).into_iter().for_each(|place| counts[place] += 1);
        }
        // The expectation is 10,000 each, with a standard deviation of 93.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
    }

    #[test]
    fn streams_differ_and_come_back() {
        assert_eq!(Draws::new(1, 2).bits(), Draws::new(1, 2).bits());
        assert_ne!(Draws::new(1, 2).bits(), Draws::new(1, 3).bits());
        assert_ne!(Draws::new(1, 2).bits(), Draws::new(2, 2).bits());
    }
}
