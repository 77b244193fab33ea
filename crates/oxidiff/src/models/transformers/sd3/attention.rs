//! The attention of a block: image tokens attend to each other and to the text, if there is one.

use burn::module::Module;
use burn::tensor::activation::softmax;
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

    /// As [`Self::forward_joint`], but the tokens of the image see only themselves and the text in the last `items` of the batch. Queries and
    /// keys are not normalized, in no item, as in Python.
    pub fn forward_perturbed(
        &self,
        [text, image]: [Tensor<3>; 2],
        items: usize,
    ) -> (Option<Tensor<3>>, Tensor<3>) {
        let ([batch, text_tokens, _], tokens) = (text.dims(), image.dims()[1]);
        let of_text = [&self.add_q_proj, &self.add_k_proj, &self.add_v_proj]
            .map(|layer| layer.as_ref().expect("an attention with a text").forward(text.clone()));
        let of_image = self.project(image);
        let items_of = |all: &[Tensor<3>; 3], from: usize, count: usize| {
            all.each_ref().map(|tokens| tokens.clone().narrow(0, from, count))
        };
        let joined = |image: [Tensor<3>; 3], text: [Tensor<3>; 3]| {
            let mut text = text.into_iter();
            image.map(|image| Tensor::cat(vec![image, text.next().expect("as many")], 1))
        };
        let usual = batch - items;
        let [query, key, value] = joined(items_of(&of_image, 0, usual), items_of(&of_text, 0, usual));
        let usual_found = attention(query, key, value, self.heads);
        let (image, text) = (items_of(&of_image, usual, items), items_of(&of_text, usual, items));
        let [_, key, value] = joined(image.clone(), text.clone());
        let [text_query, text_key, text_value] = text;
        let text_found = attention(text_query, key, value, self.heads);
        let image_found = to_itself_and_text(image, [text_key, text_value], self.heads);
        let found = Tensor::cat(vec![usual_found, Tensor::cat(vec![image_found, text_found], 1)], 0);
        let found_by_text =
            self.to_add_out.as_ref().map(|layer| layer.forward(found.clone().narrow(1, tokens, text_tokens)));
        (found_by_text, self.to_out[0].forward(found.narrow(1, 0, tokens)))
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

/// What each token of an image finds in itself and in a text, from queries, keys and values of the image and keys and values of the text.
fn to_itself_and_text(image: [Tensor<3>; 3], text: [Tensor<3>; 2], heads: usize) -> Tensor<3> {
    let [batch, tokens, dim] = image[0].dims();
    let by_head = |x: Tensor<3>| {
        let [batch, tokens, dim] = x.dims();
        x.reshape([batch, tokens, heads, dim / heads]).swap_dims(1, 2)
    };
    let ([query, key, value], [text_key, text_value]) = (image.map(by_head), text.map(by_head));
    let query = query / ((dim / heads) as f64).sqrt();
    let to_itself = (query.clone() * key).sum_dim(3);
    let to_text = query.matmul(text_key.swap_dims(2, 3));
    let weights = softmax(Tensor::cat(vec![to_itself, to_text], 3), 3);
    let text_tokens = weights.dims()[3] - 1;
    let of_text = weights.clone().narrow(3, 1, text_tokens).matmul(text_value);
    let found = value * weights.narrow(3, 0, 1) + of_text;
    found.swap_dims(1, 2).reshape([batch, tokens, dim])
}

fn normed(norm: &Option<RmsNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward_heads(x),
        None => x,
    }
}
