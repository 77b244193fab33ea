//! A block with two streams: the tokens of the text and those of the images have their own layers, and attend to each other.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::swiglu;

use super::Flux2Transformer2DConfig;
use super::references::References;
use crate::models::layers::joint_attention::JointAttention;
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::Modulation;
use crate::models::layers::rotary_embedding::RotaryEmbedding;

#[derive(Module, Debug)]
pub(super) struct DoubleBlock {
    attn: JointAttention,
    ff: FeedForward,
    ff_context: FeedForward,
    epsilon: f64,
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
        let feed_forward = || FeedForward {
            linear_in: Linear::init(dim, 2 * inner, false, device),
            linear_out: Linear::init(inner, dim, false, device),
        };
        Self {
            attn: JointAttention::init(
                [config.num_attention_heads, config.attention_head_dim],
                false,
                config.eps,
                device,
            ),
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
        let [text_result, image_result] = self
            .attn
            .forward(normed, rotary, |query, key, value, heads| references.attend(query, key, value, heads));
        let text = of_text[0].add(text, text_result);
        let image = of_image[0].add(image, image_result);
        let text_result = self.ff_context.forward(norm(&of_text[1], &text));
        let image_result = self.ff.forward(norm(&of_image[1], &image));
        [of_text[1].add(text, text_result), of_image[1].add(image, image_result)]
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
