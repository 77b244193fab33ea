//! The exponential and the activations built on it, for vectors.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use pulp::Simd;

/// `2^x` for `x <= 126`, to within 4 units in the last place. Below -126 the result is the smallest normal number, as good as 0. What is
/// not a number stays so.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// Adding this rounds to a whole number and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// Polynomial coefficients of `2^r` for `|r| <= 1/2`, highest power first.
    const COEFFICIENTS: [f32; 5] = [9.675_541e-3, 5.550_713e-2, 2.402_212e-1, 6.931_469_4e-1, 1.000_000_1];

    // In this order: x86's instruction returns the second operand if one is not a number.
    let x = simd.max_f32s(simd.splat_f32s(-126.0), x);
    let shifted = simd.add_f32s(x, simd.splat_f32s(ROUND));
    let r = simd.sub_f32s(x, simd.sub_f32s(shifted, simd.splat_f32s(ROUND)));
    let mut p = simd.splat_f32s(1.327_647_2e-3);
    for coefficient in COEFFICIENTS {
        p = simd.mul_add_e_f32s(p, r, simd.splat_f32s(coefficient));
    }
    // The whole number goes into the exponent.
    let whole: S::u32s = bytemuck::cast(shifted);
    let exponent = simd.wrapping_dyn_shl_u32s(whole, simd.splat_u32s(23));
    bytemuck::cast(simd.add_u32s(bytemuck::cast(p), exponent))
}

/// `x * sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    over_one_plus_power(simd, x, simd.mul_f32s(x, simd.splat_f32s(-LOG2_E)))
}

/// `x / (1 + 2^exponent)`.
#[inline(always)]
fn over_one_plus_power<S: Simd>(simd: S, x: S::f32s, exponent: S::f32s) -> S::f32s {
    // Once the power reaches its limit, the quotient is as good as 0.
    let power = exp2(simd, simd.min_f32s(exponent, simd.splat_f32s(126.0)));
    simd.div_f32s(x, simd.add_f32s(simd.splat_f32s(1.0), power))
}

/// `x / 2 * (1 + tanh(u))` with `u = sqrt(2 / π) * (x + 0.044715 x³)`, which is `x * sigmoid(2 u)`.
#[inline(always)]
pub(crate) fn gelu_approximate<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// `-2 sqrt(2 / π)`, for powers of 2.
    const SCALE: f32 = -1.595_769_2 * LOG2_E;
    let cubic =
        simd.mul_add_e_f32s(simd.mul_f32s(x, x), simd.splat_f32s(0.044_715 * SCALE), simd.splat_f32s(SCALE));
    over_one_plus_power(simd, x, simd.mul_f32s(x, cubic))
}

/// The derivative of [`silu`]: `σ + x σ (1 - σ)`, where σ is the sigmoid of `x`.
#[inline(always)]
pub(crate) fn silu_derivative<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    // Beyond ±60 the derivative is 0 or 1, and no product below overflows.
    let x = simd.max_f32s(simd.min_f32s(x, simd.splat_f32s(60.0)), simd.splat_f32s(-60.0));
    let power = exp2(simd, simd.mul_f32s(x, simd.splat_f32s(-LOG2_E)));
    // With the power p = e^(-x): (1 + p + x p) / (1 + p)².
    let denominator = simd.add_f32s(one, power);
    let numerator = simd.mul_add_e_f32s(x, power, denominator);
    simd.div_f32s(numerator, simd.mul_f32s(denominator, denominator))
}

/// `x * Φ(x)` to within 2e-7, where Φ is the cumulative distribution function of the standard normal.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    gelu_of_tail(simd, x, normal_tail(simd, x).0)
}

/// [`gelu`] and its derivative, `Φ(x) + x φ(x)`, where φ is the density of the standard normal.
#[inline(always)]
pub(crate) fn gelu_and_slope<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    /// `1 / sqrt(2π)`
    const SCALE: f32 = 0.398_942_3;
    let (tail, power) = normal_tail(simd, x);
    let negative = simd.less_than_f32s(x, simd.splat_f32s(0.0));
    let below = simd.select_f32s(negative, tail, simd.sub_f32s(simd.splat_f32s(1.0), tail));
    let density = simd.mul_f32s(power, simd.splat_f32s(SCALE));
    (gelu_of_tail(simd, x, tail), simd.mul_add_e_f32s(x, density, below))
}

/// `x Φ(x) = max(x, 0) - |x| Φ(-|x|)`
#[inline(always)]
fn gelu_of_tail<S: Simd>(simd: S, x: S::f32s, tail: S::f32s) -> S::f32s {
    let positive = simd.max_f32s(x, simd.splat_f32s(0.0));
    simd.sub_f32s(positive, simd.mul_f32s(simd.abs_f32s(x), tail))
}

/// `Φ(-|x|)`, the smaller tail of the standard normal, which avoids cancellation, and `e^(-x²/2)`.
///
/// The error function follows Abramowitz & Stegun 1964, formula 7.1.26.
#[inline(always)]
fn normal_tail<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    /// Polynomial coefficients of `erfc(z)` in `t`, halved, highest power first.
    const COEFFICIENTS: [f32; 4] = [-0.726_576, 0.710_706_9, -0.142_248_37, 0.127_414_8];
    /// The constant `p` of the formula, for `z = |x| / sqrt(2)`.
    const SLOPE: f32 = 0.327_591_1 * FRAC_1_SQRT_2;

    let one = simd.splat_f32s(1.0);
    let t = simd.div_f32s(one, simd.mul_add_e_f32s(simd.splat_f32s(SLOPE), simd.abs_f32s(x), one));
    let mut p = simd.splat_f32s(0.530_702_7);
    for coefficient in COEFFICIENTS {
        p = simd.mul_add_e_f32s(p, t, simd.splat_f32s(coefficient));
    }
    let power = exp2(simd, simd.mul_f32s(simd.mul_f32s(x, x), simd.splat_f32s(-0.5 * LOG2_E)));
    (simd.mul_f32s(simd.mul_f32s(p, t), power), power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Scalar;

    #[test]
    fn exp2_is_exact_to_its_last_digits() {
        for i in -125_000..=0 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp2();
            let error = (f64::from(exp2(Scalar, x)) - exact).abs() / exact;
            assert!(error < 2.5e-7, "2^{x}: off by {error:e}");
        }
        assert!(exp2(Scalar, f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn silu_keeps_its_limits() {
        assert_eq!(silu(Scalar, 0.0), 0.0);
        assert_eq!(silu(Scalar, 200.0), 200.0);
        assert!(silu(Scalar, -200.0).abs() < 1e-30);
        assert!((silu(Scalar, 1.0) - 0.731_058_6).abs() < 1e-6);
    }

    #[test]
    fn gelu_approximate_is_its_definition() {
        let exact = |x: f64| {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + u.tanh())
        };
        for i in -8000..=8000 {
            let x = i as f32 / 100.0;
            let found = f64::from(gelu_approximate(Scalar, x));
            let error = (found - exact(f64::from(x))).abs() / exact(f64::from(x)).abs().max(1.0);
            assert!(error < 5e-7, "at {x}: {found}");
        }
        assert_eq!(gelu_approximate(Scalar, 1e30), 1e30);
        assert!(gelu_approximate(Scalar, -1e30).abs() < 1e-7);
        assert!(gelu_approximate(Scalar, f32::NAN).is_nan());
    }

    #[test]
    fn silu_derivative_is_the_slope_of_silu() {
        let slope = |x: f64| {
            let sigmoid = 1.0 / (1.0 + (-x).exp());
            sigmoid + x * sigmoid * (1.0 - sigmoid)
        };
        for i in -8000..=8000 {
            let x = i as f32 / 100.0;
            let found = f64::from(silu_derivative(Scalar, x));
            assert!((found - slope(f64::from(x))).abs() < 4e-7, "at {x}: {found}");
        }
        assert_eq!(silu_derivative(Scalar, 1e30), 1.0);
        assert!(silu_derivative(Scalar, -1e30).abs() < 1e-20);
    }

    #[test]
    fn gelu_has_its_known_values() {
        assert_eq!(gelu(Scalar, 0.0), 0.0);
        assert!((gelu(Scalar, 1.0) - 0.841_344_7).abs() < 3e-7);
        assert!((gelu(Scalar, -1.0) + 0.158_655_3).abs() < 3e-7);
        assert!((gelu(Scalar, -4.0) + 1.266_85e-4).abs() < 3e-7);
        assert_eq!(gelu(Scalar, 50.0), 50.0);
        assert!(gelu(Scalar, -50.0).abs() < 1e-30);
    }

    #[test]
    fn gelu_has_its_slope() {
        for (x, slope) in [
            (0.0, 0.5),
            (1.0, 1.083_315_5),
            (-1.0, -0.083_315_5),
            (-2.0, -0.085_231_8),
            (9.0, 1.0),
            (-9.0, 0.0),
        ] {
            let (value, found) = gelu_and_slope(Scalar, x);
            assert_eq!(value, gelu(Scalar, x));
            assert!((found - slope).abs() < 4e-7, "{x}: {found}");
        }
    }
}
