//! Text to image.

use super::arguments::{Settings, prompt_arguments};
use super::components::QwenImageComponents;
use super::conditioning::{QwenImagePrompts, Texts};
use super::controlnet::ControlCall;
use super::denoising::{Run, Seen};
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts.
///
/// Its fields are those of [`QwenImageComponents`].
///
/// ```no_run
/// use oxidiff::{Pipeline, QwenImagePipeline, QwenImageTextToImage};
///
/// let mut pipeline = QwenImagePipeline::from_pretrained("Qwen/Qwen-Image")?;
/// let images = pipeline.call(QwenImageTextToImage {
///     negative_prompt: vec![" ".to_owned()],
///     ..QwenImageTextToImage::new("A coffee shop with a sign that says \"Qwen Coffee\"")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct QwenImagePipeline {
    components: QwenImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `QwenImagePipeline.__call__`.
    pub struct QwenImageTextToImage: "text to image with Qwen-Image", guidance: None, {}
}

impl QwenImageTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl From<&str> for QwenImageTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl QwenImageComponents {
    /// Makes images out of noise.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn make_from_noise(
        &mut self,
        mut settings: Settings,
        prompts: &QwenImagePrompts<'_>,
        control: Option<ControlCall<'_>>,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let asked = control.as_ref().and_then(ControlCall::tensor_size).map(|size| size.map(Some));
        let size = self.latent_size(asked.unwrap_or(settings.size))?;
        let texts = self.embed(prompts)?;
        let control = control.map(|control| control.prepare(self, size, &mut settings, index)).transpose()?;
        let seen = Seen { control, ..Seen::default() };
        self.make_from_noise_with(settings, texts, seen, size, index, progress_bar)
    }

    /// Makes images whose latents have this height and width out of noise.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn make_from_noise_with(
        &mut self,
        mut settings: Settings,
        texts: Texts,
        seen: Seen<'_>,
        size: [usize; 2],
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let latents = self.initial_latents(&mut settings, size)?;
        let steps = self.set_timesteps(&settings, size)?;
        self.scheduler.set_begin_index(0);
        let timesteps = self.scheduler.timesteps().to_vec();
        let run = Run { timesteps, steps, texts, layering: None, seen, after_step: None };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for QwenImagePipeline {
    const CLASS_NAME: &'static str = "QwenImagePipeline";

    type Arguments = QwenImageTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<QwenImageTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let (components, index) = (&mut self.components, &self.index);
        components.make_from_noise(settings, &arguments.prompts(), None, index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(QwenImagePipeline);
