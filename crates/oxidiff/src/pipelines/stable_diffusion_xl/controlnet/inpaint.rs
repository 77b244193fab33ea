//! Inpainting with ControlNets.

use super::parts::{constructors, controlnet_methods};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::controlnets::ControlNet;
use crate::models::model::Model;
use crate::pipelines::common::control::{ControlImages, control_arguments};
use crate::pipelines::common::ip_adapter::TakesIpAdapter;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::stable_diffusion_xl::arguments::HasPrompt;
use crate::pipelines::stable_diffusion_xl::components::{Options, StableDiffusionXLComponents};
use crate::pipelines::stable_diffusion_xl::inpaint::StableDiffusionXLInpaint;
use crate::pipelines::stable_diffusion_xl::pipeline_fields::expose_fields;

/// Repaints the masked part of images according to prompts; the result follows other images, such as edges or a depth map.
///
/// Its fields are those of [`StableDiffusionXLComponents`], and `controlnet`. An example is at
/// [`StableDiffusionXLControlNetPipeline`](super::StableDiffusionXLControlNetPipeline).
#[derive(Clone, Debug)]
pub struct StableDiffusionXLControlNetInpaintPipeline {
    /// Tells the UNet what to add to its prediction.
    pub controlnet: ControlNet,
    components: StableDiffusionXLComponents,
    options: Options,
    index: ModelIndex,
    progress_bar: bool,
}

control_arguments! {
    /// The arguments of a call; names and defaults are those of Python's
    /// `StableDiffusionXLControlNetInpaintPipeline.__call__`.
    pub struct StableDiffusionXLControlNetInpaint: "inpainting with Stable Diffusion XL and ControlNet" of stable_diffusion_xl {
        images: control_image,
        controlnet_conditioning_scale: 1.0,
        guidance_scale: 5.0,
        /// The images to repaint in part: one for all prompts, or one for each.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Height of the images in pixels, a multiple of 8; by default that of `image`, rounded down to one.
        pub height: Option<usize> = None,
        /// Width of the images in pixels, a multiple of 8; by default that of `image`, rounded down to one.
        pub width: Option<usize> = None,
        /// Works only on the masked part and this many pixels around it, enlarged to the size of the whole image, and puts
        /// the result back into the image. Requires one image and one mask.
        pub padding_mask_crop: Option<usize> = None,
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
        pub strength: f64 = 0.9999,
        /// How far another model has denoised the image, as a fraction of all steps between 0 and 1. No noise is added
        /// then, and `strength` is not used.
        pub denoising_start: Option<f64> = None,
        /// The aesthetic score to aim for, for refiners.
        pub aesthetic_score: f64 = 6.0,
        /// The aesthetic score of the negative prompt, for refiners.
        pub negative_aesthetic_score: f64 = 2.5,
        /// How many of the text encoders' last layers to leave out.
        pub clip_skip: Option<usize> = None,
    }
}

impl StableDiffusionXLControlNetInpaint {
    /// Arguments with one prompt, images, masks, images to follow, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        image: impl Into<PipelineImageInput>,
        mask_image: impl Into<PipelineImageInput>,
        control_image: impl Into<ControlImages>,
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

constructors!(StableDiffusionXLControlNetInpaintPipeline of ControlNet, true, |components| {
    [0, components.vae.latent_channels() + 1]
});

impl Pipeline for StableDiffusionXLControlNetInpaintPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionXLControlNetInpaintPipeline";

    type Arguments = StableDiffusionXLControlNetInpaint;

    fn call(
        &mut self,
        arguments: impl Into<StableDiffusionXLControlNetInpaint>,
    ) -> Result<ImagePipelineOutput> {
        self.controlnet.check_fit(self.components.unet.config(), self.components.vae.latent_channels())?;
        let mut arguments = arguments.into();
        let pictures = arguments.take_ip_adapter();
        let control = arguments.take_control(&self.controlnet);
        let shared = arguments.take_prompt();
        let plain = StableDiffusionXLInpaint {
            image: arguments.image,
            mask_image: arguments.mask_image,
            height: arguments.height,
            width: arguments.width,
            padding_mask_crop: arguments.padding_mask_crop,
            strength: arguments.strength,
            denoising_start: arguments.denoising_start,
            // As in Python, the negative prompt has the crop of the prompt.
            negative_crops_coords_top_left: shared.crops_coords_top_left,
            aesthetic_score: arguments.aesthetic_score,
            negative_aesthetic_score: arguments.negative_aesthetic_score,
            clip_skip: arguments.clip_skip,
            ..StableDiffusionXLInpaint::with_prompt(shared).with_ip_adapter(pictures)
        };
        let (options, index) = (self.options, &self.index);
        self.components.inpaint(plain, Some(control), options, index, self.progress_bar)
    }

    controlnet_methods!(ControlNet);
}

expose_fields!(StableDiffusionXLControlNetInpaintPipeline);
