//! Image to image (SDEdit, Meng et al. 2021, <https://arxiv.org/abs/2108.01073>).

use burn::tensor::Tensor;

use super::arguments::prompt_arguments;
use super::components::StableDiffusionComponents;
use super::denoising::Run;
use super::outdated_scheduler::{Correction, correct};
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::control::{ControlCall, Size};
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::ip_adapter::{TakesIpAdapter, UNetIpAdapters};
use crate::pipelines::common::latents::given_or_noise;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::common::timesteps::{choose_timesteps, start_from_image};
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;

/// Changes an image according to a prompt: adds noise to its latents, part of the way, and removes it again, guided by
/// the text.
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

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionImg2ImgPipeline.__call__`.
    pub struct ImageToImage: "image to image" with ip_adapter {
        num_inference_steps: 50,
        guidance_scale: 7.5,
        /// The images to start from: one for all prompts, or one for each. The result has their size, rounded down to a
        /// multiple of 8. A tensor with four channels is treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image
        /// is left.
        pub strength: f64 = 0.8,
        /// The timesteps of the whole run, instead of the scheduler's own.
        pub timesteps: Option<Vec<f32>> = None,
        /// The noise levels of the whole run, instead of the scheduler's own.
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
    /// A pipeline with the given parts.
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

/// What a call with ControlNets has besides an [`ImageToImage`].
pub(super) struct ControlledImage<'a> {
    pub call: ControlCall<'a>,
    /// The size to bring the image to.
    pub size: Size,
    /// The latents to start from, instead of the image's.
    pub latents: Option<Tensor<4>>,
}

impl StableDiffusionComponents {
    /// Changes images; `control` brings the ControlNets of a call that has some.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn image_to_image(
        &mut self,
        mut arguments: ImageToImage,
        control: Option<ControlledImage<'_>>,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let strength = Strength::new(arguments.strength, ImageToImage::default().strength)?;
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        let processor = self.image_processor();
        let options = control.as_ref().map_or_else(Default::default, |control| control.size.options());
        let image = PreparedImage::new(&processor, &arguments.image, options)?;
        // As in Python, a UNet that takes the guidance scale as an input is not told it in a call with ControlNets.
        let (guidance, tells_scale) = match &control {
            Some(_) => (Guidance::by_scale(arguments.guidance_scale), false),
            None => (self.classifier_free_guidance(arguments.guidance_scale, 0.0), true),
        };
        let (control, given) = match control {
            Some(ControlledImage { call, size, latents }) => {
                let prompts = arguments.prompts().count()?;
                let factor = self.vae.scale_factor();
                let control = call.prepare(factor, size, [prompts, images], &self.unet.device())?;
                control.check_size(image.size(factor))?;
                (Some(control), latents)
            }
            None => (None, None),
        };
        let text = self.embed(&arguments.prompts(), arguments.clip_skip, guidance)?.for_guidance().tokens;
        let device = text.device();
        let ip_adapter = self.ip_adapter_parts().prepare(arguments.take_ip_adapter(), guidance, images)?;

        let steps = choose_timesteps(
            &mut *self.scheduler,
            arguments.num_inference_steps,
            arguments.timesteps.as_deref(),
            arguments.sigmas.as_deref(),
        )?;
        let (timesteps, steps) = start_from_image(&mut *self.scheduler, steps, strength)?;

        let (dtype, generator) = (self.text_encoder.dtype(), &mut settings.generator);
        let latents = match given {
            Some(_) => {
                let factor = self.vae.scale_factor();
                let [height, width] = image.size(factor).map(|side| side / factor);
                let shape = [images, self.vae.latent_channels(), height, width];
                given_or_noise(given, shape, generator, dtype, &device)?
            }
            None => self.noisy_latents(image.cast(dtype, &device), images, timesteps[0], generator, index)?,
        };
        let timestep_cond = match tells_scale {
            true => self.embed_guidance_scale(arguments.guidance_scale, images, &device),
            false => None,
        };
        let run = Run {
            timesteps,
            steps,
            text,
            guidance,
            inputs: UNet2DConditionInputs { timestep_cond, ip_adapter, ..Default::default() },
            further_channels: None,
            control: control.map(Into::into),
            after_step: None,
            ends_denoised: false,
        };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for StableDiffusionImg2ImgPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionImg2ImgPipeline";

    type Arguments = ImageToImage;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        Self::assemble(StableDiffusionComponents::load(loader)?, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &StableDiffusionComponents::INDEX_NAMES);
        Self::assemble(StableDiffusionComponents::of(components)?, index)
    }

    fn call(&mut self, arguments: impl Into<ImageToImage>) -> Result<ImagePipelineOutput> {
        self.components.image_to_image(arguments.into(), None, &self.index, self.progress_bar)
    }

    fn components(&self) -> Components<'_> {
        self.components.list()
    }

    ip_adapter_methods!();
    pipeline_methods!();
}

expose_fields!(StableDiffusionImg2ImgPipeline);
