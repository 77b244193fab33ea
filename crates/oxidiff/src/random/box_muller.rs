//! The Box-Muller transform (Box & Muller 1958), bit for bit as in PyTorch.

use std::f64::consts::TAU;

use super::BLOCK;

/// Turns uniform samples into normal ones; samples `i` and `i + 8` form a pair.
pub(super) fn box_muller_f64(block: &mut [f64; BLOCK]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * (1.0 - *a).ln()).sqrt();
        let theta = TAU * *b;
        (*a, *b) = (radius * theta.cos(), radius * theta.sin());
    }
}

/// [`box_muller_f64`] in single precision, with the logarithm and the sine of PyTorch's AVX2 code.
pub(super) fn box_muller_f32(block: &mut [f32; BLOCK]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * cephes_ln(1.0 - *a)).sqrt();
        let (sin, cos) = cephes_sin_cos(std::f32::consts::TAU * *b);
        (*a, *b) = (radius * cos, radius * sin);
    }
}

/// Natural logarithm of a positive normal number, by the single precision Cephes library's polynomial.
///
/// Multiplications that PyTorch's build fuses with the following addition are fused here too; otherwise one sample in a few
/// thousand would differ in its last bit.
fn cephes_ln(x: f32) -> f32 {
    const COEFFICIENTS: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    // ln 2 in two parts; the first has few enough bits for exact products.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    // x = mantissa * 2^exponent with a mantissa between sqrt(1/2) and sqrt(2).
    let bits = x.to_bits();
    let mut exponent = (bits >> 23) as f32 - 126.0;
    let mut mantissa = f32::from_bits(bits & 0x007f_ffff | 0x3f00_0000);
    if mantissa < std::f32::consts::FRAC_1_SQRT_2 {
        exponent -= 1.0;
        mantissa += mantissa;
    }

    let x = mantissa - 1.0;
    let square = x * x;
    let polynomial = COEFFICIENTS[1..].iter().fold(COEFFICIENTS[0], |sum, &c| sum.mul_add(x, c)) * x;
    let tail = polynomial.mul_add(square, exponent * LN_2_LOW);
    exponent.mul_add(LN_2_HIGH, x + (-square).mul_add(0.5, tail))
}

/// Sine and cosine of an angle between 0 and 2π, by the single precision Cephes library's polynomials.
fn cephes_sin_cos(x: f32) -> (f32, f32) {
    // π/4 in three parts, for an exact reduction of the argument.
    const FRAC_PI_4: [f32; 3] = [0.785_156_25, 2.418_756_5e-4, 3.774_895e-8];

    let octant = ((x * (4.0 / std::f32::consts::PI)) as u32 + 1) & !1;
    let x = FRAC_PI_4.iter().fold(x, |x, &part| (octant as f32).mul_add(-part, x));
    let square = x * x;

    let cos = 2.443_315_7e-5_f32.mul_add(square, -1.388_731_6e-3).mul_add(square, 4.166_664_6e-2) * square;
    let cos = cos.mul_add(square, -(square * 0.5)) + 1.0;
    let sin = (-1.951_529_6e-4_f32).mul_add(square, 8.332_161e-3).mul_add(square, -1.666_665_5e-1) * square;
    let sin = sin.mul_add(x, x);

    match octant & 6 {
        0 => (sin, cos),
        2 => (cos, -sin),
        4 => (-sin, -cos),
        _ => (-cos, sin),
    }
}
