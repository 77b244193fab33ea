//! Image to image (SDEdit, Meng et al. 2021, <https://arxiv.org/abs/2108.01073>).

use super::arguments::{Settings, prompt_arguments};
use super::components::FluxComponents;
use super::conditioning::FluxPrompts;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use super::shown::Shown;
use crate::error::Result;
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::pipelines::common::flow_timesteps::{SpreadBy, start_flow_from_image};
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::inpainting::Start;
use crate::pipelines::common::packed_flow::PackedFlow;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;

/// Changes an image according to a prompt: adds noise to its latents, part of the way, and removes it again, guided by the text.
///
/// Its fields are those of [`FluxComponents`].
#[derive(Clone, Debug)]
pub struct FluxImg2ImgPipeline {
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxImg2ImgPipeline.__call__`. The image is resized to
    /// `height` and `width`.
    pub struct FluxImageToImage: "image to image with FLUX.1", steps: 28, guidance: 7.0, with negative {
        /// The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is
        /// treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
        pub strength: f64 = 0.6,
    }
}

impl FluxImageToImage {
    /// Arguments with one prompt, images to start from, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl FluxComponents {
    /// Makes images out of noisy ones.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn make_from_image(
        &mut self,
        (image, strength): (&PipelineImageInput, Strength),
        mut settings: Settings,
        prompts: &FluxPrompts<'_>,
        shown: Shown<'_>,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let size = shown.latent_size(self, settings.size)?;
        let [height, width] = size.map(|side| Some(side * self.vae.scale_factor()));
        let options = PreprocessOptions { height, width, ..Default::default() };
        let image = PreparedImage::new(&self.image_processor(), image, options)?;
        let conditions = self.embed(prompts)?;
        let steps = self.set_timesteps(&settings, size, SpreadBy::Pipeline)?;
        let (timesteps, steps) = start_flow_from_image(&mut *self.scheduler, steps, strength)?;
        // Noise is drawn in this order: for an image to follow, for the image to change, for the latents, for what is left of it.
        let (early, late) = match shown {
            shown @ Shown::Masked(_) => (Shown::Nothing, Some(shown)),
            shown => (shown, None),
        };
        let mut seen = early.prepare(self, size, &mut settings, index)?;
        let latents = match self.given_latents(&mut settings, size)? {
            Some(given) => given,
            None => {
                let image = self.image_latents(image, true, Some(size), &mut settings, index)?;
                let generator = &mut settings.generator;
                Start::of_flow(image, None, timesteps[0], generator, &*self.scheduler)?.latents
            }
        };
        if let Some(late) = late {
            seen = late.prepare(self, size, &mut settings, index)?;
        }
        let run = Run { timesteps, steps, conditions, seen, after_step: None };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for FluxImg2ImgPipeline {
    const CLASS_NAME: &'static str = "FluxImg2ImgPipeline";

    type Arguments = FluxImageToImage;

    fn call(&mut self, arguments: impl Into<FluxImageToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, FluxImageToImage::default().strength)?;
        let settings = arguments.settings()?;
        let (components, index) = (&mut self.components, &self.index);
        let (image, prompts) = ((&arguments.image, strength), arguments.prompts());
        components.make_from_image(image, settings, &prompts, Shown::Nothing, index, self.progress_bar)
    }

    pipeline_methods!();
    ip_adapter_methods!();
}

expose_fields!(FluxImg2ImgPipeline, Nothing);
