//! What an IP-Adapter adds to the attentions: the image also attends to the tokens of a picture, whose norm depends on the time
//! (<https://huggingface.co/InstantX/SD3.5-Large-IP-Adapter>).

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::attention;

use super::EPSILON;
use crate::models::ip_adapters::TimedTokens;
use crate::models::layers::activations::Activation;
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::Modulation;
use crate::models::layers::normalization::RmsNorm;

/// The scale of an adapter that was just loaded.
const INITIAL_SCALE: f64 = 0.5;

/// The layers of an adapter in one attention.
#[derive(Module, Debug)]
pub(crate) struct PictureAttention {
    norm_ip: ConditionedNorm,
    to_k_ip: Linear,
    to_v_ip: Linear,
    /// The norms are those of a head.
    norm_q: RmsNorm,
    norm_k: RmsNorm,
    norm_ip_k: RmsNorm,
    #[module(skip)]
    scale: f64,
}

#[derive(Module, Debug)]
struct ConditionedNorm {
    linear: Linear,
}

impl PictureAttention {
    /// Layers for tokens of length `dim`, and an embedded time of length `time_dim`.
    pub fn init(dim: usize, head_dim: usize, time_dim: usize, device: &Device) -> Self {
        let norm = || RmsNorm::init(head_dim, EPSILON, device);
        Self {
            norm_ip: ConditionedNorm { linear: Linear::init(time_dim, 2 * dim, true, device) },
            to_k_ip: Linear::init(dim, dim, false, device),
            to_v_ip: Linear::init(dim, dim, false, device),
            norm_q: norm(),
            norm_k: norm(),
            norm_ip_k: norm(),
            scale: INITIAL_SCALE,
        }
    }

    /// How strongly the picture counts.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Sets how strongly the picture counts.
    pub fn set_scale(&mut self, scale: f64) {
        self.scale = scale;
    }

    /// `found` plus what the queries of the image find among its own keys and the picture's tokens. Queries, keys and values are not
    /// normalized yet; all are `[batch, tokens, dim]`.
    pub(super) fn add_to(
        &self,
        found: Tensor<3>,
        [query, key, value]: [Tensor<3>; 3],
        picture: &TimedTokens,
        heads: usize,
    ) -> Tensor<3> {
        if self.scale == 0.0 {
            return found;
        }
        let changes = self.norm_ip.linear.forward(Activation::Silu.forward(picture.time.clone()));
        let [shift, scale] = changes.cast(DType::F32).chunk(2, 1).try_into().expect("two parts");
        let tokens = Modulation::new(shift, scale, None).norm(picture.tokens.clone(), EPSILON);
        let of_picture = self.norm_ip_k.forward_heads(self.to_k_ip.forward(tokens.clone()));
        let key = Tensor::cat(vec![self.norm_k.forward_heads(key), of_picture], 1);
        let value = Tensor::cat(vec![value, self.to_v_ip.forward(tokens)], 1);
        found + attention(self.norm_q.forward_heads(query), key, value, heads) * self.scale
    }
}
