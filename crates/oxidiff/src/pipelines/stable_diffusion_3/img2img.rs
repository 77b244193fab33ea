//! Image to image (SDEdit, Meng et al. 2021, <https://arxiv.org/abs/2108.01073>).

use burn::tensor::{DType, Tensor};

use super::arguments::{Settings, prompt_arguments};
use super::components::StableDiffusion3Components;
use super::conditioning::Texts;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::pipelines::common::flow_timesteps::start_flow_from_image;
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::perturbed_guidance::PerturbedGuidance;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;

/// Changes an image according to a prompt: adds noise to its latents, part of the way, and removes it again, guided by the
/// text.
///
/// Its fields are those of [`StableDiffusion3Components`].
#[derive(Clone, Debug)]
pub struct StableDiffusion3Img2ImgPipeline {
    components: StableDiffusion3Components,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusion3Img2ImgPipeline.__call__`. The image is resized
    /// to the height and width of the call.
    pub struct StableDiffusion3ImageToImage: "image to image with Stable Diffusion 3", steps: 50, with mu {
        /// The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is
        /// treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image
        /// is left.
        pub strength: f64 = 0.6,
    }
}

impl StableDiffusion3ImageToImage {
    /// Arguments with one prompt, images to start from, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

/// What a run starts from.
pub(super) struct StartImage {
    pub image: PipelineImageInput,
    pub strength: Strength,
    /// The noisy latents, instead of the image's.
    pub latents: Option<Tensor<4>>,
}

impl StableDiffusion3Components {
    /// Makes images out of others.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn make_from_image(
        &mut self,
        mut settings: Settings,
        texts: &Texts<'_>,
        from: StartImage,
        perturbed: Option<PerturbedGuidance>,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let [rows, columns] = self.latent_size(settings.size)?;
        let factor = self.vae.scale_factor();
        let options = PreprocessOptions {
            height: Some(rows * factor),
            width: Some(columns * factor),
            ..Default::default()
        };
        let image = PreparedImage::new(&self.image_processor(), &from.image, options)?;
        let text = self.embed(texts, settings.guidance.copies() > 1)?;
        let steps = self.set_timesteps(&settings, [rows, columns])?;
        let (timesteps, steps) = start_flow_from_image(&mut *self.scheduler, steps, from.strength)?;
        // Latents keep their own size.
        let size = image.size(factor).map(|side| side / factor);
        let latents = match from.latents {
            given @ Some(_) => self.initial_latents(given, &mut settings, size)?,
            None => {
                let image = self.image_latents(image, &mut settings, size, index)?;
                let noise = settings.generator.randn(image.dims(), DType::F32, &image.device())?;
                self.scheduler.add_noise(image, noise, &vec![timesteps[0]; settings.images])?
            }
        };
        let run = Run {
            timesteps,
            steps,
            text,
            skip_layers: None,
            perturbed,
            control: None,
            further_channels: None,
            after_step: None,
            shifts: true,
        };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for StableDiffusion3Img2ImgPipeline {
    const CLASS_NAME: &'static str = "StableDiffusion3Img2ImgPipeline";

    type Arguments = StableDiffusion3ImageToImage;

    fn call(&mut self, arguments: impl Into<StableDiffusion3ImageToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, StableDiffusion3ImageToImage::default().strength)?;
        let settings = arguments.settings()?;
        let from = StartImage { image: arguments.image.clone(), strength, latents: arguments.latents.take() };
        let (texts, index) = (arguments.texts(), &self.index);
        self.components.make_from_image(settings, &texts, from, None, index, self.progress_bar)
    }

    pipeline_methods!();
    ip_adapter_methods!();
}

expose_fields!(StableDiffusion3Img2ImgPipeline, takes_mask: false);
