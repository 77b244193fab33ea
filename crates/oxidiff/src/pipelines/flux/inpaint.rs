//! Inpainting: repaints a part of an image.

use burn::tensor::{DType, Tensor};

use super::arguments::{Settings, prompt_arguments};
use super::components::FluxComponents;
use super::conditioning::FluxPrompts;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use super::shown::{Seen, Shown};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::flow_timesteps::{SpreadBy, start_flow_from_image};
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::inpainting::{Crop, MaskedImage, PutBack, Start, proportions};
use crate::pipelines::common::latents::draw;
use crate::pipelines::common::packed_flow::PackedFlow;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;
use crate::schedulers::Scheduler;

/// Repaints the masked part of an image according to a prompt. The rest is put back after each step.
///
/// Its fields are those of [`FluxComponents`].
#[derive(Clone, Debug)]
pub struct FluxInpaintPipeline {
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxInpaintPipeline.__call__`. The image is resized to
    /// `height` and `width`.
    pub struct FluxInpaint: "inpainting with FLUX.1", steps: 28, guidance: 7.0, with negative {
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

impl FluxInpaint {
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

/// What a call that inpaints works on.
pub(super) struct Repainted<'a> {
    pub image: &'a PipelineImageInput,
    pub mask_image: &'a PipelineImageInput,
    pub padding_mask_crop: Option<usize>,
    /// Height and width as they were asked for.
    pub asked: [Option<usize>; 2],
    pub strength: Strength,
    /// Whether the image's latents are drawn, and not the likeliest ones.
    pub is_drawn: bool,
}

/// Warns of latents without their masked part.
pub(super) fn warn_of_masked_latents(given: Option<&Tensor<4>>) {
    let why = "the transformer does not look at the image without its masked part";
    warn_of_ignored("masked_image_latents", given.is_some(), why);
}

impl FluxComponents {
    /// Repaints a part of images.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn inpaint(
        &mut self,
        call: &Repainted<'_>,
        mut settings: Settings,
        prompts: &FluxPrompts<'_>,
        shown: Shown<'_>,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let size = shown.latent_size(self, settings.size)?;
        let pixels = size.map(|side| side * self.vae.scale_factor());
        let Repainted { image, mask_image: mask, .. } = *call;
        let proportions = proportions(call.asked, pixels);
        let crop =
            call.padding_mask_crop.map(|pad| Crop::new(image, mask, pad, proportions, settings.output_type));
        let crop = crop.transpose()?;
        let (processor, device) = (self.image_processor(), self.transformer.device());
        let masked = MaskedImage::new(&processor, image, mask, pixels, crop.as_ref(), &device)?;
        let conditions = self.embed(prompts)?;
        let steps = self.set_timesteps(&settings, size, SpreadBy::Pipeline)?;
        let (timesteps, steps) = start_flow_from_image(&mut *self.scheduler, steps, call.strength)?;
        let mask = masked.latent_mask(self.latent_shape(settings.images, size), DType::F32)?;
        if let (Shown::Beside(_), PreparedImage::Pixels(pixels)) = (&shown, &masked.image) {
            // For latents of the image without its masked part, which are not used.
            let items = pixels.dims()[0].max(masked.mask.dims()[0]);
            draw(self.latent_shape(items, size), pixels, &mut settings.generator)?;
        }
        let sees_itself = matches!(shown, Shown::Itself);
        let mut seen = shown.prepare(self, size, &mut settings, index)?;
        let image = self.image_latents(masked.image, call.is_drawn, Some(size), &mut settings, index)?;
        if sees_itself {
            seen = Seen::after(image.clone());
        }
        let given = self.given_latents(&mut settings, size)?;
        let generator = &mut settings.generator;
        let start = Start::of_flow(image, given, timesteps[0], generator, &*self.scheduler)?;
        let latents = start.latents.clone();
        let put_back = PutBack { start, mask, levels: timesteps.clone() };
        let mut put_back = |index: usize, latents: Tensor<4>, scheduler: &dyn Scheduler| {
            put_back.apply(index, latents, scheduler)
        };
        let run = Run { timesteps, steps, conditions, seen, after_step: Some(&mut put_back) };
        let mut made = self.run(latents, run, settings, index, progress_bar)?;
        if let Some(crop) = crop {
            made.images = crop.put_back(&processor, made.images)?;
        }
        Ok(made)
    }
}

impl Pipeline for FluxInpaintPipeline {
    const CLASS_NAME: &'static str = "FluxInpaintPipeline";

    type Arguments = FluxInpaint;

    fn call(&mut self, arguments: impl Into<FluxInpaint>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, FluxInpaint::default().strength)?;
        warn_of_masked_latents(arguments.masked_image_latents.as_ref());
        let settings = arguments.settings()?;
        let repainted = Repainted {
            image: &arguments.image,
            mask_image: &arguments.mask_image,
            padding_mask_crop: arguments.padding_mask_crop,
            asked: settings.size,
            strength,
            is_drawn: true,
        };
        let (components, index) = (&mut self.components, &self.index);
        let prompts = arguments.prompts();
        components.inpaint(&repainted, settings, &prompts, Shown::Nothing, index, self.progress_bar)
    }

    pipeline_methods!();
    ip_adapter_methods!();
}

expose_fields!(FluxInpaintPipeline, Nothing);
