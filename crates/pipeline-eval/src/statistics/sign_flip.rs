//! A one-sided paired permutation test.

use super::Draws;

/// The number of random sign flips.
const N_FLIPS: usize = 10_000;
const SEED: u64 = 1;
/// Sums of the same numbers in another order may differ by this share.
const ROUNDING: f64 = 1e-9;

/// The probability of a mean drop of at least this size if nothing has changed: a small `p` means that the drop is
/// real.
///
/// If before and after are interchangeable, each query's drop is as likely as its opposite. The signs of the drops are
/// flipped at random 10,000 times. `p` is the share of the sums that reach the observed one, which itself counts as one
/// of them. So `p` is never 0, and the test stays valid.
pub fn drop_p(drops: &[f64]) -> f64 {
    // Unchanged queries have no sign to flip.
    let changed: Vec<f64> = drops.iter().copied().filter(|drop| *drop != 0.0).collect();
    let observed: f64 = changed.iter().sum();
    let size: f64 = changed.iter().map(|drop| drop.abs()).sum();
    let reaches = |sum: f64| sum >= observed - size * ROUNDING;
    let n_reaching = (0..N_FLIPS).filter(|stream| reaches(flipped_sum(&changed, *stream as u64))).count();
    (n_reaching + 1) as f64 / (N_FLIPS + 1) as f64
}

fn flipped_sum(drops: &[f64], stream: u64) -> f64 {
    let mut draws = Draws::new(SEED, stream);
    let mut sum = 0.0;
    for some in drops.chunks(64) {
        let mut bits = draws.bits();
        for drop in some {
            // Flips the sign bit: no branch to mispredict.
            sum += f64::from_bits(drop.to_bits() ^ (bits << 63));
            bits >>= 1;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probability that `n` fair coins show at least `k` heads.
    fn at_least(k: u32, n: u32) -> f64 {
        let choose = |k: u32| (0..k).fold(1.0, |product, idx| product * f64::from(n - idx) / f64::from(idx + 1));
        (k..=n).map(choose).sum::<f64>() / 2_f64.powi(n as i32)
    }

    #[test]
    fn the_p_of_hits_is_that_of_the_sign_test() {
        for (n_drops, n_rises) in [(12, 4), (9, 9), (3, 8), (5, 0)] {
            let drops = [vec![1.0; n_drops], vec![-1.0; n_rises], vec![0.0; 50]].concat();
            let exact = at_least(n_drops as u32, (n_drops + n_rises) as u32);
            // Three standard deviations of a share of 10,000.
            let error = 3.0 * (exact * (1.0 - exact) / 1e4).sqrt() + 1e-4;
            assert!((drop_p(&drops) - exact).abs() < error, "{n_drops} and {n_rises}: {}, {exact}", drop_p(&drops));
        }
    }

    #[test]
    fn no_change_is_no_drop() {
        assert_eq!(drop_p(&[]), 1.0);
        assert_eq!(drop_p(&[0.0; 9]), 1.0);
        assert!(drop_p(&[-0.1; 30]) > 0.99, "a rise is not a drop");
        // Sums of thirds in another order differ in their last bits, and still count as equal.
        assert_eq!(drop_p(&[2.0 / 3.0, 1.0 / 3.0, -1.0 / 3.0, -2.0 / 3.0, 1e-12]).min(0.5), 0.5);
    }
}
