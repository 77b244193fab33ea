//! Resampling of feature maps: PyTorch's `interpolate`.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// The positions from which a value is interpolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interpolation {
    /// The two nearest positions along each side, linearly.
    Bilinear,
    /// The four nearest positions along each side, by cubic convolution with a = -3/4 (Keys 1981).
    Bicubic,
    /// The position whose pixel contains the upper left corner of the new one.
    Nearest,
    /// The position whose pixel contains the centre of the new one.
    NearestExact,
    /// The mean of all positions whose pixels overlap the new one.
    Area,
}

/// How positions in the result map to positions in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Corners {
    /// The centres of the corner pixels coincide (`align_corners=True`).
    Aligned,
    /// The outer edges coincide (`align_corners=False`).
    Free,
}

/// `[batch, channels, height, width]` to `[batch, channels, size[0], size[1]]`, without antialiasing.
pub(crate) fn interpolate(
    x: Tensor<4>,
    size: [usize; 2],
    interpolation: Interpolation,
    corners: Corners,
) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    if [height, width] == size {
        return x;
    }
    let (dtype, device) = (x.dtype(), x.device());
    let weights = |from, to| weights(from, to, interpolation, corners, &device);
    let x = resample_rows(x.cast(DType::F32), weights(width, size[1]));
    let x = resample_rows(x.swap_dims(2, 3), weights(height, size[0]));
    x.swap_dims(2, 3).cast(dtype)
}

/// Multiplies each row of `[batch, channels, rows, from]` by `[from, to]`.
fn resample_rows(x: Tensor<4>, weights: Tensor<2>) -> Tensor<4> {
    let [batch, channels, rows, from] = x.dims();
    let to = weights.dims()[1];
    x.reshape([batch * channels * rows, from]).matmul(weights).reshape([batch, channels, rows, to])
}

/// How much each of `from` positions counts for each of `to`, `[from, to]`. Positions are computed in `f32`, as in PyTorch.
fn weights(
    from: usize,
    to: usize,
    interpolation: Interpolation,
    corners: Corners,
    device: &Device,
) -> Tensor<2> {
    let scale = match corners {
        Corners::Aligned if to > 1 => (from - 1) as f32 / (to - 1) as f32,
        Corners::Aligned => 0.0,
        Corners::Free => from as f32 / to as f32,
    };
    let mut weights = vec![0.0_f32; from * to];
    for index in 0..to {
        let position = match corners {
            Corners::Aligned => scale * index as f32,
            Corners::Free => scale * (index as f32 + 0.5) - 0.5,
        };
        let position = if interpolation == Interpolation::Bilinear { position.max(0.0) } else { position };
        let floor = position.floor();
        let fraction = position - floor;
        let mut count = |offset: i64, weight: f32| {
            let neighbour = (floor as i64 + offset).clamp(0, from as i64 - 1) as usize;
            weights[neighbour * to + index] += weight;
        };
        match interpolation {
            Interpolation::Nearest => weights[nearest(index as f32 * scale, from) * to + index] = 1.0,
            Interpolation::NearestExact => {
                weights[nearest((index as f32 + 0.5) * scale, from) * to + index] = 1.0;
            }
            Interpolation::Area => {
                let (start, end) = (index * from / to, ((index + 1) * from).div_ceil(to));
                for neighbour in start..end {
                    weights[neighbour * to + index] = 1.0 / (end - start) as f32;
                }
            }
            Interpolation::Bilinear => {
                count(0, 1.0 - fraction);
                count(1, fraction);
            }
            Interpolation::Bicubic => {
                count(-1, cubic(fraction + 1.0));
                count(0, cubic(fraction));
                count(1, cubic(1.0 - fraction));
                count(2, cubic(2.0 - fraction));
            }
        }
    }
    Tensor::from_data(TensorData::new(weights, [from, to]), (device, DType::F32))
}

/// The pixel that contains a position.
fn nearest(position: f32, from: usize) -> usize {
    (position as usize).min(from - 1)
}

/// The cubic convolution kernel at a distance from 0 to 2.
fn cubic(distance: f32) -> f32 {
    const A: f32 = -0.75;
    if distance <= 1.0 {
        ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0
    } else {
        ((A * distance - 5.0 * A) * distance + 8.0 * A) * distance - 4.0 * A
    }
}
