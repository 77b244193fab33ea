//! Inpainting: the transformer looks at the image, or at another one.

use super::arguments::prompt_arguments;
use super::components::FluxComponents;
use super::inpaint::Repainted;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use super::shown::Shown;
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;

/// Repaints the masked part of an image as a prompt says, and possibly with what another image shows.
///
/// Its fields are those of [`FluxComponents`].
#[derive(Clone, Debug)]
pub struct FluxKontextInpaintPipeline {
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxKontextInpaintPipeline.__call__`. The result has the size
    /// that the image is resized to.
    pub struct FluxKontextInpaint: "inpainting with FLUX.1 Kontext", steps: 28, guidance: 3.5, with negative {
        /// The images to repaint in part: one for all prompts, or one for each.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Another image to look at, instead of the image itself.
        pub image_reference: Option<PipelineImageInput> = None,
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
        pub strength: f64 = 1.0,
        /// Repaint only the masked part and this many pixels around it, at the size of the whole image.
        pub padding_mask_crop: Option<usize> = None,
        /// Has no effect, as in Python: the size of the image takes the place of what follows from it.
        pub max_area: usize = 1024 * 1024,
        /// Whether the images are resized to sizes that the model was trained on.
        pub _auto_resize: bool = true,
    }
}

impl FluxKontextInpaint {
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

impl Pipeline for FluxKontextInpaintPipeline {
    const CLASS_NAME: &'static str = "FluxKontextInpaintPipeline";

    type Arguments = FluxKontextInpaint;

    fn call(&mut self, arguments: impl Into<FluxKontextInpaint>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, FluxKontextInpaint::default().strength)?;
        let mut settings = arguments.settings()?;
        let why = "the result has the size that the image is resized to";
        warn_of_ignored("height", settings.size[0].is_some(), why);
        warn_of_ignored("width", settings.size[1].is_some(), why);
        warn_of_ignored("max_area", arguments.max_area != FluxKontextInpaint::default().max_area, why);
        let (components, index) = (&mut self.components, &self.index);
        if components.is_latent(&arguments.image) {
            return Err(Error::argument("image", "must be an image, not latents"));
        }
        let size = components.kontext_image_size(&arguments.image, arguments._auto_resize)?;
        settings.size = size.map(Some);
        let shown = match &arguments.image_reference {
            None => Shown::Itself,
            Some(reference) => Shown::After(components.kontext_image(reference, arguments._auto_resize)?),
        };
        let repainted = Repainted {
            image: &arguments.image,
            mask_image: &arguments.mask_image,
            padding_mask_crop: arguments.padding_mask_crop,
            asked: [None; 2],
            strength,
            is_drawn: false,
        };
        let prompts = arguments.prompts();
        components.inpaint(&repainted, settings, &prompts, shown, index, self.progress_bar)
    }

    pipeline_methods!();
    ip_adapter_methods!();
}

expose_fields!(FluxKontextInpaintPipeline, Nothing);
