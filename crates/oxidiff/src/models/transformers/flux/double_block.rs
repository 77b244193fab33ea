//! A block with two streams: the tokens of the text and those of the images have their own layers, and attend to each other.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::attention;

use super::{EPSILON, Sizes};
use crate::models::layers::feed_forward::{FeedForward, FeedForwardActivation};
use crate::models::layers::joint_attention::JointAttention;
use crate::models::layers::modulation::{Modulation, ModulationLayer};
use crate::models::layers::rotary_embedding::RotaryEmbedding;

#[derive(Module, Debug)]
pub(super) struct DoubleBlock {
    norm1: ModulationLayer,
    norm1_context: ModulationLayer,
    attn: JointAttention,
    ff: FeedForward,
    ff_context: FeedForward,
}

impl DoubleBlock {
    pub fn init(sizes: &Sizes, device: &Device) -> Self {
        let modulation = || ModulationLayer::init(sizes.dim(), 6, true, device);
        let feed_forward = || FeedForward::init(sizes.dim(), FeedForwardActivation::GeluApproximate, device);
        Self {
            norm1: modulation(),
            norm1_context: modulation(),
            attn: JointAttention::init([sizes.heads, sizes.head_dim], true, EPSILON, device),
            ff: feed_forward(),
            ff_context: feed_forward(),
        }
    }

    /// The tokens of text and images, each `[batch, tokens, dim]`, to the same shapes. `rotary` has the tokens of the text first.
    pub fn forward(
        &self,
        [text, image]: [Tensor<3>; 2],
        condition: &Tensor<2>,
        rotary: &RotaryEmbedding,
    ) -> [Tensor<3>; 2] {
        let norm = |modulation: &Modulation, x: &Tensor<3>| modulation.norm(x.clone(), EPSILON);
        let of_image: [Modulation; 2] = self.norm1.forward(condition);
        let of_text: [Modulation; 2] = self.norm1_context.forward(condition);
        let normed = [norm(&of_text[0], &text), norm(&of_image[0], &image)];
        let [text_result, image_result] = self.attn.forward(normed, rotary, attention);
        let text = of_text[0].add(text, text_result);
        let image = of_image[0].add(image, image_result);
        let text_result = self.ff_context.forward(norm(&of_text[1], &text));
        let image_result = self.ff.forward(norm(&of_image[1], &image));
        [of_text[1].add(text, text_result), of_image[1].add(image, image_result)]
    }
}
