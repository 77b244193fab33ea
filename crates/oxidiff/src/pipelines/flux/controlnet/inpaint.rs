//! Inpainting with ControlNets.

use burn::tensor::Tensor;

use super::parts::{controlnet_arguments, controlnet_methods, expose_controlnet};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::controlnets::FluxControlNet;
use crate::pipelines::common::control::ControlImages;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::flux::components::FluxComponents;
use crate::pipelines::flux::inpaint::{Repainted, warn_of_masked_latents};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Repaints the masked part of an image according to a prompt, following other images.
///
/// Its fields are those of [`FluxComponents`], and `controlnet`.
#[derive(Clone, Debug)]
pub struct FluxControlNetInpaintPipeline {
    /// Tells the transformer what to add after its blocks.
    pub controlnet: FluxControlNet,
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

controlnet_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxControlNetInpaintPipeline.__call__`. The images are
    /// resized to `height` and `width`.
    pub struct FluxControlNetInpaint: "inpainting with FLUX.1 and ControlNet" {
        /// The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as the latents have is
        /// treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Has no effect, as in Python: the transformer does not look at the image without its masked part.
        pub masked_image_latents: Option<Tensor<4>> = None,
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
        pub strength: f64 = 0.6,
        /// Repaint only the masked part and this many pixels around it, at the size of the whole image.
        pub padding_mask_crop: Option<usize> = None,
    }
}

impl FluxControlNetInpaint {
    /// Arguments with one prompt, images, masks, images to follow, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        image: impl Into<PipelineImageInput>,
        mask_image: impl Into<PipelineImageInput>,
        control_image: impl Into<ControlImages>,
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

impl Pipeline for FluxControlNetInpaintPipeline {
    const CLASS_NAME: &'static str = "FluxControlNetInpaintPipeline";

    type Arguments = FluxControlNetInpaint;

    fn call(&mut self, arguments: impl Into<FluxControlNetInpaint>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, FluxControlNetInpaint::default().strength)?;
        warn_of_masked_latents(arguments.masked_image_latents.as_ref());
        let settings = arguments.settings()?;
        let shown = arguments.take_control(&self.controlnet);
        let repainted = Repainted {
            image: &arguments.image,
            mask_image: &arguments.mask_image,
            padding_mask_crop: arguments.padding_mask_crop,
            asked: settings.size,
            strength,
            is_drawn: true,
        };
        let (components, index) = (&mut self.components, &self.index);
        components.inpaint(&repainted, settings, &arguments.prompts(), shown, index, self.progress_bar)
    }

    controlnet_methods!();
}

expose_controlnet!(FluxControlNetInpaintPipeline);
