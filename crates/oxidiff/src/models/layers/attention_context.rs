//! What the blocks of a UNet attend to besides the image.

use burn::tensor::Tensor;

#[cfg(feature = "cuda")]
use crate::models::placement::Operand;

/// A text, and the images of IP-Adapters (Ye et al. 2023, <https://arxiv.org/abs/2308.06721>).
#[derive(Clone, Debug)]
pub struct AttentionContext {
    /// `[batch, tokens, cross_attention_dim]`.
    pub text: Tensor<3>,
    /// The images of each IP-Adapter; empty without one.
    pub images: Vec<ImagePrompt>,
}

/// The images of one IP-Adapter.
#[derive(Clone, Debug)]
pub struct ImagePrompt {
    /// `[batch, images, tokens, cross_attention_dim]`.
    pub tokens: Tensor<4>,
    /// How much each image counts at each position, `[images, positions, 1]`: one mask for each number of positions that the
    /// UNet works with. Without masks, all images count everywhere.
    pub masks: Vec<Tensor<3>>,
}

/// How many masks each adapter has.
#[cfg(feature = "cuda")]
pub struct ContextLayout(Vec<usize>);

#[cfg(feature = "cuda")]
impl AttentionContext {
    /// The inputs of a call on a card, and which is which.
    pub fn into_operands(self) -> (Vec<Operand>, ContextLayout) {
        let layout = ContextLayout(self.images.iter().map(|prompt| prompt.masks.len()).collect());
        let images = self.images.into_iter().flat_map(|ImagePrompt { tokens, masks }| {
            std::iter::once(Operand::from(tokens)).chain(masks.into_iter().map(Operand::from))
        });
        (std::iter::once(self.text.into()).chain(images).collect(), layout)
    }

    /// The context that those inputs are, which are taken from the start of `operands`.
    pub fn from_operands(layout: &ContextLayout, operands: &mut impl Iterator<Item = Operand>) -> Self {
        let mut next = || operands.next().expect("as many inputs as were given");
        let text = next().into_tokens();
        let prompt = |masks: &usize| ImagePrompt {
            tokens: next().into_image(),
            masks: (0..*masks).map(|_| next().into_tokens()).collect(),
        };
        Self { text, images: layout.0.iter().map(prompt).collect() }
    }
}

impl From<Tensor<3>> for AttentionContext {
    /// A text alone.
    fn from(text: Tensor<3>) -> Self {
        Self { text, images: Vec::new() }
    }
}
