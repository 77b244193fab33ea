//! Text to image with ControlNets.

use burn::tensor::Tensor;

use super::parts::{constructors, controlnet_methods};
use crate::error::Result;
use crate::models::controlnets::ControlNet;
use crate::models::model::Model;
use crate::pipelines::common::control::{ControlImages, control_arguments};
use crate::pipelines::common::ip_adapter::TakesIpAdapter;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::stable_diffusion::arguments::HasPrompt;
use crate::pipelines::stable_diffusion::components::StableDiffusionComponents;
use crate::pipelines::stable_diffusion::pipeline_fields::expose_fields;
use crate::pipelines::stable_diffusion::text2img::TextToImage;

/// Makes images from prompts that follow other images, such as edges, a depth map or a pose.
///
/// Its fields are those of [`StableDiffusionComponents`], and `controlnet`.
///
/// ```
/// use oxidiff::{
///     ControlNetModel, ControlNetTextToImage, FromUNetOptions, Pipeline, StableDiffusionControlNetPipeline,
///     StableDiffusionPipeline, image::DynamicImage,
/// };
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
/// let pipeline = StableDiffusionPipeline::from_pretrained(folder)?;
/// // A ControlNet that is not trained yet; `ControlNetModel::from_pretrained` loads one.
/// let controlnet = ControlNetModel::from_unet(&pipeline.unet, &FromUNetOptions::default())?;
/// let mut pipeline = StableDiffusionControlNetPipeline::new((*pipeline).clone(), controlnet)?;
/// let edges = DynamicImage::new_rgb8(64, 64);
/// let arguments = ControlNetTextToImage {
///     num_inference_steps: 2,
///     controlnet_conditioning_scale: 0.8.into(),
///     ..ControlNetTextToImage::new("red apple", edges)
/// };
/// let images = pipeline.call(arguments)?.images.into_images();
/// assert_eq!(images[0].width(), 64);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusionControlNetPipeline {
    /// Tells the UNet what to add to its prediction.
    pub controlnet: ControlNet,
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

control_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionControlNetPipeline.__call__`.
    pub struct ControlNetTextToImage: "text to image with ControlNet" of stable_diffusion {
        images: image,
        controlnet_conditioning_scale: 1.0,
        guidance_scale: 7.5,
        /// Height of the images in pixels, rounded down to a multiple of 8; by default that of the image to follow.
        pub height: Option<usize> = None,
        /// Width of the images in pixels, rounded down to a multiple of 8; by default that of the image to follow.
        pub width: Option<usize> = None,
        /// The timesteps of the denoising loop, instead of the scheduler's own.
        pub timesteps: Option<Vec<f32>> = None,
        /// The noise levels of the denoising loop, instead of the scheduler's own.
        pub sigmas: Option<Vec<f32>> = None,
        /// The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
        pub latents: Option<Tensor<4>> = None,
    }
}

impl ControlNetTextToImage {
    /// Arguments with one prompt, images to follow, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<ControlImages>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

constructors!(StableDiffusionControlNetPipeline, |components| [0]);

impl Pipeline for StableDiffusionControlNetPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionControlNetPipeline";

    type Arguments = ControlNetTextToImage;

    fn call(&mut self, arguments: impl Into<ControlNetTextToImage>) -> Result<ImagePipelineOutput> {
        self.controlnet.check_fit(self.components.unet.config(), self.components.vae.latent_channels())?;
        let mut arguments = arguments.into();
        let pictures = arguments.take_ip_adapter();
        let control = arguments.take_control(&self.controlnet);
        let plain = TextToImage {
            height: arguments.height,
            width: arguments.width,
            timesteps: arguments.timesteps.take(),
            sigmas: arguments.sigmas.take(),
            latents: arguments.latents.take(),
            ..TextToImage::with_prompt(arguments.take_prompt()).with_ip_adapter(pictures)
        };
        self.components.text_to_image(plain, Some(control.into()), &self.index, self.progress_bar)
    }

    controlnet_methods!();
}

expose_fields!(StableDiffusionControlNetPipeline);
