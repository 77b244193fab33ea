//! Images of another size, value for value as `torch.nn.functional.interpolate` without `align_corners` computes them.

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// How the pixels of the larger or smaller image are computed from those of the given one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpscaleMode {
    /// The pixel whose area holds the upper left corner of the new one.
    Nearest,
    /// The pixel whose area holds the middle of the new one.
    NearestExact,
    /// Linear between four neighbours.
    Bilinear,
    /// Cubic between sixteen neighbours.
    #[default]
    Bicubic,
    /// The mean of all pixels that the new one touches.
    Area,
    /// For data with one spatial dimension; not for images.
    Linear,
    /// For data with three spatial dimensions; not for images.
    Trilinear,
}

impl UpscaleMode {
    /// Whether the mode is one for images.
    pub(super) fn is_for_images(self) -> bool {
        !matches!(self, Self::Linear | Self::Trilinear)
    }

    /// For each of `to` new positions along an axis, the weights of the `from` old ones.
    fn weights(self, from: usize, to: usize) -> Vec<f32> {
        let scale = from as f32 / to as f32;
        let last = from - 1;
        let mut weights = vec![0.0; from * to];
        for (new, row) in weights.chunks_exact_mut(from).enumerate() {
            // The middle of the new position, in units of the old ones.
            let middle = scale * (new as f32 + 0.5) - 0.5;
            match self {
                Self::Nearest => row[((new as f32 * scale) as usize).min(last)] = 1.0,
                Self::NearestExact => row[(((new as f32 + 0.5) * scale) as usize).min(last)] = 1.0,
                Self::Bilinear | Self::Linear | Self::Trilinear => {
                    let middle = middle.max(0.0);
                    let below = (middle as usize).min(last);
                    let fraction = middle - below as f32;
                    row[below] += 1.0 - fraction;
                    row[(below + 1).min(last)] += fraction;
                }
                Self::Bicubic => {
                    let below = middle.floor();
                    for (offset, weight) in (-1..).zip(cubic_weights(middle - below)) {
                        row[(below as i64 + offset).clamp(0, last as i64) as usize] += weight;
                    }
                }
                Self::Area => {
                    let (start, end) = (new * from / to, ((new + 1) * from).div_ceil(to));
                    row[start..end].fill(1.0 / (end - start) as f32);
                }
            }
        }
        weights
    }
}

/// The weights of four neighbours, the second of which is `t` away: Keys' convolution with a = −3/4.
fn cubic_weights(t: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

/// An image `[batch, channels, height, width]`, none of which is 0, with another height and width.
pub(super) fn interpolate(image: Tensor<4>, size: [usize; 2], mode: UpscaleMode) -> Tensor<4> {
    let [_, _, height, width] = image.dims();
    let device = image.device();
    let vertical = matrix(&mode.weights(height, size[0]), [size[0], height], &device);
    let horizontal = matrix(&mode.weights(width, size[1]), [size[1], width], &device);
    vertical.matmul(image).matmul(horizontal.swap_dims(2, 3))
}

fn matrix(weights: &[f32], [rows, columns]: [usize; 2], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(weights.to_vec(), [1, 1, rows, columns]), (device, DType::F32))
}
