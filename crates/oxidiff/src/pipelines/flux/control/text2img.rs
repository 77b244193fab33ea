//! Text to image that follows an image.

use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::flux::arguments::prompt_arguments;
use crate::pipelines::flux::components::FluxComponents;
use crate::pipelines::flux::pipeline_fields::{expose_fields, pipeline_methods};
use crate::pipelines::flux::shown::Shown;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts that follow other images: their edges with FLUX.1 Canny, their depth with FLUX.1 Depth.
///
/// Its fields are those of [`FluxComponents`].
#[derive(Clone, Debug)]
pub struct FluxControlPipeline {
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxControlPipeline.__call__`.
    pub struct FluxControlTextToImage: "text to image with FLUX.1 and an image to follow", steps: 28, guidance: 3.5 {
        /// The images to follow: one for all prompts, or one for each. They are resized to `height` and `width`; a tensor is taken as it
        /// is, with values in [-1, 1].
        pub control_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
    }
}

impl FluxControlTextToImage {
    /// Arguments with one prompt, an image to follow, and the defaults.
    pub fn new(prompt: impl Into<String>, control_image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], control_image: control_image.into(), ..Self::default() }
    }
}

impl Pipeline for FluxControlPipeline {
    const CLASS_NAME: &'static str = "FluxControlPipeline";

    type Arguments = FluxControlTextToImage;

    fn call(&mut self, arguments: impl Into<FluxControlTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let (components, index) = (&mut self.components, &self.index);
        let shown = Shown::Beside(arguments.control_image.clone());
        components.make_from_noise(settings, &arguments.prompts(), shown, index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(FluxControlPipeline, Latents);
