//! Text to image.

use burn::tensor::Tensor;

use super::arguments::consistency_arguments;
use crate::error::Result;
use crate::models::model::Model;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::ip_adapter::{TakesIpAdapter, UNetIpAdapters};
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;
use crate::pipelines::stable_diffusion::components::StableDiffusionComponents;
use crate::pipelines::stable_diffusion::pipeline_fields::{expose_fields, pipeline_methods};

/// Makes images from prompts in a few steps.
///
/// Its fields are those of [`StableDiffusionComponents`].
#[derive(Clone, Debug)]
pub struct LatentConsistencyModelPipeline {
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

consistency_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `LatentConsistencyModelPipeline.__call__`.
    ///
    /// ```
    /// use oxidiff::LatentConsistency;
    ///
    /// let arguments = LatentConsistency { guidance_scale: 8.0, ..LatentConsistency::new("a red apple") };
    /// assert_eq!(arguments.num_inference_steps, 4);
    /// ```
    pub struct LatentConsistency: "text to image with a latent consistency model" with ip_adapter {
        /// Height of the images in pixels, a multiple of 8; by default that of the images that the model was trained on.
        pub height: Option<usize> = None,
        /// Width of the images in pixels, a multiple of 8; by default that of the images that the model was trained on.
        pub width: Option<usize> = None,
        /// The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
        pub latents: Option<Tensor<4>> = None,
    }
}

impl LatentConsistency {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl LatentConsistencyModelPipeline {
    /// A pipeline of the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionComponents) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option("requires_safety_checker", false);
        Self::assemble(components, index)
    }

    fn assemble(components: StableDiffusionComponents, mut index: ModelIndex) -> Result<Self> {
        components.check_consistency_model()?;
        components.prepare_index(&mut index, &StableDiffusionComponents::INDEX_NAMES)?;
        Ok(Self { components, index, progress_bar: true })
    }
}

impl Pipeline for LatentConsistencyModelPipeline {
    const CLASS_NAME: &'static str = "LatentConsistencyModelPipeline";

    type Arguments = LatentConsistency;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        Self::assemble(StableDiffusionComponents::load(loader)?, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &StableDiffusionComponents::INDEX_NAMES);
        Self::assemble(StableDiffusionComponents::of(components)?, index)
    }

    fn call(&mut self, arguments: impl Into<LatentConsistency>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let images = arguments.check()?;
        let ip_adapter =
            self.ip_adapter_parts().prepare(arguments.take_ip_adapter(), Guidance::Off, images)?;
        let mut settings = arguments.settings();
        let [height, width] = match &arguments.latents {
            Some(latents) => [latents.dims()[2], latents.dims()[3]],
            None => self.latent_size(8, arguments.height, arguments.width)?,
        };
        let text =
            self.embed(&arguments.prompts(), arguments.clip_skip, Guidance::Off)?.for_guidance().tokens;
        let (dtype, device) = (self.text_encoder.dtype(), text.device());
        self.choose_distilled_timesteps(arguments.timestep_options(None))?;

        let shape = [images, self.unet.config().in_channels, height, width];
        let latents =
            self.initial_latents(arguments.latents, shape, &mut settings.generator, dtype, &device)?;
        let mut run = self.consistency_run(text, arguments.guidance_scale, &device)?;
        run.inputs.ip_adapter = ip_adapter;
        self.components.run(latents, run, settings, &self.index, self.progress_bar)
    }

    fn components(&self) -> Components<'_> {
        self.components.list()
    }

    ip_adapter_methods!();
    pipeline_methods!();
}

expose_fields!(LatentConsistencyModelPipeline);
