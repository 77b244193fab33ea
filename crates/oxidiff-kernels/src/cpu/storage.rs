//! Element types that kernels read and write while they compute in `f32`.

use burn::tensor::Element;
use bytemuck::Pod;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// A storage type of activations and weights, widened to `f32` for arithmetic.
pub(crate) trait Storage: Element + Pod + Send + Sync {
    /// Widens values, as many as fit into `out`.
    fn widen(values: &[Self], out: &mut [f32]);

    /// Rounds values, as many as fit into `out`.
    fn narrow(values: &[f32], out: &mut [Self]);
}

impl Storage for f32 {
    #[inline(always)]
    fn widen(values: &[f32], out: &mut [f32]) {
        copy(values, out);
    }
    #[inline(always)]
    fn narrow(values: &[f32], out: &mut [f32]) {
        copy(values, out);
    }
}

/// Copies a few values: a call of the system's copy would take longer than the copy itself.
#[inline(always)]
fn copy(values: &[f32], out: &mut [f32]) {
    let ((values, values_end), (out, out_end)) = (values.as_chunks::<8>(), out.as_chunks_mut::<8>());
    for (out, values) in out.iter_mut().zip(values) {
        *out = *values;
    }
    for (out, value) in out_end.iter_mut().zip(values_end) {
        *out = *value;
    }
}

impl Storage for f16 {
    #[inline(always)]
    fn widen(values: &[f16], out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = widen_f16(*value);
        }
    }
    fn narrow(values: &[f32], out: &mut [f16]) {
        out.convert_from_f32_slice(values);
    }
}

impl Storage for bf16 {
    #[inline(always)]
    fn widen(values: &[bf16], out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = f32::from_bits(u32::from(value.to_bits()) << 16);
        }
    }
    #[inline(always)]
    fn narrow(values: &[f32], out: &mut [bf16]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = nearest_bf16(*value);
        }
    }
}

/// The same number, written so that the compiler vectorises it.
#[inline(always)]
pub(crate) fn widen_f16(value: f16) -> f32 {
    /// The difference between the exponents of the two types, as a factor.
    const FACTOR: f32 = f32::from_bits((127 + 127 - 15) << 23);
    let bits = u32::from(value.to_bits());
    let (sign, magnitude) = (bits >> 15 << 31, bits & 0x7fff);
    // The multiplication also normalises subnormal numbers; infinity and NaN are handled separately.
    let finite = (f32::from_bits(magnitude << 13) * FACTOR).to_bits();
    let other = 0x7f80_0000 | magnitude << 13;
    f32::from_bits(sign | if magnitude < 0x7c00 { finite } else { other })
}

/// The nearest `bf16`, ties to even, written so that the compiler vectorises it.
#[inline(always)]
fn nearest_bf16(value: f32) -> bf16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    // Rounding could turn a NaN into a number.
    let bits = if value.is_nan() { bits | 1 << 22 } else { rounded };
    bf16::from_bits((bits >> 16) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widens_as_half_does() {
        for value in (0..=u16::MAX).map(f16::from_bits) {
            let (found, expected) = (widen_f16(value), value.to_f32());
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "{value:e}"
            );
        }
    }

    #[test]
    fn rounds_as_half_does() {
        let values = (0..1 << 16).flat_map(|high: u32| {
            [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff].map(|low| f32::from_bits(high << 16 | low))
        });
        for value in values {
            let (found, expected) = (nearest_bf16(value), bf16::from_f32(value));
            assert_eq!(found.to_bits(), expected.to_bits(), "{value:e}");
        }
    }
}
