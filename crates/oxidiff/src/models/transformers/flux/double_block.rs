//! A block with two streams: the tokens of the text and those of the images have their own layers, and attend to each other.
//! Chroma has these blocks without the layers that make modulations.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{EPSILON, Sizes};
use crate::models::layers::attention_context::ImagePrompt;
use crate::models::layers::feed_forward::{FeedForward, FeedForwardActivation};
use crate::models::layers::ip_attention::IpAttention;
use crate::models::layers::joint_attention::JointAttention;
use crate::models::layers::modulation::{Modulation, ModulationLayer};
use crate::models::layers::rotary_embedding::RotaryEmbedding;

#[derive(Module, Debug)]
pub(crate) struct DoubleBlock {
    norm1: Option<ModulationLayer>,
    norm1_context: Option<ModulationLayer>,
    attn: JointAttention,
    ff: FeedForward,
    ff_context: FeedForward,
}

impl DoubleBlock {
    pub(in super::super) fn init(sizes: &Sizes, device: &Device) -> Self {
        let modulation = || Some(ModulationLayer::init(sizes.dim(), 6, true, device));
        Self { norm1: modulation(), norm1_context: modulation(), ..Self::without_modulation(sizes, device) }
    }

    /// A block that is told how to modulate its tokens.
    pub(in super::super) fn without_modulation(sizes: &Sizes, device: &Device) -> Self {
        let feed_forward = || FeedForward::init(sizes.dim(), FeedForwardActivation::GeluApproximate, device);
        Self {
            norm1: None,
            norm1_context: None,
            attn: JointAttention::init([sizes.heads, sizes.head_dim], true, EPSILON, device),
            ff: feed_forward(),
            ff_context: feed_forward(),
        }
    }

    /// How its own layers modulate the tokens of text and images, around the attention and around the feed-forward.
    pub fn modulations(&self, condition: &Tensor<2>) -> [[Modulation; 2]; 2] {
        [&self.norm1_context, &self.norm1]
            .map(|layer| layer.as_ref().expect("a block with modulations of its own").forward(condition))
    }

    /// The layers of IP-Adapters.
    pub fn ip_adapters_mut(&mut self) -> &mut Option<IpAttention> {
        self.attn.ip_adapters_mut()
    }

    /// The tokens of text and images, each `[batch, tokens, dim]`, to the same shapes. `rotary` has the tokens of the text first.
    /// What the images find in the `pictures` of IP-Adapters is added in the end.
    pub fn forward(
        &self,
        [text, image]: [Tensor<3>; 2],
        [of_text, of_image]: &[[Modulation; 2]; 2],
        rotary: &RotaryEmbedding,
        pictures: &[ImagePrompt],
        attend: impl FnOnce(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>,
    ) -> [Tensor<3>; 2] {
        let norm = |modulation: &Modulation, x: &Tensor<3>| modulation.norm(x.clone(), EPSILON);
        let normed = [norm(&of_text[0], &text), norm(&of_image[0], &image)];
        let ([text_result, image_result], query) = self.attn.forward_with_query(normed, rotary, attend);
        let text = of_text[0].add(text, text_result);
        let image = of_image[0].add(image, image_result);
        let text_result = self.ff_context.forward(norm(&of_text[1], &text));
        let image_result = self.ff.forward(norm(&of_image[1], &image));
        let image = self.attn.add_pictures(of_image[1].add(image, image_result), query, pictures);
        [of_text[1].add(text, text_result), image]
    }
}
