//! Text to image with T2I-Adapters, which follow images (Mou et al. 2023, <https://arxiv.org/abs/2302.08453>).

use burn::tensor::Tensor;

use super::arguments::{HasPrompt, declare_arguments};
use super::components::StableDiffusionComponents;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use super::text2img::TextToImage;
use crate::error::Result;
use crate::models::model::Model;
use crate::models::t2i_adapters::T2IAdapters;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::control::FollowedImages;
use crate::pipelines::common::t2i::{AdapterCall, PerAdapter};
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts that follow other images, such as sketches or depth maps, of which T2I-Adapters take the features.
///
/// Its fields are those of [`StableDiffusionComponents`], and `adapter`.
///
/// ```
/// use oxidiff::{
///     AdapterTextToImage, Device, Model, Pipeline, StableDiffusionAdapterPipeline, StableDiffusionPipeline,
///     T2IAdapter, T2IAdapterConfig, image::DynamicImage,
/// };
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
/// let pipeline = StableDiffusionPipeline::from_pretrained(folder)?;
/// // An adapter that is not trained; `T2IAdapter::from_pretrained` loads one that is.
/// let channels = pipeline.unet.config().block_out_channels.clone();
/// let config = T2IAdapterConfig { channels, num_res_blocks: 1, ..Default::default() };
/// let adapter = T2IAdapter::init(&config, &Device::flex())?;
/// let mut pipeline = StableDiffusionAdapterPipeline::new((*pipeline).clone(), adapter)?;
/// let sketch = DynamicImage::new_rgb8(64, 64);
/// let arguments = AdapterTextToImage {
///     num_inference_steps: 2,
///     adapter_conditioning_scale: 0.8.into(),
///     ..AdapterTextToImage::new("red apple", sketch)
/// };
/// let images = pipeline.call(arguments)?.images.into_images();
/// assert_eq!(images[0].width(), 64);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusionAdapterPipeline {
    /// Makes the features that the UNet adds to its own.
    pub adapter: T2IAdapters,
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

declare_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionAdapterPipeline.__call__`.
    pub struct AdapterTextToImage: "text to image with T2I-Adapter" {
        num_inference_steps: 50,
        guidance_scale: 7.5,
        /// The images to follow: one for all prompts, or one for each. With several adapters, an image for each. Tensors have
        /// values in [0, 1]; only pictures are resized.
        pub image: FollowedImages = FollowedImages::default(),
        /// Height of the images in pixels, a multiple of 8 and of the adapter's `downscale_factor`; by default that of the image
        /// to follow, rounded down to one.
        pub height: Option<usize> = None,
        /// Width of the images in pixels, a multiple of 8 and of the adapter's `downscale_factor`; by default that of the image
        /// to follow, rounded down to one.
        pub width: Option<usize> = None,
        /// The timesteps of the denoising loop, instead of the scheduler's own.
        pub timesteps: Option<Vec<f32>> = None,
        /// The noise levels of the denoising loop, instead of the scheduler's own.
        pub sigmas: Option<Vec<f32>> = None,
        /// The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
        pub latents: Option<Tensor<4>> = None,
        /// How strongly to follow the images: one number, or one for each adapter.
        pub adapter_conditioning_scale: PerAdapter = PerAdapter::Same(1.0),
    }
}

impl AdapterTextToImage {
    /// Arguments with one prompt, images to follow, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<FollowedImages>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

/// The names that the index can have.
const INDEX_NAMES: [&str; 9] = {
    let [a, b, c, d, e, f, g, _, h] = StableDiffusionComponents::INDEX_NAMES;
    [a, b, c, d, e, f, g, h, "adapter"]
};

impl StableDiffusionAdapterPipeline {
    /// A pipeline with the given parts and one or several T2I-Adapters.
    ///
    /// # Errors
    /// When the parts do not fit each other, or an adapter was made for another UNet.
    pub fn new(components: StableDiffusionComponents, adapter: impl Into<T2IAdapters>) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option("requires_safety_checker", false);
        Self::assemble(components, adapter.into(), index)
    }

    fn assemble(
        components: StableDiffusionComponents,
        adapter: T2IAdapters,
        mut index: ModelIndex,
    ) -> Result<Self> {
        components.check_channels(&[0])?;
        adapter.check_fit(components.unet.config(), components.vae.scale_factor())?;
        components.prepare_index(&mut index, &INDEX_NAMES)?;
        Ok(Self { adapter, components, index, progress_bar: true })
    }
}

impl Pipeline for StableDiffusionAdapterPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionAdapterPipeline";

    type Arguments = AdapterTextToImage;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let adapter = loader.t2i_adapters("adapter")?;
        let components = StableDiffusionComponents::load(loader)?;
        Self::assemble(components, adapter, loader.index().for_class(Self::CLASS_NAME, &INDEX_NAMES))
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &INDEX_NAMES);
        let adapter = T2IAdapters::of_components(components)?;
        Self::assemble(StableDiffusionComponents::of(components)?, adapter, index)
    }

    fn call(&mut self, arguments: impl Into<AdapterTextToImage>) -> Result<ImagePipelineOutput> {
        self.adapter.check_fit(self.components.unet.config(), self.components.vae.scale_factor())?;
        let mut arguments = arguments.into();
        let call = AdapterCall {
            adapter: &self.adapter,
            image: std::mem::take(&mut arguments.image),
            adapter_conditioning_scale: arguments.adapter_conditioning_scale.clone(),
            adapter_conditioning_factor: None,
        };
        let plain = TextToImage {
            height: arguments.height,
            width: arguments.width,
            timesteps: arguments.timesteps.take(),
            sigmas: arguments.sigmas.take(),
            latents: arguments.latents.take(),
            ..TextToImage::with_prompt(arguments.take_prompt())
        };
        self.components.text_to_image(plain, Some(call.into()), &self.index, self.progress_bar)
    }

    fn components(&self) -> Components<'_> {
        let mut components = self.components.list();
        components.push("adapter", &self.adapter);
        components
    }

    pipeline_methods!();
}

expose_fields!(StableDiffusionAdapterPipeline);
