//! Updates of parameters, each in one pass over the memory.

use burn_flex::FlexTensor;
use pulp::{Arch, Scalar, Simd, WithSimd};
use rayon::prelude::*;

use super::vector::{load, store, whole};
use crate::host::breakdown::operation;

/// Values per task.
const CHUNK: usize = 1 << 14;

/// The factors of an update by AdamW.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors {
    /// `1 - learning_rate * weight_decay`
    pub kept: f32,
    /// `1 - beta1`
    pub of_gradient: f32,
    pub beta2: f32,
    /// `1 - beta2`
    pub of_square: f32,
    /// `sqrt(1 - beta2^step)`
    pub correction: f32,
    pub epsilon: f32,
    /// `-learning_rate / (1 - beta1^step)`
    pub minus_step_size: f32,
}

/// Updates parameter, first and second moment; in place if no other tensor shares their memory.
///
/// # Panics
/// When the shapes differ.
pub(crate) fn adam_w(state: [FlexTensor; 3], gradient: FlexTensor, factors: Factors) -> [FlexTensor; 3] {
    let gradient = in_order(gradient);
    let values = gradient.as_slice::<f32>().expect("contiguous, of the matched type");
    let [mut parameter, mut first, mut second] = state.map(in_order);
    let _running = operation("AdamW", 12.0 * values.len() as f64, (7 * size_of_val(values)) as f64);
    values_mut(&mut parameter, values.len())
        .par_chunks_mut(CHUNK)
        .zip(values_mut(&mut first, values.len()).par_chunks_mut(CHUNK))
        .zip(values_mut(&mut second, values.len()).par_chunks_mut(CHUNK))
        .zip(values.par_chunks(CHUNK))
        .for_each(|(((parameter, first), second), gradient)| {
            Arch::new().dispatch(AdamW { parameter, first, second, gradient, factors });
        });
    [parameter, first, second]
}

/// Moves `average` towards `parameter`: `average - share * (average - parameter)`; in place if no other tensor shares its memory.
///
/// # Panics
/// When the shapes differ.
pub(crate) fn move_average(average: FlexTensor, parameter: FlexTensor, share: f32) -> FlexTensor {
    let (mut average, parameter) = (in_order(average), in_order(parameter));
    let parameter = parameter.as_slice::<f32>().expect("contiguous, of the matched type");
    let bytes = (3 * size_of_val(parameter)) as f64;
    let _running = operation("average of parameters", 3.0 * parameter.len() as f64, bytes);
    values_mut(&mut average, parameter.len())
        .par_chunks_mut(CHUNK)
        .zip(parameter.par_chunks(CHUNK))
        .for_each(|(average, parameter)| Arch::new().dispatch(Average { average, parameter, share }));
    average
}

/// The tensor in row-major order. (`to_contiguous` alone would share the memory with the tensor that it leaves behind.)
fn in_order(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The values of a tensor in row-major order; copies them if another tensor shares the memory.
fn values_mut(tensor: &mut FlexTensor, len: usize) -> &mut [f32] {
    let (start, end) = tensor.layout().contiguous_offsets().expect("in row-major order");
    assert_eq!(end - start, len, "tensors of the same shape");
    &mut tensor.storage_mut::<f32>()[start..end]
}

struct AdamW<'a> {
    parameter: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    gradient: &'a [f32],
    factors: Factors,
}

impl WithSimd for AdamW<'_> {
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

impl AdamW<'_> {
    /// The operations and their order are PyTorch's, where only the first moment is updated with a fused multiplication and
    /// addition.
    #[inline(always)]
    fn vector<S: Simd>(&mut self, simd: S, start: usize) {
        let factors = self.factors;
        let scaled = |factor: f32, x: S::f32s| simd.mul_f32s(simd.splat_f32s(factor), x);
        let gradient = load::<S, f32>(self.gradient, start);
        let parameter = scaled(factors.kept, load::<S, f32>(self.parameter, start));
        let first = load::<S, f32>(self.first, start);
        let difference = simd.sub_f32s(gradient, first);
        // From the nearer end, as `lerp` does.
        let (share, end) = if factors.of_gradient < 0.5 {
            (factors.of_gradient, first)
        } else {
            (factors.of_gradient - 1.0, gradient)
        };
        let first = simd.mul_add_f32s(simd.splat_f32s(share), difference, end);
        let square = simd.mul_f32s(scaled(factors.of_square, gradient), gradient);
        let second = simd.add_f32s(scaled(factors.beta2, load::<S, f32>(self.second, start)), square);
        let root = simd.div_f32s(simd.sqrt_f32s(second), simd.splat_f32s(factors.correction));
        let denominator = simd.add_f32s(root, simd.splat_f32s(factors.epsilon));
        let step = simd.div_f32s(scaled(factors.minus_step_size, first), denominator);
        store::<S, f32>(simd.add_f32s(parameter, step), self.parameter, start);
        store::<S, f32>(first, self.first, start);
        store::<S, f32>(second, self.second, start);
    }
}

struct Average<'a> {
    average: &'a mut [f32],
    parameter: &'a [f32],
    share: f32,
}

impl WithSimd for Average<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (average, parameter) in self.average.iter_mut().zip(self.parameter) {
            *average -= self.share * (*average - parameter);
        }
    }
}
