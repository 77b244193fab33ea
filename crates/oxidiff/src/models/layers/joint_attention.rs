//! An attention over two streams (Esser et al. 2024, <https://arxiv.org/abs/2403.03206>, section 4): the tokens of a text and those of
//! images have their own projections, and attend to each other.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::attention_context::ImagePrompt;
use super::ip_attention::IpAttention;
use super::linear::Linear;
use super::normalization::RmsNorm;
use super::rotary_embedding::RotaryEmbedding;

/// The attention of a block with two streams. Its layers for the text have `add` in their names.
#[derive(Module, Debug)]
pub struct JointAttention {
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
    /// The layers of IP-Adapters.
    processor: Option<IpAttention>,
    heads: usize,
}

impl JointAttention {
    /// An attention with so many heads of a length, on tokens as long as all of them.
    pub fn init([heads, head_dim]: [usize; 2], bias: bool, epsilon: f64, device: &Device) -> Self {
        let projection = || Linear::init(heads * head_dim, heads * head_dim, bias, device);
        let norm = || RmsNorm::init(head_dim, epsilon, device);
        Self {
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
            processor: None,
            heads,
        }
    }

    /// The tokens of text and images, each `[batch, tokens, dim]`, to the same shapes. `rotary` has the tokens of the text first, as
    /// the queries, keys and values have that `attend` is called with, and the number of heads.
    pub fn forward(
        &self,
        [text, image]: [Tensor<3>; 2],
        rotary: &RotaryEmbedding,
        attend: impl FnOnce(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>,
    ) -> [Tensor<3>; 2] {
        self.forward_with_query([text, image], rotary, attend).0
    }

    /// The layers of IP-Adapters.
    pub fn ip_adapters_mut(&mut self) -> &mut Option<IpAttention> {
        &mut self.processor
    }

    /// `x` `[batch, tokens, dim]` plus what the queries of the images find in the pictures of IP-Adapters.
    pub fn add_pictures(
        &self,
        x: Tensor<3>,
        query: Option<Tensor<3>>,
        pictures: &[ImagePrompt],
    ) -> Tensor<3> {
        match (&self.processor, query) {
            (Some(adapters), Some(query)) => adapters.add_to(x, &query, pictures, self.heads),
            _ => x,
        }
    }

    /// Like [`Self::forward`], with the queries of the images before they are rotated, if there are IP-Adapters.
    pub fn forward_with_query(
        &self,
        [text, image]: [Tensor<3>; 2],
        rotary: &RotaryEmbedding,
        attend: impl FnOnce(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>,
    ) -> ([Tensor<3>; 2], Option<Tensor<3>>) {
        let (text_tokens, image_tokens) = (text.dims()[1], image.dims()[1]);
        let join = |text: Tensor<3>, image: Tensor<3>| Tensor::cat(vec![text, image], 1);
        let image_query = self.norm_q.forward_heads(self.to_q.forward(image.clone()));
        let kept_query = self.processor.as_ref().map(|_| image_query.clone());
        let query = join(self.norm_added_q.forward_heads(self.add_q_proj.forward(text.clone())), image_query);
        let key = join(
            self.norm_added_k.forward_heads(self.add_k_proj.forward(text.clone())),
            self.norm_k.forward_heads(self.to_k.forward(image.clone())),
        );
        let value = join(self.add_v_proj.forward(text), self.to_v.forward(image));
        let attended = attend(rotary.rotate(query), rotary.rotate(key), value, self.heads);
        let of_text = attended.clone().narrow(1, 0, text_tokens);
        let of_image = attended.narrow(1, text_tokens, image_tokens);
        ([self.to_add_out.forward(of_text), self.to_out[0].forward(of_image)], kept_query)
    }
}
