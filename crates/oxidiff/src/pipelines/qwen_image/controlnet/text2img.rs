//! Text to image with ControlNets.

use super::parts::{controlnet_arguments, controlnet_methods, expose_controlnet};
use crate::error::Result;
use crate::models::controlnets::QwenImageControlNet;
use crate::pipelines::common::control::ControlImages;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::qwen_image::components::QwenImageComponents;

/// Makes images from prompts, following other images.
///
/// Its fields are those of [`QwenImageComponents`], and `controlnet`.
#[derive(Clone, Debug)]
pub struct QwenImageControlNetPipeline {
    /// Tells the transformer what to add after its blocks.
    pub controlnet: QwenImageControlNet,
    components: QwenImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

controlnet_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `QwenImageControlNetPipeline.__call__`.
    pub struct QwenImageControlNetTextToImage: "text to image with Qwen-Image and ControlNet", guidance: None, {}
}

impl QwenImageControlNetTextToImage {
    /// Arguments with one prompt, images to follow, and the defaults.
    pub fn new(prompt: impl Into<String>, control_image: impl Into<ControlImages>) -> Self {
        Self { prompt: vec![prompt.into()], control_image: control_image.into(), ..Self::default() }
    }
}

impl Pipeline for QwenImageControlNetPipeline {
    const CLASS_NAME: &'static str = "QwenImageControlNetPipeline";

    type Arguments = QwenImageControlNetTextToImage;

    fn call(&mut self, arguments: impl Into<QwenImageControlNetTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let control = Some(arguments.take_control(&self.controlnet, None));
        let (components, index) = (&mut self.components, &self.index);
        components.make_from_noise(settings, &arguments.prompts(), control, index, self.progress_bar)
    }

    controlnet_methods!();
}

expose_controlnet!(QwenImageControlNetPipeline);
