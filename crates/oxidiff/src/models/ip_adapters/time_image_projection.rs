//! The image projection of Stable Diffusion 3's IP-Adapter (<https://huggingface.co/InstantX/SD3.5-Large-IP-Adapter>): a perceiver
//! resampler (Alayrac et al. 2022, <https://arxiv.org/abs/2204.14198>, section 3.1.1) that also sees the time.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::attention;

use super::image_projection::Shapes;
use super::resampler::DIM_HEAD;
use crate::error::{Error, Result};
use crate::loading::state_dict::StateDict;
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::{TimestepEmbedding, Timesteps};
use crate::models::layers::feed_forward::{FeedForward, FeedForwardActivation};
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::LayerNorm;
use crate::models::layers::parameter;

/// The epsilon of the norms.
const EPSILON: f64 = 1e-5;

/// Queries that gather what the tokens of a picture say at a time.
#[derive(Module, Debug)]
pub(crate) struct TimeImageProjection {
    /// `[1, queries, hidden_dim]`.
    latents: Param<Tensor<3>>,
    proj_in: Linear,
    proj_out: Linear,
    norm_out: LayerNorm,
    layers: Vec<Block>,
    time_embedding: TimestepEmbedding,
}

#[derive(Module, Debug)]
struct Block {
    /// Of the picture's tokens.
    ln0: LayerNorm,
    /// Of the queries.
    ln1: LayerNorm,
    attn: FusedAttention,
    ff: FeedForward,
    adaln_norm: LayerNorm,
    adaln_proj: Linear,
}

/// An attention whose keys and values one layer makes.
#[derive(Module, Debug)]
struct FusedAttention {
    to_q: Linear,
    to_kv: Linear,
    to_out: [Linear; 1],
}

/// What a picture becomes at a time.
#[derive(Clone, Debug)]
pub(crate) struct TimedTokens {
    /// `[batch, queries, output_dim]`.
    pub tokens: Tensor<3>,
    /// The embedded time, `[1 or batch, hidden_dim]`.
    pub time: Tensor<2>,
}

impl TimeImageProjection {
    /// The layer that the tensors `image_proj.*` of a file describe, whose keys are the paths of its fields.
    ///
    /// # Errors
    /// When they describe no such layer.
    pub fn of_file(tensors: &StateDict, device: &Device) -> Result<Self> {
        let shapes = Shapes(tensors);
        let of = |name: &str, axis| shapes.of(&format!("image_proj.{name}"), axis);
        let (hidden, output) = (of("proj_in.weight", 0)?, of("proj_out.weight", 0)?);
        let inner = of("layers.0.attn.to_q.weight", 0)?;
        if !inner.is_multiple_of(DIM_HEAD) {
            let message = format!("its queries of length {inner} do not divide into heads of {DIM_HEAD}");
            return Err(tensors.error(message));
        }
        let feed_forward = shapes.feed_forward("image_proj.layers.0.ff")?;
        let time = of("time_embedding.linear_1.weight", 1)?;
        let is_there = |layer: &usize| {
            let start = format!("image_proj.layers.{layer}.");
            tensors.keys().any(|key| key.starts_with(&start))
        };
        let norm = || LayerNorm::init(hidden, EPSILON, device);
        let linear = |from, to, bias| Linear::init(from, to, bias, device);
        let block = |_| Block {
            ln0: norm(),
            ln1: norm(),
            attn: FusedAttention {
                to_q: linear(hidden, inner, false),
                to_kv: linear(hidden, 2 * inner, false),
                to_out: [linear(inner, hidden, false)],
            },
            ff: FeedForward::with_sizes(feed_forward, FeedForwardActivation::Gelu, false, device),
            adaln_norm: norm(),
            adaln_proj: linear(hidden, 4 * hidden, true),
        };
        Ok(Self {
            latents: parameter::normal([1, of("latents", 1)?, hidden], device),
            proj_in: linear(of("proj_in.weight", 1)?, hidden, true),
            proj_out: linear(hidden, output, true),
            norm_out: LayerNorm::init(output, EPSILON, device),
            layers: (0..).take_while(is_there).map(block).collect(),
            time_embedding: TimestepEmbedding::init(time, hidden, Activation::Silu, None, None, device),
        })
    }

    /// Length of the tokens that it makes.
    pub fn output_dim(&self) -> usize {
        self.norm_out.weight.lazy_shape().dims::<1>()[0]
    }

    /// Length of the embedded time.
    pub fn time_dim(&self) -> usize {
        self.latents.lazy_shape().dims::<3>()[2]
    }

    /// Checks embedded pictures for `batch` items.
    ///
    /// # Errors
    /// When they have another shape than the layer takes.
    pub fn check(&self, embeds: &Tensor<3>, batch: usize) -> Result<()> {
        let ([items, tokens, features], taken) = (embeds.dims(), self.proj_in.in_features());
        if items == batch && tokens > 0 && features == taken {
            return Ok(());
        }
        let message =
            format!("has shape {:?}, the IP-Adapter takes [{batch}, tokens, {taken}]", embeds.dims());
        Err(Error::argument("ip_adapter_image_embeds", message))
    }

    /// Embeds pictures `[batch, tokens, features]` at a time for all items, or at one for each.
    pub fn forward(&self, embeds: Tensor<3>, timestep: &[f32]) -> TimedTokens {
        let (batch, device, dtype) = (embeds.dims()[0], embeds.device(), embeds.dtype());
        let num_channels = self.time_embedding.in_channels();
        let raw = Timesteps { num_channels, flip_sin_to_cos: true, downscale_freq_shift: 0.0 };
        let time = self.time_embedding.forward(raw.forward(timestep, &device).cast(dtype), None);
        let tokens = self.proj_in.forward(embeds) + time.clone().unsqueeze_dim(1);
        let queries = self.latents.val().repeat_dim(0, batch);
        let gathered =
            self.layers.iter().fold(queries, |queries, layer| layer.forward(queries, &tokens, &time));
        TimedTokens { tokens: self.norm_out.forward(self.proj_out.forward(gathered)), time }
    }
}

impl Block {
    fn forward(&self, queries: Tensor<3>, tokens: &Tensor<3>, time: &Tensor<2>) -> Tensor<3> {
        let changes = self.adaln_proj.forward(Activation::Silu.forward(time.clone()));
        let [shift, scale, later_shift, later_scale] =
            changes.unsqueeze_dim::<3>(1).chunk(4, 2).try_into().expect("four parts");
        let normed = self.ln1.forward(queries.clone()) * (scale + 1.0) + shift;
        let context = Tensor::cat(vec![self.ln0.forward(tokens.clone()), normed.clone()], 1);
        let queries = self.attn.forward(normed, context) + queries;
        let normed = self.adaln_norm.forward(queries.clone()) * (later_scale + 1.0) + later_shift;
        self.ff.forward_added(normed, queries)
    }
}

impl FusedAttention {
    fn forward(&self, queries: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let query = self.to_q.forward(queries);
        let heads = query.dims()[2] / DIM_HEAD;
        let [key, value] = self.to_kv.forward(context).chunk(2, 2).try_into().expect("two parts");
        self.to_out[0].forward(attention(query, key, value, heads))
    }
}
