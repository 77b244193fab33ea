//! Inpainting with ControlNets, which are told the image and its mask.

use super::parts::{controlnet_arguments, controlnet_methods, expose_controlnet};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::controlnets::SD3ControlNet;
use crate::pipelines::common::control::ControlImages;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;
use crate::pipelines::stable_diffusion_3::components::StableDiffusion3Components;

/// Repaints the masked part of an image according to a prompt, with a ControlNet that was trained for it.
///
/// Its fields are those of [`StableDiffusion3Components`], and `controlnet`.
#[derive(Clone, Debug)]
pub struct StableDiffusion3ControlNetInpaintingPipeline {
    /// Tells the transformer what to add after its blocks.
    pub controlnet: SD3ControlNet,
    components: StableDiffusion3Components,
    index: ModelIndex,
    progress_bar: bool,
}

controlnet_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusion3ControlNetInpaintingPipeline.__call__`.
    pub struct StableDiffusion3ControlNetInpaint: "inpainting with Stable Diffusion 3 and ControlNet" {
        /// The masks, white where to repaint the images and black where to keep them: one for all images, or one for each.
        pub control_mask: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
    }
}

impl StableDiffusion3ControlNetInpaint {
    /// Arguments with one prompt, images, masks, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        control_image: impl Into<ControlImages>,
        control_mask: impl Into<PipelineImageInput>,
    ) -> Self {
        Self {
            prompt: vec![prompt.into()],
            control_image: control_image.into(),
            control_mask: control_mask.into(),
            ..Self::default()
        }
    }
}

impl Pipeline for StableDiffusion3ControlNetInpaintingPipeline {
    const CLASS_NAME: &'static str = "StableDiffusion3ControlNetInpaintingPipeline";

    type Arguments = StableDiffusion3ControlNetInpaint;

    fn call(
        &mut self,
        arguments: impl Into<StableDiffusion3ControlNetInpaint>,
    ) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let mask = std::mem::replace(&mut arguments.control_mask, PipelineImageInput::Images(Vec::new()));
        let control = arguments.take_control(&self.controlnet, Some(mask));
        let (latents, texts) = (arguments.latents.take(), arguments.texts());
        let (components, index) = (&mut self.components, &self.index);
        components.make_controlled(control, &texts, latents, settings, index, self.progress_bar)
    }

    controlnet_methods!();
    ip_adapter_methods!();
}

expose_controlnet!(StableDiffusion3ControlNetInpaintingPipeline);
