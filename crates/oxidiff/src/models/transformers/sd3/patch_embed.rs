//! From latents to tokens that carry their positions (Dosovitskiy et al. 2020, <https://arxiv.org/abs/2010.11929>). The positions are a
//! table for the largest image; smaller ones use its middle.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::to_tokens;

use super::Sizes;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::parameter;
use crate::models::layers::patch_embed::position_embeddings;

#[derive(Module, Debug)]
pub(super) struct PatchEmbed {
    proj: Conv2d,
    /// `[1, table * table, dim]`, as the checkpoint has rounded it.
    pos_embed: Option<Param<Tensor<3>>>,
    patch_size: usize,
    table: usize,
}

impl PatchEmbed {
    /// Patches of so many channels, with positions or without.
    pub fn init(sizes: &Sizes, channels: usize, has_positions: bool, device: &Device) -> Self {
        let Sizes { patch_size, table, sample_size, .. } = *sizes;
        let dim = sizes.dim();
        let positions = || {
            let values = move || position_embeddings([table; 2], sample_size / patch_size, 1.0, dim);
            parameter::computed([1, table * table, dim], values, device)
        };
        Self {
            proj: Conv2d::init(channels, dim, patch_size, device).with_stride(patch_size, 0),
            pos_embed: has_positions.then(positions),
            patch_size,
            table,
        }
    }

    /// `[batch, channels, height, width]` to `[batch, tokens, dim]`.
    pub fn forward(&self, latents: Tensor<4>) -> Tensor<3> {
        let [_, _, height, width] = latents.dims();
        let tokens = to_tokens(self.proj.forward(latents));
        let Some(table) = &self.pos_embed else { return tokens };
        let dim = tokens.dims()[2];
        let [rows, columns] = [height / self.patch_size, width / self.patch_size];
        let table: Tensor<4> = table.val().reshape([1, self.table, self.table, dim]);
        let middle = table.narrow(1, (self.table - rows) / 2, rows);
        let middle = middle.narrow(2, (self.table - columns) / 2, columns);
        tokens + middle.reshape([1, rows * columns, dim])
    }
}
