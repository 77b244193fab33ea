//! Kernels that copy pixels.

use burn_flex::FlexTensor;

use super::channels_last::{Image, tensor};
use super::output::Output;
use super::storage::Storage;
use super::tasks::in_parallel;
use crate::host::breakdown::operation;

/// The channels of `x`, followed by those of `y`.
///
/// # Panics
/// When the other dimensions differ.
pub(crate) fn join_channels<T: Storage>(x: FlexTensor, y: FlexTensor) -> FlexTensor {
    let (x, y) = (Image::new(x), Image::new(y));
    let [batch, x_channels, height, width] = x.dims;
    let y_channels = y.dims[1];
    assert_eq!([batch, height, width], [y.dims[0], y.dims[2], y.dims[3]], "images of the same size");
    let channels = x_channels + y_channels;
    let pixels = batch * height * width;
    let bytes = size_of::<T>() * 2 * pixels * channels;
    let _running = operation("join channels", 0.0, bytes as f64);
    let output = Output::<T>::new(pixels * channels);
    let (x, y) = (x.values::<T>(), y.values::<T>());
    in_parallel(batch * height, &|row| {
        for pixel in row * width..(row + 1) * width {
            // SAFETY: every pixel is written once, by one task.
            unsafe {
                output.copy(pixel * channels, &x[pixel * x_channels..][..x_channels]);
                output.copy(pixel * channels + x_channels, &y[pixel * y_channels..][..y_channels]);
            }
        }
    });
    tensor::<T>(output.finish(), [batch, channels, height, width])
}

/// `x` resized: each pixel of the result is a copy of the nearest one.
///
/// # Panics
/// When a side is empty.
pub(crate) fn nearest<T: Storage>(x: FlexTensor, [out_height, out_width]: [usize; 2]) -> FlexTensor {
    let x = Image::new(x);
    let [batch, channels, height, width] = x.dims;
    assert!(height > 0 && width > 0, "an empty image has no pixels to repeat");
    let values = x.values::<T>();
    let outputs = batch * out_height * out_width * channels;
    let _running = operation("nearest pixels", 0.0, (size_of::<T>() * (values.len() + outputs)) as f64);
    let output = Output::<T>::new(outputs);
    in_parallel(batch * out_height, &|row| {
        let y = row % out_height * height / out_height;
        let line = &values[(row / out_height * height + y) * width * channels..][..width * channels];
        for column in 0..out_width {
            let pixel = &line[column * width / out_width * channels..][..channels];
            // SAFETY: every pixel is written once, by one task.
            unsafe { output.copy((row * out_width + column) * channels, pixel) };
        }
    });
    tensor::<T>(output.finish(), [batch, channels, out_height, out_width])
}
