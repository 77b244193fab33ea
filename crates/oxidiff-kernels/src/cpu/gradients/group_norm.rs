//! The backward of group normalization and the activation that follows it.

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::{Arch, Scalar, Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::channels_last::{Image, tensor};
use crate::cpu::exponential::silu_derivative;
use crate::cpu::norm::{GroupNormActivation, GroupStatistics, normalization};
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::in_parallel;
use crate::cpu::vector::{load, store, whole};
use crate::host::breakdown::operation;

/// About this many values per task, in at least and at most so many pixels.
const VALUES: usize = 16 << 10;
const FEWEST_PIXELS: usize = 16;
const MOST_PIXELS: usize = 64;
/// Small items are put together until there are this many tasks.
const TASKS: usize = 64;

/// The gradients of a group normalization.
pub(crate) struct GroupNormGradients {
    /// Of the input, if it was asked for.
    pub x: Option<FlexTensor>,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// The gradients of [`group_norm`](crate::cpu::norm::group_norm), given that of its result. `statistics` are those of the
/// forward. The pre-activations are computed again.
///
/// With `n` values in a group, `x̂ = (x - mean) / deviation` and `z` the gradient after weight and bias, that of `x` is
/// `(w z - Σ(w z)/n - x̂ Σ(w z x̂)/n) / deviation`.
pub(crate) fn group_norm<T: Storage>(
    x: FlexTensor,
    gradient: FlexTensor,
    statistics: &[GroupStatistics],
    (weight, bias): (&[f32], &[f32]),
    activation: GroupNormActivation,
    wants_x: bool,
) -> GroupNormGradients {
    let (x, gradient) = (Image::new(x), Image::new(gradient));
    let dims @ [batch, channels, height, width] = x.dims;
    let (values, gradients) = (x.values::<T>(), gradient.values::<T>());
    let bytes = size_of::<T>() * 5 * values.len();
    let _running = operation("group norm's backward", 24.0 * values.len() as f64, bytes as f64);
    let groups = statistics.len() / batch.max(1);
    let mut weight_gradient = vec![0.0; channels];
    let mut bias_gradient = vec![0.0; channels];
    let output = Output::<T>::new(if wants_x { values.len() } else { 0 });

    let pixels = height * width;
    let pixels_each = (VALUES / channels.max(1)).clamp(FEWEST_PIXELS, MOST_PIXELS);
    let chunks = pixels.div_ceil(pixels_each);
    let at_once = TASKS.div_ceil(chunks.max(1));
    for first in (0..batch).step_by(at_once) {
        let items = first..(first + at_once).min(batch);
        let scales: Vec<Scales> = items
            .clone()
            .map(|item| {
                let groups = &statistics[item * groups..][..groups];
                let (scale, shift) = normalization(groups, weight, bias);
                let means = (0..channels).map(|channel| groups[channel * groups.len() / channels].mean);
                Scales { scale, shift, means: means.collect(), activation }
            })
            .collect();
        // The item among these, and the range of the values, of a task.
        let part = |task: usize| {
            let (index, chunk) = (task / chunks, task % chunks);
            let start = chunk * pixels_each;
            let end = (start + pixels_each).min(pixels);
            let item = (first + index) * pixels;
            (index, (item + start) * channels..(item + end) * channels)
        };
        let sums: Vec<Vec<f32>> = (0..items.len() * chunks)
            .into_par_iter()
            .map(|task| {
                let (index, range) = part(task);
                let (x, gradient) = (&values[range.clone()], &gradients[range]);
                Arch::new().dispatch(Sums { x, gradient, scales: &scales[index] })
            })
            .collect();

        let mut factors = Vec::with_capacity(items.len());
        for (item, sums) in items.clone().zip(sums.chunks(chunks.max(1))) {
            let sums = total(sums, channels);
            let statistics = &statistics[item * groups..][..groups];
            factors.push(Factors::new(&sums, statistics, weight, pixels));
            for channel in 0..channels {
                let GroupStatistics { inverse_deviation, .. } = statistics[channel * groups / channels];
                weight_gradient[channel] += sums[channels + channel] * f64::from(inverse_deviation);
                bias_gradient[channel] += sums[channel];
            }
        }
        if !wants_x {
            continue;
        }
        in_parallel(items.len() * chunks, &|task| {
            let (index, range) = part(task);
            // SAFETY: each pixel is written by one task.
            let out = unsafe { output.part(range.start, range.len()) };
            let (x, gradient) = (&values[range.clone()], &gradients[range]);
            Arch::new().dispatch(Combine {
                x,
                gradient,
                scales: &scales[index],
                factors: &factors[index],
                out,
            });
        });
    }
    let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    GroupNormGradients {
        x: wants_x.then(|| tensor::<T>(output.finish(), dims)),
        weight: narrow(weight_gradient),
        bias: narrow(bias_gradient),
    }
}

/// What turns the channels of an item into pre-activations.
struct Scales {
    scale: Vec<f32>,
    shift: Vec<f32>,
    /// Of each channel's group.
    means: Vec<f32>,
    activation: GroupNormActivation,
}

impl Scales {
    /// The gradient before the activation.
    #[inline(always)]
    fn inner_gradient<S: Simd>(&self, simd: S, start: usize, x: S::f32s, gradient: S::f32s) -> S::f32s {
        match self.activation {
            GroupNormActivation::None => gradient,
            GroupNormActivation::Silu => {
                let (scale, shift) = (load::<S, f32>(&self.scale, start), load::<S, f32>(&self.shift, start));
                let normalized = simd.mul_add_e_f32s(x, scale, shift);
                simd.mul_f32s(gradient, silu_derivative(simd, normalized))
            }
        }
    }
}

/// For each channel of some pixels the sum of the gradients before the activation, then for each the sum of their products with
/// the distance from the mean.
struct Sums<'a, T> {
    x: &'a [T],
    gradient: &'a [T],
    scales: &'a Scales,
}

impl<T: Storage> WithSimd for Sums<'_, T> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { x, gradient, scales } = self;
        let channels = scales.means.len();
        let whole = whole::<S>(channels);
        let mut sums = vec![0.0; 2 * channels];
        let (plain, distances) = sums.split_at_mut(channels);
        for (x, gradient) in x.chunks_exact(channels).zip(gradient.chunks_exact(channels)) {
            add(simd, 0..whole, [x, gradient], scales, [&mut *plain, &mut *distances]);
            add(Scalar, whole..channels, [x, gradient], scales, [&mut *plain, &mut *distances]);
        }
        sums
    }
}

#[inline(always)]
fn add<S: Simd, T: Storage>(
    simd: S,
    channels: Range<usize>,
    [x, gradient]: [&[T]; 2],
    scales: &Scales,
    [plain, distances]: [&mut [f32]; 2],
) {
    for start in channels.step_by(S::F32_LANES) {
        let x = load::<S, T>(x, start);
        let gradient = scales.inner_gradient(simd, start, x, load::<S, T>(gradient, start));
        let distance = simd.sub_f32s(x, load::<S, f32>(&scales.means, start));
        store::<S, f32>(simd.add_f32s(load::<S, f32>(plain, start), gradient), plain, start);
        let sum = simd.mul_add_e_f32s(gradient, distance, load::<S, f32>(distances, start));
        store::<S, f32>(sum, distances, start);
    }
}

/// The sums of an item, from those of its parts in their order.
fn total(parts: &[Vec<f32>], channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; 2 * channels];
    for part in parts {
        for (sum, value) in sums.iter_mut().zip(part) {
            *sum += f64::from(*value);
        }
    }
    sums
}

/// The gradient of `x` is `inner * gradient + slope * x + offset`, where `gradient` is the one before the activation.
struct Factors {
    inner: Vec<f32>,
    slope: Vec<f32>,
    offset: Vec<f32>,
}

impl Factors {
    fn new(sums: &[f64], groups: &[GroupStatistics], weight: &[f32], pixels: usize) -> Self {
        let channels = weight.len();
        let channels_each = channels / groups.len();
        let mut factors =
            Self { inner: vec![0.0; channels], slope: vec![0.0; channels], offset: vec![0.0; channels] };
        for (group, statistics) in groups.iter().enumerate() {
            let members = group * channels_each..(group + 1) * channels_each;
            let (mut plain, mut distances) = (0.0, 0.0);
            for channel in members.clone() {
                plain += f64::from(weight[channel]) * sums[channel];
                distances += f64::from(weight[channel]) * sums[channels + channel];
            }
            let count = (pixels * channels_each) as f64;
            let inverse_deviation = f64::from(statistics.inverse_deviation);
            let slope = -distances / count * inverse_deviation.powi(3);
            let offset = -plain / count * inverse_deviation - f64::from(statistics.mean) * slope;
            for channel in members {
                factors.inner[channel] = weight[channel] * statistics.inverse_deviation;
                factors.slope[channel] = slope as f32;
                factors.offset[channel] = offset as f32;
            }
        }
        factors
    }
}

/// The gradient of `x` for some pixels.
struct Combine<'a, T> {
    x: &'a [T],
    gradient: &'a [T],
    scales: &'a Scales,
    factors: &'a Factors,
    out: &'a mut [T],
}

impl<T: Storage> WithSimd for Combine<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, gradient, scales, factors, out } = self;
        let channels = scales.means.len();
        let whole = whole::<S>(channels);
        let inputs = x.chunks_exact(channels).zip(gradient.chunks_exact(channels));
        for ((x, gradient), out) in inputs.zip(out.chunks_exact_mut(channels)) {
            combine(simd, 0..whole, [x, gradient], scales, factors, out);
            combine(Scalar, whole..channels, [x, gradient], scales, factors, out);
        }
    }
}

#[inline(always)]
fn combine<S: Simd, T: Storage>(
    simd: S,
    channels: Range<usize>,
    [x, gradient]: [&[T]; 2],
    scales: &Scales,
    factors: &Factors,
    out: &mut [T],
) {
    for start in channels.step_by(S::F32_LANES) {
        let x = load::<S, T>(x, start);
        let gradient = scales.inner_gradient(simd, start, x, load::<S, T>(gradient, start));
        let inner = load::<S, f32>(&factors.inner, start);
        let (slope, offset) = (load::<S, f32>(&factors.slope, start), load::<S, f32>(&factors.offset, start));
        let line = simd.mul_add_e_f32s(x, slope, offset);
        store::<S, T>(simd.mul_add_e_f32s(gradient, inner, line), out, start);
    }
}
