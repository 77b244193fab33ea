//! Image to image (SDEdit, Meng et al. 2021, <https://arxiv.org/abs/2108.01073>).

use super::arguments::prompt_arguments;
use super::components::QwenImageComponents;
use super::denoising::{Run, Seen};
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::pipelines::common::flow_timesteps::start_flow_from_image;
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::inpainting::Start;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Changes an image according to a prompt: adds noise to its latents, part of the way, and removes it again, guided by the text.
///
/// Its fields are those of [`QwenImageComponents`].
#[derive(Clone, Debug)]
pub struct QwenImageImg2ImgPipeline {
    components: QwenImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `QwenImageImg2ImgPipeline.__call__`. The image is resized to
    /// `height` and `width`.
    pub struct QwenImageImageToImage: "image to image with Qwen-Image", guidance: None, {
        /// The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is
        /// treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
        pub strength: f64 = 0.6,
    }
}

impl QwenImageImageToImage {
    /// Arguments with one prompt, images to start from, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl Pipeline for QwenImageImg2ImgPipeline {
    const CLASS_NAME: &'static str = "QwenImageImg2ImgPipeline";

    type Arguments = QwenImageImageToImage;

    fn call(&mut self, arguments: impl Into<QwenImageImageToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, QwenImageImageToImage::default().strength)?;
        let mut settings = arguments.settings()?;
        let components = &mut self.components;
        let size = components.latent_size(settings.size)?;
        let [height, width] = size.map(|side| Some(side * components.vae.scale_factor()));
        let options = PreprocessOptions { height, width, ..Default::default() };
        let image = PreparedImage::new(&components.image_processor(), &arguments.image, options)?;
        let texts = components.embed(&arguments.prompts())?;
        let steps = components.set_timesteps(&settings, size)?;
        let (timesteps, steps) = start_flow_from_image(&mut *components.scheduler, steps, strength)?;
        let latents = match components.given_latents(&mut settings, size)? {
            Some(given) => given,
            None => {
                let image = components.image_latents(image, true, size, &mut settings, &self.index)?;
                let generator = &mut settings.generator;
                Start::of_flow(image, None, timesteps[0], generator, &*components.scheduler)?.latents
            }
        };
        let run = Run { timesteps, steps, texts, layering: None, seen: Seen::default(), after_step: None };
        components.run(latents, run, settings, &self.index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(QwenImageImg2ImgPipeline);
