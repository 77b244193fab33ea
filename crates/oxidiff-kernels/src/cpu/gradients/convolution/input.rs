//! The gradient of a convolution's input: another convolution, of the gradient of the result with the turned kernels.

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::Simd;
use rayon::prelude::*;

use crate::cpu::channels_last::{Image, tensor};
use crate::cpu::convolution::pixel_sink::PixelSink;
use crate::cpu::convolution::{ConvolutionShape, Tiling, in_tiles, winograd};
use crate::cpu::gradients::linear::pixels;
use crate::cpu::linear::Sum;
use crate::cpu::output::Output;
use crate::cpu::prefetch::{LINE, prefetch};
use crate::cpu::product::{Left, Matrix, Operand, Right, RowMajor, Rows, Sink, Size, Unit, multiply};
use crate::cpu::storage::Storage;
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
    if batch * out_height * out_width * FEWEST_CHANNELS_PER_PIXEL <= out_channels {
        scatter::<T, U>(gradient, weight, &output, shape);
        return tensor::<T>(output.finish(), dims);
    }
    let turned = ConvolutionShape { in_channels: out_channels, out_channels: in_channels, ..shape };
    let sink = PixelSink { output: &output, bias: None, residual: None, pixels: None, channels: in_channels };
    if in_tiles::<U>(&turned) {
        winograd::convolve(gradient, &turned_kernels(weight, &shape), &sink, Tiling::new(&turned));
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
        in_channels, out_channels, input: [height, width], kernel, stride, padding, ..
    } = shape;
    let [out_height, out_width] = shape.output().expect("a kernel that fits");
    let taps = kernel[0] * kernel[1];
    let (rows, columns) = (gradient.len() / out_channels, in_channels * taps);
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
    let inputs = rows / (out_height * out_width) * height * width;
    (0..inputs).into_par_iter().for_each(|pixel| {
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

/// Input channels whose kernels are turned together: next to each other, they fill whole cache lines.
const TURNED_TOGETHER: usize = 16;

/// The 3x3 kernels turned by 180 degrees: `[in_channels, out_channels, 3, 3]`.
fn turned_kernels<T: Storage>(weight: &[T], shape: &ConvolutionShape) -> Scratch<T> {
    let ConvolutionShape { in_channels, out_channels, .. } = *shape;
    let mut turned = Scratch::new(weight.len());
    let (row, turned_row) = (in_channels * TAPS, out_channels * TAPS);
    turned.par_chunks_mut(TURNED_TOGETHER * turned_row).enumerate().for_each(|(group, turned)| {
        let (first, count) = (group * TURNED_TOGETHER * TAPS, turned.len() / turned_row);
        for output in 0..out_channels {
            let kernels = weight[output * row + first..][..count * TAPS].as_chunks::<TAPS>().0;
            for (input, kernel) in kernels.iter().enumerate() {
                let turned = &mut turned[input * turned_row + output * TAPS..][..TAPS];
                for (turned, value) in turned.iter_mut().zip(kernel.iter().rev()) {
                    *turned = *value;
                }
            }
        }
    });
    turned
}

/// The pixels of the input whose row and column leave the same remainders, divided by the stride: the same taps of the kernel
/// connect them with the result.
///
/// As the left matrix: for each of these pixels the values of the gradient that depend on it, by tap, then by channel.
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
        let (length, units) = (columns.len(), channels / U::VALUES);
        for (pixel, mut out) in rows.zip(scratch.chunks_exact_mut(length.max(1))) {
            let (item, y, x) = self.position(pixel);
            let mut column = columns.start;
            while !out.is_empty() {
                let (tap, unit) = (&self.taps[column / units], column % units);
                let count = (units - unit).min(out.len());
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

/// Rows that are fetched ahead of time.
const AHEAD: usize = 6;
/// Taps of the usual kernel, 3x3, which are worth a loop of their own.
const TAPS: usize = 9;

/// The kernels' values at some taps, as a matrix of `taps * out_channels` rows and `in_channels` columns.
struct Kernels<'a, T> {
    /// `[out_channels, in_channels, kernel_height, kernel_width]`
    weight: &'a [T],
    shape: ConvolutionShape,
    taps: &'a [Tap],
}

impl<T: Operand<U>, U: Unit> Right<U> for Kernels<'_, T> {
    fn pack(&self, panel: usize, width: usize, out: &mut [U]) {
        let ConvolutionShape { in_channels, out_channels, kernel, .. } = self.shape;
        let all_taps = kernel[0] * kernel[1];
        let first = panel * width;
        let count = width.min(in_channels - first);
        if count < width {
            out.fill(U::zeroed());
        }
        // For one unit of output channels: `[input channel][tap]`.
        let mut units = Scratch::<U>::new(count * all_taps);
        let (stride, rows) = (in_channels * all_taps, out_channels / U::VALUES);
        for row in 0..rows {
            let start = row * U::VALUES * stride + first * all_taps;
            let values = &self.weight[start..];
            for next in row + AHEAD..row + AHEAD + U::VALUES {
                let next = self.weight.as_ptr().wrapping_add(start + (next - row) * stride);
                for line in (0..count * all_taps).step_by(LINE * size_of::<f32>() / size_of::<T>()) {
                    prefetch::<false, _>(next.wrapping_add(line));
                }
            }
            T::panel_row(values, stride, U::VALUES, count * all_taps, &mut units);
            for (place, tap) in self.taps.iter().enumerate() {
                let out = &mut out[(place * rows + row) * width..][..count];
                if all_taps == TAPS {
                    for (out, units) in out.iter_mut().zip(units.as_chunks::<TAPS>().0) {
                        *out = units[tap.index % TAPS];
                    }
                } else {
                    for (out, unit) in out.iter_mut().zip(units[tap.index..].iter().step_by(all_taps)) {
                        *out = *unit;
                    }
                }
            }
        }
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
