//! Editing images by instructions (InstructPix2Pix, Brooks et al. 2022, <https://arxiv.org/abs/2211.09800>).

use burn::tensor::Tensor;

use super::arguments::prompt_arguments;
use super::components::StableDiffusionComponents;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::common::arguments::check_finite;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::image_latents::{PreparedImage, likeliest_latents};
use crate::pipelines::common::ip_adapter::{TakesIpAdapter, UNetIpAdapters};
use crate::pipelines::common::latents::repeat_batch;
use crate::pipelines::common::timesteps::choose_timesteps;
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;
use crate::schedulers::zero_terminal_snr;

/// Edits an image according to an instruction.
///
/// Its fields are those of [`StableDiffusionComponents`].
#[derive(Clone, Debug)]
pub struct StableDiffusionInstructPix2PixPipeline {
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's
    /// `StableDiffusionInstructPix2PixPipeline.__call__`.
    pub struct InstructPix2Pix: "editing by instructions" with ip_adapter {
        num_inference_steps: 100,
        guidance_scale: 7.5,
        /// The images to edit: one for all prompts, or one for each. The result has their size, rounded down to a
        /// multiple of 8. A tensor with four channels is treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How closely the result follows the image; below 1 all guidance is off.
        pub image_guidance_scale: f64 = 1.5,
        /// The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
        pub latents: Option<Tensor<4>> = None,
    }
}

impl InstructPix2Pix {
    /// Arguments with one instruction, images to edit, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl StableDiffusionInstructPix2PixPipeline {
    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionComponents) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option("requires_safety_checker", false);
        Self::assemble(components, index)
    }

    fn assemble(components: StableDiffusionComponents, mut index: ModelIndex) -> Result<Self> {
        components.check_channels(&[components.vae.latent_channels()])?;
        zero_terminal_snr::check_configuration(&*components.scheduler)?;
        components.prepare_index(&mut index, &StableDiffusionComponents::INDEX_NAMES)?;
        Ok(Self { components, index, progress_bar: true })
    }
}

impl Pipeline for StableDiffusionInstructPix2PixPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionInstructPix2PixPipeline";

    type Arguments = InstructPix2Pix;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        Self::assemble(StableDiffusionComponents::load(loader)?, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &StableDiffusionComponents::INDEX_NAMES);
        Self::assemble(StableDiffusionComponents::of(components)?, index)
    }

    fn call(&mut self, arguments: impl Into<InstructPix2Pix>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        check_finite("image_guidance_scale", arguments.image_guidance_scale)?;
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        let guidance = if arguments.guidance_scale > 1.0 && arguments.image_guidance_scale >= 1.0 {
            Guidance::TextAndImage {
                scale: arguments.guidance_scale,
                image_scale: arguments.image_guidance_scale,
                rescale: 0.0,
            }
        } else {
            Guidance::Off
        };
        let text = self
            .embed(&arguments.prompts(), arguments.clip_skip, guidance)?
            .for_text_and_image_guidance()
            .tokens;
        let (dtype, device) = (self.text_encoder.dtype(), text.device());
        let ip_adapter = self.ip_adapter_parts().prepare(arguments.take_ip_adapter(), guidance, images)?;

        let processor = self.image_processor();
        let image = PreparedImage::new(&processor, &arguments.image, PreprocessOptions::default())?;
        let steps = choose_timesteps(&mut *self.scheduler, arguments.num_inference_steps, None, None)?;
        let image = likeliest_latents(&*self.vae, image.cast(dtype, &device), &self.index)?;
        let image = repeat_batch("image", image, images)?;

        settings.generator.check(images)?;
        let latents =
            self.initial_latents(arguments.latents, image.dims(), &mut settings.generator, dtype, &device)?;
        let image = match guidance {
            Guidance::Off => image,
            _ => Tensor::cat(vec![image.clone(), image.clone(), image.zeros_like()], 0),
        };
        let run = Run {
            timesteps: self.scheduler.timesteps().to_vec(),
            steps,
            text,
            guidance,
            inputs: UNet2DConditionInputs { ip_adapter, ..Default::default() },
            further_channels: Some(image),
            control: None,
            after_step: None,
            ends_denoised: false,
        };
        self.components.run(latents, run, settings, &self.index, self.progress_bar)
    }

    fn components(&self) -> Components<'_> {
        self.components.list()
    }

    ip_adapter_methods!();
    pipeline_methods!();
}

expose_fields!(StableDiffusionInstructPix2PixPipeline);
