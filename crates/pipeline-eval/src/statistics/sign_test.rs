//! The exact sign test.

/// The result of a sign test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignTest {
    /// The number of queries that rose.
    pub n_up: usize,
    /// The number of queries that fell.
    pub n_down: usize,
    /// The two-sided probability of a split this uneven, if rising and falling are equally likely.
    pub p: f64,
}

/// Counts rises and falls and compares them with a fair coin: the exact two-sided binomial test.
pub fn sign_test(differences: &[f64]) -> SignTest {
    let n_up = differences.iter().filter(|difference| **difference > 0.0).count();
    let n_down = differences.iter().filter(|difference| **difference < 0.0).count();
    SignTest { n_up, n_down, p: two_sided(n_up.min(n_down), n_up + n_down) }
}

/// Twice the probability of at most `k` heads of `n` fair coins, at most 1. Uses logarithms, since 2^-n may underflow.
fn two_sided(k: usize, n: usize) -> f64 {
    let mut log_choose = 0.0;
    let mut chance = 0.0;
    for heads in 0..=k {
        chance += (log_choose - n as f64 * std::f64::consts::LN_2).exp();
        log_choose += ((n - heads) as f64).ln() - ((heads + 1) as f64).ln();
    }
    (2.0 * chance).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_p_is_that_of_scipys_binomtest() {
        // scipy.stats.binomtest(k, n).pvalue
        for (n_up, n_down, p) in
            [(0, 0, 1.0), (5, 5, 1.0), (1, 9, 0.021484375), (30, 50, 0.0329926184), (900, 1100, 8.4570895e-6)]
        {
            let differences = [vec![0.5; n_up], vec![-0.1; n_down], vec![0.0; 7]].concat();
            let test = sign_test(&differences);
            assert_eq!((test.n_up, test.n_down), (n_up, n_down));
            assert!((test.p / p - 1.0).abs() < 1e-6, "{n_up} and {n_down}: {}, {p}", test.p);
        }
    }
}
