//! Image to image with ControlNets.

use burn::tensor::Tensor;

use super::parts::{constructors, controlnet_methods};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::controlnets::ControlNet;
use crate::models::model::Model;
use crate::pipelines::common::control::{ControlImages, Size, control_arguments};
use crate::pipelines::common::ip_adapter::TakesIpAdapter;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::stable_diffusion::arguments::HasPrompt;
use crate::pipelines::stable_diffusion::components::StableDiffusionComponents;
use crate::pipelines::stable_diffusion::img2img::{ControlledImage, ImageToImage};
use crate::pipelines::stable_diffusion::pipeline_fields::expose_fields;

/// Changes images according to prompts; the result follows other images, such as edges, a depth map or a pose.
///
/// Its fields are those of [`StableDiffusionComponents`], and `controlnet`. An example is at
/// [`StableDiffusionControlNetPipeline`](super::StableDiffusionControlNetPipeline).
#[derive(Clone, Debug)]
pub struct StableDiffusionControlNetImg2ImgPipeline {
    /// Tells the UNet what to add to its prediction.
    pub controlnet: ControlNet,
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

control_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionControlNetImg2ImgPipeline.__call__`.
    ///
    /// ```
    /// use oxidiff::{ControlNetImageToImage, image::DynamicImage};
    ///
    /// let (photo, edges) = (DynamicImage::new_rgb8(64, 64), DynamicImage::new_rgb8(64, 64));
    /// let arguments =
    ///     ControlNetImageToImage { strength: 0.6, ..ControlNetImageToImage::new("red apple", photo, edges) };
    /// assert_eq!(arguments.controlnet_conditioning_scale, 0.8.into());
    /// ```
    pub struct ControlNetImageToImage: "image to image with ControlNet" of stable_diffusion {
        images: control_image,
        controlnet_conditioning_scale: 0.8,
        guidance_scale: 7.5,
        /// The images to start from: one for all prompts, or one for each. A tensor with four channels is treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Height of the images in pixels, rounded down to a multiple of 8; by default that of `image`.
        pub height: Option<usize> = None,
        /// Width of the images in pixels, rounded down to a multiple of 8; by default that of `image`.
        pub width: Option<usize> = None,
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image
        /// is left.
        pub strength: f64 = 0.8,
        /// The latents to start from, `[images, channels, height / 8, width / 8]`, instead of the image's with noise.
        pub latents: Option<Tensor<4>> = None,
    }
}

impl ControlNetImageToImage {
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

constructors!(StableDiffusionControlNetImg2ImgPipeline, |components| [0]);

impl Pipeline for StableDiffusionControlNetImg2ImgPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionControlNetImg2ImgPipeline";

    type Arguments = ControlNetImageToImage;

    fn call(&mut self, arguments: impl Into<ControlNetImageToImage>) -> Result<ImagePipelineOutput> {
        self.controlnet.check_fit(self.components.unet.config(), self.components.vae.latent_channels())?;
        let mut arguments = arguments.into();
        let pictures = arguments.take_ip_adapter();
        let control = ControlledImage {
            call: arguments.take_control(&self.controlnet),
            size: Size { height: arguments.height, width: arguments.width, crop: None },
            latents: arguments.latents.take(),
        };
        let shared = arguments.take_prompt();
        let plain = ImageToImage {
            image: arguments.image,
            strength: arguments.strength,
            ..ImageToImage::with_prompt(shared).with_ip_adapter(pictures)
        };
        self.components.image_to_image(plain, Some(control), &self.index, self.progress_bar)
    }

    controlnet_methods!();
}

expose_fields!(StableDiffusionControlNetImg2ImgPipeline);
