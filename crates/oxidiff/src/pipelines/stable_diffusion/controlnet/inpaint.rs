//! Inpainting with ControlNets.

use burn::tensor::Tensor;

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
use crate::pipelines::stable_diffusion::arguments::HasPrompt;
use crate::pipelines::stable_diffusion::components::StableDiffusionComponents;
use crate::pipelines::stable_diffusion::inpaint::Inpaint;
use crate::pipelines::stable_diffusion::pipeline_fields::expose_fields;

/// Repaints the masked part of images according to prompts; the result follows other images, such as edges or a depth map.
///
/// Its fields are those of [`StableDiffusionComponents`], and `controlnet`. An example is at
/// [`StableDiffusionControlNetPipeline`](super::StableDiffusionControlNetPipeline).
#[derive(Clone, Debug)]
pub struct StableDiffusionControlNetInpaintPipeline {
    /// Tells the UNet what to add to its prediction.
    pub controlnet: ControlNet,
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

control_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionControlNetInpaintPipeline.__call__`.
    ///
    /// ```
    /// use oxidiff::{ControlNetInpaint, image::DynamicImage};
    ///
    /// let (photo, mask) = (DynamicImage::new_rgb8(64, 64), DynamicImage::new_luma8(64, 64));
    /// let edges = photo.clone();
    /// let arguments = ControlNetInpaint::new("red apple", photo, mask, edges);
    /// assert_eq!(arguments.controlnet_conditioning_scale, 0.5.into());
    /// ```
    pub struct ControlNetInpaint: "inpainting with ControlNet" of stable_diffusion {
        images: control_image,
        controlnet_conditioning_scale: 0.5,
        guidance_scale: 7.5,
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
        pub strength: f64 = 1.0,
        /// The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
        pub latents: Option<Tensor<4>> = None,
    }
}

impl ControlNetInpaint {
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

constructors!(StableDiffusionControlNetInpaintPipeline, |components| {
    [0, components.vae.latent_channels() + 1]
});

impl Pipeline for StableDiffusionControlNetInpaintPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionControlNetInpaintPipeline";

    type Arguments = ControlNetInpaint;

    fn call(&mut self, arguments: impl Into<ControlNetInpaint>) -> Result<ImagePipelineOutput> {
        self.controlnet.check_fit(self.components.unet.config(), self.components.vae.latent_channels())?;
        let mut arguments = arguments.into();
        let pictures = arguments.take_ip_adapter();
        let control = arguments.take_control(&self.controlnet);
        let shared = arguments.take_prompt();
        let plain = Inpaint {
            image: arguments.image,
            mask_image: arguments.mask_image,
            height: arguments.height,
            width: arguments.width,
            padding_mask_crop: arguments.padding_mask_crop,
            strength: arguments.strength,
            latents: arguments.latents,
            ..Inpaint::with_prompt(shared).with_ip_adapter(pictures)
        };
        self.components.inpaint(plain, Some(control), &self.index, self.progress_bar)
    }

    controlnet_methods!();
}

expose_fields!(StableDiffusionControlNetInpaintPipeline);
