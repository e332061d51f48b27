//! Statistics over several seeds of the same settings.

/// The mean and the sample standard deviation (divided by n - 1; `None` for a single value). `None` without values.
pub fn mean_sd(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let n = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_has_a_mean_but_no_spread() {
        assert_eq!(mean_sd(&[]), None);
        assert_eq!(mean_sd(&[0.5]), Some((0.5, None)));
        assert_eq!(mean_sd(&[1.0, 3.0]), Some((2.0, Some(2_f64.sqrt()))));
    }
}
