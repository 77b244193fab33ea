//! From prompts to the transformer's inputs.

use super::components::ChromaComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::text::masked::MaskedTexts;
use crate::pipelines::common::text::masked_prompts::{GuidedTexts, MaskedPrompts};

impl ChromaComponents {
    /// Embeds the texts for each image.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, there is no text encoder, or it refuses a prompt.
    pub(super) fn embed(&self, call: &MaskedPrompts<'_>) -> Result<GuidedTexts> {
        let features = self.transformer.config().joint_attention_dim;
        let target = (self.transformer.dtype(), &self.transformer.device());
        let texts = call.embed_of_any_length(Some(features), target, |_, texts, _| {
            self.encode(texts, call.max_sequence_length)
        })?;
        if let Some(encoder) = &self.text_encoder {
            encoder.release_memory();
        }
        Ok(texts)
    }

    /// Embeds texts, filled up to `max_length` tokens. The first of those that fill them counts in the transformer, the others do not.
    fn encode(&self, texts: &[String], max_length: usize) -> Result<MaskedTexts> {
        let (Some(encoder), Some(tokenizer)) = (&self.text_encoder, &self.tokenizer) else {
            let message = "the pipeline lacks a text encoder: give `prompt_embeds` and `prompt_attention_mask`, and with guidance negative ones";
            return Err(Error::argument("prompt", message));
        };
        MaskedTexts::of_t5((encoder, tokenizer), texts, max_length, |mask| {
            let length = mask.iter().filter(|own| **own != 0).count();
            (0..mask.len()).map(|token| if token <= length { 1.0 } else { 0.0 }).collect()
        })
    }
}
