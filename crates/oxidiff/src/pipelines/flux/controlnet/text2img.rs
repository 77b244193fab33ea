//! Text to image with ControlNets.

use super::parts::{controlnet_arguments, controlnet_methods, expose_controlnet};
use crate::error::Result;
use crate::models::controlnets::FluxControlNet;
use crate::pipelines::common::control::ControlImages;
use crate::pipelines::flux::components::FluxComponents;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;

/// Makes images from prompts that follow other images.
///
/// Its fields are those of [`FluxComponents`], and `controlnet`.
#[derive(Clone, Debug)]
pub struct FluxControlNetPipeline {
    /// Tells the transformer what to add after its blocks.
    pub controlnet: FluxControlNet,
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

controlnet_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxControlNetPipeline.__call__`.
    pub struct FluxControlNetTextToImage: "text to image with FLUX.1 and ControlNet", with negative {}
}

impl FluxControlNetTextToImage {
    /// Arguments with one prompt, images to follow, and the defaults.
    pub fn new(prompt: impl Into<String>, control_image: impl Into<ControlImages>) -> Self {
        Self { prompt: vec![prompt.into()], control_image: control_image.into(), ..Self::default() }
    }
}

impl Pipeline for FluxControlNetPipeline {
    const CLASS_NAME: &'static str = "FluxControlNetPipeline";

    type Arguments = FluxControlNetTextToImage;

    fn call(&mut self, arguments: impl Into<FluxControlNetTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let shown = arguments.take_control(&self.controlnet);
        let (components, index) = (&mut self.components, &self.index);
        components.make_from_noise(settings, &arguments.prompts(), shown, index, self.progress_bar)
    }

    controlnet_methods!();
    ip_adapter_methods!();
}

expose_controlnet!(FluxControlNetPipeline);
