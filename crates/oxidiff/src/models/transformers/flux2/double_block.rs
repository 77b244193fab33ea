//! A block with two streams: the tokens of the text and those of the images have their own layers, and attend to each other.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::swiglu;

use super::Flux2Transformer2DConfig;
use super::modulation::Modulation;
use super::references::References;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::rotary_embedding::RotaryEmbedding;

#[derive(Module, Debug)]
pub(super) struct DoubleBlock {
    attn: JointAttention,
    ff: FeedForward,
    ff_context: FeedForward,
    epsilon: f64,
}

/// Its layers for the text have `add` in their names.
#[derive(Module, Debug)]
struct JointAttention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: [Linear; 1],
    /// The norms are those of a head.
    norm_q: RmsNorm,
    norm_k: RmsNorm,
    add_q_proj: Linear,
    add_k_proj: Linear,
    add_v_proj: Linear,
    to_add_out: Linear,
    norm_added_q: RmsNorm,
    norm_added_k: RmsNorm,
    heads: usize,
}

/// Its first layer makes the gate, then what is gated.
#[derive(Module, Debug)]
struct FeedForward {
    linear_in: Linear,
    linear_out: Linear,
}

/// What the time does around the attention and around the feed-forward of a stream.
pub(super) type StreamModulation = [Modulation; 2];

impl DoubleBlock {
    pub fn init(config: &Flux2Transformer2DConfig, device: &Device) -> Self {
        let (dim, inner) = (config.dim(), config.feed_forward_dim());
        let projection = || Linear::init(dim, dim, false, device);
        let norm = || RmsNorm::init(config.attention_head_dim, config.eps, device);
        let feed_forward = || FeedForward {
            linear_in: Linear::init(dim, 2 * inner, false, device),
            linear_out: Linear::init(inner, dim, false, device),
        };
        Self {
            attn: JointAttention {
                to_q: projection(),
                to_k: projection(),
                to_v: projection(),
                to_out: [projection()],
                norm_q: norm(),
                norm_k: norm(),
                add_q_proj: projection(),
                add_k_proj: projection(),
                add_v_proj: projection(),
                to_add_out: projection(),
                norm_added_q: norm(),
                norm_added_k: norm(),
                heads: config.num_attention_heads,
            },
            ff: feed_forward(),
            ff_context: feed_forward(),
            epsilon: config.eps,
        }
    }

    /// The tokens of text and images, each `[batch, tokens, dim]`, to the same shapes. `rotary` has the tokens of the text first.
    pub fn forward(
        &self,
        [text, image]: [Tensor<3>; 2],
        [of_text, of_image]: [&StreamModulation; 2],
        rotary: &RotaryEmbedding,
        references: &mut References<'_>,
    ) -> [Tensor<3>; 2] {
        let norm = |modulation: &Modulation, x: &Tensor<3>| modulation.norm(x.clone(), self.epsilon);
        let normed = [norm(&of_text[0], &text), norm(&of_image[0], &image)];
        let [text_result, image_result] = self.attn.forward(normed, rotary, references);
        let text = of_text[0].add(text, text_result);
        let image = of_image[0].add(image, image_result);
        let text_result = self.ff_context.forward(norm(&of_text[1], &text));
        let image_result = self.ff.forward(norm(&of_image[1], &image));
        [of_text[1].add(text, text_result), of_image[1].add(image, image_result)]
    }
}

impl JointAttention {
    fn forward(
        &self,
        [text, image]: [Tensor<3>; 2],
        rotary: &RotaryEmbedding,
        references: &mut References<'_>,
    ) -> [Tensor<3>; 2] {
        let (text_tokens, image_tokens) = (text.dims()[1], image.dims()[1]);
        let join = |text: Tensor<3>, image: Tensor<3>| Tensor::cat(vec![text, image], 1);
        let query = join(
            self.norm_added_q.forward_heads(self.add_q_proj.forward(text.clone())),
            self.norm_q.forward_heads(self.to_q.forward(image.clone())),
        );
        let key = join(
            self.norm_added_k.forward_heads(self.add_k_proj.forward(text.clone())),
            self.norm_k.forward_heads(self.to_k.forward(image.clone())),
        );
        let value = join(self.add_v_proj.forward(text), self.to_v.forward(image));
        let attended = references.attend(rotary.rotate(query), rotary.rotate(key), value, self.heads);
        let of_text = attended.clone().narrow(1, 0, text_tokens);
        let of_image = attended.narrow(1, text_tokens, image_tokens);
        [self.to_add_out.forward(of_text), self.to_out[0].forward(of_image)]
    }
}

impl FeedForward {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let inner = self.linear_out.in_features();
        let gate = self.linear_in.forward_rows(x.clone(), 0..inner);
        let value = self.linear_in.forward_rows(x, inner..2 * inner);
        self.linear_out.forward(swiglu(gate, value))
    }
}
