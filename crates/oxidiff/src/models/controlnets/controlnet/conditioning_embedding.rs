//! From the image that steers to the resolution of the latents.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;

/// Convolutions that bring an image to the size of the latents (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>,
/// section 3.2).
#[derive(Module, Debug)]
pub struct ControlNetConditioningEmbedding {
    conv_in: Conv2d,
    /// In pairs, of which the second halves the size.
    blocks: Vec<Conv2d>,
    conv_out: Conv2d,
}

impl ControlNetConditioningEmbedding {
    /// From `in_channels` through those of the list to `out_channels`. The list is not empty.
    pub fn init(in_channels: usize, channels: &[usize], out_channels: usize, device: &Device) -> Self {
        let convolution = |from, to| Conv2d::init(from, to, 3, device);
        let pair =
            |pair: &[usize]| [convolution(pair[0], pair[0]), convolution(pair[0], pair[1]).with_stride(2, 1)];
        Self {
            conv_in: convolution(in_channels, channels[0]),
            blocks: channels.windows(2).flat_map(pair).collect(),
            conv_out: convolution(channels[channels.len() - 1], out_channels).zeroed(),
        }
    }

    /// `[batch, in_channels, height, width]` to `[batch, out_channels, height', width']`, see [`Self::size`].
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let act = Activation::Silu;
        let embedded = act.forward(self.conv_in.forward(image));
        let embedded = self.blocks.iter().fold(embedded, |x, block| act.forward(block.forward(x)));
        self.conv_out.forward(embedded)
    }

    /// The size of the result for an image of this size: half as large after each pair, rounded up.
    pub fn size(&self, image: [usize; 2]) -> [usize; 2] {
        image.map(|side| (0..self.blocks.len() / 2).fold(side, |side, _| side.div_ceil(2)))
    }
}
