//! Inpainting with a transformer that was trained to see the image without its masked part.

use super::arguments::prompt_arguments;
use super::components::FluxComponents;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use super::shown::Shown;
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::inpainting::MaskedImage;
use crate::pipelines::common::packed_flow::PackedFlow;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Fills the masked part of an image according to a prompt, or paints beyond its edges.
///
/// Its fields are those of [`FluxComponents`].
#[derive(Clone, Debug)]
pub struct FluxFillPipeline {
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxFillPipeline.__call__`, which also has
    /// `masked_image_latents`, but always fails with them. The image is resized to `height` and `width`.
    pub struct FluxFill: "inpainting with FLUX.1 Fill", steps: 50, guidance: 30.0 {
        /// The images to fill in part: one for all prompts, or one for each.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The masks, white where to fill and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much noise to begin with, from 0 to 1; at 1 the run begins with noise alone.
        pub strength: f64 = 1.0,
    }
}

impl FluxFill {
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

impl Pipeline for FluxFillPipeline {
    const CLASS_NAME: &'static str = "FluxFillPipeline";

    type Arguments = FluxFill;

    fn call(&mut self, arguments: impl Into<FluxFill>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, FluxFill::default().strength)?;
        let settings = arguments.settings()?;
        let (components, index) = (&mut self.components, &self.index);
        let size = components.latent_size(settings.size)?.map(|side| side * components.vae.scale_factor());
        let (processor, device) = (components.image_processor(), components.transformer.device());
        let mask = &arguments.mask_image;
        let masked = MaskedImage::new(&processor, &arguments.image, mask, size, None, &device)?;
        let shown = Shown::Masked(&masked);
        let (image, prompts) = ((&arguments.image, strength), arguments.prompts());
        components.make_from_image(image, settings, &prompts, shown, index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(FluxFillPipeline, LatentsAndMask);
