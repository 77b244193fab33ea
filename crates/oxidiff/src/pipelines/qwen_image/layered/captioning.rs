//! What the language model says an image shows.

use image::DynamicImage;

use crate::error::{Error, Result};
use crate::pipelines::common::text::written::write_texts;
use crate::pipelines::qwen_image::components::QwenImageComponents;
use crate::random::Generators;
use crate::text_encoders::{Qwen2_5_VLInputs, Qwen2VLProcessor};

/// What it is asked in Chinese and in English.
const CHINESE: &str = include_str!("instruction_cn.txt");
const ENGLISH: &str = include_str!("instruction_en.txt");

impl QwenImageComponents {
    /// A caption of an image. The text encoder's `generation_config.json` says how its words are chosen.
    ///
    /// # Errors
    /// When the pipeline has no text encoder, or it cannot write.
    pub(super) fn caption(
        &self,
        processor: &Qwen2VLProcessor,
        image: DynamicImage,
        is_english: bool,
        generators: &Generators,
        progress_bar: bool,
    ) -> Result<String> {
        let Some(encoder) = &self.text_encoder else {
            let message = "is missing, and the pipeline lacks a text encoder, which would write a caption";
            return Err(Error::argument("prompt", message));
        };
        let instruction = if is_english { ENGLISH } else { CHINESE };
        let processed = processor.process(&[instruction], &[image])?;
        let inputs = Qwen2_5_VLInputs {
            input_ids: &processed.input_ids,
            attention_mask: Some(&processed.attention_mask),
            images: processed.images.as_ref(),
            mm_token_type_ids: Some(&processed.mm_token_type_ids),
        };
        let written =
            write_texts(generators, None, progress_bar, |generation| encoder.generate(&inputs, generation))?;
        let caption = processor.tokenizer.decode(&written[0]).trim().to_owned();
        tracing::info!("the caption of the image: {caption}");
        Ok(caption)
    }
}
