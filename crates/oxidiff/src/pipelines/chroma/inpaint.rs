//! Inpainting: repaints a part of an image.

use burn::tensor::{DType, Tensor};

use super::arguments::prompt_arguments;
use super::components::ChromaComponents;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::flow_timesteps::{SpreadBy, start_flow_from_image};
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::inpainting::{Crop, MaskedImage, PutBack, Start, proportions};
use crate::pipelines::common::packed_flow::PackedFlow;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::schedulers::Scheduler;

/// Repaints the masked part of an image according to a prompt. The rest is put back after each step.
///
/// Its fields are those of [`ChromaComponents`].
#[derive(Clone, Debug)]
pub struct ChromaInpaintPipeline {
    components: ChromaComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `ChromaInpaintPipeline.__call__`. The image is resized to
    /// `height` and `width`.
    pub struct ChromaInpaint: "inpainting with Chroma", steps: 28, guidance: 7.0, tokens: 256 {
        /// Has no effect, as in Python: `guidance_scale` guides.
        pub true_cfg_scale: f64 = 1.0,
        /// The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as the latents have is
        /// treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Has no effect, as in Python: the transformer does not look at the image without its masked part.
        pub masked_image_latents: Option<Tensor<4>> = None,
        /// Repaint only the masked part and this many pixels around it, at the size of the whole image.
        pub padding_mask_crop: Option<usize> = None,
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
        pub strength: f64 = 0.6,
    }
}

impl ChromaInpaint {
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

    /// Warns of arguments that have no effect, as in Python.
    fn warn_of_ignored(&self) {
        let why = "the transformer does not look at the image without its masked part";
        warn_of_ignored("masked_image_latents", self.masked_image_latents.is_some(), why);
        warn_of_ignored("true_cfg_scale", self.true_cfg_scale != 1.0, "`guidance_scale` guides");
    }
}

impl Pipeline for ChromaInpaintPipeline {
    const CLASS_NAME: &'static str = "ChromaInpaintPipeline";

    type Arguments = ChromaInpaint;

    fn call(&mut self, arguments: impl Into<ChromaInpaint>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, ChromaInpaint::default().strength)?;
        arguments.warn_of_ignored();
        let mut settings = arguments.settings()?;
        let components = &mut self.components;
        let size = components.latent_size(settings.size)?;
        let pixels = size.map(|side| side * components.vae.scale_factor());
        let ChromaInpaint { image, mask_image: mask, .. } = &arguments;
        let crop = arguments
            .padding_mask_crop
            .map(|pad| Crop::new(image, mask, pad, proportions(settings.size, pixels), settings.output_type))
            .transpose()?;
        let (processor, device) = (components.image_processor(), components.device());
        let masked = MaskedImage::new(&processor, image, mask, pixels, crop.as_ref(), &device)?;
        let texts = components.embed(&arguments.prompts())?;
        let steps = components.set_timesteps(&settings, size, SpreadBy::Pipeline)?;
        let (timesteps, steps) = start_flow_from_image(&mut *components.scheduler, steps, strength)?;
        let mask = masked.latent_mask(components.latent_shape(settings.images, size), DType::F32)?;
        let image = components.image_latents(masked.image, true, Some(size), &mut settings, &self.index)?;
        let given = components.given_latents(&mut settings, size)?;
        let generator = &mut settings.generator;
        let start = Start::of_flow(image, given, timesteps[0], generator, &*components.scheduler)?;
        let latents = start.latents.clone();
        let put_back = PutBack { start, mask, levels: timesteps.clone() };
        let mut put_back = |index: usize, latents: Tensor<4>, scheduler: &dyn Scheduler| {
            put_back.apply(index, latents, scheduler)
        };
        let run = Run { timesteps, steps, texts, after_step: Some(&mut put_back) };
        let mut made = components.run(latents, run, settings, &self.index, self.progress_bar)?;
        if let Some(crop) = crop {
            made.images = crop.put_back(&processor, made.images)?;
        }
        Ok(made)
    }

    pipeline_methods!();
}

expose_fields!(ChromaInpaintPipeline);
