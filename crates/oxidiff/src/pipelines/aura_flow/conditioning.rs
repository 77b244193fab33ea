//! From prompts to the transformer's inputs.

use burn::tensor::Tensor;

use super::components::AuraFlowComponents;
use crate::error::Result;
use crate::models::model::Model;
use crate::pipelines::common::text::masked::MaskedTexts;
use crate::pipelines::common::text::masked_prompts::{MaskedPrompts, lacks_encoder};

impl AuraFlowComponents {
    /// The text of each item of the model's batch, negative ones first where there is guidance: `[batch, tokens, features]`.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, there is no text encoder, or it refuses a prompt.
    pub(super) fn embed(&self, prompts: &MaskedPrompts<'_>) -> Result<Tensor<3>> {
        let features = self.transformer.config().joint_attention_dim;
        let place = (self.transformer.dtype(), &self.transformer.device());
        let encode = |texts: &[String], max_length| self.encode(texts, max_length);
        let texts = prompts.embed(Some(features), encode, place)?;
        if let Some(encoder) = &self.text_encoder {
            encoder.release_memory();
        }
        let negative = texts.negative.map(|texts| texts.tokens);
        Ok(Tensor::cat(negative.into_iter().chain([texts.positive.tokens]).collect(), 0))
    }

    /// Embeds texts. What fills them up to `max_length` tokens becomes zeros.
    fn encode(&self, texts: &[String], max_length: usize) -> Result<MaskedTexts> {
        let (Some(encoder), Some(tokenizer)) = (&self.text_encoder, &self.tokenizer) else {
            return Err(lacks_encoder());
        };
        let texts = MaskedTexts::encoded(
            texts,
            max_length,
            |text| tokenizer.tokenize(&[text], max_length),
            |ids, mask| Ok(encoder.forward(ids, Some(mask))?.last_hidden_state),
            |mask| mask.iter().map(|own| *own as f32).collect(),
        )?;
        let counts: Tensor<3> = texts.mask.clone().cast(texts.tokens.dtype()).unsqueeze_dim(2);
        Ok(MaskedTexts { tokens: texts.tokens * counts, ..texts })
    }
}
