//! Image to image with ControlNets.

use super::parts::{controlnet_arguments, controlnet_methods, expose_controlnet};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::controlnets::FluxControlNet;
use crate::pipelines::common::control::ControlImages;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::flux::components::FluxComponents;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Changes an image according to a prompt, following other images.
///
/// Its fields are those of [`FluxComponents`], and `controlnet`.
#[derive(Clone, Debug)]
pub struct FluxControlNetImg2ImgPipeline {
    /// Tells the transformer what to add after its blocks.
    pub controlnet: FluxControlNet,
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

controlnet_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxControlNetImg2ImgPipeline.__call__`. The images are
    /// resized to `height` and `width`.
    pub struct FluxControlNetImageToImage: "image to image with FLUX.1 and ControlNet" {
        /// The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is
        /// treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
        pub strength: f64 = 0.6,
    }
}

impl FluxControlNetImageToImage {
    /// Arguments with one prompt, images to start from, images to follow, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        image: impl Into<PipelineImageInput>,
        control_image: impl Into<ControlImages>,
    ) -> Self {
        let (image, control_image) = (image.into(), control_image.into());
        Self { prompt: vec![prompt.into()], image, control_image, ..Self::default() }
    }
}

impl Pipeline for FluxControlNetImg2ImgPipeline {
    const CLASS_NAME: &'static str = "FluxControlNetImg2ImgPipeline";

    type Arguments = FluxControlNetImageToImage;

    fn call(&mut self, arguments: impl Into<FluxControlNetImageToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, FluxControlNetImageToImage::default().strength)?;
        let settings = arguments.settings()?;
        let shown = arguments.take_control(&self.controlnet);
        let (components, index) = (&mut self.components, &self.index);
        let (image, prompts) = ((&arguments.image, strength), arguments.prompts());
        components.make_from_image(image, settings, &prompts, shown, index, self.progress_bar)
    }

    controlnet_methods!();
}

expose_controlnet!(FluxControlNetImg2ImgPipeline);
