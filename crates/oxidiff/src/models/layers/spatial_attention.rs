//! Attention among the positions of an image.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{attention, to_image, to_tokens};

use super::linear::Linear;
use super::normalization::GroupNorm;

/// Self-attention among the positions of an image, with a norm before and a residual around it: the attention of
/// autoencoders and unconditional models.
#[derive(Module, Debug)]
pub struct SpatialAttention {
    group_norm: Option<GroupNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: [Linear; 1],
    heads: usize,
    rescale_output_factor: f64,
}

/// The shape of a [`SpatialAttention`].
#[derive(Clone, Copy, Debug)]
pub struct SpatialAttentionConfig {
    /// Channels of the image.
    pub channels: usize,
    /// Channels in one head; there are as many heads as the channels of the image allow.
    pub dim_head: usize,
    /// Groups of the norm, where there is one.
    pub norm_num_groups: Option<usize>,
    /// Added to the variance in the norm.
    pub epsilon: f64,
    /// The sum with the residual is divided by this.
    pub rescale_output_factor: f64,
}

impl SpatialAttentionConfig {
    /// The layer on `device`.
    pub fn init(&self, device: &Device) -> SpatialAttention {
        let heads = self.channels / self.dim_head;
        let inner_dim = heads * self.dim_head;
        let projection = || Linear::init(self.channels, inner_dim, true, device);
        SpatialAttention {
            group_norm: self
                .norm_num_groups
                .map(|groups| GroupNorm::init(groups, self.channels, self.epsilon, device)),
            to_q: projection(),
            to_k: projection(),
            to_v: projection(),
            to_out: [Linear::init(inner_dim, self.channels, true, device)],
            heads,
            rescale_output_factor: self.rescale_output_factor,
        }
    }
}

impl SpatialAttention {
    /// `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let normed = match &self.group_norm {
            Some(norm) => norm.forward(x.clone()),
            None => x.clone(),
        };
        let tokens = to_tokens(normed);
        let query = self.to_q.forward(tokens.clone());
        let key = self.to_k.forward(tokens.clone());
        let value = self.to_v.forward(tokens);
        let attended = attention(query, key, value, self.heads);
        let [_, _, height, width] = x.dims();
        let out = to_image(self.to_out[0].forward_added(attended, to_tokens(x)), height, width);
        if self.rescale_output_factor == 1.0 { out } else { out / self.rescale_output_factor }
    }

    /// The key under which checkpoints from before diffusers 0.18 keep a parameter of the attentions of a block: their
    /// projections had other names.
    pub(crate) fn old_key(key: &str) -> Option<String> {
        let (block, parameter) = key.split_once(".attentions.")?;
        let (index, parameter) = parameter.split_once('.')?;
        let old = [("to_q.", "query."), ("to_k.", "key."), ("to_v.", "value."), ("to_out.0.", "proj_attn.")]
            .into_iter()
            .find_map(|(new, old)| Some(format!("{old}{}", parameter.strip_prefix(new)?)))?;
        Some(format!("{block}.attentions.{index}.{old}"))
    }
}
