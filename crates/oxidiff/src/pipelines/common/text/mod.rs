//! From prompts to the embeddings that a denoiser attends to.

pub(crate) mod caption;
pub(crate) mod chat;
mod chunks;
mod clean_caption;
pub(crate) mod clip_prompt;
pub(crate) mod masked;
pub(crate) mod masked_prompts;
pub(crate) mod pooled_prompts;
pub(crate) mod prompts;
mod weighting;
pub(crate) mod written;

use burn::tensor::{DType, Device, Tensor};

/// Encoded texts, one for each item of a batch.
#[derive(Clone, Debug)]
pub(crate) struct TextEncoding {
    /// `[batch, tokens, features]`.
    pub tokens: Tensor<3>,
    /// The pooled embedding of each text, `[batch, features]`, for denoisers that take it.
    pub pooled: Option<Tensor<2>>,
}

impl TextEncoding {
    /// The encoding in another type.
    pub fn cast(self, dtype: DType) -> Self {
        Self { tokens: self.tokens.cast(dtype), pooled: self.pooled.map(|pooled| pooled.cast(dtype)) }
    }

    /// The encoding on a device.
    pub fn moved_to(self, device: &Device) -> Self {
        Self {
            tokens: self.tokens.to_device(device),
            pooled: self.pooled.map(|pooled| pooled.to_device(device)),
        }
    }

    /// Zeros of the same shapes.
    pub fn zeros_like(&self) -> Self {
        Self { tokens: self.tokens.zeros_like(), pooled: self.pooled.as_ref().map(Tensor::zeros_like) }
    }

    /// Repeats each text for `copies` images, which are next to each other in the batch.
    pub fn for_each_image(self, copies: usize) -> Self {
        let [batch, tokens, features] = self.tokens.dims();
        let each = self.tokens.reshape([batch, 1, tokens, features]).repeat_dim(1, copies);
        let pooled = self.pooled.map(|pooled| {
            let [batch, features] = pooled.dims();
            pooled.reshape([batch, 1, features]).repeat_dim(1, copies).reshape([batch * copies, features])
        });
        Self { tokens: each.reshape([batch * copies, tokens, features]), pooled }
    }

    /// Joins several batches into one.
    fn cat(parts: Vec<Self>) -> Self {
        let pooled: Option<Vec<_>> = parts.iter().map(|part| part.pooled.clone()).collect();
        Self {
            tokens: Tensor::cat(parts.into_iter().map(|part| part.tokens).collect(), 0),
            pooled: pooled.map(|pooled| Tensor::cat(pooled, 0)),
        }
    }
}

/// The encoded texts of the images of a call.
#[derive(Clone, Debug)]
pub(crate) struct PromptEncoding {
    pub positive: TextEncoding,
    /// With guidance, the negative prompts.
    pub negative: Option<TextEncoding>,
}

impl PromptEncoding {
    /// The batch for guidance: the negative prompts come first.
    pub fn for_guidance(self) -> TextEncoding {
        match self.negative {
            Some(negative) => TextEncoding::cat(vec![negative, self.positive]),
            None => self.positive,
        }
    }

    /// The batch for perturbed attention guidance: the prompts come twice, after the negative ones.
    pub fn for_perturbed_guidance(self) -> TextEncoding {
        let perturbed = self.positive.clone();
        TextEncoding::cat(vec![self.for_guidance(), perturbed])
    }

    /// The batch for guidance by text and image: the negative prompts come last, and twice.
    pub fn for_text_and_image_guidance(self) -> TextEncoding {
        match self.negative {
            Some(negative) => TextEncoding::cat(vec![self.positive, negative.clone(), negative]),
            None => self.positive,
        }
    }
}
