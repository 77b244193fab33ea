//! Image to image that follows another image.

use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::flux::arguments::prompt_arguments;
use crate::pipelines::flux::components::FluxComponents;
use crate::pipelines::flux::pipeline_fields::{expose_fields, pipeline_methods};
use crate::pipelines::flux::shown::Shown;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Changes an image according to a prompt, following another image.
///
/// Its fields are those of [`FluxComponents`].
#[derive(Clone, Debug)]
pub struct FluxControlImg2ImgPipeline {
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxControlImg2ImgPipeline.__call__`. The images are resized
    /// to `height` and `width`.
    pub struct FluxControlImageToImage: "image to image with FLUX.1 and an image to follow", steps: 28, guidance: 7.0 {
        /// The images to start from: one for all prompts, or one for each.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The images to follow: one for all prompts, or one for each. A tensor is taken as it is, with values in [-1, 1].
        pub control_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
        pub strength: f64 = 0.6,
    }
}

impl FluxControlImageToImage {
    /// Arguments with one prompt, images to start from, images to follow, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        image: impl Into<PipelineImageInput>,
        control_image: impl Into<PipelineImageInput>,
    ) -> Self {
        let (image, control_image) = (image.into(), control_image.into());
        Self { prompt: vec![prompt.into()], image, control_image, ..Self::default() }
    }
}

impl Pipeline for FluxControlImg2ImgPipeline {
    const CLASS_NAME: &'static str = "FluxControlImg2ImgPipeline";

    type Arguments = FluxControlImageToImage;

    fn call(&mut self, arguments: impl Into<FluxControlImageToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, FluxControlImageToImage::default().strength)?;
        let settings = arguments.settings()?;
        let (components, index) = (&mut self.components, &self.index);
        let shown = Shown::Beside(arguments.control_image.clone());
        let (image, prompts) = ((&arguments.image, strength), arguments.prompts());
        components.make_from_image(image, settings, &prompts, shown, index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(FluxControlImg2ImgPipeline, Latents);
