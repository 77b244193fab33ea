//! Text to image.

use super::arguments::{Settings, prompt_arguments};
use super::components::FluxComponents;
use super::conditioning::FluxPrompts;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use super::shown::Shown;
use crate::error::Result;
use crate::pipelines::common::flow_timesteps::SpreadBy;
use crate::pipelines::common::packed_flow::PackedFlow;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;

/// Makes images from prompts.
///
/// Its fields are those of [`FluxComponents`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{FluxPipeline, FluxTextToImage, Pipeline};
///
/// let mut pipeline = FluxPipeline::from_pretrained("black-forest-labs/FLUX.1-schnell")?;
/// let images = pipeline.call(FluxTextToImage {
///     num_inference_steps: 4,
///     max_sequence_length: 256,
///     ..FluxTextToImage::new("A cat holding a sign that says hello world")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FluxPipeline {
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxPipeline.__call__`.
    pub struct FluxTextToImage: "text to image with FLUX.1", steps: 28, guidance: 3.5, with negative {}
}

impl FluxTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl From<&str> for FluxTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl FluxComponents {
    /// Makes images out of noise.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn make_from_noise(
        &mut self,
        mut settings: Settings,
        prompts: &FluxPrompts<'_>,
        shown: Shown<'_>,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let size = shown.latent_size(self, settings.size)?;
        let conditions = self.embed(prompts)?;
        // Of FLUX.1's pipelines, only this one leaves the noise levels to a scheduler that has a rule for them.
        let shows_nothing = matches!(shown, Shown::Nothing);
        let seen = shown.prepare(self, size, &mut settings, index)?;
        let latents = self.initial_latents(&mut settings, size)?;
        let spread_by = if shows_nothing { SpreadBy::Scheduler } else { SpreadBy::Pipeline };
        let steps = self.set_timesteps(&settings, size, spread_by)?;
        self.scheduler.set_begin_index(0);
        let timesteps = self.scheduler.timesteps().to_vec();
        let run = Run { timesteps, steps, conditions, seen, after_step: None };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for FluxPipeline {
    const CLASS_NAME: &'static str = "FluxPipeline";

    type Arguments = FluxTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<FluxTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let (components, index) = (&mut self.components, &self.index);
        let prompts = arguments.prompts();
        components.make_from_noise(settings, &prompts, Shown::Nothing, index, self.progress_bar)
    }

    pipeline_methods!();
    ip_adapter_methods!();
}

expose_fields!(FluxPipeline, Nothing);
