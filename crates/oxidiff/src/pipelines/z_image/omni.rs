//! Z-Image-Omni: text to image, and editing with any number of images.

use super::arguments::prompt_arguments;
use super::components::ZImageComponents;
use super::conditioning::Wording;
use super::denoising::Run;
use super::pipeline_fields::expose_components;
use super::references::ReferenceImages;
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::models::model::Model;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::vision::{Siglip2ImageProcessor, Siglip2VisionModel};

const SIGLIP: &str = "siglip";
const SIGLIP_PROCESSOR: &str = "siglip_processor";

/// Makes images from prompts and other images: the transformer sees these, and so does a vision model.
///
/// Its fields are those of [`ZImageComponents`], `siglip` and `siglip_processor`.
///
/// ```no_run
/// use oxidiff::{Pipeline, ZImageOmni, ZImageOmniPipeline, load_image};
///
/// let mut pipeline = ZImageOmniPipeline::from_pretrained("Tongyi-MAI/Z-Image-Omni-Base")?;
/// let images = pipeline.call(ZImageOmni {
///     image: Some(vec![load_image("cat.png")?, load_image("hat.png")?].into()),
///     ..ZImageOmni::new("the cat wears the hat")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ZImageOmniPipeline {
    /// Looks at images.
    pub siglip: Siglip2VisionModel,
    /// Prepares images for it.
    pub siglip_processor: Siglip2ImageProcessor,
    components: ZImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `ZImageOmniPipeline.__call__`. The result has the size of the
    /// last image, rounded down to multiples of 16, or else 1024 by 1024 pixels, unless another size is given.
    pub struct ZImageOmni: "text to image and editing with Z-Image", embeds: Vec<burn::tensor::Tensor<2>> = "for each its parts, `[tokens, features]`: one before each image, and any number after the last", {
        /// The images to look at: each has a size of its own, with sides of at least 64 pixels. Those of more than a megapixel are
        /// resized.
        pub image: Option<PipelineImageInput> = None,
    }
}

impl ZImageOmni {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl From<&str> for ZImageOmni {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl ZImageOmniPipeline {
    /// The names that the index of a pipeline can have.
    const INDEX_NAMES: [&str; 7] = {
        let [a, b, c, d, e] = ZImageComponents::INDEX_NAMES;
        [a, b, c, d, e, SIGLIP, SIGLIP_PROCESSOR]
    };

    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(
        components: ZImageComponents,
        siglip: Siglip2VisionModel,
        siglip_processor: Siglip2ImageProcessor,
    ) -> Result<Self> {
        Self::assemble(components, siglip, siglip_processor, ModelIndex::of_class(Self::CLASS_NAME))
    }

    fn assemble(
        components: ZImageComponents,
        siglip: Siglip2VisionModel,
        siglip_processor: Siglip2ImageProcessor,
        index: ModelIndex,
    ) -> Result<Self> {
        components.check()?;
        let (seen, own) = (siglip.config(), siglip_processor.patch_size());
        let taken = components.transformer.config().siglip_feat_dim;
        if let Some(taken) = taken.filter(|taken| *taken != seen.hidden_size) {
            let message = format!("is {taken}, but `siglip` makes {} features", seen.hidden_size);
            return Err(Error::config("transformer/config.json", "siglip_feat_dim", message));
        }
        if own != seen.patch_size {
            let message = format!("is {own}, but `siglip` takes patches of {}", seen.patch_size);
            return Err(Error::config("siglip_processor/preprocessor_config.json", "patch_size", message));
        }
        Ok(Self { siglip, siglip_processor, components, index, progress_bar: true })
    }
}

impl Pipeline for ZImageOmniPipeline {
    const CLASS_NAME: &'static str = "ZImageOmniPipeline";

    type Arguments = ZImageOmni;

    fn call(&mut self, arguments: impl Into<ZImageOmni>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        let (components, index) = (&mut self.components, &self.index);
        let asked = [arguments.height, arguments.width];
        let references = ReferenceImages::new(components, arguments.image.as_ref(), asked)?;
        let own = references.size();
        let [height, width] = [0, 1].map(|side| asked[side].or(own.map(|own| own[side])));
        let size @ [rows, columns] = components.latent_size(height, width)?;
        let wording = Wording::Around(references.count());
        let captions = components.embed(&arguments.prompts(), wording, settings.guidance.is_on())?;
        let shape = [images, components.transformer.config().in_channels, rows, columns];
        let latents = components.initial_latents(arguments.latents.take(), shape, &mut settings.generator)?;
        let references = references.encode(components, &self.siglip, &self.siglip_processor, index)?;
        references.check(&captions)?;
        let sigmas = arguments.sigmas.as_deref();
        let steps = components.set_timesteps(arguments.num_inference_steps, sigmas, size)?;
        let timesteps = components.scheduler.timesteps().to_vec();
        let references = Some(references);
        let run = Run { timesteps, steps, captions, control: None, references, after_step: None };
        components.run(latents, run, settings, index, self.progress_bar)
    }

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let processor = loader.image_processor(SIGLIP_PROCESSOR, &Siglip2ImageProcessor::CLASSES)?;
        let siglip = loader.model(SIGLIP)?;
        Self::assemble(ZImageComponents::load(loader)?, siglip, processor, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &Self::INDEX_NAMES);
        let (siglip, processor) = (components.take(SIGLIP)?, components.take(SIGLIP_PROCESSOR)?);
        Self::assemble(ZImageComponents::of(components)?, siglip, processor, index)
    }

    fn components(&self) -> Components<'_> {
        let mut components = self.components.list();
        components.push(SIGLIP, &self.siglip);
        components.push(SIGLIP_PROCESSOR, &self.siglip_processor);
        components
    }

    crate::pipelines::pipeline_fields::adaptable_methods!();
}

expose_components!(ZImageOmniPipeline);
