//! The attention of a block: image tokens attend to each other and to the text, if there is one.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::attention;

use super::pictures::PictureAttention;
use super::{EPSILON, Sizes};
use crate::models::ip_adapters::TimedTokens;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::RmsNorm;

/// Its layers for the text have `add` in their names.
#[derive(Module, Debug)]
pub(super) struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: [Linear; 1],
    /// The norms are those of a head.
    norm_q: Option<RmsNorm>,
    norm_k: Option<RmsNorm>,
    add_q_proj: Option<Linear>,
    add_k_proj: Option<Linear>,
    add_v_proj: Option<Linear>,
    to_add_out: Option<Linear>,
    norm_added_q: Option<RmsNorm>,
    norm_added_k: Option<RmsNorm>,
    /// The layers of an IP-Adapter.
    processor: Option<PictureAttention>,
    heads: usize,
}

/// What an [`Attention`] does with the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// There is none.
    None,
    /// The image attends to it.
    Read,
    /// It attends to the image as well.
    Changed,
}

impl Attention {
    pub fn init(sizes: &Sizes, text: Text, device: &Device) -> Self {
        let projection = || Linear::init(sizes.dim(), sizes.dim(), true, device);
        let norm = |has: bool| {
            (has && sizes.normalizes_heads).then(|| RmsNorm::init(sizes.head_dim, EPSILON, device))
        };
        let has_text = text != Text::None;
        Self {
            to_q: projection(),
            to_k: projection(),
            to_v: projection(),
            to_out: [projection()],
            norm_q: norm(true),
            norm_k: norm(true),
            add_q_proj: has_text.then(projection),
            add_k_proj: has_text.then(projection),
            add_v_proj: has_text.then(projection),
            to_add_out: (text == Text::Changed).then(projection),
            norm_added_q: norm(has_text),
            norm_added_k: norm(has_text),
            processor: None,
            heads: sizes.heads,
        }
    }

    /// The layers of an IP-Adapter.
    pub fn picture_attention(&self) -> Option<&PictureAttention> {
        self.processor.as_ref()
    }

    /// As [`Self::picture_attention`], mutable.
    pub fn picture_attention_mut(&mut self) -> &mut Option<PictureAttention> {
        &mut self.processor
    }

    /// From `[batch, tokens, dim]` to the same shape. The image also attends to a picture for an IP-Adapter, if there is one.
    pub fn forward(&self, image: Tensor<3>, picture: Option<&TimedTokens>) -> Tensor<3> {
        let [query, key, value] = self.project(image);
        let own = self.processor.as_ref().map(|_| [query.clone(), key.clone(), value.clone()]);
        let query = normed(&self.norm_q, query);
        let attended = attention(query, normed(&self.norm_k, key), value, self.heads);
        self.to_out[0].forward(self.with_picture(attended, own, picture))
    }

    /// The tokens of the text and of the image, each `[batch, tokens, dim]`: what the text finds, if it changes, and what the image
    /// finds. The image also attends to a picture for an IP-Adapter, if there is one.
    pub fn forward_joint(
        &self,
        [text, image]: [Tensor<3>; 2],
        picture: Option<&TimedTokens>,
    ) -> (Option<Tensor<3>>, Tensor<3>) {
        let (text_tokens, tokens) = (text.dims()[1], image.dims()[1]);
        let of_text =
            |layer: &Option<Linear>| layer.as_ref().expect("an attention with a text").forward(text.clone());
        let join = |image: Tensor<3>, text: Tensor<3>| Tensor::cat(vec![image, text], 1);
        let [query, key, value] = self.project(image);
        let own = self.processor.as_ref().map(|_| [query.clone(), key.clone(), value.clone()]);
        let mut query = normed(&self.norm_q, query);
        if self.to_add_out.is_some() {
            query = join(query, normed(&self.norm_added_q, of_text(&self.add_q_proj)));
        }
        let key = join(normed(&self.norm_k, key), normed(&self.norm_added_k, of_text(&self.add_k_proj)));
        let value = join(value, of_text(&self.add_v_proj));
        let attended = attention(query, key, value, self.heads);
        let found = self.with_picture(attended.clone().narrow(1, 0, tokens), own, picture);
        let found_by_text =
            self.to_add_out.as_ref().map(|layer| layer.forward(attended.narrow(1, tokens, text_tokens)));
        (found_by_text, self.to_out[0].forward(found))
    }

    /// Queries, keys and values of the image.
    fn project(&self, image: Tensor<3>) -> [Tensor<3>; 3] {
        [&self.to_q, &self.to_k, &self.to_v].map(|layer| layer.forward(image.clone()))
    }

    /// What the image found, plus what it finds in the picture for an IP-Adapter.
    fn with_picture(
        &self,
        found: Tensor<3>,
        own: Option<[Tensor<3>; 3]>,
        picture: Option<&TimedTokens>,
    ) -> Tensor<3> {
        match (&self.processor, own, picture) {
            (Some(layers), Some(own), Some(picture)) => layers.add_to(found, own, picture, self.heads),
            _ => found,
        }
    }
}

fn normed(norm: &Option<RmsNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward_heads(x),
        None => x,
    }
}
