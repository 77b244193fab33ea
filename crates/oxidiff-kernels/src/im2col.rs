//! Convolution as one matrix product: what a kernel reads for each pixel of the result becomes a column (Chellapilla et al.
//! 2006, "im2col"), a part of the image at a time.

use rayon::prelude::*;

use crate::half_precision::Storage;
use crate::matrix_product::{View, multiply};

/// Values that the columns of a part may have: they stay in the cache while all kernels are applied.
const MOST_VALUES: usize = 4 << 20;
/// Pixels of a part, where the cache would hold fewer.
const FEWEST_PIXELS: usize = 64;
/// Output channels of one task.
const OUT_CHANNELS: usize = 64;

/// A convolution with zeros on all sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub batch: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    pub stride: usize,
    pub padding: usize,
}

impl Shape {
    /// Height and width of the result; `None` where the kernel does not fit.
    pub fn output(&self) -> Option<[usize; 2]> {
        let side = |dim: usize| {
            let room = (self.input[dim] + 2 * self.padding).checked_sub(self.kernel[dim])?;
            Some(room / self.stride + 1)
        };
        Some([side(0)?, side(1)?])
    }
}

/// Convolves `input` `[batch, in_channels, height, width]` with `weight` `[out_channels, in_channels, kernel height, kernel
/// width]`.
///
/// # Panics
/// When the kernel does not fit, or a slice does not have the length that the shape gives it.
pub(crate) fn convolve<T: Storage>(input: &[T], weight: &[T], bias: Option<&[f32]>, shape: Shape) -> Vec<T> {
    let [height, width] = shape.output().expect("a kernel that fits");
    let plane = height * width;
    let column = shape.in_channels * shape.kernel[0] * shape.kernel[1];
    assert_eq!(input.len(), shape.batch * shape.in_channels * shape.input[0] * shape.input[1], "the input");
    assert_eq!(weight.len(), shape.out_channels * column, "the weight");
    assert!(bias.is_none_or(|bias| bias.len() == shape.out_channels), "the bias");

    let mut output = vec![T::zeroed(); shape.batch * shape.out_channels * plane];
    // The planes of the result that each task writes: those of its output channels, for each item.
    let mut tasks: Vec<Vec<&mut [T]>> =
        (0..shape.out_channels.div_ceil(OUT_CHANNELS)).map(|_| Vec::new()).collect();
    for (index, plane) in output.chunks_mut(plane.max(1)).enumerate() {
        tasks[index % shape.out_channels / OUT_CHANNELS].push(plane);
    }

    let pixels = shape.batch * plane;
    let most = (MOST_VALUES / column.max(1)).max(FEWEST_PIXELS);
    let mut columns = vec![0.0; column * most.min(pixels)];
    for first in (0..pixels).step_by(most) {
        let count = most.min(pixels - first);
        let columns = &mut columns[..column * count];
        columns.par_chunks_mut(count).enumerate().for_each(|(row, values)| {
            unroll(input, shape, [height, width], row, first, values);
        });
        tasks.par_iter_mut().enumerate().for_each_init(Vec::new, |products, (task, planes)| {
            let channels = planes.len() / shape.batch;
            let kernels = T::widen_all(&weight[task * OUT_CHANNELS * column..][..channels * column]);
            products.resize(channels * count, 0.0);
            let left = View { values: &kernels, row_stride: column, column_stride: 1 };
            let right = View { values: columns, row_stride: count, column_stride: 1 };
            multiply(products, [channels, column, count], left, right, 1.0, false);
            for (channel, products) in products.chunks(count).enumerate() {
                let bias = bias.map_or(0.0, |bias| bias[task * OUT_CHANNELS + channel]);
                let mut products = products.iter();
                let (mut item, mut pixel) = (first / plane, first % plane);
                while products.len() > 0 {
                    let out = &mut planes[item * channels + channel][pixel..];
                    for (out, product) in out.iter_mut().zip(products.by_ref()) {
                        *out = T::narrow(product + bias);
                    }
                    (item, pixel) = (item + 1, 0);
                }
            }
        });
    }
    output
}

/// What the place `row` of the kernel (input channel, then row, then column) reads for the pixels from `first` on, of all
/// items one after the other.
fn unroll<T: Storage>(
    input: &[T],
    shape: Shape,
    [height, width]: [usize; 2],
    row: usize,
    first: usize,
    mut values: &mut [f32],
) {
    let [kernel_height, kernel_width] = shape.kernel;
    let (dx, dy) = (row % kernel_width, row / kernel_width % kernel_height);
    let channel = row / kernel_width / kernel_height;
    let [input_height, input_width] = shape.input;
    let (mut line, mut skipped) = (first / width, first % width);
    while !values.is_empty() {
        let (item, y) = (line / height, line % height);
        let count = (width - skipped).min(values.len());
        let (out, rest) = values.split_at_mut(count);
        let source = (y * shape.stride + dy).checked_sub(shape.padding).filter(|y| *y < input_height);
        match source {
            Some(y) => {
                let plane = item * shape.in_channels + channel;
                let start = (plane * input_height + y) * input_width;
                read_line(&input[start..start + input_width], shape, dx, skipped, out);
            }
            None => out.fill(0.0),
        }
        values = rest;
        (line, skipped) = (line + 1, 0);
    }
}

/// Every `stride`-th value of a line, from `first * stride + dx - padding` on, with zeros outside of it.
#[inline(always)]
fn read_line<T: Storage>(line: &[T], shape: Shape, dx: usize, first: usize, out: &mut [f32]) {
    let start = first * shape.stride + dx;
    let before = shape.padding.saturating_sub(start).div_ceil(shape.stride).min(out.len());
    let (zeros, inside) = out.split_at_mut(before);
    zeros.fill(0.0);
    let start = start + before * shape.stride - shape.padding.min(start + before * shape.stride);
    let values = line.get(start..).unwrap_or_default().iter().step_by(shape.stride);
    let there = values.len().min(inside.len());
    for (out, value) in inside.iter_mut().zip(values) {
        *out = value.widen();
    }
    inside[there..].fill(0.0);
}
