//! 95% intervals of single shares, by Wilson's formula; intervals of means over queries are bootstrapped.

use crate::statistics::Interval;

/// The two-sided 95% quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's interval of the share `n_hits` / `n`; `None` for `n` = 0.
pub(super) fn wilson(n_hits: usize, n: usize) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let (share, n) = (n_hits as f64 / n as f64, n as f64);
    let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(Interval { low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
}

#[cfg(test)]
mod tests {
    use crate::statistics::intervals;

    use super::*;

    #[test]
    fn a_bootstrap_of_shares_agrees_with_wilsons_interval() {
        let column: Vec<f64> = (0..2_000).map(|idx| f64::from(u8::from(idx % 4 == 0))).collect();
        let bootstrap = intervals(&[column], 1)[0];
        let wilson = wilson(500, 2_000).unwrap();
        // Both are approximations; the width of the interval is 0.038.
        assert!((bootstrap.low - wilson.low).abs() < 0.002, "{bootstrap:?} {wilson:?}");
        assert!((bootstrap.high - wilson.high).abs() < 0.002, "{bootstrap:?} {wilson:?}");
    }

    #[test]
    fn wilsons_interval_is_the_published_one() {
        // Newcombe 1998, table I: 15 of 148.
        let interval = wilson(15, 148).unwrap();
        assert!((interval.low - 0.0624).abs() < 5e-5 && (interval.high - 0.1605).abs() < 5e-5, "{interval:?}");
        assert_eq!(wilson(0, 0), None);
    }
}
