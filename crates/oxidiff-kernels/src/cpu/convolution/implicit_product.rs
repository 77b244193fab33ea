//! Convolution as a single matrix product: the input values that each pixel of the result depends on, times the kernels
//! (Chellapilla et al. 2006, "im2col"). The values are gathered block by block; the whole matrix never exists.

use std::ops::Range;

use pulp::Simd;

use super::pixel_sink::PixelSink;
use super::shape::ConvolutionShape;
use crate::cpu::product::{
    Left, Matrix, Operand, Right, Rows, Sink, Size, Transposed, Unit, multiply, multiply_rows,
};
use crate::cpu::storage::Storage;
use crate::cpu::transpose::into_columns;
use crate::host::scratch::Scratch;

/// Input channels that are packed together. Units of every type divide it.
const CHANNELS: usize = 32;

/// Convolves `input` `[batch, height, width, in_channels]` with `weight` `[out_channels, in_channels, kernel_height,
/// kernel_width]`.
///
/// # Panics
/// When the kernel does not fit, or the length of a slice does not match the shape.
pub(super) fn convolve<T: Operand<U>, U: Unit>(
    input: &[T],
    weight: &[T],
    sink: &PixelSink<'_, T>,
    shape: ConvolutionShape,
) {
    let output = shape.output().expect("a kernel that fits");
    let ConvolutionShape { batch, in_channels, out_channels, input: [height, width], .. } = shape;
    let taps = shape.kernel[0] * shape.kernel[1];
    assert_eq!(input.len(), batch * in_channels * height * width, "the input");
    assert_eq!(weight.len(), out_channels * in_channels * taps, "the weight");

    let (pixels, depth) = (batch * output[0] * output[1], in_channels * taps);
    let gathered = Gathered { input, shape, output, pixels };
    let sink = Store { pixels: sink, channels: out_channels };
    if pixels < out_channels {
        let kernels = Matrix { values: weight, rows: out_channels, depth };
        let size = Size::new(out_channels, depth / U::VALUES, pixels);
        multiply::<U, _, _, _>(&kernels, &gathered, &Transposed { sink: &sink, rows: pixels }, size);
    } else {
        let kernels = Kernels { weight, in_channels, out_channels, taps };
        let size = Size::new(pixels, depth / U::VALUES, out_channels);
        multiply::<U, _, _, _>(&gathered, &kernels, &sink, size);
    }
}

/// [`convolve`] for 1x1 kernels of stride 1 without padding: pixels times `weight` `[out_channels, in_channels]`.
///
/// # Panics
/// When the length of a slice does not match the shape.
pub(super) fn convolve_pixels<T: Operand<U>, U: Unit>(
    input: &[T],
    weight: &[T],
    sink: &PixelSink<'_, T>,
    shape: ConvolutionShape,
) {
    let ConvolutionShape { batch, in_channels, out_channels, input: [height, width], .. } = shape;
    assert_eq!(input.len(), batch * in_channels * height * width, "the input");
    assert_eq!(weight.len(), out_channels * in_channels, "the weight");
    let pixels = Matrix { values: input, rows: batch * height * width, depth: in_channels };
    let weight = Matrix { values: weight, rows: out_channels, depth: in_channels };
    multiply_rows::<T, U, _>(&pixels, &weight, &Store { pixels: sink, channels: out_channels });
}

/// The input values that each pixel of the result depends on. As the left matrix, they are ordered by tap of the kernel, then by
/// channel; as the right one by channel, then by tap, as kernels are stored.
struct Gathered<'a, T> {
    input: &'a [T],
    shape: ConvolutionShape,
    /// Height and width of the result.
    output: [usize; 2],
    /// Pixels of the result.
    pixels: usize,
}

impl<T: Operand<U>, U: Unit> Left<U> for Gathered<'_, T> {
    fn copies(&self) -> bool {
        true
    }

    fn block<'a>(&'a self, rows: Range<usize>, columns: Range<usize>, scratch: &'a mut [U]) -> Rows<'a, U> {
        let ConvolutionShape { in_channels, input: [height, width], kernel, stride, padding, .. } =
            self.shape;
        let [out_height, out_width] = self.output;
        let (length, units) = (columns.len(), in_channels / U::VALUES);
        for (row, out) in rows.zip(scratch.chunks_exact_mut(length.max(1))) {
            let (item, y, x) = (row / out_width / out_height, row / out_width % out_height, row % out_width);
            let mut column = columns.start;
            let mut out = out;
            while !out.is_empty() {
                let (tap, unit) = (column / units, column % units);
                let count = (units - unit).min(out.len());
                let (values, rest) = out.split_at_mut(count);
                let y = (y * stride + tap / kernel[1]).checked_sub(padding).filter(|y| *y < height);
                let x = (x * stride + tap % kernel[1]).checked_sub(padding).filter(|x| *x < width);
                match (y, x) {
                    (Some(y), Some(x)) => {
                        let start = ((item * height + y) * width + x) * in_channels + unit * U::VALUES;
                        T::copy_row(&self.input[start..start + count * U::VALUES], values);
                    }
                    _ => values.fill(U::zeroed()),
                }
                out = rest;
                column += count;
            }
        }
        Rows { values: scratch, stride: length }
    }
}

impl<T: Operand<U>, U: Unit> Right<U> for Gathered<'_, T> {
    fn depth_step(&self) -> usize {
        CHANNELS * self.shape.kernel[0] * self.shape.kernel[1] / U::VALUES
    }

    fn pack(&self, panel: usize, width: usize, depth: Range<usize>, out: &mut [U]) {
        let (channels, taps) = (self.shape.in_channels, self.shape.kernel[0] * self.shape.kernel[1]);
        let [start, end] = [depth.start, depth.end].map(|unit| unit * U::VALUES / taps);
        let pixels = panel * width..((panel + 1) * width).min(self.pixels);
        let mut gathered = Scratch::new(pixels.len() * CHANNELS);
        let mut rows = Scratch::zeros(CHANNELS * taps * width);
        for (first, out) in
            (start..end).step_by(CHANNELS).zip(out.chunks_mut(CHANNELS * taps * width / U::VALUES))
        {
            let count = CHANNELS.min(end - first);
            for tap in 0..taps {
                let columns = tap * channels + first..tap * channels + first + count;
                let block = Left::<f32>::block(self, pixels.clone(), columns, &mut gathered);
                into_columns(
                    block.values,
                    block.stride,
                    pixels.len(),
                    count,
                    &mut rows[tap * width..],
                    taps * width,
                );
            }
            U::write_panel(&rows[..count * taps * width], width, out);
        }
    }
}

/// The kernels as a matrix of `taps * in_channels` rows.
struct Kernels<'a, T> {
    /// `[out_channels, in_channels, taps]`.
    weight: &'a [T],
    in_channels: usize,
    out_channels: usize,
    taps: usize,
}

impl<T: Storage, U: Unit> Right<U> for Kernels<'_, T> {
    /// All rows: those of a channel are far from each other.
    fn depth_step(&self) -> usize {
        (self.in_channels * self.taps / U::VALUES).max(1)
    }

    fn pack(&self, panel: usize, width: usize, _: Range<usize>, out: &mut [U]) {
        let Self { weight, in_channels, out_channels, taps } = *self;
        let first = panel * width;
        let count = width.min(out_channels - first);
        let mut columns = Scratch::zeros(CHANNELS.min(in_channels) * taps * width);
        let mut rows = Scratch::new(in_channels * taps * width);
        for channel in (0..in_channels).step_by(CHANNELS) {
            let channels = CHANNELS.min(in_channels - channel);
            let start = (first * in_channels + channel) * taps;
            <T as Operand<f32>>::columns(
                &weight[start..],
                in_channels * taps,
                count,
                channels * taps,
                &mut columns[..],
                width,
            );
            // From channel order to tap order.
            for (index, values) in columns[..channels * taps * width].chunks_exact(width).enumerate() {
                let row = index % taps * in_channels + channel + index / taps;
                rows[row * width..][..width].copy_from_slice(values);
            }
        }
        U::write_panel(&rows, width, out);
    }
}

struct Store<'a, 'b, T> {
    pixels: &'a PixelSink<'b, T>,
    channels: usize,
}

impl<T: Storage> Sink for Store<'_, '_, T> {
    #[inline(always)]
    fn take<S: Simd>(&self, simd: S, pixel: usize, channel: usize, values: &[f32]) {
        let count = values.len().min(self.channels - channel);
        // SAFETY: every value of the product is given once.
        unsafe { self.pixels.store(simd, pixel, channel, &values[..count]) };
    }
}
