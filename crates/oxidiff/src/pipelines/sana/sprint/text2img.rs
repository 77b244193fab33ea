//! Text to image.

use burn::tensor::DType;

use super::arguments::sprint_arguments;
use crate::error::Result;
use crate::pipelines::common::latents::given_or_noise;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::sana::components::SanaComponents;
use crate::pipelines::sana::pipeline_fields::{expose_fields, pipeline_methods};
use crate::pipelines::sana::size::sprint_bins;

/// Makes images from prompts, in one to four steps.
///
/// Its fields are those of [`SanaComponents`]: `pipeline.transformer`, `pipeline.vae = ...`.
///
/// ```no_run
/// use oxidiff::{Pipeline, SanaSprintPipeline};
///
/// let mut pipeline =
///     SanaSprintPipeline::from_pretrained("Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers")?;
/// let images = pipeline.call("a tiny astronaut hatching from an egg on the moon")?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SanaSprintPipeline {
    components: SanaComponents,
    index: ModelIndex,
    progress_bar: bool,
}

sprint_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `SanaSprintPipeline.__call__`.
    pub struct SanaSprintTextToImage: "text to image with SANA-Sprint" {}
}

impl SanaSprintTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self::of_prompt(prompt)
    }
}

impl From<&str> for SanaSprintTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl Pipeline for SanaSprintPipeline {
    const CLASS_NAME: &'static str = "SanaSprintPipeline";

    type Arguments = SanaSprintTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<SanaSprintTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let (mut settings, asked) = arguments.settings()?;
        let components = &mut self.components;
        components.check_guidance_embeds(true)?;
        let size = components.image_size(&settings, sprint_bins)?;
        let texts = components.embed(&arguments.positive_prompts())?.positive;
        let steps = components.set_angles(&asked)?;
        let timesteps = components.scheduler.timesteps()[..steps].to_vec();
        let [height, width] = components.latent_size(size.made);
        let shape = [settings.images[0], components.vae.latent_channels(), height, width];
        let device = components.transformer.device();
        let (given, generator) = (settings.latents.take(), &mut settings.generator);
        let latents = given_or_noise(given, shape, generator, DType::F32, &device)?.cast(DType::F32);
        let latents = latents * components.sigma_data()?;
        let (index, progress_bar) = (&self.index, self.progress_bar);
        let latents = components.sprint(latents, &texts, &timesteps, &mut settings, index, progress_bar)?;
        components.decode(latents, Some(size), settings.output_type, index)
    }

    pipeline_methods!();
}

expose_fields!(SanaSprintPipeline);
