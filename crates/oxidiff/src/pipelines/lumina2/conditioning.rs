//! From prompts to the hidden states that the transformer reads.

use super::components::Lumina2Components;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::chat::{embed_each, warn_of_truncation};
use crate::pipelines::common::text::masked::MaskedTexts;
use crate::pipelines::common::text::masked_prompts::{GuidedTexts, MaskedPrompts};

/// What the model was trained to read before a prompt.
const SYSTEM_PROMPT: &str = "You are an assistant designed to generate superior images with the superior degree of image-text \
                             alignment based on textual prompts or user prompts.";
/// What stands between that and the prompt.
const PROMPT_START: &str = " <Prompt Start> ";

impl Lumina2Components {
    /// Embeds the texts for each image; `system_prompt` is what the model is told before each prompt, but not before negative ones.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, or the tokenizer or the encoder refuses a prompt.
    pub(super) fn embed(&self, call: &MaskedPrompts<'_>, system_prompt: Option<&str>) -> Result<GuidedTexts> {
        let is_unused = system_prompt.is_some() && call.given.prompt_embeds.is_some();
        warn_of_ignored("system_prompt", is_unused, "embedded prompts are used as they are");
        let system_prompt = system_prompt.unwrap_or(SYSTEM_PROMPT);
        let features = self.transformer.config().cap_feat_dim;
        let target = (self.transformer.dtype(), &self.transformer.device());
        let texts = call.embed_of_any_length(Some(features), target, |argument, texts, _| {
            let whole = texts.iter().map(|text| match argument {
                "prompt" => format!("{system_prompt}{PROMPT_START}{text}"),
                _ => text.clone(),
            });
            self.encode(argument, &whole.collect::<Vec<_>>(), call.max_sequence_length)
        })?;
        self.text_encoder.release_memory();
        Ok(texts)
    }

    /// The hidden states of texts before the language model's last layer, of at most `max_length` tokens. What would fill up a text is
    /// not embedded: the transformer leaves it out.
    fn encode(&self, argument: &'static str, texts: &[String], max_length: usize) -> Result<MaskedTexts> {
        let layer = self.text_encoder.config().num_hidden_layers - 1;
        let embedded = embed_each(texts, |text| {
            let tokens = self.tokenizer.tokenize(&[text], max_length)?;
            warn_of_truncation(tokens.truncated[0].as_deref(), max_length);
            let own = tokens.input_ids[0].iter().zip(&tokens.attention_mask[0]);
            let own: Vec<u32> = own.filter(|(_, counts)| **counts != 0).map(|(id, _)| *id).collect();
            if own.is_empty() {
                return Err(Error::argument(argument, "has no tokens"));
            }
            let states = self.text_encoder.hidden_states(&[own], None, &[layer])?;
            Ok(states.into_iter().next().expect("one layer was asked for"))
        })?;
        Ok(MaskedTexts::filled_up(embedded))
    }
}
