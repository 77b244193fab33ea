//! The gradient of a convolution's input: another convolution, of the gradient of the result with the turned kernels.

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::Simd;

use crate::cpu::channels_last::{Image, tensor};
use crate::cpu::convolution::pixel_sink::PixelSink;
use crate::cpu::convolution::{ConvolutionShape, Tiling, in_tiles, winograd};
use crate::cpu::gradients::linear::pixels;
use crate::cpu::linear::Sum;
use crate::cpu::output::Output;
use crate::cpu::prefetch::Ahead;
use crate::cpu::product::{Left, Matrix, Operand, Right, RowMajor, Rows, Sink, Size, Unit, multiply};
use crate::cpu::storage::Storage;
use crate::cpu::tasks::in_parallel;
use crate::cpu::transpose::into_columns;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// The gradient of the input of a convolution of this shape, from that of the result.
///
/// # Panics
/// When the shapes do not fit each other.
pub(crate) fn input<T: Operand<U>, U: Unit>(
    gradient: FlexTensor,
    weight: FlexTensor,
    shape: ConvolutionShape,
) -> FlexTensor {
    let ConvolutionShape { batch, in_channels, out_channels, input: [height, width], kernel, .. } = shape;
    let [out_height, out_width] = shape.output().expect("a kernel that fits");
    let (gradient, weight) = (Image::new(gradient), weight.to_contiguous());
    assert_eq!(
        gradient.dims,
        [batch, out_channels, out_height, out_width],
        "a gradient with the shape of the result"
    );
    let gradient = gradient.values::<T>();
    let weight = weight.as_slice::<T>().expect("contiguous, of the matched type");
    assert_eq!(weight.len(), out_channels * in_channels * kernel[0] * kernel[1], "the weight");

    let inputs = batch * height * width;
    let output = Output::<T>::new(inputs * in_channels);
    let dims = [batch, in_channels, height, width];
    if (kernel, shape.stride, shape.padding) == ([1, 1], 1, 0) {
        pixels::<T, U>(gradient, weight, &output, [inputs, out_channels, in_channels]);
        return tensor::<T>(output.finish(), dims);
    }
    let bytes = size_of::<T>() * (gradient.len() + weight.len() + inputs * in_channels);
    let flop = 2.0 * (gradient.len() * in_channels * kernel[0] * kernel[1]) as f64;
    let _running = operation("convolution, gradient of x", flop, bytes as f64);
    let turned = ConvolutionShape { in_channels: out_channels, out_channels: in_channels, ..shape };
    let sink = PixelSink { output: &output, bias: None, residual: None, pixels: None, channels: in_channels };
    if in_tiles::<U>(&turned) {
        let kernels = winograd::Turned(winograd::Stored::new(weight, [in_channels, out_channels]));
        winograd::convolve(gradient, &kernels, &sink, Tiling::new(&turned));
        return tensor::<T>(output.finish(), dims);
    }
    if batch * out_height * out_width * FEWEST_CHANNELS_PER_PIXEL <= out_channels {
        scatter::<T, U>(gradient, weight, &output, shape);
        return tensor::<T>(output.finish(), dims);
    }
    let stride = shape.stride;
    for (y, x) in (0..stride.min(height)).flat_map(|y| (0..stride.min(width)).map(move |x| (y, x))) {
        let phase = Phase::new(gradient, shape, [y, x]);
        let (pixels, depth) = (batch * phase.size[0] * phase.size[1], phase.taps.len() * out_channels);
        let right = Kernels { weight, shape, taps: &phase.taps };
        let size = Size::new(pixels, depth / U::VALUES, in_channels);
        multiply::<U, _, _, _>(&phase, &right, &Store { phase: &phase, sink: &sink }, size);
    }
    tensor::<T>(output.finish(), dims)
}

/// With this many channels per pixel of the gradient, the kernels have so many more values than what is scattered that it pays off
/// to leave them in their order.
const FEWEST_CHANNELS_PER_PIXEL: usize = 4;

/// Multiplies each pixel of the gradient with all kernels, and adds up what the products say of each pixel of the input ("col2im").
fn scatter<T: Operand<U>, U: Unit>(
    gradient: &[T],
    weight: &[T],
    output: &Output<T>,
    shape: ConvolutionShape,
) {
    let ConvolutionShape {
        batch,
        in_channels,
        out_channels,
        input: [height, width],
        kernel,
        stride,
        padding,
    } = shape;
    let [out_height, out_width] = shape.output().expect("a kernel that fits");
    let taps = kernel[0] * kernel[1];
    let (rows, columns) = (batch * out_height * out_width, in_channels * taps);
    let products = Output::<f32>::new(rows * columns);
    let left = Matrix { values: gradient, rows, depth: out_channels };
    let right = RowMajor { values: weight, rows: out_channels, columns };
    let sink = Sum { output: &products, bias: None, residual: None, columns };
    multiply::<U, _, _, _>(&left, &right, &sink, Size::new(rows, out_channels / U::VALUES, columns));
    let products = products.finish();
    let products: &[f32] = bytemuck::cast_slice(&products);

    // The row or column of the result that a tap connects with this one of the input.
    let connected = |position: usize, tap: usize, len: usize| {
        let distance = (position + padding).checked_sub(tap)?;
        (distance.is_multiple_of(stride) && distance / stride < len).then_some(distance / stride)
    };
    in_parallel(batch * height * width, &|pixel| {
        let (item, y, x) = (pixel / width / height, pixel / width % height, pixel % width);
        let mut sums = Scratch::zeros(in_channels);
        for tap in 0..taps {
            let row = connected(y, tap / kernel[1], out_height);
            let (Some(row), Some(column)) = (row, connected(x, tap % kernel[1], out_width)) else { continue };
            let products = &products[((item * out_height + row) * out_width + column) * columns..][..columns];
            for (sum, products) in sums.iter_mut().zip(products.chunks_exact(taps)) {
                *sum += products[tap];
            }
        }
        // SAFETY: every pixel is written by one task.
        unsafe { output.write(pixel * in_channels, &sums) };
    });
}

/// The pixels of the input whose row and column leave the same remainders, divided by the stride: the same taps of the kernel
/// connect them with the result.
///
/// As the left matrix: for each of these pixels the values of the gradient that depend on it, by group of [`CHANNELS`] channels, then
/// by tap, then by channel.
struct Phase<'a, T> {
    gradient: &'a [T],
    shape: ConvolutionShape,
    /// Height and width of the result.
    output: [usize; 2],
    /// The first of the pixels.
    first: [usize; 2],
    /// Rows and columns of these pixels.
    size: [usize; 2],
    taps: Vec<Tap>,
}

struct Tap {
    index: usize,
    /// From the row and column among these pixels to those of the result.
    offset: [isize; 2],
}

impl<'a, T: Storage> Phase<'a, T> {
    fn new(gradient: &'a [T], shape: ConvolutionShape, first: [usize; 2]) -> Self {
        let ConvolutionShape { input, kernel, stride, padding, .. } = shape;
        let offset = |dim: usize, tap: usize| {
            let distance = (first[dim] + padding) as isize - tap as isize;
            (distance % stride as isize == 0).then_some(distance / stride as isize)
        };
        let taps = (0..kernel[0] * kernel[1])
            .filter_map(|index| {
                let offset = [offset(0, index / kernel[1])?, offset(1, index % kernel[1])?];
                Some(Tap { index, offset })
            })
            .collect();
        let size = [0, 1].map(|dim| (input[dim] - first[dim]).div_ceil(stride));
        let output = shape.output().expect("a kernel that fits");
        Self { gradient, shape, output, first, size, taps }
    }

    /// Item, row and column of a pixel.
    #[inline(always)]
    fn position(&self, pixel: usize) -> (usize, usize, usize) {
        let [rows, columns] = self.size;
        (pixel / columns / rows, pixel / columns % rows, pixel % columns)
    }
}

impl<T: Operand<U>, U: Unit> Left<U> for Phase<'_, T> {
    fn copies(&self) -> bool {
        true
    }

    fn block<'a>(&'a self, rows: Range<usize>, columns: Range<usize>, scratch: &'a mut [U]) -> Rows<'a, U> {
        let channels = self.shape.out_channels;
        let [out_height, out_width] = self.output;
        let length = columns.len();
        for (pixel, mut out) in rows.zip(scratch.chunks_exact_mut(length.max(1))) {
            let (item, y, x) = self.position(pixel);
            let mut column = columns.start;
            while !out.is_empty() {
                let group = ChannelGroup::at::<U>(column, channels, self.taps.len());
                let place = column - group.rows.start;
                let tap = &self.taps[place / group.units.len()];
                let unit = group.units.start + place % group.units.len();
                let count = (group.units.end - unit).min(out.len());
                let (values, rest) = out.split_at_mut(count);
                let y = y.checked_add_signed(tap.offset[0]).filter(|y| *y < out_height);
                let x = x.checked_add_signed(tap.offset[1]).filter(|x| *x < out_width);
                match (y, x) {
                    (Some(y), Some(x)) => {
                        let start = ((item * out_height + y) * out_width + x) * channels + unit * U::VALUES;
                        T::copy_row(&self.gradient[start..start + count * U::VALUES], values);
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

/// Channels of the result whose kernels are packed together, tap by tap.
const CHANNELS: usize = 16;

/// Channels of the result whose products follow each other.
struct ChannelGroup {
    /// Units of channels.
    units: Range<usize>,
    /// Rows of the right matrix, columns of the left one.
    rows: Range<usize>,
}

impl ChannelGroup {
    /// The group to which a row belongs.
    #[inline(always)]
    fn at<U: Unit>(row: usize, channels: usize, taps: usize) -> Self {
        let each = CHANNELS / U::VALUES;
        let first = row / (each * taps) * each;
        let units = first..(first + each).min(channels / U::VALUES);
        Self { rows: units.start * taps..units.end * taps, units }
    }
}

/// The kernels' values at some taps, as a matrix of `taps * out_channels` rows, in the order of the [`Phase`], and `in_channels`
/// columns.
struct Kernels<'a, T> {
    /// `[out_channels, in_channels, kernel_height, kernel_width]`
    weight: &'a [T],
    shape: ConvolutionShape,
    taps: &'a [Tap],
}

impl<T> Kernels<'_, T> {
    fn all_taps(&self) -> usize {
        self.shape.kernel[0] * self.shape.kernel[1]
    }
}

impl<T: Operand<U>, U: Unit> Right<U> for Kernels<'_, T> {
    fn depth_step(&self) -> usize {
        (CHANNELS / U::VALUES * self.taps.len()).max(1)
    }

    fn pack(&self, panel: usize, width: usize, depth: Range<usize>, out: &mut [U]) {
        let ConvolutionShape { in_channels, out_channels, .. } = self.shape;
        let (all_taps, taps) = (self.all_taps(), self.taps.len());
        let first = panel * width;
        let count = width.min(in_channels - first);
        if count < width {
            out.fill(U::zeroed());
        }
        // For one unit of output channels: `[input channel][tap]`.
        let mut interleaved = Scratch::<U>::new(count * all_taps);
        let stride = in_channels * all_taps;
        let mut start = depth.start;
        while start < depth.end {
            let group = ChannelGroup::at::<U>(start, out_channels, taps);
            let out = &mut out[(start - depth.start) * width..][..group.rows.len() * width];
            let in_group = group.units.len();
            for (index, unit) in group.units.enumerate() {
                let values = &self.weight[unit * U::VALUES * stride + first * all_taps..];
                let units = match T::as_units(&values[..count * all_taps]) {
                    Some(units) if U::VALUES == 1 => units,
                    _ => {
                        T::panel_row(values, stride, U::VALUES, count * all_taps, &mut interleaved);
                        &interleaved
                    }
                };
                let out = &mut out[index * width..];
                if taps == all_taps {
                    into_columns(units, all_taps, count, all_taps, out, in_group * width);
                    continue;
                }
                for (place, tap) in self.taps.iter().enumerate() {
                    let out = &mut out[place * in_group * width..][..count];
                    for (out, unit) in out.iter_mut().zip(units[tap.index..].iter().step_by(all_taps)) {
                        *out = *unit;
                    }
                }
            }
            start = group.rows.end;
        }
    }

    fn ahead(&self, panels: Range<usize>, width: usize, depth: Range<usize>) -> Ahead {
        let ConvolutionShape { in_channels, .. } = self.shape;
        let (all_taps, taps) = (self.all_taps(), self.taps.len().max(1));
        let inputs = panels.start * width..(panels.end * width).min(in_channels);
        let outputs = depth.start / taps * U::VALUES..depth.end / taps * U::VALUES;
        let first =
            self.weight.as_ptr().wrapping_add((outputs.start * in_channels + inputs.start) * all_taps);
        Ahead::rows(first, outputs.len(), in_channels * all_taps, inputs.len() * all_taps)
    }
}

/// Stores the sums for the pixels of a phase.
struct Store<'a, 'b, T> {
    phase: &'a Phase<'a, T>,
    sink: &'a PixelSink<'b, T>,
}

impl<T: Storage> Sink for Store<'_, '_, T> {
    #[inline(always)]
    fn take<S: Simd>(&self, simd: S, pixel: usize, channel: usize, values: &[f32]) {
        let ConvolutionShape { in_channels, input: [height, width], stride, .. } = self.phase.shape;
        let (item, y, x) = self.phase.position(pixel);
        let [y, x] = [y * stride + self.phase.first[0], x * stride + self.phase.first[1]];
        let count = values.len().min(in_channels - channel);
        // SAFETY: every value of the product is given once, and phases have different pixels.
        unsafe { self.sink.store(simd, (item * height + y) * width + x, channel, &values[..count]) };
    }
}
