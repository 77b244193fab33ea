//! What trainings of Z-Image share: loading, text, predictions, and pipelines that show the progress.

use oxidiff::training::{Leaves, LowRankLayers, Recording};
use oxidiff::{
    DType, Generator, ImagePipelineOutput, LoadOptions, Model, ModelIndex, Pipeline, StepCallback, Tensor,
    ZImageComponents, ZImagePipeline, ZImageTextToImage, ZImageTransformer2DModel,
};

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::flow_matching::{FlowMatching, FlowOptions};
use crate::options::{CommonOptions, ModelOptions};
use crate::validation::Prompted;

/// How many positions of the latents a patch of the transformer has in each direction.
const PATCH_SIZE: usize = 2;

/// Z-Image, of which trainings change additions to the transformer only.
pub(crate) struct ZImage {
    pub flow: FlowMatching,
    components: ZImageComponents,
    /// What the text encoder says of each caption.
    texts: Cache<String, Tensor<2>>,
    /// The most tokens of a caption.
    max_sequence_length: usize,
}

impl ZImage {
    /// Loads a pipeline, which computes in `dtype`.
    ///
    /// # Errors
    /// When the model is not Z-Image, or the pipeline cannot be loaded.
    pub fn load(
        options: &ModelOptions,
        dtype: DType,
        flow: FlowOptions,
        max_sequence_length: usize,
    ) -> Result<Self> {
        let name = &options.pretrained_model_name_or_path;
        let load = LoadOptions { dtype, ..options.load_options() };
        let index = ModelIndex::from_pretrained(name, &load)?;
        if !index.class_name()?.starts_with("ZImage") {
            let message = format!("is `{}`, not Z-Image", index.class_name()?);
            return Err(Error::option("pretrained-model-name-or-path", message));
        }
        let components = ZImagePipeline::from_pretrained_with(name, &load)?.into_components();
        let (vae, scheduler) = (components.vae.clone(), &*components.scheduler);
        let flow = FlowMatching::new(vae, scheduler, dtype, options.cache_latents, flow)?;
        Ok(Self { flow, components, texts: Cache::new(true), max_sequence_length })
    }

    /// The transformer, without additions.
    pub fn transformer_mut(&mut self) -> &mut ZImageTransformer2DModel {
        &mut self.components.transformer
    }

    /// Sides of images are multiples of this.
    pub fn patch_pixels(&self) -> usize {
        PATCH_SIZE * self.components.vae.scale_factor()
    }

    /// What the text encoder says of captions, `[tokens, features]` each. They are encoded once.
    fn texts(&self, captions: &[String]) -> Result<Vec<Tensor<2>>> {
        self.texts.get_all(
            captions,
            |caption| (*caption).clone(),
            |caption| {
                let texts = std::slice::from_ref(caption);
                Ok(self.components.embed_texts(texts, self.max_sequence_length)?.remove(0))
            },
            || self.components.text_encoder.release_memory(),
        )
    }

    /// The velocity that the transformer with `layers` predicts for noisy latents `[items, channels, height, width]`, and the layers'
    /// parameters, which wait for their gradients.
    ///
    /// # Errors
    /// When a caption cannot be encoded, or the layers or the latents do not fit.
    pub fn predict(
        &self,
        layers: &LowRankLayers,
        (noisy, timesteps): (Tensor<4>, &[f32]),
        captions: &[String],
        common: &CommonOptions,
    ) -> Result<(Tensor<4>, Leaves)> {
        let dtype = self.flow.dtype;
        let texts: Vec<Tensor<2>> =
            self.texts(captions)?.into_iter().map(|text| text.cast(dtype).autodiff()).collect();
        let mut transformer = Recording::frozen(&self.components.transformer, dtype);
        let leaves = layers.record(&mut transformer, dtype)?;
        let items = noisy.dims()[0];
        // Images are videos of one frame, `[channels, 1, height, width]`.
        let item = |index: usize| noisy.clone().narrow(0, index, 1).swap_dims(0, 1).autodiff();
        let latents: Vec<Tensor<4>> = (0..items).map(item).collect();
        // The model counts from noise to images.
        let times: Vec<f32> = timesteps.iter().map(|timestep| (1000.0 - timestep) / 1000.0).collect();
        let velocities = common.predict(|| transformer.forward(&latents, &times, &texts))?;
        let velocities = velocities.into_iter().map(|velocity| velocity.swap_dims(0, 1)).collect();
        Ok((-Tensor::cat(velocities, 0), leaves))
    }

    /// The pipeline with `layers`, to make square images of this side that show the progress.
    ///
    /// # Errors
    /// When the layers do not fit.
    pub fn pipeline(
        &self,
        layers: Option<&LowRankLayers>,
        side: u32,
        guidance_scale: f64,
    ) -> Result<SquarePipeline> {
        let mut components = self.components.clone();
        if let Some(layers) = layers {
            layers.apply(&mut components.transformer, self.flow.dtype)?;
        }
        let factor = self.patch_pixels();
        let mut pipeline = ZImagePipeline::new(components)?;
        pipeline.set_progress_bar(false);
        let side = (side as usize / factor).max(1) * factor;
        let max_sequence_length = self.max_sequence_length;
        Ok(SquarePipeline { pipeline, side, guidance_scale, max_sequence_length })
    }
}

/// A pipeline that makes square images.
pub(crate) struct SquarePipeline {
    pipeline: ZImagePipeline,
    side: usize,
    guidance_scale: f64,
    max_sequence_length: usize,
}

impl Prompted for SquarePipeline {
    fn set_progress_bar(&mut self, is_shown: bool) {
        self.pipeline.set_progress_bar(is_shown);
    }

    fn images_of(
        &mut self,
        prompt: Vec<String>,
        steps: Option<usize>,
        generator: Generator,
        callback: StepCallback,
    ) -> oxidiff::Result<ImagePipelineOutput> {
        let defaults = ZImageTextToImage::default();
        self.pipeline.call(ZImageTextToImage {
            prompt,
            height: Some(self.side),
            width: Some(self.side),
            num_inference_steps: steps.unwrap_or(defaults.num_inference_steps),
            guidance_scale: self.guidance_scale,
            max_sequence_length: self.max_sequence_length,
            generator: Some(generator.into()),
            callback_on_step_end: Some(callback),
            ..defaults
        })
    }
}
