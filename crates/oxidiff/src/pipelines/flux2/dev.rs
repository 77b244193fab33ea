//! Text to image, and editing of reference images, with the model that is told how strongly to follow the prompt.

use super::arguments::prompt_arguments;
use super::components::Flux2DevComponents;
use super::klein::from_noise;
use super::pipeline_fields::expose_fields;
use super::rewriting::checked;
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::model::Model;
use crate::pipelines::common::arguments::check_finite;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::random::Generators;

/// Makes images from prompts, or edits images as prompts say: the transformer looks at them while it makes another. It was distilled
/// from predictions with guidance (Meng et al. 2023, <https://arxiv.org/abs/2210.03142>), so that each step takes one prediction.
///
/// Its fields are those of [`Flux2DevComponents`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{Flux2Pipeline, Flux2TextToImage, Pipeline, load_image};
///
/// let mut pipeline = Flux2Pipeline::from_pretrained("black-forest-labs/FLUX.2-dev")?;
/// let images = pipeline.call(Flux2TextToImage {
///     image: Some(vec![load_image("cat.png")?, load_image("hat.png")?].into()),
///     num_inference_steps: 28,
///     ..Flux2TextToImage::new("the cat of image 1 with the hat of image 2")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Flux2Pipeline {
    components: Flux2DevComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `Flux2Pipeline.__call__`. The result has the size of the first
    /// image, or 1024 by 1024 pixels, unless another size is given.
    pub struct Flux2TextToImage: "text to image and editing with FLUX.2", steps: 50, layers: DEV_LAYERS, embedded: 4.0 {
        /// The images to look at, all of them for each prompt: each has a size of its own, with sides of at least 64 pixels. Those of
        /// more than a megapixel are made smaller.
        pub image: Option<PipelineImageInput> = None,
        /// How freely the text encoder first writes the prompts anew, with more details: the temperature with which words are drawn. 0.15
        /// is recommended; nothing or 0 leaves the prompts as they are. Not with images.
        pub caption_upsample_temperature: Option<f64> = None,
    }
}

impl Flux2TextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }

    /// Checks what only these arguments have, and returns the temperature of a call that rewrites its prompts.
    fn check_own(&self) -> Result<Option<f64>> {
        check_finite("guidance_scale", self.guidance_scale)?;
        checked(self.caption_upsample_temperature, self.image.is_some(), !self.prompt.is_empty())
    }
}

impl From<&str> for Flux2TextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl Flux2DevComponents {
    /// The names that the index of a pipeline can have.
    const INDEX_NAMES: [&str; 5] = ["scheduler", "vae", "text_encoder", "tokenizer", "transformer"];
}

impl Pipeline for Flux2Pipeline {
    const CLASS_NAME: &'static str = "Flux2Pipeline";

    type Arguments = Flux2TextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<Flux2TextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let temperature = arguments.check_own()?;
        let images = arguments.check()?;
        if let Some(temperature) = temperature {
            let generators = arguments.generator.get_or_insert_with(Generators::from_entropy);
            let components = &self.components;
            let rewritten =
                components.rewritten(&arguments.prompt, temperature, generators, self.progress_bar)?;
            arguments.prompt = rewritten;
        }
        let settings = arguments.settings();
        let mut call = from_noise!(arguments, images, keeps_references: false);
        let takes_guidance = self.transformer.config().guidance_embeds;
        let why = "the transformer has no embedding for it";
        let scale = arguments.guidance_scale;
        warn_of_ignored(
            "guidance_scale",
            !takes_guidance && scale != Flux2TextToImage::default().guidance_scale,
            why,
        );
        call.guidance = takes_guidance.then_some(scale as f32);
        let (components, index) = (&mut self.components, &self.index);
        components.make_from_noise(call, &arguments.prompts(), settings, index, self.progress_bar)
    }

    crate::pipelines::pipeline_fields::component_methods!(Flux2DevComponents);
}

expose_fields!(Flux2Pipeline, Flux2DevComponents);
