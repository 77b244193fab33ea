//! The transformer inside the blocks of a conditional UNet (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>,
//! appendix E.2.1).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{to_image, to_tokens};

use crate::models::layers::attention::{Attention, AttentionSlice};
use crate::models::layers::attention_context::AttentionContext;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::linear::Linear;
use crate::models::layers::low_rank::inside;
use crate::models::layers::normalization::GroupNorm;
use crate::models::layers::transformer_block::BasicTransformerBlock;

/// The shape of a [`Transformer2DModel`].
#[derive(Clone, Copy, Debug)]
pub struct Transformer2DConfig {
    /// Channels of the image.
    pub in_channels: usize,
    /// Number of attention heads.
    pub heads: usize,
    /// Length of a token in one head.
    pub dim_head: usize,
    /// Number of transformer blocks.
    pub num_layers: usize,
    /// Length of a token of the text.
    pub cross_attention_dim: usize,
    /// Groups of the norm at the start.
    pub norm_num_groups: usize,
    /// Project each position with a linear layer instead of a 1x1 convolution: the same product with another layout.
    pub use_linear_projection: bool,
    /// Both attentions of a block attend to the text.
    pub only_cross_attention: bool,
}

impl Transformer2DConfig {
    /// The module on `device`.
    pub fn init(&self, device: &Device) -> Transformer2DModel {
        let inner_dim = self.heads * self.dim_head;
        let projection = |from, to| {
            if self.use_linear_projection {
                Projection::Linear(Linear::init(from, to, true, device))
            } else {
                Projection::Conv(Conv2d::init(from, to, 1, device))
            }
        };
        let block = |_| {
            BasicTransformerBlock::init(
                self.heads,
                self.dim_head,
                self.cross_attention_dim,
                self.only_cross_attention,
                device,
            )
        };
        Transformer2DModel {
            norm: GroupNorm::init(self.norm_num_groups, self.in_channels, 1e-6, device),
            proj_in: projection(self.in_channels, inner_dim),
            transformer_blocks: (0..self.num_layers).map(block).collect(),
            proj_out: projection(inner_dim, self.in_channels),
        }
    }
}

/// Attention among the positions of an image, and from them to a text, with a residual around it.
#[derive(Module, Debug)]
pub struct Transformer2DModel {
    norm: GroupNorm,
    proj_in: Projection,
    transformer_blocks: Vec<BasicTransformerBlock>,
    proj_out: Projection,
}

/// A linear map of the channels at each position.
#[derive(Module, Debug)]
enum Projection {
    Conv(Conv2d),
    Linear(Linear),
}

impl Transformer2DModel {
    /// Sets how many heads attention works on at a time; all without a slice.
    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        for block in &mut self.transformer_blocks {
            block.set_attention_slice(slice);
        }
    }

    /// The attentions that look at the images of IP-Adapters, one in each block.
    pub fn cross_attentions_mut(&mut self) -> impl Iterator<Item = &mut Attention> {
        self.transformer_blocks.iter_mut().map(BasicTransformerBlock::cross_attention_mut)
    }

    /// The projections of all attentions.
    pub fn attention_projections_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)> {
        self.transformer_blocks.iter_mut().enumerate().flat_map(|(index, block)| {
            inside(format!("transformer_blocks.{index}"), block.attention_projections_mut())
        })
    }

    /// `x` `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>, context: &AttentionContext) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let normed = self.norm.forward(x.clone());
        let mut tokens = match &self.proj_in {
            Projection::Conv(conv) => to_tokens(conv.forward(normed)),
            Projection::Linear(linear) => linear.forward(to_tokens(normed)),
        };
        for block in &self.transformer_blocks {
            tokens = block.forward(tokens, context);
        }
        match &self.proj_out {
            Projection::Conv(conv) => conv.forward_added(to_image(tokens, height, width), None, Some(x)),
            Projection::Linear(linear) => to_image(linear.forward_added(tokens, to_tokens(x)), height, width),
        }
    }
}
