//! Texts that the model writes.

use super::Mistral3ForConditionalGeneration;
use crate::error::Result;
use crate::models::call::call;
use crate::models::layers::rotary_embedding::{angles_at, text_frequencies};
use crate::models::model::Model;
use crate::text_encoders::input_ids::check_input_ids;
use crate::text_encoders::language_model::{
    Beginning, Generation, GenerationFile, Writer, check_mask, head, next_text_positions, text_positions,
};

impl Mistral3ForConditionalGeneration {
    /// Writes on after texts: the new tokens of each, up to the one that ends the text. Texts are filled up before they begin.
    ///
    /// The checkpoint says in `generation_config.json` how tokens are chosen, and which ones end a text. A drawn token takes as many numbers
    /// of the generator as all tokens and texts are: they are those of `torch.multinomial`.
    ///
    /// # Errors
    /// As [`Self::forward`], when the checkpoint has nothing that gives scores to tokens, when `generation_config.json` has an impossible
    /// value or asks for something that is not supported, and when a score is not finite.
    pub fn generate(
        &self,
        input_ids: &[Vec<u32>],
        attention_mask: Option<&[Vec<u32>]>,
        generation: Generation<'_>,
    ) -> Result<Vec<Vec<u32>>> {
        let text = &self.config.text_config;
        // As in Python, texts may become longer than those that the model was trained on.
        check_input_ids(input_ids, attention_mask, usize::MAX, text.vocab_size)?;
        let mask = check_mask(input_ids, attention_mask)?;
        let parts = &self.model.language_model;
        // Transformers has it so where a configuration does not say.
        let is_tied = self.config.other.get("tie_word_embeddings").is_none_or(|tied| tied != false);
        let head = head(self.lm_head.as_ref(), parts, is_tied, Self::CLASS_NAME)?;
        let configs = [&self.config.other, &text.other];
        let choice = GenerationFile::choice_of(self.generation.as_ref(), &configs, generation.temperature)?;
        let frequencies = text_frequencies(text.rope_theta()?, text.head_dim());
        let device = self.device();
        let beginning = Beginning {
            embedded: call(Self::CLASS_NAME, &device, || Ok(parts.embed(input_ids, &device)))?,
            input_ids,
            angles: angles_at(text_positions(&mask), &frequencies),
            next: next_text_positions(&mask),
            mask,
        };
        let window = text.sliding_window.unwrap_or(usize::MAX);
        let writer = Writer { class_name: Self::CLASS_NAME, parts, head: &head, frequencies, window };
        writer.write(beginning, &choice, generation)
    }
}
