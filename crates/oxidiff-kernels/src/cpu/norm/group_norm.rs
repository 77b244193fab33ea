//! Group normalization and the activation that follows it.

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::{Arch, Scalar, Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::channels_last::{Image, tensor};
use crate::cpu::exponential::silu;
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel;
use crate::cpu::vector::{load, store, whole};
use crate::host::breakdown::operation;

/// The activation that follows a group normalization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupNormActivation {
    /// Nothing.
    None,
    /// `x * sigmoid(x)`.
    Silu,
}

/// Pixels per task.
const PIXELS: usize = 64;

/// Mean and inverse standard deviation of a group of channels in one item.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupStatistics {
    pub mean: f32,
    pub inverse_deviation: f32,
}

/// Normalizes `x` `[batch, channels, height, width]`; weight and bias have one value per channel. Also returns the statistics of
/// the groups of all items, `[batch, groups]`.
pub(crate) fn group_norm<T: Storage>(
    x: FlexTensor,
    groups: usize,
    (weight, bias): (&[f32], &[f32]),
    epsilon: f32,
    activation: GroupNormActivation,
) -> (FlexTensor, Vec<GroupStatistics>) {
    let x = Image::new(x);
    let [_, channels, height, width] = x.dims;
    let values = x.values::<T>();
    let bytes = size_of::<T>() * 2 * values.len();
    let _running = operation("group norm", 8.0 * values.len() as f64, bytes as f64);
    let item_len = (height * width * channels).max(1);
    let chunk_len = (PIXELS * channels).max(1);
    let output = Output::<T>::new(x.dims.iter().product());
    let mut all_statistics = Vec::with_capacity(x.dims[0] * groups);
    for (item, values) in values.chunks(item_len).enumerate() {
        let chunks: Vec<Moments> = values
            .par_chunks(chunk_len)
            .map(|pixels| Arch::new().dispatch(MomentsOf { pixels, channels }))
            .collect();
        let statistics = statistics(&chunks, [groups, channels], epsilon);
        let (scale, shift) = normalization(&statistics, weight, bias);
        all_statistics.extend(statistics);
        chunks_in_parallel(values, chunk_len, |index, pixels| {
            // SAFETY: each pixel is written by one task.
            let out = unsafe { output.part(item * item_len + index * chunk_len, pixels.len()) };
            Arch::new().dispatch(Normalize { pixels, scale: &scale, shift: &shift, activation, out });
        });
    }
    (tensor::<T>(output.finish(), x.dims), all_statistics)
}

/// Mean and squared distances of each channel over some pixels.
struct Moments {
    pixels: usize,
    means: Vec<f32>,
    /// Sums of the squared distances from the mean.
    squares: Vec<f32>,
}

struct MomentsOf<'a, T> {
    pixels: &'a [T],
    channels: usize,
}

impl<T: Storage> WithSimd for MomentsOf<'_, T> {
    type Output = Moments;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Moments {
        let Self { pixels: values, channels } = self;
        let pixels = values.len() / channels;
        let (mut means, mut squares) = (vec![0.0; channels], vec![0.0; channels]);
        let whole = whole::<S>(channels);
        for pixel in values.chunks_exact(channels) {
            add(simd, 0..whole, pixel, &mut means);
            add(Scalar, whole..channels, pixel, &mut means);
        }
        let factor = 1.0 / pixels as f32;
        means.iter_mut().for_each(|sum| *sum *= factor);
        for pixel in values.chunks_exact(channels) {
            add_squares(simd, 0..whole, pixel, &means, &mut squares);
            add_squares(Scalar, whole..channels, pixel, &means, &mut squares);
        }
        Moments { pixels, means, squares }
    }
}

/// Adds some channels of a pixel to their sums.
#[inline(always)]
fn add<S: Simd, T: Storage>(simd: S, channels: Range<usize>, pixel: &[T], sums: &mut [f32]) {
    for start in channels.step_by(S::F32_LANES) {
        let sum = simd.add_f32s(load::<S, f32>(sums, start), load::<S, T>(pixel, start));
        store::<S, f32>(sum, sums, start);
    }
}

/// Adds the squared distances of some channels from their means.
#[inline(always)]
fn add_squares<S: Simd, T: Storage>(
    simd: S,
    channels: Range<usize>,
    pixel: &[T],
    means: &[f32],
    sums: &mut [f32],
) {
    for start in channels.step_by(S::F32_LANES) {
        let distance = simd.sub_f32s(load::<S, T>(pixel, start), load::<S, f32>(means, start));
        let sum = simd.mul_add_e_f32s(distance, distance, load::<S, f32>(sums, start));
        store::<S, f32>(sum, sums, start);
    }
}

/// The statistics of each group. The moments of parts are combined in `f64` (Chan et al. 1979).
fn statistics(parts: &[Moments], [groups, channels]: [usize; 2], epsilon: f32) -> Vec<GroupStatistics> {
    let channels_each = channels / groups;
    let of_group = |group: usize| {
        let members = group * channels_each..(group + 1) * channels_each;
        let (mut count, mut sum) = (0.0, 0.0);
        for part in parts {
            let pixels = part.pixels as f64;
            count += pixels * channels_each as f64;
            sum += part.means[members.clone()].iter().map(|&mean| f64::from(mean)).sum::<f64>() * pixels;
        }
        let mean = sum / count;
        let mut squares = 0.0;
        for part in parts {
            let pixels = part.pixels as f64;
            for channel in members.clone() {
                let distance = f64::from(part.means[channel]) - mean;
                squares += f64::from(part.squares[channel]) + pixels * distance * distance;
            }
        }
        let inverse_deviation = 1.0 / ((squares / count) as f32 + epsilon).sqrt();
        GroupStatistics { mean: mean as f32, inverse_deviation }
    };
    (0..groups).map(of_group).collect()
}

/// The scale and shift of each channel that normalize its group in one item and then apply weight and bias.
pub(crate) fn normalization(
    groups: &[GroupStatistics],
    weight: &[f32],
    bias: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let channels = weight.len();
    let (mut scale, mut shift) = (vec![0.0; channels], vec![0.0; channels]);
    for channel in 0..channels {
        let GroupStatistics { mean, inverse_deviation } = groups[channel / (channels / groups.len())];
        scale[channel] = inverse_deviation * weight[channel];
        shift[channel] = bias[channel] - mean * scale[channel];
    }
    (scale, shift)
}

/// Scales and shifts the channels of some pixels, and applies the activation.
struct Normalize<'a, T> {
    pixels: &'a [T],
    scale: &'a [f32],
    shift: &'a [f32],
    activation: GroupNormActivation,
    out: &'a mut [T],
}

impl<T: Storage> WithSimd for Normalize<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { pixels, scale, shift, activation, out } = self;
        let channels = scale.len();
        let whole = whole::<S>(channels);
        for (pixel, out) in pixels.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            normalize(simd, 0..whole, pixel, [scale, shift], activation, out);
            normalize(Scalar, whole..channels, pixel, [scale, shift], activation, out);
        }
    }
}

#[inline(always)]
fn normalize<S: Simd, T: Storage>(
    simd: S,
    channels: Range<usize>,
    pixel: &[T],
    [scale, shift]: [&[f32]; 2],
    activation: GroupNormActivation,
    out: &mut [T],
) {
    for start in channels.step_by(S::F32_LANES) {
        let (scale, shift) = (load::<S, f32>(scale, start), load::<S, f32>(shift, start));
        let normalized = simd.mul_add_e_f32s(load::<S, T>(pixel, start), scale, shift);
        let activated = match activation {
            GroupNormActivation::None => normalized,
            GroupNormActivation::Silu => silu(simd, normalized),
        };
        store::<S, T>(activated, out, start);
    }
}
