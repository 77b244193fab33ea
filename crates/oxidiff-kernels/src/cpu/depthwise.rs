//! Convolutions in which each channel has its own kernel.

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::{Arch, Scalar, Simd, WithSimd};

use super::channels_last::{Image, tensor};
use super::exponential::silu;
use super::output::Output;
use super::storage::Storage;
use super::tasks::in_parallel;
use super::vector::{load, store, whole};
use crate::host::breakdown::operation;

/// Channels that a row of pixels is computed for at a time: their kernels stay in the fastest cache.
const CHANNELS: usize = 64;

/// The kernels of all channels.
pub(crate) struct Kernels {
    /// One value per channel for each place in the kernel, `[side * side, channels]`.
    weights: Vec<f32>,
    /// `[channels]`.
    bias: Vec<f32>,
    side: usize,
}

impl Kernels {
    /// From a weight `[channels, 1, side, side]` and perhaps a bias `[channels]`.
    pub fn new(weight: &[f32], bias: Option<Vec<f32>>, side: usize) -> Self {
        let places = side * side;
        let channels = weight.len() / places;
        let weights =
            (0..places).flat_map(|place| (0..channels).map(move |channel| weight[channel * places + place]));
        Self { weights: weights.collect(), bias: bias.unwrap_or_else(|| vec![0.0; channels]), side }
    }
}

/// Convolves with stride 1 and zero padding that keeps the size. If `GATED`, the second half of the channels, through SiLU, multiplies the
/// first.
pub(crate) fn depthwise<T: Storage, const GATED: bool>(x: FlexTensor, kernels: &Kernels) -> FlexTensor {
    let x = Image::new(x);
    let [batch, channels, height, width] = x.dims;
    let out_channels = if GATED { channels / 2 } else { channels };
    let values = x.values::<T>();
    let flop = 2.0 * values.len() as f64 * (kernels.side * kernels.side) as f64;
    let bytes = size_of::<T>() * (values.len() + batch * height * width * out_channels);
    let _running = operation("depthwise convolution", flop, bytes as f64);
    let output = Output::<T>::new(batch * height * width * out_channels);
    in_parallel(batch * height, &|row| {
        let length = width * out_channels;
        // SAFETY: each row is written by one task.
        let out = unsafe { output.part(row * length, length) };
        let image = &values[row / height * height * width * channels..][..height * width * channels];
        let size = [height, width];
        Arch::new().dispatch(Row::<_, GATED> { image, size, row: row % height, channels, kernels, out });
    });
    tensor::<T>(output.finish(), [batch, out_channels, height, width])
}

/// A row of the result.
struct Row<'a, T, const GATED: bool> {
    image: &'a [T],
    size: [usize; 2],
    row: usize,
    channels: usize,
    kernels: &'a Kernels,
    out: &'a mut [T],
}

impl<T: Storage, const GATED: bool> WithSimd for Row<'_, T, GATED> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let width = self.size[1];
        let out_channels = self.out.len().checked_div(width).unwrap_or_default();
        for first in (0..out_channels).step_by(CHANNELS) {
            let end = out_channels.min(first + CHANNELS);
            let whole = first + whole::<S>(end - first);
            for column in 0..width {
                self.pixel(simd, column, first..whole, out_channels);
                self.pixel(Scalar, column, whole..end, out_channels);
            }
        }
    }
}

impl<T: Storage, const GATED: bool> Row<'_, T, GATED> {
    /// Some channels of a pixel.
    #[inline(always)]
    fn pixel<S: Simd>(&mut self, simd: S, column: usize, channels: Range<usize>, out_channels: usize) {
        for channel in channels.step_by(S::F32_LANES) {
            let mut sum = self.sum(simd, column, channel);
            if GATED {
                let gate = self.sum(simd, column, channel + out_channels);
                sum = simd.mul_f32s(sum, silu(simd, gate));
            }
            store::<S, T>(sum, self.out, column * out_channels + channel);
        }
    }

    #[inline(always)]
    fn sum<S: Simd>(&self, simd: S, column: usize, channel: usize) -> S::f32s {
        let [height, width] = self.size;
        let Kernels { weights, bias, side } = self.kernels;
        let (reach, side) = (side / 2, *side);
        let mut sum = load::<S, f32>(bias, channel);
        for down in reach.saturating_sub(self.row)..side.min(height + reach - self.row) {
            for right in reach.saturating_sub(column)..side.min(width + reach - column) {
                let pixel = (self.row + down - reach) * width + column + right - reach;
                let value = load::<S, T>(self.image, pixel * self.channels + channel);
                let weight = load::<S, f32>(weights, (down * side + right) * self.channels + channel);
                sum = simd.mul_add_f32s(value, weight, sum);
            }
        }
        sum
    }
}
