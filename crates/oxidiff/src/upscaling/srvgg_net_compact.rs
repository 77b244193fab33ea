//! The small network of Real-ESRGAN: plain convolutions at the size of the picture, and a last one whose channels become the
//! pixels of the enlarged one (Shi et al. 2016, <https://arxiv.org/abs/1609.05158>).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::nearest;

use super::rrdb_net::COLOURS;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::parameter;

/// The shape of an [`SRVGGNetCompact`].
#[derive(Clone, Copy, Debug)]
pub(super) struct SRVGGNetCompactConfig {
    pub features: usize,
    /// Convolutions, without the first and the last.
    pub layers: usize,
    pub scale: usize,
}

/// Adds details to a picture that is enlarged by repeating its pixels.
#[derive(Module, Debug)]
pub(super) struct SRVGGNetCompact {
    body: Vec<Layer>,
    scale: usize,
}

#[derive(Module, Debug)]
enum Layer {
    Conv(Conv2d),
    Activation(Prelu),
}

/// The identity for positive values, and a learned slope for each channel's negative ones (He et al. 2015,
/// <https://arxiv.org/abs/1502.01852>).
#[derive(Module, Debug)]
struct Prelu {
    /// `[channels]`.
    weight: Param<Tensor<1>>,
}

impl SRVGGNetCompactConfig {
    pub fn init(&self, device: &Device) -> SRVGGNetCompact {
        let &Self { features, layers, scale } = self;
        let conv = |from, to| Layer::Conv(Conv2d::init(from, to, 3, device));
        let slopes = || Layer::Activation(Prelu { weight: parameter::constant([features], 0.25, device) });
        let mut body = vec![conv(COLOURS, features), slopes()];
        for _ in 0..layers {
            body.extend([conv(features, features), slopes()]);
        }
        body.push(conv(features, COLOURS * scale * scale));
        SRVGGNetCompact { body, scale }
    }
}

impl SRVGGNetCompact {
    /// How many times larger the result is.
    pub fn scale(&self) -> usize {
        self.scale
    }

    /// `[batch, 3, height, width]` to `[batch, 3, scale * height, scale * width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let side = self.scale;
        let details = self.body.iter().fold(x.clone(), |x, layer| match layer {
            Layer::Conv(conv) => conv.forward(x),
            Layer::Activation(slopes) => slopes.forward(x),
        });
        // `pixel_shuffle` in PyTorch.
        let details = details
            .reshape([batch, channels, side, side, height, width])
            .permute([0, 1, 4, 2, 5, 3])
            .reshape([batch, channels, side * height, side * width]);
        details + nearest(x, [side * height, side * width])
    }
}

impl Prelu {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let slopes = self.weight.val();
        let channels = slopes.dims()[0];
        x.clone().clamp_min(0.0) + x.clamp_max(0.0) * slopes.reshape([1, channels, 1, 1])
    }
}
