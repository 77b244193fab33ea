//! Text to image with ControlNets.

use super::parts::{constructors, controlnet_methods};
use crate::error::Result;
use crate::models::controlnets::ControlNet;
use crate::models::model::Model;
use crate::pipelines::common::control::{ControlImages, control_arguments};
use crate::pipelines::common::ip_adapter::TakesIpAdapter;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::request::CallArguments;
use crate::pipelines::stable_diffusion_xl::arguments::HasPrompt;
use crate::pipelines::stable_diffusion_xl::components::{Options, StableDiffusionXLComponents};
use crate::pipelines::stable_diffusion_xl::pipeline_fields::expose_fields;
use crate::pipelines::stable_diffusion_xl::text2img::StableDiffusionXLTextToImage;

/// Makes images from prompts that follow other images, such as edges, a depth map or a pose.
///
/// Its fields are those of [`StableDiffusionXLComponents`], and `controlnet`.
///
/// ```no_run
/// use oxidiff::{
///     ControlNetModel, LoadOptions, Model, Pipeline, StableDiffusionXLControlNetPipeline,
///     StableDiffusionXLControlNetTextToImage, load_image,
/// };
///
/// let controlnet = ControlNetModel::from_pretrained("diffusers/controlnet-canny-sdxl-1.0")?;
/// let options = LoadOptions { controlnet: Some(controlnet.into()), ..LoadOptions::default() };
/// let name = "stabilityai/stable-diffusion-xl-base-1.0";
/// let mut pipeline = StableDiffusionXLControlNetPipeline::from_pretrained_with(name, &options)?;
/// let arguments = StableDiffusionXLControlNetTextToImage {
///     controlnet_conditioning_scale: 0.5.into(),
///     ..StableDiffusionXLControlNetTextToImage::new("aerial view of a research complex", load_image("edges.png")?)
/// };
/// let images = pipeline.call(arguments)?.images.into_images();
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusionXLControlNetPipeline {
    /// Tells the UNet what to add to its prediction.
    pub controlnet: ControlNet,
    components: StableDiffusionXLComponents,
    options: Options,
    index: ModelIndex,
    progress_bar: bool,
}

control_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionXLControlNetPipeline.__call__`, which
    /// takes no `guidance_rescale`.
    pub struct StableDiffusionXLControlNetTextToImage: "text to image with Stable Diffusion XL and ControlNet" of stable_diffusion_xl {
        images: image,
        controlnet_conditioning_scale: 1.0,
        guidance_scale: 5.0,
        /// Height of the images in pixels, rounded down to a multiple of 8; by default that of the image to follow.
        pub height: Option<usize> = None,
        /// Width of the images in pixels, rounded down to a multiple of 8; by default that of the image to follow.
        pub width: Option<usize> = None,
        /// The timesteps of the denoising loop, instead of the scheduler's own.
        pub timesteps: Option<Vec<f32>> = None,
        /// The noise levels of the denoising loop, instead of the scheduler's own.
        pub sigmas: Option<Vec<f32>> = None,
        /// As `original_size`, for the negative prompt; both negative sizes must be given.
        pub negative_original_size: Option<[usize; 2]> = None,
        /// As `crops_coords_top_left`, for the negative prompt.
        pub negative_crops_coords_top_left: [usize; 2] = [0, 0],
        /// As `target_size`, for the negative prompt; both negative sizes must be given.
        pub negative_target_size: Option<[usize; 2]> = None,
        /// How many of the text encoders' last layers to leave out.
        pub clip_skip: Option<usize> = None,
    }
}

impl StableDiffusionXLControlNetTextToImage {
    /// Arguments with one prompt, images to follow, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<ControlImages>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

constructors!(StableDiffusionXLControlNetPipeline of ControlNet, false, |components| [0]);

impl Pipeline for StableDiffusionXLControlNetPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionXLControlNetPipeline";

    type Arguments = StableDiffusionXLControlNetTextToImage;

    fn takes(argument: &str) -> bool {
        argument != "guidance_rescale" && Self::Arguments::ALL.iter().any(|info| info.name == argument)
    }

    fn call(
        &mut self,
        arguments: impl Into<StableDiffusionXLControlNetTextToImage>,
    ) -> Result<ImagePipelineOutput> {
        self.controlnet.check_fit(self.components.unet.config(), self.components.vae.latent_channels())?;
        let mut arguments = arguments.into();
        let pictures = arguments.take_ip_adapter();
        let control = arguments.take_control(&self.controlnet);
        let plain = StableDiffusionXLTextToImage {
            height: arguments.height,
            width: arguments.width,
            timesteps: arguments.timesteps.take(),
            sigmas: arguments.sigmas.take(),
            negative_original_size: arguments.negative_original_size,
            negative_crops_coords_top_left: arguments.negative_crops_coords_top_left,
            negative_target_size: arguments.negative_target_size,
            clip_skip: arguments.clip_skip,
            ..StableDiffusionXLTextToImage::with_prompt(arguments.take_prompt()).with_ip_adapter(pictures)
        };
        let (options, index) = (self.options, &self.index);
        self.components.text_to_image(plain, Some(control.into()), options, index, self.progress_bar)
    }

    controlnet_methods!(ControlNet);
}

expose_fields!(StableDiffusionXLControlNetPipeline);
