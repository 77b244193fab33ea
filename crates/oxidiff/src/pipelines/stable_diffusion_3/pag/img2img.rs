//! Image to image.

use super::{default_layers, layer_names};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::perturbed_guidance::PerturbedGuidance;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::stable_diffusion_3::arguments::prompt_arguments;
use crate::pipelines::stable_diffusion_3::components::StableDiffusion3Components;
use crate::pipelines::stable_diffusion_3::img2img::StartImage;
use crate::pipelines::stable_diffusion_3::pipeline_fields::{expose_fields, pipeline_methods};

/// Changes an image according to a prompt, with perturbed attention guidance (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>).
///
/// Its fields are those of [`StableDiffusion3Components`], and `pag_applied_layers`.
#[derive(Clone, Debug)]
pub struct StableDiffusion3PAGImg2ImgPipeline {
    /// As for [`StableDiffusion3PAGPipeline`](super::StableDiffusion3PAGPipeline).
    pub pag_applied_layers: Vec<String>,
    components: StableDiffusion3Components,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusion3PAGImg2ImgPipeline.__call__`. The image is
    /// resized to the height and width of the call.
    pub struct StableDiffusion3PAGImageToImage:
        "image to image with Stable Diffusion 3 and perturbed attention guidance", steps: 50, with perturbed {
        /// The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is
        /// treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image
        /// is left.
        pub strength: f64 = 0.6,
    }
}

impl StableDiffusion3PAGImageToImage {
    /// Arguments with one prompt, an image to start from, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl StableDiffusion3PAGImg2ImgPipeline {
    fn pag_applied_layers() -> Vec<String> {
        default_layers()
    }
}

impl Pipeline for StableDiffusion3PAGImg2ImgPipeline {
    const CLASS_NAME: &'static str = "StableDiffusion3PAGImg2ImgPipeline";

    type Arguments = StableDiffusion3PAGImageToImage;

    fn call(&mut self, arguments: impl Into<StableDiffusion3PAGImageToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let default = StableDiffusion3PAGImageToImage::default().strength;
        let strength = Strength::new(arguments.strength, default)?;
        let settings = arguments.settings()?;
        let perturbed = PerturbedGuidance::new(
            [arguments.pag_scale, arguments.pag_adaptive_scale],
            arguments.pag_applied_layers.as_deref().unwrap_or(&self.pag_applied_layers),
            &layer_names(&self.components),
        )?;
        let from = StartImage { image: arguments.image.clone(), strength, latents: arguments.latents.take() };
        let (texts, index) = (arguments.texts(), &self.index);
        self.components.make_from_image(settings, &texts, from, perturbed, index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(StableDiffusion3PAGImg2ImgPipeline, takes_mask: false, pag_applied_layers);
