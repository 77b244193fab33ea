//! Editing of an image.

use image::DynamicImage;

use super::reading::Looked;
use crate::error::Result;
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
use crate::pipelines::qwen_image::size::{TRANSFORMER_AREA, pictures, resized, size_of};
use crate::text_encoders::Qwen2VLProcessor;

/// Changes an image as a prompt says.
///
/// Its fields are those of [`QwenImageComponents`], and `processor`.
///
/// ```no_run
/// use oxidiff::{Pipeline, QwenImageEdit, QwenImageEditPipeline, load_image};
///
/// let mut pipeline = QwenImageEditPipeline::from_pretrained("Qwen/Qwen-Image-Edit")?;
/// let images = pipeline.call(QwenImageEdit {
///     negative_prompt: vec![" ".to_owned()],
///     ..QwenImageEdit::new("make the apple green", load_image("apple.png")?)
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct QwenImageEditPipeline {
    /// Prepares images and prompts for the language model.
    pub processor: Qwen2VLProcessor,
    components: QwenImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `QwenImageEditPipeline.__call__`. Without `height` and `width`,
    /// the result has about 1024 by 1024 pixels in the proportion of the first image. `max_sequence_length` has no effect, as in Python.
    pub struct QwenImageEdit: "editing with Qwen-Image", guidance: None, {
        /// The images to change: one for all prompts, or one for each.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
    }
}

impl QwenImageEdit {
    /// Arguments with one prompt, images to change, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl Pipeline for QwenImageEditPipeline {
    const CLASS_NAME: &'static str = "QwenImageEditPipeline";

    type Arguments = QwenImageEdit;

    fn call(&mut self, arguments: impl Into<QwenImageEdit>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let mut settings = arguments.settings()?;
        let (components, index) = (&mut self.components, &self.index);
        let processor = components.image_processor();
        let images = pictures(&arguments.image)?;
        let pixels = size_of(&images[0], TRANSFORMER_AREA)?;
        let asked = [0, 1].map(|side| settings.size[side].or(Some(pixels[side])));
        let size = components.latent_size(asked)?;
        // As in Python, the language model looks at several images as they are.
        let looked: Vec<DynamicImage> = match images {
            [one] => vec![resized(&processor, one, pixels)?],
            several => several.to_vec(),
        };
        let [height, width] = pixels.map(Some);
        let options = PreprocessOptions { height, width, ..Default::default() };
        let image = PreparedImage::new(&processor, &looked.clone().into(), options)?;
        let texts =
            components.embed_with_images(&self.processor, arguments.prompts(), Looked::Each(&looked))?;
        let of_image = pixels.map(|side| side / components.vae.scale_factor());
        let image = components.image_latents(image, false, of_image, &mut settings, index)?;
        let seen = Seen { images: vec![(tokens(image), of_image)], ..Seen::default() };
        components.make_from_noise_with(settings, texts, seen, size, index, self.progress_bar)
    }

    processor_methods!();
}

expose_processor!(QwenImageEditPipeline);
