//! Text to image with T2I-Adapters, which follow images (Mou et al. 2023, <https://arxiv.org/abs/2302.08453>).

use super::arguments::{HasPrompt, declare_arguments};
use super::components::{Options, StableDiffusionXLComponents};
use super::pipeline_fields::{expose_fields, shared_methods};
use super::text2img::StableDiffusionXLTextToImage;
use crate::error::Result;
use crate::models::model::Model;
use crate::models::t2i_adapters::T2IAdapters;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::control::FollowedImages;
use crate::pipelines::common::ip_adapter::TakesIpAdapter;
use crate::pipelines::common::t2i::{AdapterCall, PerAdapter};
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;

/// Makes images from prompts that follow other images, such as sketches or depth maps, of which T2I-Adapters take the features.
///
/// Its fields are those of [`StableDiffusionXLComponents`], and `adapter`.
///
/// ```no_run
/// use oxidiff::{
///     LoadOptions, Model, Pipeline, StableDiffusionXLAdapterPipeline, StableDiffusionXLAdapterTextToImage,
///     T2IAdapter, load_image,
/// };
///
/// let adapter = T2IAdapter::from_pretrained("TencentARC/t2i-adapter-lineart-sdxl-1.0")?;
/// let options = LoadOptions { adapter: Some(adapter.into()), ..LoadOptions::default() };
/// let name = "stabilityai/stable-diffusion-xl-base-1.0";
/// let mut pipeline = StableDiffusionXLAdapterPipeline::from_pretrained_with(name, &options)?;
/// let arguments = StableDiffusionXLAdapterTextToImage {
///     adapter_conditioning_scale: 0.8.into(),
///     // Only for the first half of the steps.
///     adapter_conditioning_factor: 0.5,
///     ..StableDiffusionXLAdapterTextToImage::new("ice dragon roar", load_image("lines.png")?)
/// };
/// let images = pipeline.call(arguments)?.images.into_images();
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusionXLAdapterPipeline {
    /// Makes the features that the UNet adds to its own.
    pub adapter: T2IAdapters,
    components: StableDiffusionXLComponents,
    options: Options,
    index: ModelIndex,
    progress_bar: bool,
}

declare_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionXLAdapterPipeline.__call__`.
    pub struct StableDiffusionXLAdapterTextToImage: "text to image with Stable Diffusion XL and T2I-Adapter" with ip_adapter {
        num_inference_steps: 50,
        guidance_scale: 5.0,
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
        /// As `original_size`, for the negative prompt; both negative sizes must be given.
        pub negative_original_size: Option<[usize; 2]> = None,
        /// As `crops_coords_top_left`, for the negative prompt.
        pub negative_crops_coords_top_left: [usize; 2] = [0, 0],
        /// As `target_size`, for the negative prompt; both negative sizes must be given.
        pub negative_target_size: Option<[usize; 2]> = None,
        /// How strongly to follow the images: one number, or one for each adapter.
        pub adapter_conditioning_scale: PerAdapter = PerAdapter::Same(1.0),
        /// The part of the steps in which to follow the images, from the first step on: 0 is none of them, 1 all. As in Python,
        /// each call of the UNet counts as a step here, also with schedulers that call it twice in one.
        pub adapter_conditioning_factor: f64 = 1.0,
        /// How many of the text encoders' last layers to leave out.
        pub clip_skip: Option<usize> = None,
    }
}

impl StableDiffusionXLAdapterTextToImage {
    /// Arguments with one prompt, images to follow, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<FollowedImages>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

/// The names that the index can have.
const INDEX_NAMES: [&str; 11] = {
    let [a, b, c, d, e, f, g, h, i, j, _] = StableDiffusionXLComponents::INDEX_NAMES;
    [a, b, c, d, e, f, g, h, i, j, "adapter"]
};

impl StableDiffusionXLAdapterPipeline {
    /// A pipeline with the given parts and one or several T2I-Adapters.
    ///
    /// # Errors
    /// When the parts do not fit each other, or an adapter was made for another UNet.
    pub fn new(components: StableDiffusionXLComponents, adapter: impl Into<T2IAdapters>) -> Result<Self> {
        Self::assemble(components, adapter.into(), ModelIndex::of_class(Self::CLASS_NAME))
    }

    fn assemble(
        components: StableDiffusionXLComponents,
        adapter: T2IAdapters,
        mut index: ModelIndex,
    ) -> Result<Self> {
        components.check_channels(&[0])?;
        adapter.check_fit(components.unet.config(), components.vae.scale_factor())?;
        components.prepare_index(&mut index)?;
        let options = Options::read(&mut index, false)?;
        Ok(Self { adapter, components, options, index, progress_bar: true })
    }
}

impl Pipeline for StableDiffusionXLAdapterPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionXLAdapterPipeline";

    type Arguments = StableDiffusionXLAdapterTextToImage;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let adapter = loader.t2i_adapters("adapter")?;
        let components = StableDiffusionXLComponents::load(loader)?;
        Self::assemble(components, adapter, loader.index().for_class(Self::CLASS_NAME, &INDEX_NAMES))
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &INDEX_NAMES);
        let adapter = T2IAdapters::of_components(components)?;
        Self::assemble(StableDiffusionXLComponents::of(components)?, adapter, index)
    }

    fn call(
        &mut self,
        arguments: impl Into<StableDiffusionXLAdapterTextToImage>,
    ) -> Result<ImagePipelineOutput> {
        self.adapter.check_fit(self.components.unet.config(), self.components.vae.scale_factor())?;
        let mut arguments = arguments.into();
        let pictures = arguments.take_ip_adapter();
        let call = AdapterCall {
            adapter: &self.adapter,
            image: std::mem::take(&mut arguments.image),
            adapter_conditioning_scale: arguments.adapter_conditioning_scale.clone(),
            adapter_conditioning_factor: Some(arguments.adapter_conditioning_factor),
        };
        let plain = StableDiffusionXLTextToImage {
            height: arguments.height,
            width: arguments.width,
            timesteps: arguments.timesteps.take(),
            sigmas: arguments.sigmas.take(),
            negative_original_size: arguments.negative_original_size,
            negative_crops_coords_top_left: arguments.negative_crops_coords_top_left,
            negative_target_size: arguments.negative_target_size,
            clip_skip: arguments.clip_skip,
            ..StableDiffusionXLTextToImage::with_prompt(arguments.take_prompt()).with_ip_adapter(pictures)
        };
        let (options, index) = (self.options, &self.index);
        self.components.text_to_image(plain, Some(call.into()), options, index, self.progress_bar)
    }

    fn components(&self) -> Components<'_> {
        let mut components = self.components.list();
        components.push("adapter", &self.adapter);
        components
    }

    ip_adapter_methods!();
    shared_methods!();
}

expose_fields!(StableDiffusionXLAdapterPipeline);
