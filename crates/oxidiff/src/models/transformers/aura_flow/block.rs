//! The blocks of AuraFlow's transformer: those with two streams, text and image, and those in which the two are one.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::attention;

use super::AuraFlowTransformer2DConfig;
use crate::models::layers::activations::Activation;
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::{Modulation, ModulationLayer};
use crate::models::layers::normalization::layer_norm_without_parameters;

/// Added to the variance in the norms of tokens.
const EPSILON: f64 = 1e-6;
/// The same before a feed-forward, and of queries and keys.
const FURTHER_EPSILON: f64 = 1e-5;

/// A block of two streams.
#[derive(Module, Debug)]
pub(super) struct JointBlock {
    norm1: ModulationLayer,
    norm1_context: ModulationLayer,
    attn: Attention,
    ff: FeedForward,
    ff_context: FeedForward,
}

/// A block of one stream.
#[derive(Module, Debug)]
pub(super) struct SingleBlock {
    norm1: ModulationLayer,
    attn: Attention,
    ff: FeedForward,
}

/// Attention with normalized queries and keys. Its layers for the text have `add` in their names.
#[derive(Module, Debug)]
struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: [Linear; 1],
    add_q_proj: Option<Linear>,
    add_k_proj: Option<Linear>,
    add_v_proj: Option<Linear>,
    to_add_out: Option<Linear>,
    heads: usize,
}

/// A feed-forward, one half of whose features gates the other (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).
#[derive(Module, Debug)]
struct FeedForward {
    linear_1: Linear,
    linear_2: Linear,
    out_projection: Linear,
}

impl JointBlock {
    pub fn init(config: &AuraFlowTransformer2DConfig, device: &Device) -> Self {
        let modulation = || ModulationLayer::init(config.inner_dim(), 6, false, device);
        Self {
            norm1: modulation(),
            norm1_context: modulation(),
            attn: Attention::init(config, true, device),
            ff: FeedForward::init(config, device),
            ff_context: FeedForward::init(config, device),
        }
    }

    /// The tokens of text and image, each `[batch, tokens, dim]`, to the same shapes. `time` is `[rows, dim]`.
    pub fn forward(&self, [text, image]: [Tensor<3>; 2], time: &Tensor<2>) -> [Tensor<3>; 2] {
        let [of_text, of_image]: [[Modulation; 2]; 2] =
            [self.norm1_context.forward(time), self.norm1.forward(time)];
        let normed = [of_text[0].norm(text.clone(), EPSILON), of_image[0].norm(image.clone(), EPSILON)];
        let [found_text, found_image] = self.attn.forward_joint(normed);
        [
            self.ff_context.forward_after(text, found_text, &of_text),
            self.ff.forward_after(image, found_image, &of_image),
        ]
    }
}

impl SingleBlock {
    pub fn init(config: &AuraFlowTransformer2DConfig, device: &Device) -> Self {
        Self {
            norm1: ModulationLayer::init(config.inner_dim(), 6, false, device),
            attn: Attention::init(config, false, device),
            ff: FeedForward::init(config, device),
        }
    }

    /// `[batch, tokens, dim]` to the same shape.
    pub fn forward(&self, x: Tensor<3>, time: &Tensor<2>) -> Tensor<3> {
        let modulations: [Modulation; 2] = self.norm1.forward(time);
        let found = self.attn.forward(modulations[0].norm(x.clone(), EPSILON));
        self.ff.forward_after(x, found, &modulations)
    }
}

impl Attention {
    fn init(config: &AuraFlowTransformer2DConfig, is_joint: bool, device: &Device) -> Self {
        let dim = config.inner_dim();
        let linear = || Linear::init(dim, dim, false, device);
        let of_text = || is_joint.then(linear);
        Self {
            to_q: linear(),
            to_k: linear(),
            to_v: linear(),
            to_out: [linear()],
            add_q_proj: of_text(),
            add_k_proj: of_text(),
            add_v_proj: of_text(),
            to_add_out: of_text(),
            heads: config.num_attention_heads,
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let query = self.normed(self.to_q.forward(x.clone()));
        let key = self.normed(self.to_k.forward(x.clone()));
        self.to_out[0].forward(attention(query, key, self.to_v.forward(x), self.heads))
    }

    fn forward_joint(&self, [text, image]: [Tensor<3>; 2]) -> [Tensor<3>; 2] {
        let tokens = [text.dims()[1], image.dims()[1]];
        let joined = |of_text: &Option<Linear>, of_image: &Linear| {
            let of_text = of_text.as_ref().expect("layers of a block with two streams");
            Tensor::cat(vec![of_text.forward(text.clone()), of_image.forward(image.clone())], 1)
        };
        let query = self.normed(joined(&self.add_q_proj, &self.to_q));
        let key = self.normed(joined(&self.add_k_proj, &self.to_k));
        let attended = attention(query, key, joined(&self.add_v_proj, &self.to_v), self.heads);
        let of_text = attended.clone().narrow(1, 0, tokens[0]);
        let of_image = attended.narrow(1, tokens[0], tokens[1]);
        let to_add_out = self.to_add_out.as_ref().expect("layers of a block with two streams");
        [to_add_out.forward(of_text), self.to_out[0].forward(of_image)]
    }

    /// Normalizes each head by itself.
    fn normed(&self, x: Tensor<3>) -> Tensor<3> {
        let dims @ [batch, tokens, width] = x.dims();
        let heads: Tensor<4> = x.reshape([batch, tokens, self.heads, width / self.heads]);
        layer_norm_without_parameters(heads, FURTHER_EPSILON).reshape(dims)
    }
}

impl FeedForward {
    fn init(config: &AuraFlowTransformer2DConfig, device: &Device) -> Self {
        let (dim, inner) = (config.inner_dim(), config.feed_forward_dim());
        let linear = |from, to| Linear::init(from, to, false, device);
        Self {
            linear_1: linear(dim, inner),
            linear_2: linear(dim, inner),
            out_projection: linear(inner, dim),
        }
    }

    /// The tokens `x` after the feed-forward, which sees what the attention found. Only its own result is added to them.
    fn forward_after(&self, x: Tensor<3>, found: Tensor<3>, [first, second]: &[Modulation; 2]) -> Tensor<3> {
        let seen = second.norm(first.add(x.clone(), found), FURTHER_EPSILON);
        let gate = Activation::Silu.forward(self.linear_1.forward(seen.clone()));
        second.add(x, self.out_projection.forward(gate * self.linear_2.forward(seen)))
    }
}
