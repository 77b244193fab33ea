//! Image to image with ControlNets for several types of images.

use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::controlnets::ControlNetUnion;
use crate::models::model::Model;
use crate::pipelines::common::control::{ControlMode, FollowedImages, Size, union_arguments};
use crate::pipelines::common::ip_adapter::TakesIpAdapter;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::request::CallArguments;
use crate::pipelines::stable_diffusion_xl::arguments::HasPrompt;
use crate::pipelines::stable_diffusion_xl::components::{Options, StableDiffusionXLComponents};
use crate::pipelines::stable_diffusion_xl::controlnet::parts::{constructors, controlnet_methods};
use crate::pipelines::stable_diffusion_xl::img2img::{ControlledImage, StableDiffusionXLImageToImage};
use crate::pipelines::stable_diffusion_xl::pipeline_fields::expose_fields;

/// Changes images according to prompts; the result follows other images of one or several types, such as edges, a depth map or a pose.
///
/// Its fields are those of [`StableDiffusionXLComponents`], and `controlnet`. An example is at
/// [`StableDiffusionXLControlNetUnionPipeline`](super::StableDiffusionXLControlNetUnionPipeline).
#[derive(Clone, Debug)]
pub struct StableDiffusionXLControlNetUnionImg2ImgPipeline {
    /// Tells the UNet what to add to its prediction.
    pub controlnet: ControlNetUnion,
    components: StableDiffusionXLComponents,
    options: Options,
    index: ModelIndex,
    progress_bar: bool,
}

union_arguments! {
    /// The arguments of a call; names and defaults are those of Python's
    /// `StableDiffusionXLControlNetUnionImg2ImgPipeline.__call__`, which takes neither `guidance_rescale` nor `denoising_end`.
    pub struct StableDiffusionXLControlNetUnionImageToImage: "image to image with Stable Diffusion XL and ControlNetUnion" {
        controlnet_conditioning_scale: 0.8,
        /// The images to start from: one for all prompts, or one for each. A tensor with four channels is treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Height of the images in pixels, rounded down to a multiple of 8; by default that of `image`.
        pub height: Option<usize> = None,
        /// Width of the images in pixels, rounded down to a multiple of 8; by default that of `image`.
        pub width: Option<usize> = None,
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image
        /// is left.
        pub strength: f64 = 0.8,
        /// As `original_size`, for the negative prompt.
        pub negative_original_size: Option<[usize; 2]> = None,
        /// As `crops_coords_top_left`, for the negative prompt; used by refiners only.
        pub negative_crops_coords_top_left: [usize; 2] = [0, 0],
        /// As `target_size`, for the negative prompt.
        pub negative_target_size: Option<[usize; 2]> = None,
        /// The aesthetic score to aim for, for refiners.
        pub aesthetic_score: f64 = 6.0,
        /// The aesthetic score of the negative prompt, for refiners.
        pub negative_aesthetic_score: f64 = 2.5,
        /// How many of the text encoders' last layers to leave out.
        pub clip_skip: Option<usize> = None,
    }
}

impl StableDiffusionXLControlNetUnionImageToImage {
    /// Arguments with one prompt, images to start from, images to follow, their types, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        image: impl Into<PipelineImageInput>,
        control_image: impl Into<FollowedImages>,
        control_mode: impl Into<ControlMode>,
    ) -> Self {
        Self {
            prompt: vec![prompt.into()],
            image: image.into(),
            control_image: control_image.into(),
            control_mode: control_mode.into(),
            ..Self::default()
        }
    }
}

constructors!(StableDiffusionXLControlNetUnionImg2ImgPipeline of ControlNetUnion, true, |components| [0]);

impl Pipeline for StableDiffusionXLControlNetUnionImg2ImgPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionXLControlNetUnionImg2ImgPipeline";

    type Arguments = StableDiffusionXLControlNetUnionImageToImage;

    fn takes(argument: &str) -> bool {
        !["guidance_rescale", "denoising_end"].contains(&argument)
            && Self::Arguments::ALL.iter().any(|info| info.name == argument)
    }

    fn call(
        &mut self,
        arguments: impl Into<StableDiffusionXLControlNetUnionImageToImage>,
    ) -> Result<ImagePipelineOutput> {
        self.controlnet.check_fit(self.components.unet.config(), self.components.vae.latent_channels())?;
        let mut arguments = arguments.into();
        let pictures = arguments.take_ip_adapter();
        let control = ControlledImage {
            call: arguments.take_control(&self.controlnet),
            size: Size { height: arguments.height, width: arguments.width, crop: None },
        };
        let shared = arguments.take_prompt();
        let plain = StableDiffusionXLImageToImage {
            image: arguments.image,
            strength: arguments.strength,
            negative_original_size: arguments.negative_original_size,
            negative_crops_coords_top_left: arguments.negative_crops_coords_top_left,
            negative_target_size: arguments.negative_target_size,
            aesthetic_score: arguments.aesthetic_score,
            negative_aesthetic_score: arguments.negative_aesthetic_score,
            clip_skip: arguments.clip_skip,
            ..StableDiffusionXLImageToImage::with_prompt(shared).with_ip_adapter(pictures)
        };
        let (options, index) = (self.options, &self.index);
        self.components.image_to_image(plain, Some(control), options, index, self.progress_bar)
    }

    controlnet_methods!(ControlNetUnion);
}

expose_fields!(StableDiffusionXLControlNetUnionImg2ImgPipeline);
