//! Text to image.

use super::arguments::prompt_arguments;
use super::components::ChromaComponents;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::pipelines::common::flow_timesteps::SpreadBy;
use crate::pipelines::common::packed_flow::PackedFlow;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts.
///
/// Its fields are those of [`ChromaComponents`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{ChromaPipeline, ChromaTextToImage, Pipeline};
///
/// let mut pipeline = ChromaPipeline::from_pretrained("lodestones/Chroma1-HD")?;
/// let images = pipeline.call(ChromaTextToImage {
///     negative_prompt: vec!["low quality, blurry".into()],
///     guidance_scale: 3.0,
///     ..ChromaTextToImage::new("A cat holding a sign that says hello world")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChromaPipeline {
    components: ChromaComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `ChromaPipeline.__call__`.
    pub struct ChromaTextToImage: "text to image with Chroma", steps: 35, guidance: 5.0, tokens: 512 {}
}

impl ChromaTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl From<&str> for ChromaTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl Pipeline for ChromaPipeline {
    const CLASS_NAME: &'static str = "ChromaPipeline";

    type Arguments = ChromaTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<ChromaTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let mut settings = arguments.settings()?;
        let components = &mut self.components;
        let size = components.latent_size(settings.size)?;
        let texts = components.embed(&arguments.prompts())?;
        let latents = components.initial_latents(&mut settings, size)?;
        let steps = components.set_timesteps(&settings, size, SpreadBy::Pipeline)?;
        components.scheduler.set_begin_index(0);
        let timesteps = components.scheduler.timesteps().to_vec();
        let run = Run { timesteps, steps, texts, after_step: None };
        components.run(latents, run, settings, &self.index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(ChromaPipeline);
