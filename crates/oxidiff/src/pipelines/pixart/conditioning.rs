//! From prompts to the transformer's inputs.

use super::components::PixArtComponents;
use crate::error::Result;
use crate::models::model::Model;
use crate::pipelines::common::text::caption::prepared_captions;
use crate::pipelines::common::text::masked::MaskedTexts;
use crate::pipelines::common::text::masked_prompts::{GuidedTexts, MaskedPrompts, lacks_encoder};

impl PixArtComponents {
    /// Embeds the texts for each image. What fills them up does not count.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, there is no text encoder, or it refuses a prompt.
    pub(super) fn embed(&self, prompts: &MaskedPrompts<'_>, clean_caption: bool) -> Result<GuidedTexts> {
        let encode = |texts: &[String], max_length| {
            let (Some(encoder), Some(tokenizer)) = (&self.text_encoder, &self.tokenizer) else {
                return Err(lacks_encoder());
            };
            let texts = prepared_captions(texts, clean_caption);
            MaskedTexts::of_t5((encoder, tokenizer), &texts, max_length, |mask| {
                mask.iter().map(|own| *own as f32).collect()
            })
        };
        let features = self.transformer.config().text_features();
        let place = (self.transformer.dtype(), &self.transformer.device());
        let texts = prompts.embed(features, encode, place)?;
        if let Some(encoder) = &self.text_encoder {
            encoder.release_memory();
        }
        Ok(texts)
    }
}
