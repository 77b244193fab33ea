//! Inpainting: repaints a part of an image.

use burn::tensor::{DType, Tensor};

use super::arguments::prompt_arguments;
use super::components::ZImageComponents;
use super::conditioning::Wording;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::model::Model;
use crate::pipelines::common::flow_timesteps::start_flow_from_image;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::inpainting::{MaskedImage, PutBack};
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::schedulers::Scheduler;

/// Repaints the masked part of an image according to a prompt. The rest is put back after each step.
///
/// Its fields are those of [`ZImageComponents`].
#[derive(Clone, Debug)]
pub struct ZImageInpaintPipeline {
    components: ZImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `ZImageInpaintPipeline.__call__`. The result has the
    /// size of the image, rounded down to a multiple of 16, unless another size is given: then the image is resized.
    pub struct ZImageInpaint: "inpainting with Z-Image" {
        /// The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as the latents
        /// have is treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Has no effect, as in Python: the transformer does not look at the image without its masked part.
        pub masked_image_latents: Option<Tensor<4>> = None,
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
        pub strength: f64 = 1.0,
    }
}

impl ZImageInpaint {
    /// Arguments with one prompt, images, masks, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        image: impl Into<PipelineImageInput>,
        mask_image: impl Into<PipelineImageInput>,
    ) -> Self {
        Self {
            prompt: vec![prompt.into()],
            image: image.into(),
            mask_image: mask_image.into(),
            ..Self::default()
        }
    }
}

impl ZImageInpaintPipeline {
    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: ZImageComponents) -> Result<Self> {
        Self::assemble(components, ModelIndex::of_class(Self::CLASS_NAME))
    }
}

impl Pipeline for ZImageInpaintPipeline {
    const CLASS_NAME: &'static str = "ZImageInpaintPipeline";

    type Arguments = ZImageInpaint;

    fn call(&mut self, arguments: impl Into<ZImageInpaint>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, ZImageInpaint::default().strength)?;
        let images = arguments.check()?;
        warn_of_ignored(
            "masked_image_latents",
            arguments.masked_image_latents.is_some(),
            "the transformer does not look at the image without its masked part",
        );
        let mut settings = arguments.settings();
        let components = &mut self.components;
        let [rows, columns] =
            components.latent_size_of(&arguments.image, arguments.height, arguments.width)?;
        let size = [rows, columns].map(|side| side * components.vae.scale_factor());
        let processor = components.image_processor();
        let device = components.transformer.device();
        let masks = &arguments.mask_image;
        let masked = MaskedImage::new(&processor, &arguments.image, masks, size, None, &device)?;
        let captions = components.embed(&arguments.prompts(), Wording::Chat, settings.guidance.is_on())?;
        let steps = components.set_timesteps(
            arguments.num_inference_steps,
            arguments.sigmas.as_deref(),
            [rows, columns],
        )?;
        let (timesteps, steps) = start_flow_from_image(&mut *components.scheduler, steps, strength)?;
        let shape = [images, components.transformer.config().in_channels, rows, columns];
        let mask = masked.latent_mask(shape, DType::F32)?;
        let start = components.image_start(
            masked.image,
            arguments.latents.take(),
            timesteps[0],
            shape,
            &mut settings.generator,
            &self.index,
        )?;
        let latents = start.latents.clone();
        let put_back = PutBack { start: start.in_single_precision(), mask, levels: timesteps.clone() };
        let mut put_back = |index: usize, latents: Tensor<4>, scheduler: &dyn Scheduler| {
            put_back.apply(index, latents, scheduler)
        };
        let run = Run {
            timesteps,
            steps,
            captions,
            control: None,
            references: None,
            after_step: Some(&mut put_back),
        };
        components.run(latents, run, settings, &self.index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(ZImageInpaintPipeline);
