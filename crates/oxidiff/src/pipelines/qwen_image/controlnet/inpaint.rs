//! Inpainting with a ControlNet that was trained to see an image without its masked part, and the mask.

use super::parts::{controlnet_arguments, controlnet_methods, expose_controlnet};
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::models::controlnets::QwenImageControlNet;
use crate::pipelines::common::control::ControlImages;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::qwen_image::components::QwenImageComponents;

/// Repaints the masked part of an image according to a prompt.
///
/// Its fields are those of [`QwenImageComponents`], and `controlnet`.
#[derive(Clone, Debug)]
pub struct QwenImageControlNetInpaintPipeline {
    /// Tells the transformer what to add after its blocks.
    pub controlnet: QwenImageControlNet,
    components: QwenImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

controlnet_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `QwenImageControlNetInpaintPipeline.__call__`.
    pub struct QwenImageControlNetInpaint: "inpainting with Qwen-Image and ControlNet", guidance: Some(1.0), {
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each. They are resized to
        /// `height` and `width`; a tensor is taken as it is, with values in [0, 1].
        pub control_mask: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
    }
}

impl QwenImageControlNetInpaint {
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

impl Pipeline for QwenImageControlNetInpaintPipeline {
    const CLASS_NAME: &'static str = "QwenImageControlNetInpaintPipeline";

    type Arguments = QwenImageControlNetInpaint;

    fn call(&mut self, arguments: impl Into<QwenImageControlNetInpaint>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        if matches!(&arguments.control_mask, PipelineImageInput::Images(images) if images.is_empty()) {
            return Err(Error::argument("control_mask", "must be given"));
        }
        let mask =
            Some(std::mem::replace(&mut arguments.control_mask, PipelineImageInput::Images(Vec::new())));
        let control = Some(arguments.take_control(&self.controlnet, mask));
        let (components, index) = (&mut self.components, &self.index);
        components.make_from_noise(settings, &arguments.prompts(), control, index, self.progress_bar)
    }

    controlnet_methods!();
}

expose_controlnet!(QwenImageControlNetInpaintPipeline);
