//! Convolution as one matrix product, of what the kernel reads for each pixel of the result (Chellapilla et al. 2006,
//! "im2col") and the kernels; what is read is gathered a block at a time, the whole of it never exists.

use std::ops::Range;

use crate::convolution::{Pixels, Shape};
use crate::half_precision::Storage;
use crate::linear::Weight;
use crate::matrix_product::{Left, Right, Sink, Size, multiply};
use crate::memory::Scratch;
use crate::operand::{Matrix, Operand};
use crate::panel::{self, Rows, Unit};

/// Input channels whose kernels are packed together.
const CHANNELS: usize = 32;

/// Convolves `input` `[batch, height, width, in_channels]` with `weight` `[out_channels, in_channels, kernel height, kernel
/// width]`.
///
/// # Panics
/// When the kernel does not fit, or a slice does not have the length that the shape gives it.
pub(crate) fn convolve<T: Storage>(input: &[T], weight: &[T], sink: &Pixels<'_, T>, shape: Shape) {
    let output = shape.output().expect("a kernel that fits");
    let Shape { batch, in_channels, out_channels, input: [height, width], .. } = shape;
    let places = shape.kernel[0] * shape.kernel[1];
    assert_eq!(input.len(), batch * in_channels * height * width, "the input");
    assert_eq!(weight.len(), out_channels * in_channels * places, "the weight");

    let size = Size {
        rows: batch * output[0] * output[1],
        depth: in_channels * places,
        panels: out_channels.div_ceil(panel::widths().0),
    };
    let right = Kernels { weight, in_channels, out_channels, places };
    multiply(
        &Gathered { input, shape, output },
        &right,
        &Store { pixels: sink, channels: out_channels },
        size,
    );
}

/// The same where the kernel is one pixel, of stride 1 and without padding: pixels times `[out_channels, in_channels]`.
///
/// # Panics
/// When a slice does not have the length that the shape gives it.
pub(crate) fn convolve_pixels<T: Operand<U>, U: Unit>(
    input: &[T],
    weight: &[T],
    sink: &Pixels<'_, T>,
    shape: Shape,
) {
    let Shape { batch, in_channels, out_channels, input: [height, width], .. } = shape;
    assert_eq!(input.len(), batch * in_channels * height * width, "the input");
    assert_eq!(weight.len(), out_channels * in_channels, "the weight");
    let size = Size {
        rows: batch * height * width,
        depth: in_channels / U::VALUES,
        panels: out_channels.div_ceil(panel::widths().0),
    };
    let left = Matrix { values: input, depth: in_channels };
    let right = Weight { values: weight, depth: in_channels, columns: out_channels };
    multiply::<U, _, _, _>(&left, &right, &Store { pixels: sink, channels: out_channels }, size);
}

/// For each pixel of the result what the kernel reads: place by place of the kernel, all channels.
struct Gathered<'a, T> {
    input: &'a [T],
    shape: Shape,
    /// Height and width of the result.
    output: [usize; 2],
}

impl<T: Storage> Left<f32> for Gathered<'_, T> {
    fn copies(&self) -> bool {
        true
    }

    fn block<'a>(&'a self, rows: Range<usize>, columns: Range<usize>, scratch: &'a mut [f32]) -> Rows<'a> {
        let Shape { in_channels, input: [height, width], kernel, stride, padding, .. } = self.shape;
        let [out_height, out_width] = self.output;
        let length = columns.len();
        for (row, out) in rows.zip(scratch.chunks_exact_mut(length.max(1))) {
            let (item, y, x) = (row / out_width / out_height, row / out_width % out_height, row % out_width);
            let mut column = columns.start;
            let mut out = out;
            while !out.is_empty() {
                let (place, channel) = (column / in_channels, column % in_channels);
                let count = (in_channels - channel).min(out.len());
                let (values, rest) = out.split_at_mut(count);
                let y = (y * stride + place / kernel[1]).checked_sub(padding).filter(|y| *y < height);
                let x = (x * stride + place % kernel[1]).checked_sub(padding).filter(|x| *x < width);
                match (y, x) {
                    (Some(y), Some(x)) => {
                        let start = ((item * height + y) * width + x) * in_channels + channel;
                        T::widen(&self.input[start..start + count], values);
                    }
                    _ => values.fill(0.0),
                }
                out = rest;
                column += count;
            }
        }
        Rows { values: scratch, stride: length }
    }
}

/// The kernels as a matrix of `places * in_channels` rows.
struct Kernels<'a, T> {
    /// `[out_channels, in_channels, places]`.
    weight: &'a [T],
    in_channels: usize,
    out_channels: usize,
    places: usize,
}

impl<T: Storage> Right<f32> for Kernels<'_, T> {
    fn pack(&self, panel: usize, width: usize, out: &mut [f32]) {
        let Self { weight, in_channels, out_channels, places } = *self;
        let first = panel * width;
        let count = width.min(out_channels - first);
        let mut columns = Scratch::zeros(CHANNELS.min(in_channels) * places * width);
        for channel in (0..in_channels).step_by(CHANNELS) {
            let channels = CHANNELS.min(in_channels - channel);
            let start = (first * in_channels + channel) * places;
            T::columns(
                &weight[start..],
                in_channels * places,
                count,
                channels * places,
                &mut columns[..],
                width,
            );
            // From channel by channel to place by place.
            for (index, values) in columns[..channels * places * width].chunks_exact(width).enumerate() {
                let row = index % places * in_channels + channel + index / places;
                out[row * width..][..width].copy_from_slice(values);
            }
        }
    }
}

struct Store<'a, 'b, T> {
    pixels: &'a Pixels<'b, T>,
    channels: usize,
}

impl<T: Storage> Sink for Store<'_, '_, T> {
    #[inline(always)]
    fn take(&self, row: usize, panel: usize, values: &mut [f32]) {
        let first = panel * values.len();
        let count = values.len().min(self.channels - first);
        // SAFETY: every place of the product is given once.
        unsafe { self.pixels.store(row, first, &mut values[..count]) };
    }
}
