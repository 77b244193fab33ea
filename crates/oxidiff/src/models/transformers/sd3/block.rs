//! The blocks: an attention and a feed-forward, around which the time changes the tokens.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::attention::{Attention, Text};
use super::{EPSILON, Sizes};
use crate::models::ip_adapters::TimedTokens;
use crate::models::layers::feed_forward::{FeedForward, FeedForwardActivation};
use crate::models::layers::modulation::{Modulation, ModulationLayer};

/// What a block does besides the usual.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steering<'a> {
    /// The picture that an IP-Adapter sees.
    pub picture: Option<&'a TimedTokens>,
    /// How many of the last items are perturbed: the tokens of their images see only themselves and the text.
    pub perturbed_items: usize,
}

/// A block of two streams, text and image.
#[derive(Module, Debug)]
pub(super) struct JointBlock {
    norm1: ModulationLayer,
    norm1_context: ModulationLayer,
    attn: Attention,
    /// The image alone, in some blocks of version 3.5.
    attn2: Option<Attention>,
    ff: FeedForward,
    /// The last block leaves the text as it is.
    ff_context: Option<FeedForward>,
}

/// A block of the image alone, which some ControlNets have.
#[derive(Module, Debug)]
pub(super) struct SingleBlock {
    norm1: ModulationLayer,
    attn: Attention,
    ff: FeedForward,
}

fn feed_forward(sizes: &Sizes, device: &Device) -> FeedForward {
    FeedForward::init(sizes.dim(), FeedForwardActivation::GeluApproximate, device)
}

impl JointBlock {
    pub fn init(sizes: &Sizes, is_dual: bool, is_last: bool, device: &Device) -> Self {
        let modulation = |parts| ModulationLayer::init(sizes.dim(), parts, true, device);
        let text = if is_last { Text::Read } else { Text::Changed };
        Self {
            norm1: modulation(if is_dual { 9 } else { 6 }),
            norm1_context: modulation(if is_last { 2 } else { 6 }),
            attn: Attention::init(sizes, text, device),
            attn2: is_dual.then(|| Attention::init(sizes, Text::None, device)),
            ff: feed_forward(sizes, device),
            ff_context: (!is_last).then(|| feed_forward(sizes, device)),
        }
    }

    /// The attentions in which the image can attend to the picture of an IP-Adapter.
    pub fn attentions_mut(&mut self) -> impl Iterator<Item = &mut Attention> {
        std::iter::once(&mut self.attn).chain(&mut self.attn2)
    }

    /// As [`Self::attentions_mut`], to look at.
    pub fn attentions(&self) -> impl Iterator<Item = &Attention> {
        std::iter::once(&self.attn).chain(&self.attn2)
    }

    /// The tokens of text and image, each `[batch, tokens, dim]`, to the same shapes. `condition` is `[batch, dim]`.
    pub fn forward(
        &self,
        [text, image]: [Tensor<3>; 2],
        condition: &Tensor<2>,
        steering: Steering<'_>,
    ) -> [Tensor<3>; 2] {
        let norm = |modulation: &Modulation, x: &Tensor<3>| modulation.norm(x.clone(), EPSILON);
        let (of_image, dual): ([Modulation; 2], Option<(&Attention, Modulation)>) = match &self.attn2 {
            Some(attention) => {
                let [first, second, alone] = self.norm1.forward(condition);
                ([first, second], Some((attention, alone)))
            }
            None => (self.norm1.forward(condition), None),
        };
        let of_text: Option<[Modulation; 2]> =
            self.ff_context.is_some().then(|| self.norm1_context.forward(condition));
        let normed_text = match &of_text {
            Some([first, _]) => norm(first, &text),
            None => norm(&self.norm1_context.forward_ungated(condition), &text),
        };
        let normed = [normed_text, norm(&of_image[0], &image)];
        let Steering { picture, perturbed_items } = steering;
        let (text_result, image_result) = match perturbed_items {
            0 => self.attn.forward_joint(normed, picture),
            items => self.attn.forward_perturbed(normed, items),
        };

        let alone = dual.map(|(attention, modulation)| {
            let found = attention.forward(norm(&modulation, &image), picture);
            (modulation, found)
        });
        let mut image = of_image[0].add(image, image_result);
        if let Some((modulation, found)) = alone {
            image = modulation.add(image, found);
        }
        let image_result = self.ff.forward(norm(&of_image[1], &image));
        let image = of_image[1].add(image, image_result);
        let text = match (of_text, text_result, &self.ff_context) {
            (Some([first, second]), Some(result), Some(ff_context)) => {
                let text = first.add(text, result);
                let result = ff_context.forward(norm(&second, &text));
                second.add(text, result)
            }
            _ => text,
        };
        [text, image]
    }
}

impl SingleBlock {
    pub fn init(sizes: &Sizes, device: &Device) -> Self {
        Self {
            norm1: ModulationLayer::init(sizes.dim(), 6, true, device),
            attn: Attention::init(&Sizes { normalizes_heads: false, ..*sizes }, Text::None, device),
            ff: feed_forward(sizes, device),
        }
    }

    /// `[batch, tokens, dim]` to the same shape.
    pub fn forward(&self, image: Tensor<3>, condition: &Tensor<2>) -> Tensor<3> {
        let [first, second]: [Modulation; 2] = self.norm1.forward(condition);
        let found = self.attn.forward(first.norm(image.clone(), EPSILON), None);
        let image = first.add(image, found);
        let result = self.ff.forward(second.norm(image.clone(), EPSILON));
        second.add(image, result)
    }
}
