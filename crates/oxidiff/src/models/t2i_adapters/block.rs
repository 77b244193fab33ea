//! The blocks of a T2I-Adapter.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::config::{T2IAdapterConfig, T2IAdapterType};
use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;

/// What a block makes of the feature before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockShape {
    /// The channels that enter it.
    pub from: usize,
    /// The channels of its feature.
    pub to: usize,
    /// Whether it begins with halving the size.
    pub halves: bool,
}

/// Residual blocks at one resolution, between convolutions that change the number of channels.
#[derive(Module, Debug)]
pub struct AdapterBlock {
    halves: bool,
    in_conv: Option<Conv2d>,
    resnets: Vec<AdapterResnetBlock>,
    out_conv: Option<Conv2d>,
}

#[derive(Module, Debug)]
struct AdapterResnetBlock {
    block1: Conv2d,
    block2: Conv2d,
}

impl AdapterBlock {
    /// A block of this shape in a model with this configuration.
    pub fn init(shape: BlockShape, config: &T2IAdapterConfig, device: &Device) -> Self {
        let BlockShape { from, to, halves } = shape;
        let is_light = config.adapter_type == T2IAdapterType::LightAdapter;
        let inside = if is_light { to / 4 } else { to };
        let resnet = |_| AdapterResnetBlock {
            block1: Conv2d::init(inside, inside, 3, device),
            block2: Conv2d::init(inside, inside, if is_light { 3 } else { 1 }, device),
        };
        Self {
            halves,
            in_conv: (is_light || from != inside).then(|| Conv2d::init(from, inside, 1, device)),
            resnets: (0..config.num_res_blocks).map(resnet).collect(),
            out_conv: is_light.then(|| Conv2d::init(inside, to, 1, device)),
        }
    }

    /// Its first convolution, if that changes the number of channels.
    pub fn first(&self) -> Option<&Conv2d> {
        self.in_conv.as_ref()
    }

    /// `[batch, from, height, width]` to `[batch, to, height', width']`, with half of the height and the width, rounded up, if
    /// the block halves the size.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = if self.halves { halved(x) } else { x };
        let x = match &self.in_conv {
            Some(conv) => conv.forward(x),
            None => x,
        };
        let x = self.resnets.iter().fold(x, |x, resnet| {
            let inner = Activation::Relu.forward(resnet.block1.forward(x.clone()));
            resnet.block2.forward_added(inner, None, Some(x))
        });
        match &self.out_conv {
            Some(conv) => conv.forward(x),
            None => x,
        }
    }
}

/// The mean of each square of four positions. At an odd end, the mean of those that there are.
fn halved(x: Tensor<4>) -> Tensor<4> {
    // The mean of a value and its copy is the value.
    let evened = |x: Tensor<4>, dim: usize| match x.dims()[dim] {
        side if side.is_multiple_of(2) => x,
        side => Tensor::cat(vec![x.clone(), x.narrow(dim, side - 1, 1)], dim),
    };
    let x = evened(evened(x, 2), 3);
    let [batch, channels, height, width] = x.dims();
    let squares = x.reshape([batch, channels, height / 2, 2, width / 2, 2]);
    squares.mean_dim(5).mean_dim(3).reshape([batch, channels, height / 2, width / 2])
}
