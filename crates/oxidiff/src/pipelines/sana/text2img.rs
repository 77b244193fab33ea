//! Text to image.

use burn::tensor::DType;

use super::arguments::{Settings, guided_arguments};
use super::components::SanaComponents;
use super::conditioning::SanaPrompts;
use super::denoising::Further;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use super::size::sana_bins;
use crate::error::Result;
use crate::pipelines::common::latents::given_or_noise;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts.
///
/// Its fields are those of [`SanaComponents`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{Pipeline, SanaPipeline, SanaTextToImage};
///
/// let mut pipeline = SanaPipeline::from_pretrained("Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers")?;
/// let images = pipeline.call(SanaTextToImage {
///     height: 832,
///     width: 1216,
///     ..SanaTextToImage::new("a cyberpunk cat with a neon sign that says \"Sana\"")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SanaPipeline {
    components: SanaComponents,
    index: ModelIndex,
    progress_bar: bool,
}

guided_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `SanaPipeline.__call__`.
    pub struct SanaTextToImage: "text to image with Sana" {}
}

impl SanaTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl From<&str> for SanaTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl SanaComponents {
    /// Makes images out of noise.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn make_from_noise(
        &mut self,
        mut settings: Settings,
        prompts: &SanaPrompts<'_>,
        further: Further<'_>,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        self.check_guidance_embeds(false)?;
        let size = self.image_size(&settings, sana_bins)?;
        let texts = self.embed(prompts)?;
        let [height, width] = self.latent_size(size.made);
        let shape = [settings.images[0], self.vae.latent_channels(), height, width];
        let device = self.transformer.device();
        let (given, generator) = (settings.latents.take(), &mut settings.generator);
        let latents = given_or_noise(given, shape, generator, DType::F32, &device)?.cast(DType::F32);
        let latents = self.denoise(latents, &texts, further, &mut settings, index, progress_bar)?;
        self.decode(latents, Some(size), settings.output_type, index)
    }
}

impl Pipeline for SanaPipeline {
    const CLASS_NAME: &'static str = "SanaPipeline";

    type Arguments = SanaTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<SanaTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let (further, index) = (Further::default(), &self.index);
        self.components.make_from_noise(settings, &arguments.prompts(), further, index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(SanaPipeline);
