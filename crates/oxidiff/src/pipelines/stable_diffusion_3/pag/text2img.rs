//! Text to image.

use super::{default_layers, layer_names};
use crate::error::Result;
use crate::pipelines::common::perturbed_guidance::PerturbedGuidance;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::stable_diffusion_3::arguments::prompt_arguments;
use crate::pipelines::stable_diffusion_3::components::StableDiffusion3Components;
use crate::pipelines::stable_diffusion_3::pipeline_fields::{expose_fields, pipeline_methods};
use crate::pipelines::stable_diffusion_3::text2img::Further;

/// Makes images from prompts with perturbed attention guidance (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>).
///
/// Its fields are those of [`StableDiffusion3Components`], and `pag_applied_layers`.
///
/// ```no_run
/// use oxidiff::{Pipeline, StableDiffusion3PAGPipeline, StableDiffusion3PAGTextToImage};
///
/// let mut pipeline =
///     StableDiffusion3PAGPipeline::from_pretrained("stabilityai/stable-diffusion-3-medium-diffusers")?;
/// pipeline.pag_applied_layers = vec!["blocks.13".into()];
/// let images = pipeline.call(StableDiffusion3PAGTextToImage {
///     guidance_scale: 5.0,
///     pag_scale: 0.7,
///     ..StableDiffusion3PAGTextToImage::new("A cat holding a sign that says hello world")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusion3PAGPipeline {
    /// Regular expressions for the names of the layers in which tokens see only themselves, such as `blocks.13.attn`. As in Python, a
    /// part of a name is enough: `blocks.1` means `blocks.10` as well.
    pub pag_applied_layers: Vec<String>,
    components: StableDiffusion3Components,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusion3PAGPipeline.__call__`.
    pub struct StableDiffusion3PAGTextToImage:
        "text to image with Stable Diffusion 3 and perturbed attention guidance", steps: 28, with perturbed {}
}

impl StableDiffusion3PAGTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl<S: Into<String>> From<S> for StableDiffusion3PAGTextToImage {
    fn from(prompt: S) -> Self {
        Self::new(prompt)
    }
}

impl StableDiffusion3PAGPipeline {
    fn pag_applied_layers() -> Vec<String> {
        default_layers()
    }
}

impl Pipeline for StableDiffusion3PAGPipeline {
    const CLASS_NAME: &'static str = "StableDiffusion3PAGPipeline";

    type Arguments = StableDiffusion3PAGTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<StableDiffusion3PAGTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let perturbed = PerturbedGuidance::new(
            [arguments.pag_scale, arguments.pag_adaptive_scale],
            arguments.pag_applied_layers.as_deref().unwrap_or(&self.pag_applied_layers),
            &layer_names(&self.components),
        )?;
        let (latents, texts) = (arguments.latents.take(), arguments.texts());
        let (further, index) = (Further::Perturbed(perturbed), &self.index);
        self.components.make_from_noise(settings, &texts, latents, further, index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(StableDiffusion3PAGPipeline, takes_mask: false, pag_applied_layers);
