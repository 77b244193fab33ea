//! The gradients of operations that move pixels.

use std::ops::Range;

use burn_flex::FlexTensor;

use crate::cpu::channels_last::{Image, tensor};
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::in_parallel;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Some channels of a gradient, a copy: a view would keep the other channels in memory.
///
/// # Panics
/// When there are fewer channels.
pub(crate) fn channels<T: Storage>(gradient: FlexTensor, channels: Range<usize>) -> FlexTensor {
    let gradient = Image::new(gradient);
    let [batch, stride, height, width] = gradient.dims;
    assert!(channels.end <= stride, "{stride} channels");
    let (values, count) = (gradient.values::<T>(), channels.len());
    let pixels = batch * height * width;
    let _running = operation("some channels", 0.0, (2 * size_of::<T>() * pixels * count) as f64);
    let output = Output::<T>::new(pixels * count);
    in_parallel(batch * height, &|row| {
        for pixel in row * width..(row + 1) * width {
            // SAFETY: every pixel is written once, by one task.
            unsafe { output.copy(pixel * count, &values[pixel * stride..][channels.clone()]) };
        }
    });
    tensor::<T>(output.finish(), [batch, count, height, width])
}

/// The gradient of the image of size `[height, width]` that was resized: each pixel gets the sum over its copies.
pub(crate) fn nearest<T: Storage>(gradient: FlexTensor, [height, width]: [usize; 2]) -> FlexTensor {
    let gradient = Image::new(gradient);
    let [batch, channels, out_height, out_width] = gradient.dims;
    let values = gradient.values::<T>();
    let line_len = width * channels;
    let bytes = size_of::<T>() * (values.len() + batch * height * line_len);
    let _running = operation("nearest pixels, gradient", values.len() as f64, bytes as f64);
    let output = Output::<T>::new(batch * height * line_len);
    // The first row or column of the result that copies this one or a later one.
    let first = |index: usize, side: usize, out_side: usize| (index * out_side).div_ceil(side);
    in_parallel(batch * height, &|row| {
        let (item, y) = (row / height, row % height);
        let mut sums = Scratch::zeros(line_len);
        let mut widened = Scratch::new(channels);
        for out_y in first(y, height, out_height)..first(y + 1, height, out_height) {
            let line = &values[(item * out_height + out_y) * out_width * channels..][..out_width * channels];
            for (x, sums) in sums.chunks_exact_mut(channels.max(1)).enumerate() {
                for out_x in first(x, width, out_width)..first(x + 1, width, out_width) {
                    T::widen(&line[out_x * channels..][..channels], &mut widened);
                    for (sum, value) in sums.iter_mut().zip(&widened[..]) {
                        *sum += value;
                    }
                }
            }
        }
        // SAFETY: each row is written by one task.
        unsafe { output.write(row * line_len, &sums) };
    });
    tensor::<T>(output.finish(), [batch, channels, height, width])
}
