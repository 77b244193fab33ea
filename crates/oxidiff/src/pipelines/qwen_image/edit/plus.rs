//! Editing with several images.

use image::DynamicImage;

use super::reading::Looked;
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::qwen_image::arguments::prompt_arguments;
use crate::pipelines::qwen_image::components::QwenImageComponents;
use crate::pipelines::qwen_image::denoising::Seen;
use crate::pipelines::qwen_image::latents::tokens;
use crate::pipelines::qwen_image::processor::{expose_processor, processor_methods};
use crate::pipelines::qwen_image::size::{LANGUAGE_MODEL_AREA, TRANSFORMER_AREA, pictures, resized, size_of};
use crate::text_encoders::Qwen2VLProcessor;

/// Makes an image out of one or several others as a prompt says, which can speak of "Picture 1", "Picture 2" and so on.
///
/// Its fields are those of [`QwenImageComponents`], and `processor`.
#[derive(Clone, Debug)]
pub struct QwenImageEditPlusPipeline {
    /// Prepares images and prompts for the language model.
    pub processor: Qwen2VLProcessor,
    components: QwenImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `QwenImageEditPlusPipeline.__call__`, which takes one prompt.
    /// Without `height` and `width`, the result has about 1024 by 1024 pixels in the proportion of the last image.
    /// `max_sequence_length` has no effect, as in Python.
    pub struct QwenImageEditPlus: "editing with Qwen-Image and several images", guidance: None, {
        /// The images to look at, all of them together.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
    }
}

impl QwenImageEditPlus {
    /// Arguments with one prompt, images to look at, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl Pipeline for QwenImageEditPlusPipeline {
    const CLASS_NAME: &'static str = "QwenImageEditPlusPipeline";

    type Arguments = QwenImageEditPlus;

    fn call(&mut self, arguments: impl Into<QwenImageEditPlus>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let mut settings = arguments.settings()?;
        let prompts = arguments.prompts();
        if prompts.given.count()? != 1 {
            let message = "must be one: the images belong to one prompt, as in Python";
            return Err(Error::argument("prompt", message));
        }
        let (components, index) = (&mut self.components, &self.index);
        let processor = components.image_processor();
        let images = pictures(&arguments.image)?;
        let pixels = size_of(&images[images.len() - 1], TRANSFORMER_AREA)?;
        let asked = [0, 1].map(|side| settings.size[side].or(Some(pixels[side])));
        let size = components.latent_size(asked)?;
        let looked =
            images.iter().map(|image| resized(&processor, image, size_of(image, LANGUAGE_MODEL_AREA)?));
        let looked: Vec<DynamicImage> = looked.collect::<Result<_>>()?;
        let texts = components.embed_with_images(&self.processor, prompts, Looked::Numbered(&looked))?;
        let mut seen = Seen::default();
        for image in images {
            let pixels = size_of(image, TRANSFORMER_AREA)?;
            let [height, width] = pixels.map(Some);
            let options = PreprocessOptions { height, width, ..Default::default() };
            let image = PreparedImage::new(&processor, &image.clone().into(), options)?;
            let of_image = pixels.map(|side| side / components.vae.scale_factor());
            let image = components.image_latents(image, false, of_image, &mut settings, index)?;
            seen.images.push((tokens(image), of_image));
        }
        components.make_from_noise_with(settings, texts, seen, size, index, self.progress_bar)
    }

    processor_methods!();
}

expose_processor!(QwenImageEditPlusPipeline);
