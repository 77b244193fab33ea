//! A block: the tokens of the text and those of the images have their own layers, and attend to each other.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::text_mask::TextMask;
use super::{EPSILON, Sizes};
use crate::models::layers::feed_forward::{FeedForward, FeedForwardActivation};
use crate::models::layers::joint_attention::JointAttention;
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::{Modulation, modulations};
use crate::models::layers::rotary_embedding::RotaryEmbedding;

/// A placeholder where the checkpoint's numbering counts the activation before a layer, which has no parameters.
#[derive(Module, Debug)]
struct Silu;

#[derive(Module, Debug)]
pub(super) struct Block {
    img_mod: (Silu, Linear),
    attn: JointAttention,
    img_mlp: FeedForward,
    txt_mod: (Silu, Linear),
    txt_mlp: FeedForward,
}

/// What a block is told besides the tokens.
pub(super) struct Conditions {
    /// The embedded times, `[rows, dim]`.
    pub time: Tensor<2>,
    /// The time without noise, and the tokens of images that have it.
    pub clean: Option<(Tensor<2>, Range<usize>)>,
    /// The tokens of the text first.
    pub rotary: RotaryEmbedding,
    pub mask: TextMask,
}

impl Block {
    pub fn init(sizes: &Sizes, device: &Device) -> Self {
        let dim = sizes.dim();
        let modulation = || (Silu, Linear::init(dim, 6 * dim, true, device));
        let feed_forward = || FeedForward::init(dim, FeedForwardActivation::GeluApproximate, device);
        Self {
            img_mod: modulation(),
            attn: JointAttention::init([sizes.heads, sizes.head_dim], true, EPSILON, device),
            img_mlp: feed_forward(),
            txt_mod: modulation(),
            txt_mlp: feed_forward(),
        }
    }

    /// The tokens of text and images, each `[batch, tokens, dim]`, to the same shapes.
    pub fn forward(&self, [text, image]: [Tensor<3>; 2], conditions: &Conditions) -> [Tensor<3>; 2] {
        let norm = |modulation: &Modulation, x: &Tensor<3>| modulation.norm(x.clone(), EPSILON);
        let of_text: [Modulation; 2] = modulations(&self.txt_mod.1, &conditions.time);
        let mut of_image: [Modulation; 2] = modulations(&self.img_mod.1, &conditions.time);
        if let Some((time, tokens)) = &conditions.clean {
            let clean: [Modulation; 2] = modulations(&self.img_mod.1, time);
            let mut clean = clean.into_iter();
            of_image = of_image
                .map(|modulation| modulation.with(clean.next().expect("one for each"), tokens.clone()));
        }
        let normed = [norm(&of_text[0], &text), norm(&of_image[0], &image)];
        let attend = |query, key, value, heads| conditions.mask.attend(query, key, value, heads);
        let [text_result, image_result] = self.attn.forward(normed, &conditions.rotary, attend);
        let text = of_text[0].add(text, text_result);
        let image = of_image[0].add(image, image_result);
        let text_result = self.txt_mlp.forward(norm(&of_text[1], &text));
        let image_result = self.img_mlp.forward(norm(&of_image[1], &image));
        [of_text[1].add(text, text_result), of_image[1].add(image, image_result)]
    }
}
