//! Image to image (SDEdit, Meng et al. 2021, <https://arxiv.org/abs/2108.01073>).

use super::arguments::{call_arguments, check_strength};
use super::components::{Correction, StableDiffusionComponents, correct};
use super::denoising::Denoising;
use super::image_latents::PreparedImage;
use super::pipeline_fields::expose_fields;
use super::timesteps::{choose_timesteps, start_from_image};
use crate::error::Result;
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::loading::LoadOptions;
use crate::loading::folder::Folder;
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::{Component, Pipeline};
use crate::pipelines::pipeline_fields::{field_methods, vae_methods};
use crate::random::Generators;

/// Changes an image as a prompt says: noise is added to its latents, part of the way, and taken away again under the
/// text's guidance.
///
/// Its fields are those of [`StableDiffusionComponents`].
///
/// ```
/// use oxidiff::{ImageToImage, Pipeline, StableDiffusionImg2ImgPipeline, image::DynamicImage};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
/// let mut pipeline = StableDiffusionImg2ImgPipeline::from_pretrained(folder)?;
/// let sketch = DynamicImage::new_rgb8(64, 64);
/// let arguments =
///     ImageToImage { strength: 0.75, num_inference_steps: 4, ..ImageToImage::new("red apple", sketch) };
/// let images = pipeline.call(arguments)?.images.into_images();
/// assert_eq!(images[0].width(), 64);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusionImg2ImgPipeline {
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

call_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionImg2ImgPipeline.__call__`.
    pub struct ImageToImage {
        num_inference_steps: 50,
        guidance_scale: 7.5,
        /// The images to start from: one for all prompts, or one for each. Their size is that of the result, rounded down
        /// to a multiple of 8. A tensor of four channels is taken for latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1. So much of the steps is run; at 1 hardly anything of the image is
        /// left.
        pub strength: f64 = 0.8,
        /// The timesteps of the whole run, where the scheduler shall not choose them.
        pub timesteps: Option<Vec<f32>> = None,
        /// The noise levels of the whole run, where the scheduler shall not choose them.
        pub sigmas: Option<Vec<f32>> = None,
    }
}

impl ImageToImage {
    /// Arguments with one prompt, images to start from, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl StableDiffusionImg2ImgPipeline {
    /// A pipeline of the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionComponents) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option("requires_safety_checker", false);
        Self::assemble(components, index)
    }

    fn assemble(mut components: StableDiffusionComponents, mut index: ModelIndex) -> Result<Self> {
        components.check_channels(&[0])?;
        components.scheduler =
            correct(components.scheduler, &[Correction::StepsOffset, Correction::ClipSample])?;
        components.prepare_index(&mut index, &StableDiffusionComponents::INDEX_NAMES)?;
        Ok(Self { components, index, progress_bar: true })
    }
}

impl Pipeline for StableDiffusionImg2ImgPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionImg2ImgPipeline";

    type Arguments = ImageToImage;

    fn load(folder: &Folder, index: ModelIndex, options: &LoadOptions) -> Result<Self> {
        Self::assemble(StableDiffusionComponents::load(folder, &index, options)?, index)
    }

    fn from_components(components: &[(&'static str, Component<'_>)], index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &StableDiffusionComponents::INDEX_NAMES);
        Self::assemble(StableDiffusionComponents::of(components)?, index)
    }

    fn call(&mut self, arguments: impl Into<ImageToImage>) -> Result<ImagePipelineOutput> {
        let arguments = arguments.into();
        check_strength(arguments.strength)?;
        let images = arguments.check()?;
        let guidance = self.classifier_free_guidance(arguments.guidance_scale, 0.0);
        let text = self.embed(&arguments.prompts(), guidance)?.for_guidance();
        let device = text.device();

        let processor = self.image_processor();
        let image = PreparedImage::new(&processor, &arguments.image, PreprocessOptions::default())?;
        let steps = choose_timesteps(
            &mut *self.scheduler,
            arguments.num_inference_steps,
            arguments.timesteps.as_deref(),
            arguments.sigmas.as_deref(),
        )?;
        let (timesteps, steps) = start_from_image(&mut *self.scheduler, steps, arguments.strength)?;

        let mut generator = arguments.generator.unwrap_or_else(Generators::from_entropy);
        let image = image.cast(self.text_encoder.dtype(), &device);
        let latents = self.noisy_latents(image, images, timesteps[0], &mut generator, &self.index)?;
        let timestep_cond = self.embed_guidance_scale(arguments.guidance_scale, images, &device);
        let run = Denoising {
            timesteps,
            steps,
            text,
            guidance,
            inputs: UNet2DConditionInputs { timestep_cond, ..Default::default() },
            further_channels: None,
            after_step: None,
            eta: arguments.eta,
            generator: &mut generator,
            index: &self.index,
            output_type: arguments.output_type,
            callback: arguments.callback_on_step_end,
            progress_bar: self.progress_bar,
        };
        let latents = self.components.denoise(latents, run)?;
        self.decode(latents, arguments.output_type, &self.index)
    }

    fn components(&self) -> Vec<(&'static str, Component<'_>)> {
        self.components.list()
    }

    field_methods!();
    vae_methods!();
}

expose_fields!(StableDiffusionImg2ImgPipeline);
