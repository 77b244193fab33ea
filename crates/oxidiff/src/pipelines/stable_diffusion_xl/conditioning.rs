//! From prompts to the UNet's inputs: the concatenated hidden states of two text encoders, and the projection of the
//! second encoder's end-of-text token.

use burn::tensor::{Device, Tensor};

use super::components::StableDiffusionXLComponents;
use crate::error::{Error, Result};
use crate::memory;
use crate::models::layers::linear::Linear;
use crate::models::least_memory;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::ignored::{warn_of_ignored, warn_of_unguided};
use crate::pipelines::common::text::clip_prompt::ClipPrompt;
use crate::pipelines::common::text::pooled_prompts::PooledPrompts;
use crate::pipelines::common::text::prompts::{Prompts, broadcast};
use crate::pipelines::common::text::{PromptEncoding, TextEncoding};

impl StableDiffusionXLComponents {
    /// The device on which the prompts are embedded.
    pub(super) fn text_device(&self) -> Device {
        self.unet.device()
    }

    /// Embeds the texts for each image. With `clip_skip`, the embeddings come from an earlier layer of the text encoders:
    /// this many before the last but one.
    ///
    /// # Errors
    /// When the embeddings of the prompts and of the negative prompts differ in shape, an encoder refuses the prompts, or
    /// there is no pooled embedding.
    pub(super) fn embed(
        &self,
        given: &PooledPrompts<'_>,
        clip_skip: Option<usize>,
        guidance: Guidance,
        force_zeros_for_empty_prompt: bool,
    ) -> Result<PromptEncoding> {
        let PooledPrompts { prompts, .. } = given;
        let count = prompts.count()?;
        self.warn_of_ignored_texts(given, guidance, force_zeros_for_empty_prompt);
        let mut positive = match prompts.prompt_embeds {
            Some(tokens) => TextEncoding { tokens: tokens.clone(), pooled: None },
            None => {
                let second = if given.prompt_2.is_empty() { prompts.prompt } else { given.prompt_2 };
                let texts = [prompts.prompt, second];
                let negative = [prompts.negative_prompt, given.negative_prompt_2];
                let encoders = self.encoders(prompts.weighting)?;
                let mut length = longest(&encoders, texts)?;
                if guidance.copies() > 1 {
                    length = length.max(longest(&encoders, negative)?);
                }
                encode(&encoders, texts, length, clip_skip)?
            }
        };
        if let Some(pooled) = given.pooled {
            positive.pooled = Some(pooled.clone());
        }
        if positive.pooled.is_none() {
            let message = "must be given: the pipeline has no `text_encoder_2`, which pools the prompt";
            return Err(Error::argument("pooled_prompt_embeds", message));
        }

        let copies = prompts.num_images_per_prompt;
        let [_, tokens, features] = positive.tokens.dims();
        let guided = guidance.copies() > 1;
        let shape = [if guided { 4 } else { 1 } * count, copies, tokens, features];
        let work = format!("embedding the prompts of {} images", count * copies);
        memory::check(
            &work,
            least_memory::bytes(shape, self.dtype()),
            &positive.tokens.device(),
            "make fewer images at once",
        )?;
        let for_each_image = |encoding: TextEncoding| {
            encoding.moved_to(&self.text_device()).cast(self.dtype()).for_each_image(copies)
        };
        if !guided {
            return Ok(PromptEncoding { positive: for_each_image(positive), negative: None });
        }

        let mut negative = match prompts.negative_prompt_embeds {
            Some(tokens) => TextEncoding { tokens: tokens.clone(), pooled: given.negative_pooled.cloned() },
            None if prompts.negative_prompt.is_empty() && force_zeros_for_empty_prompt => {
                positive.zeros_like()
            }
            None => {
                let first = broadcast(prompts.negative_prompt, count);
                let second = match given.negative_prompt_2 {
                    [] => first.clone(),
                    texts => broadcast(texts, count),
                };
                let encoders = self.encoders(prompts.weighting)?;
                let mut negative = encode(&encoders, [&first, &second], tokens, None)?;
                if let Some(pooled) = given.negative_pooled {
                    negative.pooled = Some(pooled.clone());
                }
                negative
            }
        };
        if negative.pooled.is_none() {
            negative.pooled = positive.pooled.as_ref().map(Tensor::zeros_like);
        }
        if positive.tokens.dims() != negative.tokens.dims() {
            let message = format!(
                "has shape {:?}, but the embeddings of the prompt have {:?}",
                negative.tokens.dims(),
                positive.tokens.dims()
            );
            return Err(Error::argument("negative_prompt_embeds", message));
        }
        Ok(PromptEncoding { positive: for_each_image(positive), negative: Some(for_each_image(negative)) })
    }

    /// Warns of texts that do not reach the UNet, as in Python.
    fn warn_of_ignored_texts(&self, given: &PooledPrompts<'_>, guidance: Guidance, force_zeros: bool) {
        let Prompts { negative_prompt, negative_prompt_embeds, .. } = given.prompts;
        let (second, negative_second) = (!given.prompt_2.is_empty(), !given.negative_prompt_2.is_empty());
        if self.text_encoder.is_none() {
            let why = "the pipeline has only one text encoder, which encodes the first prompt";
            warn_of_ignored("prompt_2", second, why);
            warn_of_ignored("negative_prompt_2", negative_second, why);
        }
        if guidance.copies() == 1 {
            warn_of_unguided("negative_prompt", negative_prompt);
            warn_of_unguided("negative_prompt_2", given.negative_prompt_2);
        } else if force_zeros && negative_prompt.is_empty() && negative_prompt_embeds.is_none() {
            let why = "the model's `force_zeros_for_empty_prompt` replaces it by zeros unless `negative_prompt` is given";
            warn_of_ignored("negative_prompt_2", negative_second && self.text_encoder.is_some(), why);
        }
    }

    /// The text encoders that the model has, in order.
    ///
    /// # Errors
    /// When there is none, or their embeddings cannot be joined.
    fn encoders(&self, weighting: bool) -> Result<Vec<Encoder<'_>>> {
        let mut encoders = Vec::new();
        if let (Some(tokenizer), Some(text_encoder)) = (&self.tokenizer, &self.text_encoder) {
            let prompt = ClipPrompt { tokenizer, text_encoder, name: "text_encoder", weighting };
            encoders.push(Encoder { prompt, projection: None });
        }
        if let (Some(tokenizer), Some(encoder)) = (&self.tokenizer_2, &self.text_encoder_2) {
            let text_encoder = &encoder.text_model;
            let prompt = ClipPrompt { tokenizer, text_encoder, name: "text_encoder_2", weighting };
            encoders.push(Encoder { prompt, projection: Some(&encoder.text_projection) });
        }
        match &encoders[..] {
            [] => {
                let message =
                    "the pipeline has no text encoder: give `prompt_embeds` and `pooled_prompt_embeds`";
                Err(Error::argument("prompt", message))
            }
            [first, second] if first.prompt.max_length() != second.prompt.max_length() => {
                let message = format!(
                    "the text encoders take {} and {} tokens, but must take equally many: see `model_max_length` of their \
                     tokenizers and their `max_position_embeddings`",
                    first.prompt.max_length(),
                    second.prompt.max_length()
                );
                Err(Error::argument("prompt", message))
            }
            _ => Ok(encoders),
        }
    }
}

/// A text encoder with its tokenizer, and its projection of the pooled text.
struct Encoder<'a> {
    prompt: ClipPrompt<'a>,
    projection: Option<&'a Linear>,
}

/// The number of tokens of the longest embedding.
fn longest(encoders: &[Encoder<'_>], texts: [&[String]; 2]) -> Result<usize> {
    let lengths = encoders.iter().zip(texts).map(|(encoder, texts)| encoder.prompt.length(texts));
    Ok(lengths.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or_default())
}

/// Embeds the texts with each encoder: the concatenated hidden states of the layer that is `clip_skip` layers before the
/// last but one, and the projection of the second encoder. A model with only the second encoder uses the first texts, as
/// Python does.
fn encode(
    encoders: &[Encoder<'_>],
    texts: [&[String]; 2],
    length: usize,
    clip_skip: Option<usize>,
) -> Result<TextEncoding> {
    let mut hidden = Vec::new();
    let mut pooled = None;
    for (Encoder { prompt, projection }, texts) in encoders.iter().zip(texts) {
        let embedded = prompt.encode_earlier(texts, length, 1, clip_skip)?;
        hidden.push(embedded.hidden);
        pooled = pooled.or(projection.map(|projection| projection.forward(embedded.pooled)));
    }
    Ok(TextEncoding { tokens: Tensor::cat(hidden, 2), pooled })
}
