//! The gradient of the kernels: in tiles, or for each tap the product of the gradient of the result with the input shifted to this
//! tap.

use std::ops::Range;

use burn_flex::FlexTensor;

use crate::cpu::channels_last::{Image, contiguous};
use crate::cpu::convolution::{ConvolutionShape, Tiling, in_tiles, winograd};
use crate::cpu::gradients::transposed_product::{Gather, Sizes, multiply_transposed};
use crate::cpu::output::Output;
use crate::cpu::product::{Operand, Unit};
use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel;
use crate::cpu::transpose::into_columns;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// The gradient of the kernels of a convolution of this shape, from that of the result.
///
/// # Panics
/// When the shapes do not fit each other.
pub(crate) fn weight<T: Operand<U>, U: Unit>(
    gradient: FlexTensor,
    x: FlexTensor,
    shape: ConvolutionShape,
) -> FlexTensor {
    let ConvolutionShape { batch, in_channels, out_channels, input: [height, width], kernel, .. } = shape;
    let output_size = shape.output().expect("a kernel that fits");
    let (gradient, x) = (Image::new(gradient), Image::new(x));
    assert_eq!(
        gradient.dims,
        [batch, out_channels, output_size[0], output_size[1]],
        "a gradient with the shape of the result"
    );
    assert_eq!(x.dims, [batch, in_channels, height, width], "the input");
    let (gradient, values) = (gradient.values::<T>(), x.values::<T>());
    let taps = kernel[0] * kernel[1];
    let sizes = Sizes {
        length: batch * output_size[0] * output_size[1],
        rows: out_channels,
        columns: taps * in_channels,
    };

    let flop = 2.0 * (sizes.length * sizes.rows * sizes.columns) as f64;
    let bytes = size_of::<T>() * (gradient.len() + values.len() + out_channels * sizes.columns);
    let _running = operation("convolution, gradient of the weight", flop, bytes as f64);
    let output = Output::<T>::new(sizes.rows * sizes.columns);
    // From tap order to channel order.
    let store = |row: usize, sums: &[f32]| {
        let mut kernels = Scratch::new(sizes.columns);
        into_columns(sums, in_channels, taps, in_channels, &mut kernels, taps);
        // SAFETY: every row is given once.
        unsafe { output.write(row * sizes.columns, &kernels) };
    };
    let turned = ConvolutionShape { in_channels: out_channels, out_channels: in_channels, ..shape };
    if in_tiles::<U>(&shape) && in_tiles::<U>(&turned) {
        let sums = winograd::weight_gradient(gradient, values, Tiling::new(&shape));
        chunks_in_parallel(&sums, sizes.columns, store);
    } else {
        let shifted = Shifted { values, shape, output: output_size };
        multiply_transposed::<T, U>(gradient, &shifted, sizes, &store);
    }
    contiguous::<T>(output.finish(), &[out_channels, in_channels, kernel[0], kernel[1]])
}

/// The input values that each pixel of the result depends on, ordered by tap of the kernel, then by channel.
struct Shifted<'a, T> {
    /// `[batch, height, width, in_channels]`.
    values: &'a [T],
    shape: ConvolutionShape,
    /// Height and width of the result.
    output: [usize; 2],
}

impl<T: Storage> Gather<T> for Shifted<'_, T> {
    #[inline(always)]
    fn gather(&self, rows: Range<usize>, columns: Range<usize>, width: usize, out: &mut [T]) {
        let channels = self.shape.in_channels;
        let mut column = columns.start;
        while column < columns.end {
            let (tap, channel) = (column / channels, column % channels);
            let count = (channels - channel).min(columns.end - column);
            let place = column - columns.start;
            self.gather_tap(tap, rows.clone(), channel..channel + count, width, &mut out[place..]);
            column += count;
        }
    }
}

impl<T: Storage> Shifted<'_, T> {
    /// Writes some channels of the pixels that are shifted to one tap.
    #[inline(always)]
    fn gather_tap(
        &self,
        tap: usize,
        pixels: Range<usize>,
        channels: Range<usize>,
        width: usize,
        out: &mut [T],
    ) {
        let ConvolutionShape { in_channels, input, kernel, stride, padding, .. } = self.shape;
        let [out_height, out_width] = self.output;
        let (mut pixel, mut rows) = (pixels.start, out.chunks_mut(width));
        while pixel < pixels.end {
            // The pixels of a line of the result.
            let (item, y, first) =
                (pixel / out_width / out_height, pixel / out_width % out_height, pixel % out_width);
            let count = (out_width - first).min(pixels.end - pixel);
            pixel += count;
            let y = (y * stride + tap / kernel[1]).checked_sub(padding).filter(|y| *y < input[0]);
            let line = y.map_or(&[][..], |y| {
                &self.values[(item * input[0] + y) * input[1] * in_channels..][..input[1] * in_channels]
            });
            let mut start = ((first * stride + tap % kernel[1]) as isize - padding as isize)
                * in_channels as isize
                + channels.start as isize;
            for row in rows.by_ref().take(count) {
                let out = &mut row[..channels.len()];
                match usize::try_from(start).ok().and_then(|start| line.get(start..start + channels.len())) {
                    Some(values) => copy(values, out),
                    None => out.fill(T::zeroed()),
                }
                start += (stride * in_channels) as isize;
            }
        }
    }
}

/// Copies a few values: a call of the system's copy would take longer than the copy itself.
#[inline(always)]
fn copy<T: Storage>(values: &[T], out: &mut [T]) {
    let ((values, values_end), (out, out_end)) = (values.as_chunks::<16>(), out.as_chunks_mut::<16>());
    for (out, values) in out.iter_mut().zip(values) {
        *out = *values;
    }
    for (out, value) in out_end.iter_mut().zip(values_end) {
        *out = *value;
    }
}
