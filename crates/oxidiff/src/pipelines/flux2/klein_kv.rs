//! Text to image and editing with a model that looks at reference images only once.

use super::arguments::prompt_arguments;
use super::components::Flux2KleinComponents;
use super::klein::from_noise;
use super::pipeline_fields::expose_fields;
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Edits images as prompts say, like [`Flux2KleinPipeline`](super::Flux2KleinPipeline), with a model that was trained for this: the
/// first step keeps the keys and values of the reference images, and later ones use them. So their tokens cost little.
///
/// Its fields are those of [`Flux2KleinComponents`].
#[derive(Clone, Debug)]
pub struct Flux2KleinKVPipeline {
    components: Flux2KleinComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `Flux2KleinKVPipeline.__call__`. The result has the size of
    /// the first image, or 1024 by 1024 pixels, unless another size is given.
    pub struct Flux2KleinKVTextToImage: "text to image and editing with FLUX.2 klein KV", steps: 4, layers: KLEIN_LAYERS {
        /// The images to look at: each has a size of its own, with sides of at least 64 pixels. Those of more than a megapixel are made
        /// smaller.
        pub image: Option<PipelineImageInput> = None,
    }
}

impl Flux2KleinKVTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl From<&str> for Flux2KleinKVTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl Pipeline for Flux2KleinKVPipeline {
    const CLASS_NAME: &'static str = "Flux2KleinKVPipeline";

    type Arguments = Flux2KleinKVTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<Flux2KleinKVTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let images = arguments.check()?;
        let settings = arguments.settings();
        let call = from_noise!(arguments, images, keeps_references: true);
        let (components, index) = (&mut self.components, &self.index);
        components.make_from_noise(call, &arguments.prompts(), settings, index, self.progress_bar)
    }

    crate::pipelines::pipeline_fields::component_methods!(Flux2KleinComponents);
}

expose_fields!(Flux2KleinKVPipeline, Flux2KleinComponents, distilled: true);
