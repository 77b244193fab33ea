//! Image to image.

use burn::tensor::Tensor;

use super::arguments::consistency_arguments;
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::ip_adapter::{TakesIpAdapter, UNetIpAdapters};
use crate::pipelines::common::strength::Strength;
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;
use crate::pipelines::stable_diffusion::components::StableDiffusionComponents;
use crate::pipelines::stable_diffusion::pipeline_fields::{expose_fields, pipeline_methods};

/// Changes an image as a prompt says, in a few steps.
///
/// Its fields are those of [`StableDiffusionComponents`].
#[derive(Clone, Debug)]
pub struct LatentConsistencyModelImg2ImgPipeline {
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

consistency_arguments! {
    /// The arguments of a call; names and defaults are those of Python's
    /// `LatentConsistencyModelImg2ImgPipeline.__call__`.
    pub struct LatentConsistencyImageToImage: "image to image with a latent consistency model" with ip_adapter {
        /// The images to start from: one for all prompts, or one for each. Their size is that of the result, rounded down
        /// to a multiple of 8. A tensor of four channels is taken for latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1: the steps are among that part of the timesteps.
        pub strength: f64 = 0.8,
        /// The latents to start from, `[images, channels, height / 8, width / 8]`, instead of those of the image with noise.
        pub latents: Option<Tensor<4>> = None,
    }
}

impl LatentConsistencyImageToImage {
    /// Arguments with one prompt, images to start from, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl LatentConsistencyModelImg2ImgPipeline {
    /// A pipeline of the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionComponents) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option("requires_safety_checker", false);
        Self::assemble(components, index)
    }

    fn assemble(components: StableDiffusionComponents, mut index: ModelIndex) -> Result<Self> {
        components.check_consistency_model()?;
        components.prepare_index(&mut index, &StableDiffusionComponents::INDEX_NAMES)?;
        Ok(Self { components, index, progress_bar: true })
    }
}

impl Pipeline for LatentConsistencyModelImg2ImgPipeline {
    const CLASS_NAME: &'static str = "LatentConsistencyModelImg2ImgPipeline";

    type Arguments = LatentConsistencyImageToImage;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        Self::assemble(StableDiffusionComponents::load(loader)?, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &StableDiffusionComponents::INDEX_NAMES);
        Self::assemble(StableDiffusionComponents::of(components)?, index)
    }

    fn call(&mut self, arguments: impl Into<LatentConsistencyImageToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        Strength::new(arguments.strength, LatentConsistencyImageToImage::default().strength)?;
        let images = arguments.check()?;
        let ip_adapter =
            self.ip_adapter_parts().prepare(arguments.take_ip_adapter(), Guidance::Off, images)?;
        let mut settings = arguments.settings();
        let text =
            self.embed(&arguments.prompts(), arguments.clip_skip, Guidance::Off)?.for_guidance().tokens;
        let (dtype, device) = (self.text_encoder.dtype(), text.device());
        let processor = self.image_processor();
        let image = PreparedImage::new(&processor, &arguments.image, PreprocessOptions::default())?;

        self.choose_distilled_timesteps(arguments.timestep_options(Some(arguments.strength)))?;
        let mut run = self.consistency_run(text, arguments.guidance_scale, &device)?;
        run.inputs.ip_adapter = ip_adapter;
        let latents = match arguments.latents {
            Some(latents) => {
                let (given, needed) =
                    ([latents.dims()[0], latents.dims()[1]], [images, self.vae.latent_channels()]);
                if given != needed {
                    let message =
                        format!("have shape {:?}, this call needs {needed:?} first", latents.dims());
                    return Err(Error::argument("latents", message));
                }
                latents.to_device(&device)
            }
            None => {
                let image = image.cast(dtype, &device);
                let start = run.timesteps[0];
                self.noisy_latents(image, images, start, &mut settings.generator, &self.index)?
            }
        };
        self.components.run(latents, run, settings, &self.index, self.progress_bar)
    }

    fn components(&self) -> Components<'_> {
        self.components.list()
    }

    ip_adapter_methods!();
    pipeline_methods!();
}

expose_fields!(LatentConsistencyModelImg2ImgPipeline);
