//! From prompts to the transformer's inputs.

use burn::tensor::Tensor;

use super::components::PixArtComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::caption::prepared_captions;
use crate::pipelines::common::text::masked::MaskedTexts;
use crate::pipelines::common::text::prompts::{Prompts, broadcast};

/// The texts of a call, and how they are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct PixArtPrompts<'a> {
    pub given: Prompts<'a>,
    pub prompt_attention_mask: Option<&'a Tensor<2>>,
    pub negative_prompt_attention_mask: Option<&'a Tensor<2>>,
    /// Whether a step predicts with negative prompts, too.
    pub is_guided: bool,
    pub clean_caption: bool,
    pub max_sequence_length: usize,
}

/// The texts of a run, one for each image.
pub(super) struct Texts {
    pub positive: MaskedTexts,
    /// With guidance.
    pub negative: Option<MaskedTexts>,
}

impl PixArtPrompts<'_> {
    /// Checks everything that can be checked without the model, and returns the number of images.
    ///
    /// # Errors
    /// When there is no prompt, when both texts and embeddings are given, or when their numbers do not fit.
    pub fn images(&self) -> Result<usize> {
        self.given.images()
    }

    /// Warns of arguments that have no effect, as in Python.
    fn warn_of_ignored(&self) {
        let Prompts { prompt_embeds, negative_prompt, negative_prompt_embeds, .. } = self.given;
        let why = "the mask of texts follows from their lengths; give embedded prompts with it";
        let (mask, negative_mask) = (self.prompt_attention_mask, self.negative_prompt_attention_mask);
        warn_of_ignored("prompt_attention_mask", mask.is_some() && prompt_embeds.is_none(), why);
        let unused = negative_mask.is_some() && negative_prompt_embeds.is_none();
        warn_of_ignored("negative_prompt_attention_mask", unused, why);
        let why = "the call uses no guidance, which `guidance_scale` turns on above 1";
        warn_of_ignored("negative_prompt", !negative_prompt.is_empty() && !self.is_guided, why);
        warn_of_ignored("negative_prompt_embeds", negative_prompt_embeds.is_some() && !self.is_guided, why);
    }
}

impl PixArtComponents {
    /// Embeds the texts for each image.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, there is no text encoder, or it refuses a prompt.
    pub(super) fn embed(&self, call: &PixArtPrompts<'_>) -> Result<Texts> {
        let given = &call.given;
        let prompts = given.count()?;
        call.warn_of_ignored();
        let given_texts = |names, tokens: &Tensor<3>, mask| {
            let features = self.transformer.config().text_features().unwrap_or(tokens.dims()[2]);
            MaskedTexts::given(names, tokens, mask, features)
        };
        let positive = match given.prompt_embeds {
            Some(tokens) => {
                let names = ["prompt_embeds", "prompt_attention_mask"];
                given_texts(names, tokens, call.prompt_attention_mask)?
            }
            None => self.encode(given.prompt, call, call.max_sequence_length)?,
        };
        let length = positive.tokens.dims()[1];
        let negative = match given.negative_prompt_embeds {
            _ if !call.is_guided => None,
            Some(tokens) => {
                let names = ["negative_prompt_embeds", "negative_prompt_attention_mask"];
                let texts = given_texts(names, tokens, call.negative_prompt_attention_mask)?;
                let own = texts.tokens.dims()[1];
                if own != length {
                    let message = format!("has {own} tokens, must have as many as the prompts: {length}");
                    return Err(Error::argument("negative_prompt_embeds", message));
                }
                Some(texts)
            }
            None => Some(self.encode(&broadcast(given.negative_prompt, prompts), call, length)?),
        };
        if let Some(encoder) = &self.text_encoder {
            encoder.release_memory();
        }
        let for_each_image = |argument, texts: MaskedTexts| {
            let (dtype, device) = (self.transformer.dtype(), self.transformer.device());
            texts.for_each_image(argument, [prompts, given.num_images_per_prompt], dtype, &device)
        };
        Ok(Texts {
            positive: for_each_image("prompt_embeds", positive)?,
            negative: negative.map(|texts| for_each_image("negative_prompt_embeds", texts)).transpose()?,
        })
    }

    /// Embeds texts, filled up to `max_length` tokens, which do not count.
    fn encode(&self, texts: &[String], call: &PixArtPrompts<'_>, max_length: usize) -> Result<MaskedTexts> {
        let (Some(encoder), Some(tokenizer)) = (&self.text_encoder, &self.tokenizer) else {
            let message = "the pipeline lacks a text encoder: give `prompt_embeds` and `prompt_attention_mask`, and with guidance negative ones";
            return Err(Error::argument("prompt", message));
        };
        let texts = prepared_captions(texts, call.clean_caption);
        MaskedTexts::of_t5((encoder, tokenizer), &texts, max_length, |mask| {
            mask.iter().map(|own| *own as f32).collect()
        })
    }
}
