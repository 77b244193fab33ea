//! What all trainings of Stable Diffusion 1 and 2 share: loading, text, and pipelines that show the progress.

use std::path::Path;

use oxidiff::{
    CLIPTextModel, CLIPTokenizer, DPMSolverMultistepScheduler, DType, LoadOptions, Model, ModelIndex,
    Pipeline, Scheduler, StableDiffusionComponents, StableDiffusionPipeline, Tensor, UNet2DConditionModel,
};

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::latent_diffusion::LatentDiffusion;
use crate::options::ModelOptions;

/// The parts of Stable Diffusion that no training changes.
pub(crate) struct StableDiffusion {
    pub diffusion: LatentDiffusion,
    pub tokenizer: CLIPTokenizer,
    /// The scheduler of the pipeline.
    scheduler: Box<dyn Scheduler>,
    /// What the text encoder says of each caption.
    texts: Cache<String, Tensor<3>>,
}

impl StableDiffusion {
    /// Loads a pipeline: what is not trained, the UNet, and the text encoder, all of which compute in `dtype`.
    ///
    /// # Errors
    /// When the model is Stable Diffusion XL, the pipeline cannot be loaded, or its UNet takes more than latents and a prompt.
    pub fn load(
        options: &ModelOptions,
        dtype: DType,
        resolution: u32,
    ) -> Result<(Self, UNet2DConditionModel, CLIPTextModel)> {
        if options.is_xl()? {
            let message = "is Stable Diffusion XL, which only `oxidiff train text-to-image-lora-sdxl` and \
                           `oxidiff train dreambooth-lora-sdxl` train";
            return Err(Error::option("pretrained-model-name-or-path", message));
        }
        let load = LoadOptions { dtype, safety_checker: false, ..options.load_options() };
        let name = &options.pretrained_model_name_or_path;
        let components = StableDiffusionPipeline::from_pretrained_with(name, &load)?.into_components();
        let StableDiffusionComponents { vae, tokenizer, scheduler, unet, text_encoder, .. } = components;
        let diffusion =
            LatentDiffusion::new(vae, &*scheduler, &unet, dtype, resolution, options.cache_latents)?;
        let texts = Cache::new(options.cache_text_embeddings);
        // Every step calls it, and its gradients walk through the weights in strides.
        let unet = unet.in_memory();
        Ok((Self { diffusion, tokenizer, scheduler, texts }, unet, text_encoder))
    }

    /// The pipeline with these models, to make images that show the progress.
    ///
    /// # Errors
    /// When they do not fit the other parts.
    pub fn pipeline(
        &self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
    ) -> Result<StableDiffusionPipeline> {
        let mut pipeline = StableDiffusionPipeline::new(self.components(unet, text_encoder))?;
        pipeline.set_progress_bar(false);
        Ok(pipeline)
    }

    /// As [`Self::pipeline`], with the multistep DPM-Solver, which needs fewer steps.
    ///
    /// # Errors
    /// As [`Self::pipeline`].
    pub fn solver_pipeline(
        &self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
    ) -> Result<StableDiffusionPipeline> {
        let mut pipeline = self.pipeline(unet, text_encoder)?;
        pipeline.scheduler = Box::new(DPMSolverMultistepScheduler::from_config(self.scheduler.config())?);
        Ok(pipeline)
    }

    /// The parts of a pipeline with these models.
    pub fn components(
        &self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
    ) -> StableDiffusionComponents {
        StableDiffusionComponents {
            vae: self.diffusion.encoder.vae.clone(),
            tokenizer: self.tokenizer.clone(),
            scheduler: self.scheduler.clone(),
            unet,
            text_encoder,
            safety_checker: None,
            feature_extractor: None,
            image_encoder: None,
        }
    }

    /// The tokens of captions; those beyond the tokenizer's limit are left out.
    ///
    /// # Errors
    /// When a caption cannot be tokenized.
    pub fn tokens(&self, captions: &[String], text_encoder: &CLIPTextModel) -> Result<Vec<Vec<u32>>> {
        let most = text_encoder.config().max_position_embeddings;
        let length = self.tokenizer.model_max_length().map_or(most, |length| length.min(most));
        Ok(self.tokenizer.tokenize(captions, length)?.input_ids)
    }

    /// What the text encoder says of captions, `[captions, tokens, features]`.
    ///
    /// # Errors
    /// When a caption cannot be tokenized, or a token is not one of the text encoder's.
    pub fn text(&self, captions: &[String], text_encoder: &CLIPTextModel) -> Result<Tensor<3>> {
        let tokens = self.tokens(captions, text_encoder)?;
        Ok(text_encoder.forward(&tokens, None)?.last_hidden_state)
    }
}

impl StableDiffusion {
    /// As [`Self::text`], for a text encoder that is not trained, whose results may be kept. They have
    /// [`autodiff`](Tensor::autodiff).
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn frozen_text(&self, captions: &[String], text_encoder: &CLIPTextModel) -> Result<Tensor<3>> {
        if !self.texts.is_on() {
            return Ok(self.text(captions, text_encoder)?.autodiff());
        }
        let texts = self.texts.get_all(
            captions,
            |caption| (*caption).clone(),
            |caption| self.text(std::slice::from_ref(caption), text_encoder),
            || text_encoder.release_memory(),
        )?;
        Ok(Tensor::cat(texts, 0).autodiff())
    }
}

impl ModelOptions {
    /// Where to load the model from.
    pub(crate) fn load_options(&self) -> LoadOptions {
        let mut load = LoadOptions { variant: self.variant.clone(), ..Default::default() };
        load.hub.revision = self.revision.clone();
        load
    }

    /// Whether the model is of the family of Stable Diffusion XL.
    ///
    /// # Errors
    /// When the model's index cannot be read.
    pub(crate) fn is_xl(&self) -> Result<bool> {
        let name = &self.pretrained_model_name_or_path;
        let index = ModelIndex::from_pretrained(name, &self.load_options())?;
        Ok(index.class_name()?.starts_with("StableDiffusionXL"))
    }

    /// Loads the whole model, in `f32`, for the result of a training that replaces parts of it.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub(crate) fn load_pipeline(&self) -> Result<StableDiffusionPipeline> {
        let name = &self.pretrained_model_name_or_path;
        Ok(StableDiffusionPipeline::from_pretrained_with(name, &self.load_options())?)
    }

    /// A part of the model in `f32`: what was loaded in `dtype`, or else it is loaded again, as rounded weights have lost digits.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub(crate) fn in_f32<M: Model>(&self, part: &str, loaded: M, dtype: DType) -> Result<M> {
        if dtype == DType::F32 {
            return Ok(loaded);
        }
        self.load_part(part)
    }

    /// Loads a part of the model in `f32`.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub(crate) fn load_part<M: Model>(&self, part: &str) -> Result<M> {
        let load = LoadOptions { subfolder: Some(part.to_owned()), ..self.load_options() };
        Ok(M::from_pretrained_with(&self.pretrained_model_name_or_path, &load)?)
    }
}

/// Loads a model from a folder of a checkpoint.
///
/// # Errors
/// When it is missing or damaged.
pub(crate) fn load_saved<M: Model>(folder: &Path) -> Result<M> {
    if !folder.is_dir() {
        return Err(Error::checkpoint(
            folder,
            "does not exist, as the checkpoint is that of another training",
        ));
    }
    Ok(M::from_pretrained(&folder.to_string_lossy())?)
}
