//! Changes of size that move pixels to channels and back (Chen et al. 2024, <https://arxiv.org/abs/2410.10733>, section 3.2).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::nearest;

use crate::models::layers::convolution::Conv2d;

/// The change of a side.
const FACTOR: usize = 2;

/// Halves an image; the result learns what to add to the means of groups of the pixels' channels.
#[derive(Module, Debug)]
pub(super) struct DcDownBlock2d {
    conv: Conv2d,
    unshuffles: bool,
    shortcut: bool,
}

impl DcDownBlock2d {
    pub fn init([from, to]: [usize; 2], unshuffles: bool, shortcut: bool, device: &Device) -> Self {
        let (channels, stride) = if unshuffles { (to / (FACTOR * FACTOR), 1) } else { (to, FACTOR) };
        Self { conv: Conv2d::init(from, channels, 3, device).with_stride(stride, 1), unshuffles, shortcut }
    }

    /// `[batch, from, height, width]` to `[batch, to, height / 2, width / 2]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let learned = self.conv.forward(x.clone());
        let learned = if self.unshuffles { unshuffled(learned) } else { learned };
        if !self.shortcut {
            return learned;
        }
        let channels = learned.dims()[1];
        learned + means_of_groups(unshuffled(x), channels)
    }
}

/// Doubles an image; the result learns what to add to the pixels that repeated channels make.
#[derive(Module, Debug)]
pub(super) struct DcUpBlock2d {
    conv: Conv2d,
    interpolates: bool,
    shortcut: bool,
}

impl DcUpBlock2d {
    pub fn init([from, to]: [usize; 2], interpolates: bool, shortcut: bool, device: &Device) -> Self {
        let channels = if interpolates { to } else { to * FACTOR * FACTOR };
        Self { conv: Conv2d::init(from, channels, 3, device), interpolates, shortcut }
    }

    /// `[batch, from, height, width]` to `[batch, to, 2 * height, 2 * width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let learned = if self.interpolates {
            self.conv.forward(nearest(x.clone(), [FACTOR * height, FACTOR * width]))
        } else {
            shuffled(self.conv.forward(x.clone()))
        };
        if !self.shortcut {
            return learned;
        }
        let channels = learned.dims()[1] * FACTOR * FACTOR;
        learned + shuffled(repeated(x, channels))
    }
}

/// Each channel as often as it takes to make so many, `[batch, channels, height, width]`.
pub(super) fn repeated(x: Tensor<4>, channels: usize) -> Tensor<4> {
    let [batch, from, height, width] = x.dims();
    let pixels: Tensor<5> = x.permute([0, 2, 3, 1]).unsqueeze_dim(4);
    let repeated = pixels.repeat_dim(4, channels / from);
    repeated.reshape([batch, height, width, channels]).permute([0, 3, 1, 2])
}

/// The means of so many groups of neighbouring channels, `[batch, groups, height, width]`.
pub(super) fn means_of_groups(x: Tensor<4>, groups: usize) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let pixels: Tensor<5> =
        x.permute([0, 2, 3, 1]).reshape([batch, height, width, groups, channels / groups]);
    pixels.mean_dim(4).reshape([batch, height, width, groups]).permute([0, 3, 1, 2])
}

/// The pixels of squares as channels, `[batch, 4 * channels, height / 2, width / 2]`. The channels of a pixel stay side by side in memory.
fn unshuffled(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let [height, width] = [height / FACTOR, width / FACTOR];
    let squares: Tensor<6> =
        x.permute([0, 2, 3, 1]).reshape([batch, height, FACTOR, width, FACTOR, channels]);
    let squares = squares.permute([0, 1, 3, 5, 2, 4]);
    squares.reshape([batch, height, width, FACTOR * FACTOR * channels]).permute([0, 3, 1, 2])
}

/// The inverse of [`unshuffled`].
fn shuffled(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let channels = channels / (FACTOR * FACTOR);
    let squares: Tensor<6> =
        x.permute([0, 2, 3, 1]).reshape([batch, height, width, channels, FACTOR, FACTOR]);
    let squares = squares.permute([0, 1, 4, 2, 5, 3]);
    squares.reshape([batch, FACTOR * height, FACTOR * width, channels]).permute([0, 3, 1, 2])
}
