//! Text to image with a ControlNet.

use super::parts::controlnet_methods;
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::transformers::ZImageControlNetModel;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::z_image::arguments::{declare_arguments, text_to_image_of};
use crate::pipelines::z_image::components::ZImageComponents;
use crate::pipelines::z_image::control::ControlCall;
use crate::pipelines::z_image::pipeline_fields::expose_components;

/// Makes images from prompts that follow other images, such as edges, a depth map or a pose.
///
/// Its fields are those of [`ZImageComponents`], and `controlnet`.
#[derive(Clone, Debug)]
pub struct ZImageControlNetPipeline {
    /// Tells the transformer what to add to the results of its layers.
    pub controlnet: ZImageControlNetModel,
    components: ZImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

declare_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `ZImageControlNetPipeline.__call__`.
    pub struct ZImageControlNetTextToImage: "text to image with Z-Image and ControlNet" {
        /// The images to follow: one for all prompts, or one for each. They are resized to `height` and `width`; a tensor is
        /// taken as it is, with values in [-1, 1], and gives the result its size.
        pub control_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How strongly to follow them; 0 is not at all.
        pub controlnet_conditioning_scale: f64 = 0.75,
    }
}

impl ZImageControlNetTextToImage {
    /// Arguments with one prompt, images to follow, and the defaults.
    pub fn new(prompt: impl Into<String>, control_image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], control_image: control_image.into(), ..Self::default() }
    }
}

impl ZImageControlNetPipeline {
    /// A pipeline with the given parts and a ControlNet.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: ZImageComponents, controlnet: ZImageControlNetModel) -> Result<Self> {
        Self::assemble(components, controlnet, ModelIndex::of_class(Self::CLASS_NAME))
    }

    fn assemble(
        components: ZImageComponents,
        controlnet: ZImageControlNetModel,
        index: ModelIndex,
    ) -> Result<Self> {
        components.check()?;
        controlnet.check_fit(&components.transformer)?;
        Ok(Self { controlnet, components, index, progress_bar: true })
    }
}

impl Pipeline for ZImageControlNetPipeline {
    const CLASS_NAME: &'static str = "ZImageControlNetPipeline";

    type Arguments = ZImageControlNetTextToImage;

    fn call(&mut self, arguments: impl Into<ZImageControlNetTextToImage>) -> Result<ImagePipelineOutput> {
        let arguments = arguments.into();
        let control = ControlCall {
            controlnet: &self.controlnet,
            scale: arguments.controlnet_conditioning_scale,
            image: arguments.control_image,
            masked: None,
        };
        let plain = text_to_image_of!(arguments);
        self.components.text_to_image(plain, Some(control), &self.index, self.progress_bar)
    }

    controlnet_methods!();
}

expose_components!(ZImageControlNetPipeline);
