//! From prompts and images to the transformer's inputs: the hidden states of a language model that was asked how to change the images.

use burn::tensor::Tensor;
use image::DynamicImage;

use crate::error::{Error, Result};
use crate::pipelines::qwen_image::QwenImageComponents;
use crate::pipelines::qwen_image::conditioning::{QwenImagePrompts, Template, Texts, without_task};
use crate::text_encoders::{Qwen2_5_VLInputs, Qwen2VLProcessor};
use crate::wording::counted;

/// For an image that is changed.
pub(super) const EDITING: Template = Template {
    text: "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects, background), then explain how the user's text instruction should alter or modify the image. Generate a new image that meets the user's requirements while maintaining consistency with the original input where appropriate.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    left_out: 64,
};
/// The place of an image in a prompt.
const IMAGE: &str = "<|vision_start|><|image_pad|><|vision_end|>";

/// The images that the language model looks at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Looked<'a> {
    /// One for each prompt, or one for all.
    Each(&'a [DynamicImage]),
    /// All of them with each prompt, which can speak of them by their numbers.
    Numbered(&'a [DynamicImage]),
}

impl<'a> Looked<'a> {
    /// The images of a prompt.
    fn of_prompt(self, index: usize) -> &'a [DynamicImage] {
        match self {
            Self::Numbered(images) => images,
            Self::Each([one]) => std::slice::from_ref(one),
            Self::Each(images) => &images[index..=index],
        }
    }

    /// What comes before a prompt.
    fn introduction(self) -> String {
        match self {
            Self::Each(_) => IMAGE.to_owned(),
            Self::Numbered(images) => {
                (1..=images.len()).map(|number| format!("Picture {number}: {IMAGE}")).collect()
            }
        }
    }
}

impl QwenImageComponents {
    /// Embeds the texts for each image of the call, together with the images that the language model looks at. Python does not cut them
    /// off here.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, there is no text encoder, or it refuses a prompt or an image.
    pub(super) fn embed_with_images(
        &self,
        processor: &Qwen2VLProcessor,
        call: QwenImagePrompts<'_>,
        looked: Looked<'_>,
    ) -> Result<Texts> {
        let prompts = call.given.count()?;
        if let Looked::Each(images) = looked
            && images.len() != 1
            && images.len() != prompts
        {
            let message = format!("got {} for {}", images.len(), counted(prompts, "prompt"));
            return Err(Error::argument("image", message));
        }
        let call = QwenImagePrompts { max_sequence_length: usize::MAX, ..call };
        self.embed_with(&call, |texts| {
            let texts = texts.iter().enumerate();
            texts.map(|(index, text)| self.embed_one(processor, text, index, looked)).collect()
        })
    }

    /// A prompt as the transformer reads it, `[1, tokens, features]`.
    fn embed_one(
        &self,
        processor: &Qwen2VLProcessor,
        prompt: &str,
        index: usize,
        looked: Looked<'_>,
    ) -> Result<Tensor<3>> {
        let (encoder, _) = self.reader()?;
        let text = EDITING.with(&format!("{}{prompt}", looked.introduction()));
        let processed = processor.process(&[text], looked.of_prompt(index))?;
        let inputs = Qwen2_5_VLInputs {
            input_ids: &processed.input_ids,
            images: processed.images.as_ref(),
            ..Default::default()
        };
        without_task(encoder.last_hidden_state(&inputs)?, EDITING)
    }
}
