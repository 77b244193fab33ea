//! What trainings of Stable Diffusion XL share: loading, text, sizes, and pipelines that show the progress.

use oxidiff::training::{LowRankInit, LowRankLayers, Recording};
use oxidiff::{
    AddedConditions, AutoencoderKL, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, Config,
    DPMSolverMultistepScheduler, DType, Device, Generator, LoadOptions, Model, Pipeline, Scheduler,
    StableDiffusionXLComponents, StableDiffusionXLPipeline, Tensor, TensorData, UNet2DConditionInputs,
    UNet2DConditionModel,
};

use crate::batches::Origin;
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::latent_diffusion::LatentDiffusion;
use crate::options::{CommonOptions, ModelOptions};
use crate::subject::{Subject, SubjectLeaves};

/// The parts of Stable Diffusion XL that no training changes.
pub(crate) struct StableDiffusionXl {
    pub diffusion: LatentDiffusion,
    /// One for each text encoder.
    tokenizers: [CLIPTokenizer; 2],
    /// The scheduler of the pipeline.
    scheduler: Box<dyn Scheduler>,
    /// Both sides of the images in pixels.
    resolution: u32,
    /// What the text encoders say of each caption.
    texts: Cache<String, XlText>,
}

/// The models that can be trained.
#[derive(Clone)]
pub(crate) struct XlModels {
    pub unet: UNet2DConditionModel,
    pub text_encoder: CLIPTextModel,
    pub text_encoder_2: CLIPTextModelWithProjection,
}

/// Low-rank layers of the UNet, and of both text encoders or of none.
pub(crate) type XlLayers = Subject<LowRankLayers, LowRankLayers>;

impl XlModels {
    /// Initial layers of this rank for the UNet, and for both text encoders if `with_text_encoders`.
    ///
    /// # Errors
    /// When a model has no part that they belong to.
    pub fn new_layers(
        &mut self,
        rank: usize,
        with_text_encoders: bool,
        generator: &mut Generator,
    ) -> Result<XlLayers> {
        let (alpha, init) = (rank as f64, LowRankInit::Gaussian);
        let unet = LowRankLayers::new(&mut self.unet, rank, alpha, init, generator)?;
        let mut text_encoders = Vec::new();
        if with_text_encoders {
            text_encoders.push(LowRankLayers::new(&mut self.text_encoder, rank, alpha, init, generator)?);
            text_encoders.push(LowRankLayers::new(&mut self.text_encoder_2, rank, alpha, init, generator)?);
        }
        Ok(Subject { unet, text_encoders })
    }

    /// The models with layers, which compute in `dtype`.
    ///
    /// # Errors
    /// When the layers belong to other models.
    pub fn with_layers(&self, layers: &XlLayers, dtype: DType) -> Result<Self> {
        let mut models = self.clone();
        layers.unet.apply(&mut models.unet, dtype)?;
        if let [first, second] = layers.text_encoders.as_slice() {
            first.apply(&mut models.text_encoder, dtype)?;
            second.apply(&mut models.text_encoder_2, dtype)?;
        }
        Ok(models)
    }
}

/// What both text encoders say of captions.
#[derive(Clone)]
pub(crate) struct XlText {
    /// `[captions, tokens, features]`: the results of the last layers but one, side by side.
    pub tokens: Tensor<3>,
    /// `[captions, features]`: what the second text encoder says of each caption as a whole.
    pub pooled: Tensor<2>,
}

impl StableDiffusionXl {
    /// Loads a pipeline: what is not trained, and the models, which compute in `dtype`. Its own VAE computes in `f32`, as half
    /// precision is not enough for it. If `vae` names one, that takes its place, and computes in the type beside its name.
    ///
    /// # Errors
    /// When the model is not Stable Diffusion XL, or its refiner, the pipeline cannot be loaded, or its UNet takes more than
    /// latents and a prompt.
    pub fn load(
        options: &ModelOptions,
        vae: Option<(&str, DType)>,
        dtype: DType,
        resolution: u32,
    ) -> Result<(Self, XlModels)> {
        let refused = |message| Error::option("pretrained-model-name-or-path", message);
        if !options.is_xl()? {
            let message = "is not Stable Diffusion XL; train Stable Diffusion 1 and 2 with the tasks without `sdxl` in their \
                           names, such as `oxidiff train text-to-image-lora`";
            return Err(refused(message));
        }
        let load = LoadOptions { dtype, ..options.load_options() };
        let name = &options.pretrained_model_name_or_path;
        let mut parts = StableDiffusionXLPipeline::from_pretrained_with(name, &load)?.into_components();
        match vae {
            Some((vae, dtype)) => {
                let load = LoadOptions { dtype, ..load };
                parts.vae = AutoencoderKL::from_pretrained_with(vae, &load)?.into();
            }
            None if dtype != DType::F32 => parts.vae = options.load_part::<AutoencoderKL>("vae")?.into(),
            None => {}
        }
        let StableDiffusionXLComponents { vae, unet, scheduler, .. } = parts;
        let first = parts.text_encoder.zip(parts.tokenizer);
        let second = parts.text_encoder_2.zip(parts.tokenizer_2);
        let Some(((text_encoder, tokenizer), (text_encoder_2, tokenizer_2))) = first.zip(second) else {
            return Err(refused("lacks a text encoder, as refiners do; only the base model can be trained"));
        };
        let diffusion =
            LatentDiffusion::new(vae, &*scheduler, &unet, dtype, resolution, options.cache_latents)?;
        let texts = Cache::new(options.cache_text_embeddings);
        let frozen = Self { diffusion, tokenizers: [tokenizer, tokenizer_2], scheduler, resolution, texts };
        Ok((frozen, XlModels { unet, text_encoder, text_encoder_2 }))
    }

    /// The pipeline with these models, to make images that show the progress.
    ///
    /// # Errors
    /// When they do not fit the other parts.
    pub fn pipeline(&self, models: XlModels) -> Result<StableDiffusionXLPipeline> {
        let [tokenizer, tokenizer_2] = self.tokenizers.clone();
        let mut pipeline = StableDiffusionXLPipeline::new(StableDiffusionXLComponents {
            vae: self.diffusion.encoder.vae.clone(),
            text_encoder: Some(models.text_encoder),
            text_encoder_2: Some(models.text_encoder_2),
            tokenizer: Some(tokenizer),
            tokenizer_2: Some(tokenizer_2),
            unet: models.unet,
            scheduler: self.scheduler.clone(),
            image_encoder: None,
            feature_extractor: None,
        })?;
        pipeline.set_progress_bar(false);
        Ok(pipeline)
    }

    /// As [`Self::pipeline`], with the multistep DPM-Solver, which needs fewer steps.
    ///
    /// # Errors
    /// As [`Self::pipeline`].
    pub fn solver_pipeline(&self, models: XlModels) -> Result<StableDiffusionXLPipeline> {
        let mut pipeline = self.pipeline(models)?;
        pipeline.scheduler = Box::new(DPMSolverMultistepScheduler::from_config(self.scheduler.config())?);
        Ok(pipeline)
    }

    /// The settings of the pipeline's scheduler.
    pub fn scheduler_config(&self) -> &Config {
        self.scheduler.config()
    }

    /// What the text encoders say of captions, whose tokens beyond the tokenizers' limits are left out. Captions that are there
    /// several times are read once.
    ///
    /// # Errors
    /// When a caption cannot be tokenized, or a token is not one of a text encoder's.
    pub fn text(
        &self,
        captions: &[String],
        text_encoder: &CLIPTextModel,
        text_encoder_2: &CLIPTextModelWithProjection,
    ) -> Result<XlText> {
        let mut different: Vec<String> = Vec::new();
        let mut places = Vec::new();
        for caption in captions {
            let known = different.iter().position(|known| known == caption);
            places.push(known.unwrap_or(different.len()));
            if known.is_none() {
                different.push(caption.clone());
            }
        }
        let XlText { tokens, pooled } = self.text_of_each(&different, text_encoder, text_encoder_2)?;
        if different.len() == captions.len() {
            return Ok(XlText { tokens, pooled });
        }
        let all_tokens = places.iter().map(|place| tokens.clone().narrow(0, *place, 1)).collect();
        let all_pooled = places.iter().map(|place| pooled.clone().narrow(0, *place, 1)).collect();
        Ok(XlText { tokens: Tensor::cat(all_tokens, 0), pooled: Tensor::cat(all_pooled, 0) })
    }

    fn text_of_each(
        &self,
        captions: &[String],
        text_encoder: &CLIPTextModel,
        text_encoder_2: &CLIPTextModelWithProjection,
    ) -> Result<XlText> {
        let [first, second] = &self.tokenizers;
        let tokens = |tokenizer: &CLIPTokenizer, most: usize| {
            let length = tokenizer.model_max_length().map_or(most, |length| length.min(most));
            Ok::<_, Error>(tokenizer.tokenize(captions, length)?.input_ids)
        };
        let first = tokens(first, text_encoder.config().max_position_embeddings)?;
        let second = tokens(second, text_encoder_2.config().max_position_embeddings)?;
        let first = text_encoder.forward(&first, None)?.hidden_states;
        let second = text_encoder_2.forward(&second, None)?;
        let last_but_one = [&first, &second.hidden_states].map(|states| states[states.len() - 2].clone());
        Ok(XlText { tokens: Tensor::cat(last_but_one.to_vec(), 2), pooled: second.text_embeds })
    }

    /// As [`Self::text`], for text encoders that are not trained, whose results may be kept. They have
    /// [`autodiff`](Tensor::autodiff).
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn frozen_text(
        &self,
        captions: &[String],
        text_encoder: &CLIPTextModel,
        text_encoder_2: &CLIPTextModelWithProjection,
    ) -> Result<XlText> {
        let text = if self.texts.is_on() {
            let texts = self.texts.get_all(
                captions,
                |caption| (*caption).clone(),
                |caption| self.text(std::slice::from_ref(caption), text_encoder, text_encoder_2),
                || {
                    text_encoder.release_memory();
                    text_encoder_2.release_memory();
                },
            )?;
            let (tokens, pooled) = texts.into_iter().map(|text| (text.tokens, text.pooled)).unzip();
            XlText { tokens: Tensor::cat(tokens, 0), pooled: Tensor::cat(pooled, 0) }
        } else {
            self.text(captions, text_encoder, text_encoder_2)?
        };
        Ok(XlText { tokens: text.tokens.autodiff(), pooled: text.pooled.autodiff() })
    }

    /// What the UNet of `models` with `layers` predicts for noisy latents of a batch, and the layers' parameters, which wait for
    /// their gradients.
    ///
    /// # Errors
    /// When a caption cannot be encoded, or the layers or the latents do not fit.
    pub fn predict(
        &self,
        models: &XlModels,
        layers: &XlLayers,
        (noisy, timesteps): (Tensor<4>, &[f32]),
        captions: &[String],
        origins: &[Origin],
        common: &CommonOptions,
    ) -> Result<(Tensor<4>, SubjectLeaves)> {
        let dtype = self.diffusion.dtype;
        let mut unet = Recording::frozen(&models.unet, dtype);
        let mut leaves =
            SubjectLeaves { unet: layers.unet.record(&mut unet, dtype)?, text_encoders: Vec::new() };
        let text = match layers.text_encoders.as_slice() {
            [first, second] => {
                let mut text_encoder = Recording::frozen(&models.text_encoder, dtype);
                let mut text_encoder_2 = Recording::frozen(&models.text_encoder_2, dtype);
                leaves.text_encoders.push(first.record(&mut text_encoder, dtype)?);
                leaves.text_encoders.push(second.record(&mut text_encoder_2, dtype)?);
                self.text(captions, &text_encoder, &text_encoder_2)?
            }
            _ => self.frozen_text(captions, &models.text_encoder, &models.text_encoder_2)?,
        };
        let added = self.conditions(text.pooled, origins);
        let inputs = UNet2DConditionInputs { added, ..Default::default() };
        let noisy = noisy.autodiff();
        let prediction = common.predict(|| unet.forward_with(noisy, timesteps, text.tokens, inputs))?;
        Ok((prediction, leaves))
    }

    /// What the UNet is told besides the tokens: the caption as a whole, which must have [`autodiff`](Tensor::autodiff); the size
    /// of the original image, the corner of the part that is learned, and the size of the result.
    pub fn conditions(&self, pooled: Tensor<2>, origins: &[Origin]) -> AddedConditions {
        let side = self.resolution;
        let numbers = |origin: &Origin| [origin.size, origin.corner, [side, side]];
        let numbers: Vec<f32> =
            origins.iter().flat_map(numbers).flatten().map(|number| number as f32).collect();
        let numbers = Tensor::<2>::from_data(TensorData::new(numbers, [origins.len(), 6]), &Device::flex());
        let time_ids = Some(numbers.cast(self.diffusion.dtype).autodiff());
        AddedConditions { text_embeds: Some(pooled), time_ids, ..Default::default() }
    }
}
