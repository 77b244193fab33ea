//! Inpainting with a ControlNet, which is also told the image and its mask.

use super::parts::controlnet_methods;
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::models::model::Model;
use crate::models::transformers::ZImageControlNetModel;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::z_image::arguments::{declare_arguments, text_to_image_of};
use crate::pipelines::z_image::components::ZImageComponents;
use crate::pipelines::z_image::control::ControlCall;
use crate::pipelines::z_image::pipeline_fields::expose_components;

/// Repaints the masked part of an image according to a prompt, following another image.
///
/// Its fields are those of [`ZImageComponents`], and `controlnet`.
#[derive(Clone, Debug)]
pub struct ZImageControlNetInpaintPipeline {
    /// Tells the transformer what to add to the results of its layers.
    pub controlnet: ZImageControlNetModel,
    components: ZImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

declare_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `ZImageControlNetInpaintPipeline.__call__`.
    pub struct ZImageControlNetInpaint: "inpainting with Z-Image and ControlNet" {
        /// The images to repaint in part: one for all prompts, or one for each. They are resized to `height` and `width`; a
        /// tensor is taken as it is, with values in [-1, 1].
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The images to follow: one for all prompts, or one for each. They are resized to `height` and `width`; a tensor is
        /// taken as it is, with values in [-1, 1], and gives the result its size.
        pub control_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How strongly to follow them; 0 is not at all.
        pub controlnet_conditioning_scale: f64 = 0.75,
    }
}

impl ZImageControlNetInpaint {
    /// Arguments with one prompt, images, masks, images to follow, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        image: impl Into<PipelineImageInput>,
        mask_image: impl Into<PipelineImageInput>,
        control_image: impl Into<PipelineImageInput>,
    ) -> Self {
        Self {
            prompt: vec![prompt.into()],
            image: image.into(),
            mask_image: mask_image.into(),
            control_image: control_image.into(),
            ..Self::default()
        }
    }
}

impl ZImageControlNetInpaintPipeline {
    /// A pipeline with the given parts and a ControlNet.
    ///
    /// # Errors
    /// When the parts do not fit each other, or the ControlNet cannot inpaint.
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
        let taken = controlnet.config().control_in_dim.unwrap_or_default();
        let needed = 2 * components.transformer.config().in_channels + 1;
        if taken < needed {
            let message = format!(
                "takes {taken} channels, but inpainting has {needed}: the image to follow, the mask, and the image; use \
                 one of version 2"
            );
            return Err(Error::argument("controlnet", message));
        }
        Ok(Self { controlnet, components, index, progress_bar: true })
    }
}

impl Pipeline for ZImageControlNetInpaintPipeline {
    const CLASS_NAME: &'static str = "ZImageControlNetInpaintPipeline";

    type Arguments = ZImageControlNetInpaint;

    fn call(&mut self, arguments: impl Into<ZImageControlNetInpaint>) -> Result<ImagePipelineOutput> {
        let arguments = arguments.into();
        let control = ControlCall {
            controlnet: &self.controlnet,
            scale: arguments.controlnet_conditioning_scale,
            image: arguments.control_image,
            masked: Some([arguments.image, arguments.mask_image]),
        };
        let plain = text_to_image_of!(arguments);
        self.components.text_to_image(plain, Some(control), &self.index, self.progress_bar)
    }

    controlnet_methods!();
}

expose_components!(ZImageControlNetInpaintPipeline);
