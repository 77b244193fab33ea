//! Text to image, and editing of reference images.

use burn::tensor::Tensor;

use super::arguments::{Settings, prompt_arguments};
use super::components::{Flux2Components, Flux2KleinComponents};
use super::conditioning::Prompts;
use super::denoising::Run;
use super::pipeline_fields::expose_fields;
use super::prompt_encoder::PromptEncoder;
use super::reference_images::ReferenceTokens;
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts, or edits images as prompts say: the transformer looks at them while it makes another.
///
/// Its fields are those of [`Flux2KleinComponents`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{Flux2KleinPipeline, Flux2KleinTextToImage, Pipeline, load_image};
///
/// let mut pipeline = Flux2KleinPipeline::from_pretrained("black-forest-labs/FLUX.2-klein-4B")?;
/// let images = pipeline.call(Flux2KleinTextToImage {
///     image: Some(vec![load_image("cat.png")?, load_image("hat.png")?].into()),
///     num_inference_steps: 4,
///     ..Flux2KleinTextToImage::new("the cat of image 1 with the hat of image 2")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Flux2KleinPipeline {
    components: Flux2KleinComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `Flux2KleinPipeline.__call__`. The result has the size of
    /// the first image, or 1024 by 1024 pixels, unless another size is given.
    pub struct Flux2KleinTextToImage: "text to image and editing with FLUX.2 klein", steps: 50, layers: KLEIN_LAYERS, guidance: 4.0 {
        /// The images to look at: each has a size of its own, with sides of at least 64 pixels. Those of more than a megapixel are made
        /// smaller.
        pub image: Option<PipelineImageInput> = None,
    }
}

impl Flux2KleinTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl From<&str> for Flux2KleinTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

/// What the calls that make images out of noise have in common.
pub(super) struct FromNoise {
    pub images: usize,
    pub image: Option<PipelineImageInput>,
    pub size: [Option<usize>; 2],
    pub num_inference_steps: usize,
    pub sigmas: Option<Vec<f32>>,
    pub latents: Option<Tensor<4>>,
    pub keeps_references: bool,
    /// How strongly to follow the prompt, for a model that is told so.
    pub guidance: Option<f32>,
}

/// The values of a [`FromNoise`] in arguments.
macro_rules! from_noise {
    ($arguments:expr, $images:expr, keeps_references: $keeps:literal) => {
        $crate::pipelines::flux2::klein::FromNoise {
            images: $images,
            image: $arguments.image.take(),
            size: [$arguments.height, $arguments.width],
            num_inference_steps: $arguments.num_inference_steps,
            sigmas: $arguments.sigmas.take(),
            latents: $arguments.latents.take(),
            keeps_references: $keeps,
            guidance: None,
        }
    };
}
pub(super) use from_noise;

impl<E: PromptEncoder> Flux2Components<E> {
    /// Makes images.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn make_from_noise(
        &mut self,
        call: FromNoise,
        prompts: &Prompts<'_>,
        mut settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let references = call.image.as_ref().map(|image| self.prepare_references(image)).transpose()?;
        let first = references.iter().flatten().next().map(|image| image.size(self.patch_pixels()));
        let [height, width] = call.size;
        let size @ [rows, columns] = self.patch_grid(
            height.or(first.map(|[height, _]| height)),
            width.or(first.map(|[_, width]| width)),
        )?;
        let texts = self.embed(prompts, index)?;
        let shape = [call.images, self.patch_features(), rows, columns];
        let latents = self.initial_latents(call.latents, shape, &mut settings.generator)?;
        let references = references
            .map(|references| {
                let latents = references.into_iter().map(|image| self.encode(image, index));
                ReferenceTokens::new(latents.collect::<Result<_>>()?, call.images)
            })
            .transpose()?;
        let steps = self.set_timesteps(call.num_inference_steps, call.sigmas.as_deref(), size)?;
        self.scheduler.set_begin_index(0);
        let timesteps = self.scheduler.timesteps().to_vec();
        let (keeps_references, guidance) = (call.keeps_references, call.guidance);
        let run = Run { timesteps, steps, texts, references, keeps_references, guidance, after_step: None };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for Flux2KleinPipeline {
    const CLASS_NAME: &'static str = "Flux2KleinPipeline";

    type Arguments = Flux2KleinTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<Flux2KleinTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let images = arguments.check()?;
        let settings = arguments.settings();
        let call = from_noise!(arguments, images, keeps_references: false);
        let (components, index) = (&mut self.components, &self.index);
        components.make_from_noise(call, &arguments.prompts(), settings, index, self.progress_bar)
    }

    crate::pipelines::pipeline_fields::component_methods!(Flux2KleinComponents);
}

expose_fields!(Flux2KleinPipeline, Flux2KleinComponents, distilled: false);
