//! All blocks in a row: first those with two streams, then those with one.

use burn::tensor::Tensor;

use super::{DoubleBlock, FluxControlSamples, SingleBlock};
use crate::models::layers::attention_context::ImagePrompt;
use crate::models::layers::modulation::Modulation;
use crate::models::layers::rotary_embedding::RotaryEmbedding;

/// The blocks of a transformer, and what is the same for all of them.
pub(in super::super) struct Blocks<'a> {
    pub double: &'a [DoubleBlock],
    pub single: &'a [SingleBlock],
    pub rotary: &'a RotaryEmbedding,
    pub control: &'a FluxControlSamples,
    /// The pictures of IP-Adapters.
    pub pictures: &'a [ImagePrompt],
}

impl Blocks<'_> {
    /// The tokens of the images `[batch, tokens, dim]` after all blocks, from those of text and images. `of_double` and `of_single` say how
    /// a block, by its number among its kind, modulates the tokens, `attend` what they make of queries, keys, values and the number of
    /// heads.
    pub fn run(
        &self,
        [mut text, mut image]: [Tensor<3>; 2],
        of_double: impl Fn(usize, &DoubleBlock) -> [[Modulation; 2]; 2],
        of_single: impl Fn(usize, &SingleBlock) -> Modulation,
        attend: &impl Fn(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>,
    ) -> Tensor<3> {
        let (text_tokens, image_tokens) = (text.dims()[1], image.dims()[1]);
        for (index, block) in self.double.iter().enumerate() {
            let modulations = of_double(index, block);
            [text, image] = block.forward([text, image], &modulations, self.rotary, self.pictures, attend);
            image = self.control.add_to_block(image, index, self.double.len());
        }
        let mut both = Tensor::cat(vec![text, image], 1);
        let of_image = |both: &Tensor<3>| both.clone().narrow(1, text_tokens, image_tokens);
        for (index, block) in self.single.iter().enumerate() {
            both = block.forward(both, &of_single(index, block), self.rotary, attend);
            if !self.control.single_blocks.is_empty() {
                let image = self.control.add_to_single_block(of_image(&both), index, self.single.len());
                both = Tensor::cat(vec![both.narrow(1, 0, text_tokens), image], 1);
            }
        }
        of_image(&both)
    }
}
