//! Editing: the transformer looks at another image.

use super::arguments::prompt_arguments;
use super::components::FluxComponents;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use super::shown::Shown;
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;

/// Edits images as prompts say (Black Forest Labs 2025, <https://arxiv.org/abs/2506.15742>); without an image, it makes one.
///
/// Its fields are those of [`FluxComponents`].
#[derive(Clone, Debug)]
pub struct FluxKontextPipeline {
    components: FluxComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxKontextPipeline.__call__`. The result has the proportion
    /// of `height` and `width`, and about `max_area` pixels.
    pub struct FluxKontext: "editing with FLUX.1 Kontext", steps: 28, guidance: 3.5, with negative {
        /// The image to edit: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as
        /// latents.
        pub image: Option<PipelineImageInput> = None,
        /// The area of the result in pixels.
        pub max_area: usize = 1024 * 1024,
        /// Whether the image is resized to a size that the model was trained on.
        pub _auto_resize: bool = true,
    }
}

impl FluxKontext {
    /// Arguments with one prompt, an image to edit, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: Some(image.into()), ..Self::default() }
    }
}

impl Pipeline for FluxKontextPipeline {
    const CLASS_NAME: &'static str = "FluxKontextPipeline";

    type Arguments = FluxKontext;

    fn call(&mut self, arguments: impl Into<FluxKontext>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let mut settings = arguments.settings()?;
        let (components, index) = (&mut self.components, &self.index);
        settings.size = components.kontext_size(settings.size, arguments.max_area)?;
        let shown = match &arguments.image {
            None => Shown::Nothing,
            Some(image) => Shown::After(components.kontext_image(image, arguments._auto_resize)?),
        };
        components.make_from_noise(settings, &arguments.prompts(), shown, index, self.progress_bar)
    }

    pipeline_methods!();
    ip_adapter_methods!();
}

expose_fields!(FluxKontextPipeline, Nothing);
