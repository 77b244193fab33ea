//! The weights of keys that come in blocks.

use bytemuck::Pod;
use pulp::Simd;

use crate::cpu::exponential::exp2;
use crate::cpu::product::panel::VECTORS;
use crate::cpu::vector::MOST_LANES;

/// The most queries in a panel.
pub(super) const MOST_WIDTH: usize = VECTORS * MOST_LANES;

/// The softmax of a panel of queries over keys that come in blocks (Milakov & Gimelshein 2018,
/// <https://arxiv.org/abs/1805.02867>), in powers of 2.
#[derive(Clone, Copy)]
pub(super) struct Softmax<V> {
    /// The largest scaled score of each query.
    largest: [V; VECTORS],
    /// The sum of each query's weights, relative to its largest score.
    sums: [V; VECTORS],
}

impl<V: Pod> Softmax<V> {
    #[inline(always)]
    pub fn new<S: Simd<f32s = V>>(simd: S) -> Self {
        Self { largest: [simd.splat_f32s(f32::NEG_INFINITY); VECTORS], sums: [simd.splat_f32s(0.0); VECTORS] }
    }

    /// Replaces `scores`, a row per key, by their weights. If a score is larger than all before it, scales down the sums so far
    /// and the weighted sums in `out`.
    #[inline(always)]
    pub fn weigh<S: Simd<f32s = V>>(&mut self, simd: S, scores: &mut [f32], scale: V, out: &mut [f32]) {
        let (rows, _) = S::as_mut_simd_f32s(scores);
        let mut largest = [simd.splat_f32s(f32::NEG_INFINITY); VECTORS];
        for row in rows.chunks_exact(VECTORS) {
            for (largest, score) in largest.iter_mut().zip(row) {
                *largest = simd.max_f32s(*largest, *score);
            }
        }
        let mut rises = false;
        let mut shrink = largest;
        for ((new, old), shrink) in largest.iter_mut().zip(self.largest).zip(&mut shrink) {
            *new = simd.max_f32s(simd.mul_f32s(*new, scale), old);
            *shrink = simd.sub_f32s(old, *new);
            // Where a score is not a number, this is 0 on some processors and not a number on others.
            let rise = simd.max_f32s(simd.sub_f32s(*new, old), simd.splat_f32s(0.0));
            rises |= simd.reduce_max_f32s(rise) != 0.0;
        }
        if rises {
            for shrink in &mut shrink {
                *shrink = exp2(simd, *shrink);
            }
            scale_rows(simd, out, shrink);
            for (sum, shrink) in self.sums.iter_mut().zip(shrink) {
                *sum = simd.mul_f32s(*sum, shrink);
            }
            self.largest = largest;
        }
        let mut shift = largest;
        for shift in &mut shift {
            *shift = simd.neg_f32s(*shift);
        }
        let mut sums = self.sums;
        for row in rows.chunks_exact_mut(VECTORS) {
            for ((score, sum), shift) in row.iter_mut().zip(&mut sums).zip(shift) {
                *score = exp2(simd, simd.mul_add_e_f32s(*score, scale, shift));
                *sum = simd.add_f32s(*sum, *score);
            }
        }
        self.sums = sums;
    }

    /// Writes each query's logarithm to base 2 of its sum of powers.
    #[inline(always)]
    pub fn logarithms(&self, out: &mut [f32]) {
        let (largest, sums): (&[f32], &[f32]) =
            (bytemuck::cast_slice(&self.largest), bytemuck::cast_slice(&self.sums));
        for ((out, largest), sum) in out.iter_mut().zip(largest).zip(sums) {
            *out = largest + sum.log2();
        }
    }

    /// Divides the weighted sums by the sums of the weights.
    #[inline(always)]
    pub fn divide<S: Simd<f32s = V>>(&self, simd: S, out: &mut [f32]) {
        let mut factors = self.sums;
        for factor in &mut factors {
            *factor = simd.div_f32s(simd.splat_f32s(1.0), *factor);
        }
        scale_rows(simd, out, factors);
    }
}

/// Multiplies each row by `factors`.
#[inline(always)]
fn scale_rows<S: Simd>(simd: S, rows: &mut [f32], factors: [S::f32s; VECTORS]) {
    let (rows, _) = S::as_mut_simd_f32s(rows);
    for row in rows.chunks_exact_mut(VECTORS) {
        for (value, factor) in row.iter_mut().zip(factors) {
            *value = simd.mul_f32s(*value, factor);
        }
    }
}
