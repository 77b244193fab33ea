//! Text to image with ControlNets for several types of images.

use crate::error::Result;
use crate::models::controlnets::ControlNetUnion;
use crate::models::model::Model;
use crate::pipelines::common::control::{ControlMode, FollowedImages, union_arguments};
use crate::pipelines::common::ip_adapter::TakesIpAdapter;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::request::CallArguments;
use crate::pipelines::stable_diffusion_xl::arguments::HasPrompt;
use crate::pipelines::stable_diffusion_xl::components::{Options, StableDiffusionXLComponents};
use crate::pipelines::stable_diffusion_xl::controlnet::parts::{constructors, controlnet_methods};
use crate::pipelines::stable_diffusion_xl::pipeline_fields::expose_fields;
use crate::pipelines::stable_diffusion_xl::text2img::StableDiffusionXLTextToImage;

/// Makes images from prompts that follow other images of one or several types, such as edges, a depth map or a pose.
///
/// Its fields are those of [`StableDiffusionXLComponents`], and `controlnet`.
///
/// ```no_run
/// use oxidiff::{
///     ControlNetUnionModel, LoadOptions, Model, Pipeline, StableDiffusionXLControlNetUnionPipeline,
///     StableDiffusionXLControlNetUnionTextToImage, load_image,
/// };
///
/// let controlnet = ControlNetUnionModel::from_pretrained("xinsir/controlnet-union-sdxl-1.0")?;
/// let options = LoadOptions { controlnet: Some(controlnet.into()), ..LoadOptions::default() };
/// let name = "stabilityai/stable-diffusion-xl-base-1.0";
/// let mut pipeline = StableDiffusionXLControlNetUnionPipeline::from_pretrained_with(name, &options)?;
/// // A pose (0) and edges (3).
/// let control = vec![load_image("pose.png")?, load_image("edges.png")?];
/// let arguments = StableDiffusionXLControlNetUnionTextToImage {
///     controlnet_conditioning_scale: vec![1.0, 0.5].into(),
///     ..StableDiffusionXLControlNetUnionTextToImage::new("a dancer on a roof", control, vec![0, 3])
/// };
/// let images = pipeline.call(arguments)?.images.into_images();
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusionXLControlNetUnionPipeline {
    /// Tells the UNet what to add to its prediction.
    pub controlnet: ControlNetUnion,
    components: StableDiffusionXLComponents,
    options: Options,
    index: ModelIndex,
    progress_bar: bool,
}

union_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionXLControlNetUnionPipeline.__call__`, which
    /// takes no `guidance_rescale`.
    pub struct StableDiffusionXLControlNetUnionTextToImage: "text to image with Stable Diffusion XL and ControlNetUnion" {
        controlnet_conditioning_scale: 1.0,
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

impl StableDiffusionXLControlNetUnionTextToImage {
    /// Arguments with one prompt, images to follow, their types, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        control_image: impl Into<FollowedImages>,
        control_mode: impl Into<ControlMode>,
    ) -> Self {
        let (control_image, control_mode) = (control_image.into(), control_mode.into());
        Self { prompt: vec![prompt.into()], control_image, control_mode, ..Self::default() }
    }
}

constructors!(StableDiffusionXLControlNetUnionPipeline of ControlNetUnion, false, |components| [0]);

impl Pipeline for StableDiffusionXLControlNetUnionPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionXLControlNetUnionPipeline";

    type Arguments = StableDiffusionXLControlNetUnionTextToImage;

    fn takes(argument: &str) -> bool {
        argument != "guidance_rescale" && Self::Arguments::ALL.iter().any(|info| info.name == argument)
    }

    fn call(
        &mut self,
        arguments: impl Into<StableDiffusionXLControlNetUnionTextToImage>,
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

    controlnet_methods!(ControlNetUnion);
}

expose_fields!(StableDiffusionXLControlNetUnionPipeline);
