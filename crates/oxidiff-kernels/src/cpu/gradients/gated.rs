//! The gradients of gated values, `activation(gate) * value`: what GEGLU and SwiGLU share.

use pulp::{Scalar, Simd, WithSimd};

use crate::cpu::storage::Storage;
use crate::cpu::vector::{load, store, whole};

/// What a gate goes through.
pub(super) trait Activation: Copy {
    /// The activation of `x` and its derivative there.
    fn with_slope<S: Simd>(self, simd: S, x: S::f32s) -> (S::f32s, S::f32s);
}

/// Computes the gradients of some gates and values, in `f32`, from that of their products. All slices have the same length.
pub(super) struct Gated<'a, T, A> {
    pub activation: A,
    pub gates: &'a [T],
    pub values: &'a [T],
    pub gradient: &'a [T],
    pub of_gates: &'a mut [T],
    pub of_values: &'a mut [T],
}

impl<T: Storage, A: Activation> WithSimd for Gated<'_, T, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let whole = whole::<S>(self.gradient.len());
        for start in (0..whole).step_by(S::F32_LANES) {
            self.vector(simd, start);
        }
        for start in whole..self.gradient.len() {
            self.vector(Scalar, start);
        }
    }
}

impl<T: Storage, A: Activation> Gated<'_, T, A> {
    #[inline(always)]
    fn vector<S: Simd>(&mut self, simd: S, start: usize) {
        let (gate, value) = (load::<S, T>(self.gates, start), load::<S, T>(self.values, start));
        let gradient = load::<S, T>(self.gradient, start);
        let (activated, slope) = self.activation.with_slope(simd, gate);
        store::<S, T>(simd.mul_f32s(simd.mul_f32s(gradient, value), slope), self.of_gates, start);
        store::<S, T>(simd.mul_f32s(gradient, activated), self.of_values, start);
    }
}
