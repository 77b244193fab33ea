//! The network of ESRGAN: residual-in-residual dense blocks (Wang et al. 2018, <https://arxiv.org/abs/1809.00219>, figure 4), then
//! enlargement by two as often as needed.

use burn::module::Module;
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::nearest;

use crate::models::layers::convolution::Conv2d;

/// The slope of activations for negative values.
const SLOPE: f64 = 0.2;
/// How much of a block's result is added to its input.
const RESIDUAL: f64 = 0.2;
/// Channels of a picture.
pub(super) const COLOURS: usize = 3;

/// The shape of an [`RRDBNet`].
#[derive(Clone, Copy, Debug)]
pub(super) struct RRDBNetConfig {
    /// Squares of this side are folded into channels at the start.
    pub fold: usize,
    pub features: usize,
    pub blocks: usize,
    /// Channels that each layer of a dense block adds.
    pub growth: usize,
    /// How often the size is doubled.
    pub doublings: usize,
}

/// Enlarges pictures by `2 ^ doublings / fold`.
#[derive(Module, Debug)]
pub(super) struct RRDBNet {
    conv_first: Conv2d,
    body: Vec<ResidualInResidual>,
    conv_body: Conv2d,
    conv_up: Vec<Conv2d>,
    conv_hr: Conv2d,
    conv_last: Conv2d,
    fold: usize,
}

#[derive(Module, Debug)]
struct ResidualInResidual {
    rdb1: DenseBlock,
    rdb2: DenseBlock,
    rdb3: DenseBlock,
}

/// Five convolutions, each of which sees the results of all before it.
#[derive(Module, Debug)]
struct DenseBlock {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
    conv4: Conv2d,
    conv5: Conv2d,
}

impl RRDBNetConfig {
    pub fn init(&self, device: &Device) -> RRDBNet {
        let &Self { fold, features, blocks, growth, doublings } = self;
        let conv = |from, to| Conv2d::init(from, to, 3, device);
        let dense = || DenseBlock {
            conv1: conv(features, growth),
            conv2: conv(features + growth, growth),
            conv3: conv(features + 2 * growth, growth),
            conv4: conv(features + 3 * growth, growth),
            conv5: conv(features + 4 * growth, features),
        };
        RRDBNet {
            conv_first: conv(COLOURS * fold * fold, features),
            body: (0..blocks)
                .map(|_| ResidualInResidual { rdb1: dense(), rdb2: dense(), rdb3: dense() })
                .collect(),
            conv_body: conv(features, features),
            conv_up: (0..doublings).map(|_| conv(features, features)).collect(),
            conv_hr: conv(features, features),
            conv_last: conv(features, COLOURS),
            fold,
        }
    }
}

impl RRDBNet {
    /// How many times larger the result is.
    pub fn scale(&self) -> usize {
        (1 << self.conv_up.len()) / self.fold
    }

    /// What the sides of a picture must be multiples of.
    pub fn side_multiple(&self) -> usize {
        self.fold
    }

    /// Channels inside.
    pub fn features(&self) -> usize {
        self.conv_body.weight.lazy_shape().dims::<4>()[0]
    }

    /// `[batch, 3, height, width]` to `[batch, 3, scale * height, scale * width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let first = self.conv_first.forward(folded(x, self.fold));
        let body = self.body.iter().fold(first.clone(), |x, block| block.forward(x));
        let mut x = self.conv_body.forward_added(body, None, Some(first));
        for conv in &self.conv_up {
            let [_, _, height, width] = x.dims();
            x = leaky_relu(conv.forward(nearest(x, [2 * height, 2 * width])), SLOPE);
        }
        self.conv_last.forward(leaky_relu(self.conv_hr.forward(x), SLOPE))
    }
}

impl ResidualInResidual {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let inner = self.rdb3.forward(self.rdb2.forward(self.rdb1.forward(x.clone())));
        inner * RESIDUAL + x
    }
}

impl DenseBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut seen = x.clone();
        for conv in [&self.conv1, &self.conv2, &self.conv3, &self.conv4] {
            let grown = leaky_relu(conv.forward(seen.clone()), SLOPE);
            seen = Tensor::cat(vec![seen, grown], 1);
        }
        self.conv5.forward(seen) * RESIDUAL + x
    }
}

/// Each square of `side` by `side` pixels becomes one position with all of their channels (`pixel_unshuffle` in PyTorch).
fn folded(x: Tensor<4>, side: usize) -> Tensor<4> {
    if side == 1 {
        return x;
    }
    let [batch, channels, height, width] = x.dims();
    let [rows, columns] = [height / side, width / side];
    x.reshape([batch, channels, rows, side, columns, side]).permute([0, 1, 3, 5, 2, 4]).reshape([
        batch,
        channels * side * side,
        rows,
        columns,
    ])
}
