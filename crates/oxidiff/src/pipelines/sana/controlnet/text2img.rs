//! Text to image with a ControlNet.

use burn::tensor::DType;

use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::transformers::SanaControlNetModel;
use crate::pipelines::common::arguments::check_finite;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::latents::given_or_noise;
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::{adaptable_methods, expose_components};
use crate::pipelines::sana::arguments::guided_arguments;
use crate::pipelines::sana::components::SanaComponents;
use crate::pipelines::sana::denoising::{Control, Further};
use crate::pipelines::sana::size::sana_bins;

/// The names that the index of a pipeline can have.
const INDEX_NAMES: [&str; 6] = {
    let [a, b, c, d, e] = SanaComponents::INDEX_NAMES;
    [a, b, c, d, e, "controlnet"]
};

/// Makes images from prompts that follow other images, such as soft edges.
///
/// Its fields are those of [`SanaComponents`], and `controlnet`.
///
/// ```no_run
/// use oxidiff::{Pipeline, SanaControlNetPipeline, SanaControlNetTextToImage, load_image};
///
/// let mut pipeline =
///     SanaControlNetPipeline::from_pretrained("ishan24/Sana_600M_1024px_ControlNetPlus_diffusers")?;
/// let images = pipeline.call(SanaControlNetTextToImage::new(
///     "a cat with a neon sign that says \"Sana\"",
///     load_image("hed_example.png")?,
/// ))?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SanaControlNetPipeline {
    /// Tells the transformer what to add to the results of its blocks.
    pub controlnet: SanaControlNetModel,
    components: SanaComponents,
    index: ModelIndex,
    progress_bar: bool,
}

guided_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `SanaControlNetPipeline.__call__`.
    pub struct SanaControlNetTextToImage: "text to image with Sana and ControlNet" {
        /// The images to follow: one for all prompts, or one for each. They are resized to the size of the result; a tensor is taken as it
        /// is, with values in [-1, 1], and gives the result its size.
        pub control_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How strongly to follow them; 0 is not at all.
        pub controlnet_conditioning_scale: f64 = 1.0,
    }
}

impl SanaControlNetTextToImage {
    /// Arguments with one prompt, images to follow, and the defaults.
    pub fn new(prompt: impl Into<String>, control_image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], control_image: control_image.into(), ..Self::default() }
    }
}

impl SanaControlNetPipeline {
    /// A pipeline with the given parts and a ControlNet.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: SanaComponents, controlnet: SanaControlNetModel) -> Result<Self> {
        Self::assemble(components, controlnet, ModelIndex::of_class(Self::CLASS_NAME))
    }

    fn assemble(
        components: SanaComponents,
        controlnet: SanaControlNetModel,
        mut index: ModelIndex,
    ) -> Result<Self> {
        components.prepare(&mut index)?;
        controlnet.check_fit(&components.transformer)?;
        Ok(Self { controlnet, components, index, progress_bar: true })
    }
}

impl Pipeline for SanaControlNetPipeline {
    const CLASS_NAME: &'static str = "SanaControlNetPipeline";

    type Arguments = SanaControlNetTextToImage;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let controlnet = loader.sana_controlnet("controlnet")?;
        let components = SanaComponents::load(loader)?;
        let index = loader.index().for_class(Self::CLASS_NAME, &INDEX_NAMES);
        Self::assemble(components, controlnet, index)
    }

    fn call(&mut self, arguments: impl Into<SanaControlNetTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        check_finite("controlnet_conditioning_scale", arguments.controlnet_conditioning_scale)?;
        let mut settings = arguments.settings()?;
        let (components, index) = (&mut self.components, &self.index);
        components.check_guidance_embeds(false)?;
        self.controlnet.check_fit(&components.transformer)?;
        let size = components.image_size(&settings, sana_bins)?;
        let texts = components.embed(&arguments.prompts())?;
        let followed = components.followed(&arguments.control_image, size.made, settings.images, index)?;
        let shape = followed.dims();
        let device = components.transformer.device();
        let (given, generator) = (settings.latents.take(), &mut settings.generator);
        let latents = given_or_noise(given, shape, generator, DType::F32, &device)?.cast(DType::F32);
        let scale = arguments.controlnet_conditioning_scale;
        let control = Control { net: &self.controlnet, scale, latents: followed };
        let progress_bar = self.progress_bar;
        let further = Further { control: Some(&control), has_plain_times: true, ..Further::default() };
        let latents = components.denoise(latents, &texts, further, &mut settings, index, progress_bar)?;
        // Without bins, a tensor to follow decides on the size.
        let size = settings.use_resolution_binning.then_some(size);
        components.decode(latents, size, settings.output_type, index)
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &INDEX_NAMES);
        let controlnet = components.take("controlnet")?;
        Self::assemble(SanaComponents::of(components)?, controlnet, index)
    }

    fn components(&self) -> Components<'_> {
        let mut components = self.components.list();
        components.push("controlnet", &self.controlnet);
        components
    }

    adaptable_methods!();
}

expose_components!(SanaControlNetPipeline, SanaComponents);
