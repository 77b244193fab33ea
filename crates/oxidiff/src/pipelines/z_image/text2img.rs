//! Text to image.

use super::arguments::prompt_arguments;
use super::components::ZImageComponents;
use super::conditioning::Wording;
use super::control::ControlCall;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::models::model::Model;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts.
///
/// Its fields are those of [`ZImageComponents`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{Pipeline, ZImagePipeline, ZImageTextToImage};
///
/// let mut pipeline = ZImagePipeline::from_pretrained("Tongyi-MAI/Z-Image-Turbo")?;
/// let images = pipeline.call(ZImageTextToImage {
///     num_inference_steps: 8,
///     guidance_scale: 0.0,
///     ..ZImageTextToImage::new("A steam train that is the pull of a zip, opening the snow onto spring")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ZImagePipeline {
    components: ZImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `ZImagePipeline.__call__`. Images have 1024 by 1024
    /// pixels by default.
    pub struct ZImageTextToImage: "text to image with Z-Image" {}
}

impl ZImageTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl From<&str> for ZImageTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl ZImagePipeline {
    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: ZImageComponents) -> Result<Self> {
        Self::assemble(components, ModelIndex::of_class(Self::CLASS_NAME))
    }

    /// The parts of the pipeline.
    pub fn into_components(self) -> ZImageComponents {
        self.components
    }
}

impl ZImageComponents {
    /// Makes images; `control` brings the ControlNet of a call that has one.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn text_to_image(
        &mut self,
        mut arguments: ZImageTextToImage,
        control: Option<ControlCall<'_>>,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        let given = self.latent_size(arguments.height, arguments.width)?;
        let size = match &control {
            Some(control) => control.latent_size(self, given)?,
            None => given,
        };
        let captions = self.embed(&arguments.prompts(), Wording::Chat, settings.guidance.is_on())?;
        let counts = [images, arguments.num_images_per_prompt];
        let control = control.map(|control| control.prepare(self, size, counts, index)).transpose()?;
        let [rows, columns] = size;
        let shape = [images, self.transformer.config().in_channels, rows, columns];
        let latents = self.initial_latents(arguments.latents.take(), shape, &mut settings.generator)?;
        let (steps, sigmas) = (arguments.num_inference_steps, arguments.sigmas.as_deref());
        let steps = self.set_timesteps(steps, sigmas, size)?;
        self.scheduler.set_begin_index(0);
        let timesteps = self.scheduler.timesteps().to_vec();
        let run = Run { timesteps, steps, captions, control, references: None, after_step: None };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for ZImagePipeline {
    const CLASS_NAME: &'static str = "ZImagePipeline";

    type Arguments = ZImageTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<ZImageTextToImage>) -> Result<ImagePipelineOutput> {
        self.components.text_to_image(arguments.into(), None, &self.index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(ZImagePipeline);
