//! Editing of a part of an image.

use burn::tensor::Tensor;
use image::DynamicImage;

use super::reading::Looked;
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::qwen_image::arguments::prompt_arguments;
use crate::pipelines::qwen_image::components::QwenImageComponents;
use crate::pipelines::qwen_image::inpaint::{Repainted, warn_of_masked_latents};
use crate::pipelines::qwen_image::processor::{expose_processor, processor_methods};
use crate::pipelines::qwen_image::size::{TRANSFORMER_AREA, pictures, resized, size_of};
use crate::text_encoders::Qwen2VLProcessor;

/// Changes the masked part of an image as a prompt says. The rest is put back after each step.
///
/// Its fields are those of [`QwenImageComponents`], and `processor`.
#[derive(Clone, Debug)]
pub struct QwenImageEditInpaintPipeline {
    /// Prepares images and prompts for the language model.
    pub processor: Qwen2VLProcessor,
    components: QwenImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `QwenImageEditInpaintPipeline.__call__`. The result has about
    /// 1024 by 1024 pixels in the proportion of the first image; `height`, `width` and `max_sequence_length` have no effect, as in Python.
    pub struct QwenImageEditInpaint: "inpainting with Qwen-Image-Edit", guidance: None, {
        /// The images to repaint in part: one for all prompts, or one for each.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Has no effect, as in Python: the transformer does not look at the image without its masked part.
        pub masked_image_latents: Option<Tensor<4>> = None,
        /// Repaint only the masked part and this many pixels around it, at the size of the whole image.
        pub padding_mask_crop: Option<usize> = None,
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
        pub strength: f64 = 0.6,
    }
}

impl QwenImageEditInpaint {
    /// Arguments with one prompt, images, masks, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        image: impl Into<PipelineImageInput>,
        mask_image: impl Into<PipelineImageInput>,
    ) -> Self {
        Self {
            prompt: vec![prompt.into()],
            image: image.into(),
            mask_image: mask_image.into(),
            ..Self::default()
        }
    }
}

impl Pipeline for QwenImageEditInpaintPipeline {
    const CLASS_NAME: &'static str = "QwenImageEditInpaintPipeline";

    type Arguments = QwenImageEditInpaint;

    fn call(&mut self, arguments: impl Into<QwenImageEditInpaint>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, QwenImageEditInpaint::default().strength)?;
        warn_of_masked_latents(arguments.masked_image_latents.as_ref());
        let settings = arguments.settings()?;
        let why = "the result has about as many pixels as 1024x1024, in the proportion of the image";
        warn_of_ignored("height", settings.size[0].is_some(), why);
        warn_of_ignored("width", settings.size[1].is_some(), why);
        let components = &mut self.components;
        let processor = components.image_processor();
        let images = pictures(&arguments.image)?;
        let pixels = size_of(&images[0], TRANSFORMER_AREA)?;
        let size = components.latent_size(pixels.map(Some))?;
        // As in Python, the language model looks at several images as they are.
        let looked: Vec<DynamicImage> = match images {
            [one] => vec![resized(&processor, one, pixels)?],
            several => several.to_vec(),
        };
        let texts =
            components.embed_with_images(&self.processor, arguments.prompts(), Looked::Each(&looked))?;
        let mask = match (arguments.padding_mask_crop, arguments.mask_image.images()) {
            // The part is one of the resized image.
            (Some(_), Some([mask])) => resized(&processor, mask, pixels)?.into(),
            _ => arguments.mask_image.clone(),
        };
        let repainted = Repainted {
            image: &looked.into(),
            mask_image: &mask,
            padding_mask_crop: arguments.padding_mask_crop,
            asked: [None; 2],
            strength,
            is_seen: true,
        };
        components.inpaint(&repainted, settings, texts, size, &self.index, self.progress_bar)
    }

    processor_methods!();
}

expose_processor!(QwenImageEditInpaintPipeline);
