//! The exponential and what is made of it, in a form that compilers turn into vector instructions.

use pulp::Simd;

/// `e^x` to within 2 units in the last place; 0 below -87.3, and at most `e^88`.
///
/// `x` is split into `n ln 2 + r` with `|r| <= ln(2) / 2`; a polynomial gives `e^r`, and `n` goes into the exponent
/// (Cody & Waite 1980; the coefficients are those of Cephes' `expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding this rounds to a whole number, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;

    let clamped = x.clamp(-87.3, 88.0);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;

    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let e_r = p * r * r + r + 1.0;

    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let power = f32::from_bits((exponent.wrapping_add(127) as u32) << 23);
    if x < -87.3 { 0.0 } else { e_r * power }
}

/// `2^x` for `x <= 0`, to within 4 units in the last place; the smallest normal number, as good as 0, below -126.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// Adding this rounds to a whole number, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// `2^r` for `|r| <= 1/2` by powers of `r`, from the highest on.
    const COEFFICIENTS: [f32; 5] = [9.675_541e-3, 5.550_713e-2, 2.402_212e-1, 6.931_469_4e-1, 1.000_000_1];

    let x = simd.max_f32s(x, simd.splat_f32s(-126.0));
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
pub(crate) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// `x * Φ(x)`, Φ the cumulative distribution of the standard normal, to within 2e-7.
///
/// The error function is that of Abramowitz & Stegun 1964, formula 7.1.26.
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152;
    p = p * t + 1.421_413_7;
    p = p * t - 0.284_496_74;
    p = p * t + 0.254_829_6;
    // Φ(-|x|), the smaller tail, so that nothing cancels.
    let tail = 0.5 * p * t * exp(-z * z);
    if x < 0.0 { x * tail } else { x - x * tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp2_is_exact_to_its_last_digits() {
        for i in -125_000..=0 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp2();
            let error = (f64::from(exp2(pulp::Scalar, x)) - exact).abs() / exact;
            assert!(error < 2.5e-7, "2^{x}: off by {error:e}");
        }
        assert!(exp2(pulp::Scalar, f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn exp_is_exact_to_its_last_digits() {
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp();
            let error = ((f64::from(exp(x)) - exact) / exact).abs();
            assert!(error < 2.4e-7, "e^{x}: off by {error:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(1000.0).is_finite());
    }

    #[test]
    fn silu_keeps_its_limits() {
        assert_eq!(silu(0.0), 0.0);
        assert_eq!(silu(200.0), 200.0);
        assert!(silu(-200.0).abs() < 1e-30);
        assert!((silu(1.0) - 0.731_058_6).abs() < 1e-6);
    }

    #[test]
    fn gelu_has_its_known_values() {
        assert_eq!(gelu(0.0), 0.0);
        assert!((gelu(1.0) - 0.841_344_7).abs() < 3e-7);
        assert!((gelu(-1.0) + 0.158_655_3).abs() < 3e-7);
        assert!((gelu(-4.0) + 1.266_85e-4).abs() < 3e-7);
        assert_eq!(gelu(50.0), 50.0);
        assert!(gelu(-50.0).abs() < 1e-30);
    }
}
