//! Depth to image: image to image with a model that also receives how near each part of the image is (Stable Diffusion
//! 2).

use burn::tensor::Tensor;

use super::arguments::prompt_arguments;
use super::components::StableDiffusionComponents;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::interpolation::{Corners, Interpolation, interpolate};
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::latents::repeat_batch;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::common::timesteps::{choose_timesteps, start_from_image};
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::vision::{DPTForDepthEstimation, DPTImageProcessor, ImageProcessor};

/// Changes an image according to a prompt and keeps its depth, which a model estimates.
///
/// Its fields are those of [`StableDiffusionComponents`], `depth_estimator` and `feature_extractor`.
#[derive(Clone, Debug)]
pub struct StableDiffusionDepth2ImgPipeline {
    /// Estimates how near each part of an image is.
    pub depth_estimator: DPTForDepthEstimation,
    /// Prepares images for the depth estimator.
    pub feature_extractor: DPTImageProcessor,
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionDepth2ImgPipeline.__call__`.
    pub struct DepthToImage: "depth to image" {
        num_inference_steps: 50,
        guidance_scale: 7.5,
        /// The images to start from: one for all prompts, or one for each. The result has their size, rounded down to a
        /// multiple of 8.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How near each part of the images is, `[images, height, width]`: larger values are nearer, in any unit. Estimated
        /// by default.
        pub depth_map: Option<Tensor<3>> = None,
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything but the depth
        /// of the image is left.
        pub strength: f64 = 0.8,
    }
}

impl DepthToImage {
    /// Arguments with one prompt, images to start from, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl StableDiffusionDepth2ImgPipeline {
    /// The names that its index can have.
    const INDEX_NAMES: [&str; 7] =
        ["vae", "text_encoder", "tokenizer", "unet", "scheduler", "depth_estimator", "feature_extractor"];

    /// A pipeline with the given parts, a depth estimator and its image processor.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(
        components: StableDiffusionComponents,
        depth_estimator: DPTForDepthEstimation,
        feature_extractor: DPTImageProcessor,
    ) -> Result<Self> {
        let index = ModelIndex::of_class(Self::CLASS_NAME);
        Self::assemble(components, depth_estimator, feature_extractor, index)
    }

    fn assemble(
        mut components: StableDiffusionComponents,
        depth_estimator: DPTForDepthEstimation,
        feature_extractor: DPTImageProcessor,
        index: ModelIndex,
    ) -> Result<Self> {
        components.check_channels(&[1])?;
        // This pipeline has no safety checker.
        (components.safety_checker, components.feature_extractor) = (None, None);
        Ok(Self { depth_estimator, feature_extractor, components, index, progress_bar: true })
    }

    /// The depth at each position of the latents, from -1, far, to 1, near: `[images given, 1, height, width]`.
    fn depth_map(&self, arguments: &DepthToImage, like: &Tensor<3>) -> Result<Tensor<4>> {
        let (dtype, device) = (self.text_encoder.dtype(), like.device());
        let [height, width] = size(&arguments.image)?;
        let depth = match &arguments.depth_map {
            Some(depth) => depth.clone().to_device(&device),
            None => {
                let pixels = match &arguments.image {
                    PipelineImageInput::Images(images) | PipelineImageInput::Unfiltered(images) => {
                        self.feature_extractor.preprocess(images)?
                    }
                    PipelineImageInput::Tensor(values) => {
                        self.feature_extractor.preprocess_tensor(values.clone())?
                    }
                    PipelineImageInput::Array(values) => {
                        self.feature_extractor.preprocess_tensor(values.clone().permute([0, 3, 1, 2]))?
                    }
                };
                self.depth_estimator.forward(pixels.to_device(&device))?.predicted_depth
            }
        };
        if depth.dims().contains(&0) {
            return Err(Error::argument("depth_map", format!("has shape {:?}", depth.dims())));
        }
        let factor = self.vae.scale_factor();
        let size = [height / factor, width / factor];
        if size.contains(&0) {
            let message = format!("is {width}x{height}, smaller than {factor}x{factor} pixels");
            return Err(Error::argument("image", message));
        }
        let depth: Tensor<4> = depth.cast(dtype).unsqueeze_dim(1);
        let depth = interpolate(depth, size, Interpolation::Bicubic, Corners::Free);
        let extreme = |of: fn(Tensor<4>, usize) -> Tensor<4>| of(of(depth.clone(), 2), 3);
        let (far, near) = (extreme(Tensor::min_dim), extreme(Tensor::max_dim));
        if near.clone().equal(far.clone()).any().into_scalar::<bool>() {
            return Err(Error::argument(
                "depth_map",
                "is the same everywhere, so nothing is nearer or farther",
            ));
        }
        Ok((depth - far.clone()) * 2.0 / (near - far) - 1.0)
    }
}

/// Height and width of the images in pixels.
fn size(image: &PipelineImageInput) -> Result<[usize; 2]> {
    match image {
        PipelineImageInput::Images(images) | PipelineImageInput::Unfiltered(images) => match images.first() {
            Some(first) => Ok([first.height() as usize, first.width() as usize]),
            None => Err(Error::argument("image", "there are no images")),
        },
        PipelineImageInput::Tensor(values) if values.dims()[1] == 4 => {
            Err(Error::argument("image", "is latents, whose depth cannot be estimated"))
        }
        PipelineImageInput::Tensor(values) => Ok([values.dims()[2], values.dims()[3]]),
        PipelineImageInput::Array(values) => Ok([values.dims()[1], values.dims()[2]]),
    }
}

impl Pipeline for StableDiffusionDepth2ImgPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionDepth2ImgPipeline";

    type Arguments = DepthToImage;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        const PROCESSORS: [&str; 3] = ["DPTImageProcessor", "DPTImageProcessorFast", "DPTFeatureExtractor"];
        let feature_extractor = loader.image_processor("feature_extractor", &PROCESSORS)?;
        let depth_estimator = loader.model("depth_estimator")?;
        let components = StableDiffusionComponents::load(loader)?;
        Self::assemble(components, depth_estimator, feature_extractor, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let depth_estimator = components.get("depth_estimator").cloned();
        let feature_extractor = components.get("feature_extractor").cloned();
        let (Some(depth_estimator), Some(feature_extractor)) = (depth_estimator, feature_extractor) else {
            let message = "has no `depth_estimator`; give one to `StableDiffusionDepth2ImgPipeline::new`";
            return Err(Error::argument("pipeline", message));
        };
        let index = index.for_class(Self::CLASS_NAME, &Self::INDEX_NAMES);
        let components = StableDiffusionComponents::of(components)?;
        Self::assemble(components, depth_estimator, feature_extractor, index)
    }

    fn call(&mut self, arguments: impl Into<DepthToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, DepthToImage::default().strength)?;
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        let guidance = Guidance::by_scale(arguments.guidance_scale);
        let text = self.embed(&arguments.prompts(), arguments.clip_skip, guidance)?.for_guidance().tokens;
        let depth = repeat_batch("depth_map", self.depth_map(&arguments, &text)?, images)?;

        let processor = self.image_processor();
        let image = PreparedImage::new(&processor, &arguments.image, PreprocessOptions::default())?;
        let steps = choose_timesteps(&mut *self.scheduler, arguments.num_inference_steps, None, None)?;
        let (timesteps, steps) = start_from_image(&mut *self.scheduler, steps, strength)?;

        let image = image.cast(self.text_encoder.dtype(), &text.device());
        let latents =
            self.noisy_latents(image, images, timesteps[0], &mut settings.generator, &self.index)?;
        let run = Run {
            timesteps,
            steps,
            text,
            guidance,
            inputs: UNet2DConditionInputs::default(),
            further_channels: Some(Tensor::cat(vec![depth; guidance.copies()], 0)),
            control: None,
            after_step: None,
            ends_denoised: false,
        };
        self.components.run(latents, run, settings, &self.index, self.progress_bar)
    }

    fn components(&self) -> Components<'_> {
        let mut components = self.components.list();
        components.push("depth_estimator", &self.depth_estimator);
        components.push("feature_extractor", &self.feature_extractor);
        components
    }

    pipeline_methods!();
}

expose_fields!(StableDiffusionDepth2ImgPipeline);
