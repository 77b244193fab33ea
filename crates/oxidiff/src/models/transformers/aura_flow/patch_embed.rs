//! From latents to tokens with learned positions.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::AuraFlowTransformer2DConfig;
use crate::models::layers::linear::Linear;
use crate::models::layers::parameter;

#[derive(Module, Debug)]
pub(super) struct PatchEmbed {
    proj: Linear,
    /// `[1, positions, dim]`.
    pos_embed: Param<Tensor<3>>,
    patch_size: usize,
    side: usize,
}

impl PatchEmbed {
    pub fn init(config: &AuraFlowTransformer2DConfig, device: &Device) -> Self {
        let (patch, dim) = (config.patch_size, config.inner_dim());
        Self {
            proj: Linear::init(patch * patch * config.in_channels, dim, true, device),
            pos_embed: parameter::normal_scaled([1, config.pos_embed_max_size, dim], 0.1, device),
            patch_size: patch,
            side: config.table_side(),
        }
    }

    /// `[batch, channels, height, width]` to `[batch, tokens, dim]`. The positions are those of a rectangle in the middle of the square, so
    /// its sides must not be longer.
    pub fn forward(&self, latents: Tensor<4>) -> Tensor<3> {
        let [batch, channels, height, width] = latents.dims();
        let (patch, side) = (self.patch_size, self.side);
        let (rows, columns) = (height / patch, width / patch);
        let patches: Tensor<6> = latents.reshape([batch, channels, rows, patch, columns, patch]);
        let features = channels * patch * patch;
        let patches = patches.permute([0, 2, 4, 1, 3, 5]).reshape([batch, rows * columns, features]);
        let positions = self.pos_embed.val();
        let dim = positions.dims()[2];
        let positions: Tensor<4> = positions.narrow(1, 0, side * side).reshape([1, side, side, dim]);
        let positions =
            positions.narrow(1, side / 2 - rows / 2, rows).narrow(2, side / 2 - columns / 2, columns);
        self.proj.forward(patches) + positions.reshape([1, rows * columns, dim])
    }
}
