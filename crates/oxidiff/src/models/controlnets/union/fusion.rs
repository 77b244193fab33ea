//! How a ControlNetUnion joins its images to the sample.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{attention, linear};

use super::ControlNetUnionModel;
use crate::models::layers::activations::Activation;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::LayerNorm;
use crate::models::layers::parameter;

/// PyTorch's `LayerNorm` and `MultiheadAttention` have these by default.
const EPSILON: f64 = 1e-5;

/// Attention among vectors, and a layer for each of them.
#[derive(Module, Debug)]
pub struct ResidualAttentionBlock {
    attn: MultiheadAttention,
    ln_1: LayerNorm,
    mlp: ResidualAttentionMlp,
    ln_2: LayerNorm,
}

#[derive(Module, Debug)]
struct MultiheadAttention {
    /// Of queries, keys and values, `[3 * features, features]`.
    in_proj_weight: Param<Tensor<2>>,
    in_proj_bias: Param<Tensor<1>>,
    out_proj: Linear,
    #[module(skip)]
    heads: usize,
}

#[derive(Module, Debug)]
struct ResidualAttentionMlp {
    c_fc: Linear,
    c_proj: Linear,
}

impl ResidualAttentionBlock {
    /// A block for vectors with these numbers of features and heads.
    pub fn init(features: usize, heads: usize, device: &Device) -> Self {
        let bound = (6.0 / (4 * features) as f64).sqrt();
        Self {
            attn: MultiheadAttention {
                in_proj_weight: parameter::uniform([3 * features, features], bound, device),
                in_proj_bias: parameter::constant([3 * features], 0.0, device),
                out_proj: Linear::init(features, features, true, device),
                heads,
            },
            ln_1: LayerNorm::init(features, EPSILON, device),
            mlp: ResidualAttentionMlp {
                c_fc: Linear::init(features, 4 * features, true, device),
                c_proj: Linear::init(4 * features, features, true, device),
            },
            ln_2: LayerNorm::init(features, EPSILON, device),
        }
    }

    /// `[sequences, vectors, features]` to the same shape.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attn.forward(self.ln_1.forward(x));
        let inner = Activation::QuickGelu.forward(self.mlp.c_fc.forward(self.ln_2.forward(x.clone())));
        self.mlp.c_proj.forward_added(inner, x)
    }
}

impl MultiheadAttention {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let features = x.dims()[2];
        let projected = linear(x, self.in_proj_weight.val(), Some(self.in_proj_bias.val()), None);
        let part = |index: usize| projected.clone().narrow(2, index * features, features);
        self.out_proj.forward(attention(part(0), part(1), part(2), self.heads))
    }
}

impl ControlNetUnionModel {
    /// Adds images to `sample` `[batch, channels, height, width]`. `factors` has the type and the factor of each.
    ///
    /// As in diffusers, whose attention takes the first dimension for the sequence, the vectors of an image attend to those of
    /// the same image in the other items of the batch, not to those of the other images.
    pub(super) fn fuse(
        &self,
        sample: Tensor<4>,
        images: Vec<Tensor<4>>,
        factors: &[(usize, f64)],
    ) -> Tensor<4> {
        let batch = sample.dims()[0];
        let mean = |x: &Tensor<4>| -> Tensor<2> { x.clone().mean_dim(3).mean_dim(2).flatten(1, 3) };
        let task_embedding = self.task_embedding.val();
        let mut embedded = Vec::new();
        let mut vectors = Vec::new();
        for (image, &(kind, scale)) in images.into_iter().zip(factors) {
            let image = self.controlnet_cond_embedding.forward(image);
            let image = if image.dims()[0] == batch { image } else { image.repeat_dim(0, batch) };
            let vector = mean(&image) + task_embedding.clone().narrow(0, kind, 1);
            vectors.push((vector * scale).unsqueeze_dim::<3>(0));
            embedded.push((image * scale, scale));
        }
        vectors.push(mean(&sample).unsqueeze_dim::<3>(0));
        // `[images + 1, batch, channels]`.
        let vectors = Tensor::cat(vectors, 0);
        let vectors = self.transformer_layes.iter().fold(vectors, |x, block| block.forward(x));
        let mut fused = sample;
        for (index, (image, scale)) in embedded.into_iter().enumerate() {
            let vector: Tensor<2> = vectors.clone().narrow(0, index, 1).squeeze_dim(0);
            let shift = self.spatial_ch_projs.forward(vector) * scale;
            fused = fused + image + shift.unsqueeze_dim::<3>(2).unsqueeze_dim::<4>(3);
        }
        fused
    }
}
