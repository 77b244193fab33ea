//! Prompts that the language model of FLUX.2-dev writes anew, with more details.

use super::components::Flux2DevComponents;
use super::prompt_encoder::without_images;
use crate::error::{Error, Result};
use crate::pipelines::common::text::written::write_texts;
use crate::random::Generators;
use crate::text_encoders::{ChatMessage, ChatOptions};

/// What it is told to do (<https://github.com/black-forest-labs/flux2>).
const INSTRUCTION: &str = include_str!("rewriting.txt");
/// The most tokens of a prompt with the instruction.
const MOST_TOKENS: usize = 2048;

/// The temperature of a call that rewrites its prompts; `None` for one that does not.
///
/// # Errors
/// When nothing can be drawn with the temperature.
pub(super) fn checked(temperature: Option<f64>, has_images: bool, has_prompts: bool) -> Result<Option<f64>> {
    // Python takes 0 for nothing as well.
    let Some(temperature) = temperature.filter(|temperature| *temperature != 0.0) else { return Ok(None) };
    let invalid = |message| Err(Error::argument("caption_upsample_temperature", message));
    if !(temperature > 0.0 && temperature.is_finite()) {
        return invalid(format!(
            "must be above 0, or 0 or nothing to leave prompts as they are, but is {temperature}"
        ));
    }
    if has_images {
        let message = "rewrites prompts by what the images show, which needs the eyes of Mistral 3 (`PixtralVisionModel`): these are not \
                       supported. Leave it out, and write the prompt in full";
        return invalid(message.into());
    }
    if !has_prompts {
        return invalid("rewrites prompts, but embedded ones are given".into());
    }
    Ok(Some(temperature))
}

impl Flux2DevComponents {
    /// The prompts with more details. What the model draws with is a copy of the first generator.
    ///
    /// # Errors
    /// When the model cannot write, or a prompt cannot be tokenized.
    pub(super) fn rewritten(
        &self,
        prompts: &[String],
        temperature: f64,
        generators: &Generators,
        progress_bar: bool,
    ) -> Result<Vec<String>> {
        let options = ChatOptions { add_generation_prompt: true, ..Default::default() };
        let texts = prompts.iter().map(|prompt| {
            let messages = [
                ChatMessage::of_parts("system", INSTRUCTION.trim_end()),
                ChatMessage::of_parts("user", without_images(prompt)),
            ];
            self.tokenizer.apply_chat_template(&messages, options)
        });
        let texts: Vec<String> = texts.collect::<Result<_>>()?;
        let tokens = self.tokenizer.tokenize(&texts, MOST_TOKENS)?;
        // Filling that all prompts have only takes time.
        let is_filling = |place: &usize| tokens.attention_mask.iter().all(|mask| mask[*place] == 0);
        let filling = (0..MOST_TOKENS).take_while(is_filling).count();
        let cut = |rows: &[Vec<u32>]| rows.iter().map(|row| row[filling..].to_vec()).collect::<Vec<_>>();
        let (ids, mask) = (cut(&tokens.input_ids), cut(&tokens.attention_mask));
        let written = write_texts(generators, Some(temperature), progress_bar, |generation| {
            self.text_encoder.generate(&ids, Some(&mask), generation)
        })?;
        let written: Vec<String> = written.iter().map(|ids| self.tokenizer.decode(ids)).collect();
        written.iter().for_each(|prompt| tracing::info!("the prompt is now: {prompt}"));
        Ok(written)
    }
}
