//! The backward of the normalizations of rows: layer and root mean square normalization.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use crate::cpu::channels_last::contiguous;
use crate::cpu::norm::{inverse_root, statistics};
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::{chunks_in_parallel_mut, in_parallel};
use crate::cpu::vector::MOST_LANES;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Rows per task.
const ROWS: usize = 64;

/// How rows are normalized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowNorm {
    /// By their mean and deviation: [`layer_norm`](crate::cpu::norm::layer_norm).
    Layer,
    /// By the root of their mean square: [`rms_norm`](crate::cpu::norm::rms_norm).
    RootMeanSquare,
}

/// The gradients of a normalization of rows, as far as they were asked for.
pub(crate) struct RowNormGradients {
    pub x: Option<FlexTensor>,
    /// Of weight and bias.
    pub parameters: Option<[Vec<f32>; 2]>,
}

/// The gradients of `norm`, given that of its result. The statistics are computed again: a row stays in the first-level cache
/// meanwhile.
///
/// With `n` features, `x̂ = (x - mean) / deviation` and `z` the gradient of the result, that of `x` is
/// `(w z - Σ(w z)/n - x̂ Σ(w z x̂)/n) / deviation`. With the root mean square as the deviation, there are no means to subtract.
pub(crate) fn row_norm<T: Storage>(
    norm: RowNorm,
    x: FlexTensor,
    gradient: FlexTensor,
    weight: &[f32],
    epsilon: f32,
    [wants_x, wants_parameters]: [bool; 2],
) -> RowNormGradients {
    let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
    let [values, gradients] =
        [&x, &gradient].map(|tensor| tensor.as_slice::<T>().expect("contiguous, of the matched type"));
    let features = weight.len();
    let bytes = size_of::<T>() * 3 * values.len();
    let _running = operation("backward of a norm of rows", 16.0 * values.len() as f64, bytes as f64);

    // Rows are padded to whole vectors. Weights of 0 make their gradients 0 there.
    let padded = features.next_multiple_of(MOST_LANES);
    let mut padded_weight = vec![0.0; padded];
    padded_weight[..features].copy_from_slice(weight);
    let output = Output::<T>::new(if wants_x { values.len() } else { 0 });
    let sums_len = if wants_parameters { 2 * padded } else { 0 };
    let run = |task: usize, sums: &mut [f32]| {
        let start = task * ROWS * features;
        let end = (start + ROWS * features).min(values.len());
        let out = wants_x.then(|| {
            // SAFETY: each row is written by one task.
            unsafe { output.part(start, end - start) }
        });
        let (x, gradient, weight) = (&values[start..end], &gradients[start..end], &padded_weight[..]);
        Arch::new().dispatch(Backward { norm, x, gradient, weight, features, epsilon, out, sums });
    };
    let tasks = values.len().div_ceil(ROWS * features);
    let mut sums = Scratch::new(tasks * sums_len);
    if wants_parameters {
        chunks_in_parallel_mut(&mut sums, sums_len, |task, sums| run(task, sums));
    } else {
        in_parallel(tasks, &|task| run(task, &mut []));
    }

    let parameters = wants_parameters.then(|| {
        let mut total = vec![0.0; sums_len];
        for sums in sums.chunks_exact(sums_len) {
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += f64::from(*sum);
            }
        }
        [0, padded].map(|start| total[start..][..features].iter().map(|sum| *sum as f32).collect())
    });
    RowNormGradients { x: wants_x.then(|| contiguous::<T>(output.finish(), x.layout().shape())), parameters }
}

/// The gradients of some rows.
struct Backward<'a, T> {
    norm: RowNorm,
    x: &'a [T],
    gradient: &'a [T],
    /// Padded with zeros.
    weight: &'a [f32],
    features: usize,
    epsilon: f32,
    out: Option<&'a mut [T]>,
    /// Padded sums over the rows for the weight, then for the bias; empty if nobody asked for them.
    sums: &'a mut [f32],
}

impl<T: Storage> WithSimd for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { norm, x, gradient, weight, features, epsilon, mut out, sums } = self;
        let padded = weight.len();
        sums.fill(0.0);
        let mut row = Scratch::new(padded);
        let mut gradients = Scratch::zeros(padded);
        let rows = x.chunks_exact(features).zip(gradient.chunks_exact(features));
        for (index, (values, gradient)) in rows.enumerate() {
            T::widen(values, &mut row[..features]);
            T::widen(gradient, &mut gradients[..features]);
            let [mean, inverse_deviation] = match norm {
                RowNorm::Layer => statistics(simd, &mut row, features, epsilon),
                RowNorm::RootMeanSquare => [0.0, inverse_root(simd, &mut row, features, epsilon)],
            };
            standardize(simd, &mut row, mean, inverse_deviation);
            if !sums.is_empty() {
                let (for_weight, for_bias) = sums.split_at_mut(padded);
                add_products(simd, [&row, &gradients], for_weight, for_bias);
            }
            let Some(out) = &mut out else { continue };
            let [plain, products] = weighted_sums(simd, &row, weight, &mut gradients);
            let plain = if norm == RowNorm::Layer { plain } else { 0.0 };
            let means = [plain / features as f32, products / features as f32];
            combine(simd, &mut row, &gradients, means, inverse_deviation);
            T::narrow(&row[..features], &mut out[index * features..][..features]);
        }
    }
}

/// `(x - mean) * inverse_deviation`.
#[inline(always)]
fn standardize<S: Simd>(simd: S, row: &mut [f32], mean: f32, inverse_deviation: f32) {
    let (mean, inverse_deviation) = (simd.splat_f32s(mean), simd.splat_f32s(inverse_deviation));
    for x in S::as_mut_simd_f32s(row).0 {
        *x = simd.mul_f32s(simd.sub_f32s(*x, mean), inverse_deviation);
    }
}

/// Adds the products of normalized values and gradients to the sums for the weight, the gradients to those for the bias.
#[inline(always)]
fn add_products<S: Simd>(
    simd: S,
    [row, gradients]: [&[f32]; 2],
    for_weight: &mut [f32],
    for_bias: &mut [f32],
) {
    let inputs = S::as_simd_f32s(row).0.iter().zip(S::as_simd_f32s(gradients).0);
    let sums = S::as_mut_simd_f32s(for_weight).0.iter_mut().zip(S::as_mut_simd_f32s(for_bias).0);
    for ((x, gradient), (for_weight, for_bias)) in inputs.zip(sums) {
        *for_weight = simd.mul_add_e_f32s(*x, *gradient, *for_weight);
        *for_bias = simd.add_f32s(*for_bias, *gradient);
    }
}

/// Multiplies the gradients by the weights; returns their sum and that of their products with `row`.
#[inline(always)]
fn weighted_sums<S: Simd>(simd: S, row: &[f32], weight: &[f32], gradients: &mut [f32]) -> [f32; 2] {
    let (rows, row) = S::as_simd_f32s(row).0.as_chunks::<4>();
    let (weights, weight) = S::as_simd_f32s(weight).0.as_chunks::<4>();
    let (many, few) = S::as_mut_simd_f32s(gradients).0.as_chunks_mut::<4>();
    // Several vectors of partial sums make it fast and keep the rounding error small.
    let mut sums = [[simd.splat_f32s(0.0); 4]; 2];
    for ((gradients, weights), rows) in many.iter_mut().zip(weights).zip(rows) {
        for part in 0..4 {
            gradients[part] = simd.mul_f32s(gradients[part], weights[part]);
            sums[0][part] = simd.add_f32s(sums[0][part], gradients[part]);
            sums[1][part] = simd.mul_add_e_f32s(gradients[part], rows[part], sums[1][part]);
        }
    }
    for ((gradient, weight), x) in few.iter_mut().zip(weight).zip(row) {
        *gradient = simd.mul_f32s(*gradient, *weight);
        sums[0][0] = simd.add_f32s(sums[0][0], *gradient);
        sums[1][0] = simd.mul_add_e_f32s(*gradient, *x, sums[1][0]);
    }
    sums.map(|[a, b, c, d]| simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d))))
}

/// Replaces the normalized values of a row by their gradients.
#[inline(always)]
fn combine<S: Simd>(
    simd: S,
    row: &mut [f32],
    gradients: &[f32],
    [plain, products]: [f32; 2],
    inverse_deviation: f32,
) {
    let (plain, products) = (simd.splat_f32s(plain), simd.splat_f32s(products));
    let inverse_deviation = simd.splat_f32s(inverse_deviation);
    for (x, gradient) in S::as_mut_simd_f32s(row).0.iter_mut().zip(S::as_simd_f32s(gradients).0) {
        let rest = simd.sub_f32s(simd.sub_f32s(*gradient, plain), simd.mul_f32s(*x, products));
        *x = simd.mul_f32s(rest, inverse_deviation);
    }
}
