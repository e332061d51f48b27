//! The non-linear functions of encoders and heads, as plain arithmetic that compilers vectorise.
//!
//! There are no calls, branches or fused operations, so every processor computes the same numbers. Polynomials are
//! split into independent parts.

use crate::exp;

/// `√(2/π)`
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// `1/√(2π)`
const ONE_OVER_SQRT_2_PI: f32 = 0.398_942_3;

/// `x · Φ(x)`, where `Φ` is the distribution function of the normal distribution; exact within 1e-7.
///
/// In `x · Φ(x) = max(x, 0) - |x| · Φ(-|x|)` only the small second term is approximated. `Φ(-a) = exp(-a²/2) · r(a)`,
/// where `r` is a polynomial in `t = 1 / (1 + a/4)`. It is fitted for the least error of `a · Φ(-a)`, which is 1.3e-9.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.25 * a);
    let t2 = t * t;
    let (low, middle, high) =
        (0.098_503_69 + 0.115_209_535 * t, 0.013_365_865 + 0.303_483_75 * t, -0.290_781_83 + 0.354_814_56 * t);
    let r = t * (low + t2 * middle + t2 * t2 * (high - 0.094_595_62 * t2));
    relu(x) - a * (exp(-0.5 * a * a) * r)
}

/// The slope of [`gelu`], `Φ(x) + x · φ(x)` with the density `φ`; exact within 3e-7.
///
/// `Φ(-a) = exp(-a²/2) · r(a)` as in [`gelu`], but `r` is fitted for the least error of `Φ(-a)` itself, which is
/// 1.9e-9.
#[inline(always)]
pub fn gelu_slope(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.25 * a);
    let t2 = t * t;
    let (low, middle, high) = (
        0.100_560_48 + 0.099_477_715 * t,
        0.063_224_144 + 0.219_664_9 * t,
        -0.211_935_7 + 0.315_460_1 * t - 0.086_451_65 * t2,
    );
    let density = exp(-0.5 * a * a);
    let below = density * (t * (low + t2 * middle + t2 * t2 * high));
    (if x < 0.0 { below } else { 1.0 - below }) + x * density * ONE_OVER_SQRT_2_PI
}

/// The approximation of [`gelu`] by `x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2`.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    let u = SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x);
    // (1 + tanh(u)) / 2 = 1 / (1 + exp(-2u)); the exponent is clamped so that it cannot overflow.
    let exponent = -2.0 * u;
    x / (1.0 + exp(if exponent > 80.0 { 80.0 } else { exponent }))
}

/// The slope of [`gelu_tanh`]: with `s = (1 + tanh(u)) / 2`, it is `s + x · s · (1 - s) · 2u'`.
#[inline(always)]
pub fn gelu_tanh_slope(x: f32) -> f32 {
    let u = SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x);
    let exponent = -2.0 * u;
    let rest = exp(if exponent > 80.0 { 80.0 } else { exponent });
    let share = 1.0 / (1.0 + rest);
    // 1 - share without the digits that the difference would lose.
    share + x * share * (rest * share) * (2.0 * SQRT_2_OVER_PI) * (1.0 + 3.0 * 0.044_715 * x * x)
}

/// CLIP's approximation of [`gelu`] by the logistic function, `x / (1 + exp(-1.702 · x))`.
#[inline(always)]
pub fn quick_gelu(x: f32) -> f32 {
    // The exponential is kept from overflowing.
    let exponent = -1.702 * x;
    x / (1.0 + exp(if exponent > 80.0 { 80.0 } else { exponent }))
}

/// The slope of [`quick_gelu`]: with `s = 1 / (1 + exp(-1.702 · x))`, it is `s + 1.702 · x · s · (1 - s)`.
#[inline(always)]
pub fn quick_gelu_slope(x: f32) -> f32 {
    let exponent = -1.702 * x;
    let rest = exp(if exponent > 80.0 { 80.0 } else { exponent });
    let share = 1.0 / (1.0 + rest);
    share + 1.702 * x * share * (rest * share)
}

/// The slope of [`relu`], which is 0 at 0; NaN stays NaN.
#[inline(always)]
pub fn relu_slope(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x <= 0.0 {
        0.0
    } else {
        x
    }
}

/// `max(x, 0)`; NaN stays NaN.
#[inline(always)]
pub fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The integral of the normal density from -∞ to `x` by Simpson's rule, in double precision.
    fn normal_distribution(x: f64) -> f64 {
        let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let (start, n_steps) = (-12.0, 2000);
        let step = (x - start) / f64::from(n_steps);
        let weight = |idx: i32| if idx == 0 || idx == n_steps { 1.0 } else { f64::from(2 + 2 * (idx % 2)) };
        (0..=n_steps).map(|idx| weight(idx) * density(start + step * f64::from(idx))).sum::<f64>() * step / 3.0
    }

    fn check(range: std::ops::Range<i32>, function: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, tolerance: f64) {
        for x in range.map(|idx| idx as f32 / 64.0) {
            let (value, exact) = (f64::from(function(x)), exact(f64::from(x)));
            assert!((value - exact).abs() <= tolerance * exact.abs().max(1.0), "of {x}: {value} instead of {exact}");
        }
    }

    #[test]
    fn gelu_is_exact() {
        check(-640..640, gelu, |x| x * normal_distribution(x), 1e-7);
        assert!(gelu(-30.0).abs() < 1e-37);
        assert_eq!((gelu(0.0), gelu(30.0)), (0.0, 30.0));
    }

    #[test]
    fn the_slope_of_gelu_is_exact() {
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        check(-640..640, gelu_slope, |x| normal_distribution(x) + x * density(x), 3e-7);
        assert_eq!((gelu_slope(-30.0).abs() < 1e-36, gelu_slope(30.0)), (true, 1.0));
    }

    #[test]
    fn the_other_gelu_follows_its_formula() {
        let exact =
            |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
        check(-640..640, gelu_tanh, exact, 2e-7);
        assert_eq!((gelu_tanh(0.0), gelu_tanh(1e6)), (0.0, 1e6));
    }

    #[test]
    fn the_quick_gelu_follows_its_formula() {
        check(-640..640, quick_gelu, |x| x / (1.0 + (-1.702 * x).exp()), 2e-7);
        assert_eq!((quick_gelu(0.0), quick_gelu(1e6)), (0.0, 1e6));
        assert!(quick_gelu(-1e6).abs() < 1e-20);
    }

    #[test]
    fn the_slopes_of_approximations_are_theirs() {
        let (c, cubic) = ((2.0 / std::f64::consts::PI).sqrt(), 0.044715);
        let of_tanh = |x: f64| {
            let tanh = (c * (x + cubic * x.powi(3))).tanh();
            0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * c * (1.0 + 3.0 * cubic * x * x)
        };
        check(-640..640, gelu_tanh_slope, of_tanh, 1e-6);
        let of_quick = |x: f64| {
            let share = 1.0 / (1.0 + (-1.702 * x).exp());
            share + 1.702 * x * share * (1.0 - share)
        };
        check(-640..640, quick_gelu_slope, of_quick, 5e-7);
        assert_eq!((gelu_tanh_slope(0.0), quick_gelu_slope(0.0)), (0.5, 0.5));
        assert_eq!((gelu_tanh_slope(1e6), quick_gelu_slope(1e6)), (1.0, 1.0));
        assert_eq!([-2.0, 0.0, 2.0].map(relu_slope), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn what_is_not_a_number_is_not_hidden() {
        for function in [gelu, gelu_slope, gelu_tanh, gelu_tanh_slope, quick_gelu, quick_gelu_slope, relu, relu_slope] {
            assert!(function(f32::NAN).is_nan());
        }
    }
}
