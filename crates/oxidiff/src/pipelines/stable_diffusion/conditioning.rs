//! From prompts to the embeddings that the UNet attends to.

use super::components::StableDiffusionComponents;
use crate::error::{Error, Result};
use crate::memory;
use crate::models::least_memory;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::ignored::warn_of_unguided;
use crate::pipelines::common::text::clip_prompt::ClipPrompt;
use crate::pipelines::common::text::prompts::{Prompts, broadcast};
use crate::pipelines::common::text::{PromptEncoding, TextEncoding};

impl StableDiffusionComponents {
    /// Embeds the texts for each image. With `clip_skip`, the embeddings come from an earlier layer of the text encoder:
    /// this many before the last.
    ///
    /// # Errors
    /// When the embeddings of the prompts and of the negative prompts differ in shape, or the encoder refuses the
    /// prompts.
    pub(super) fn embed(
        &self,
        prompts: &Prompts<'_>,
        clip_skip: Option<usize>,
        guidance: Guidance,
    ) -> Result<PromptEncoding> {
        let encoder = ClipPrompt {
            tokenizer: &self.tokenizer,
            text_encoder: &self.text_encoder,
            name: "text_encoder",
            weighting: prompts.weighting,
        };
        let guided = guidance.copies() > 1;
        let dtype = self.text_encoder.dtype();
        let positive = match prompts.prompt_embeds {
            Some(embeds) => embeds.clone(),
            None => {
                let negative = if guided { prompts.negative_prompt } else { &[] };
                let length = encoder.length(prompts.prompt)?.max(encoder.length(negative)?);
                encoder.encode(prompts.prompt, length, clip_skip)?
            }
        };
        // The embeddings with and without the prompt, and both joined.
        let [count, tokens, features] = positive.dims();
        let copies = prompts.num_images_per_prompt;
        let shape = [if guided { 4 } else { 1 } * count, copies, tokens, features];
        let work = format!("embedding the prompts of {} images", count * copies);
        memory::check(
            &work,
            least_memory::bytes(shape, dtype),
            &positive.device(),
            "make fewer images at once",
        )?;
        let for_each_image =
            |tokens| TextEncoding { tokens, pooled: None }.cast(dtype).for_each_image(copies);
        if !guided {
            warn_of_unguided("negative_prompt", prompts.negative_prompt);
            return Ok(PromptEncoding { positive: for_each_image(positive), negative: None });
        }
        let negative = match prompts.negative_prompt_embeds {
            Some(embeds) => embeds.clone(),
            None => encoder.encode(&broadcast(prompts.negative_prompt, count), tokens, None)?,
        };
        if positive.dims() != negative.dims() {
            let message = format!(
                "has shape {:?}, but the embeddings of the prompt have {:?}",
                negative.dims(),
                positive.dims()
            );
            return Err(Error::argument("negative_prompt_embeds", message));
        }
        Ok(PromptEncoding { positive: for_each_image(positive), negative: Some(for_each_image(negative)) })
    }
}
