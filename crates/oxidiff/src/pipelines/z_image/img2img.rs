//! Image to image (SDEdit, Meng et al. 2021, <https://arxiv.org/abs/2108.01073>).

use super::arguments::prompt_arguments;
use super::components::ZImageComponents;
use super::conditioning::Wording;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::models::model::Model;
use crate::pipelines::common::flow_timesteps::start_flow_from_image;
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Changes an image according to a prompt: adds noise to its latents, part of the way, and removes it again, guided by the
/// text.
///
/// Its fields are those of [`ZImageComponents`].
#[derive(Clone, Debug)]
pub struct ZImageImg2ImgPipeline {
    components: ZImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `ZImageImg2ImgPipeline.__call__`. The result has the
    /// size of the image, rounded down to a multiple of 16, unless another size is given: then the image is resized.
    pub struct ZImageImageToImage: "image to image with Z-Image" {
        /// The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is
        /// treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image
        /// is left.
        pub strength: f64 = 0.6,
    }
}

impl ZImageImageToImage {
    /// Arguments with one prompt, images to start from, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl ZImageImg2ImgPipeline {
    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: ZImageComponents) -> Result<Self> {
        Self::assemble(components, ModelIndex::of_class(Self::CLASS_NAME))
    }
}

impl Pipeline for ZImageImg2ImgPipeline {
    const CLASS_NAME: &'static str = "ZImageImg2ImgPipeline";

    type Arguments = ZImageImageToImage;

    fn call(&mut self, arguments: impl Into<ZImageImageToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, ZImageImageToImage::default().strength)?;
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        let components = &mut self.components;
        let [rows, columns] =
            components.latent_size_of(&arguments.image, arguments.height, arguments.width)?;
        let factor = components.vae.scale_factor();
        let options = PreprocessOptions {
            height: Some(rows * factor),
            width: Some(columns * factor),
            ..Default::default()
        };
        let image = PreparedImage::new(&components.image_processor(), &arguments.image, options)?;
        let captions = components.embed(&arguments.prompts(), Wording::Chat, settings.guidance.is_on())?;
        let steps = components.set_timesteps(
            arguments.num_inference_steps,
            arguments.sigmas.as_deref(),
            [rows, columns],
        )?;
        let (timesteps, steps) = start_flow_from_image(&mut *components.scheduler, steps, strength)?;
        let shape = [images, components.transformer.config().in_channels, rows, columns];
        let latents = match arguments.latents.take() {
            given @ Some(_) => components.initial_latents(given, shape, &mut settings.generator)?,
            None => {
                let generator = &mut settings.generator;
                let start =
                    components.image_start(image, None, timesteps[0], shape, generator, &self.index)?;
                start.latents
            }
        };
        let run = Run { timesteps, steps, captions, control: None, references: None, after_step: None };
        components.run(latents, run, settings, &self.index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(ZImageImg2ImgPipeline);
