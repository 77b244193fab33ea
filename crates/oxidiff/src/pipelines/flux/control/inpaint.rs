//! Inpainting that follows another image.

use burn::tensor::Tensor;

use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::flux::arguments::prompt_arguments;
use crate::pipelines::flux::components::FluxComponents;
use crate::pipelines::flux::inpaint::{Repainted, warn_of_masked_latents};
use crate::pipelines::flux::pipeline_fields::{expose_fields, pipeline_methods};
use crate::pipelines::flux::shown::Shown;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Repaints the masked part of an image according to a prompt, following another image.
///
/// Its fields are those of [`FluxComponents`].
#[derive(Clone, Debug)]
pub struct FluxControlInpaintPipeline {
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxControlInpaintPipeline.__call__`. The images are resized
    /// to `height` and `width`.
    pub struct FluxControlInpaint: "inpainting with FLUX.1 and an image to follow", steps: 28, guidance: 7.0 {
        /// The images to repaint in part: one for all prompts, or one for each.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The images to follow: one for all prompts, or one for each. A tensor is taken as it is, with values in [-1, 1].
        pub control_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Has no effect: the transformer does not look at the image without its masked part.
        pub masked_image_latents: Option<Tensor<4>> = None,
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
        pub strength: f64 = 0.6,
    }
}

impl FluxControlInpaint {
    /// Arguments with one prompt, images, masks, images to follow, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        image: impl Into<PipelineImageInput>,
        mask_image: impl Into<PipelineImageInput>,
        control_image: impl Into<PipelineImageInput>,
    ) -> Self {
        let (image, control_image) = (image.into(), control_image.into());
        Self {
            prompt: vec![prompt.into()],
            image,
            control_image,
            mask_image: mask_image.into(),
            ..Self::default()
        }
    }
}

impl Pipeline for FluxControlInpaintPipeline {
    const CLASS_NAME: &'static str = "FluxControlInpaintPipeline";

    type Arguments = FluxControlInpaint;

    fn call(&mut self, arguments: impl Into<FluxControlInpaint>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, FluxControlInpaint::default().strength)?;
        warn_of_masked_latents(arguments.masked_image_latents.as_ref());
        let settings = arguments.settings()?;
        let repainted = Repainted {
            image: &arguments.image,
            mask_image: &arguments.mask_image,
            padding_mask_crop: None,
            asked: settings.size,
            strength,
            is_drawn: true,
        };
        let (components, index) = (&mut self.components, &self.index);
        let (shown, prompts) = (Shown::Beside(arguments.control_image.clone()), arguments.prompts());
        components.inpaint(&repainted, settings, &prompts, shown, index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(FluxControlInpaintPipeline, Latents);
