//! What all trainings of Stable Diffusion share: latents, noise, text, and the loss.

use std::path::Path;

use oxidiff::training::{min_snr_weights, mse, target, weighted_mse};
use oxidiff::{
    Autoencoder, AutoencoderKL, CLIPTextModel, CLIPTokenizer, DDPMScheduler, DType, Device, EncodedImage,
    Generator, LoadOptions, Model, Pipeline, PredictionType, Scheduler, StableDiffusionComponents,
    StableDiffusionPipeline, Tensor, UNet2DConditionModel,
};

use crate::error::{Error, Result};
use crate::options::ModelOptions;

/// The parts of Stable Diffusion that no training changes.
pub(crate) struct StableDiffusion {
    pub vae: Box<dyn Autoencoder>,
    pub tokenizer: CLIPTokenizer,
    /// The scheduler of the pipeline.
    scheduler: Box<dyn Scheduler>,
    /// Adds the noise.
    noise_scheduler: DDPMScheduler,
    prediction_type: PredictionType,
    /// What the parts that are not trained compute in.
    pub dtype: DType,
}

/// Noisy latents, and what a model should say of them.
pub(crate) struct Example {
    pub noisy: Tensor<4>,
    pub timesteps: Vec<f32>,
    pub target: Tensor<4>,
}

/// How noise is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NoiseOptions {
    /// How much noise that is the same everywhere in a channel to add.
    pub offset: f64,
    /// How much noise to add that the model does not have to predict (Ning et al. 2023, <https://arxiv.org/abs/2301.11706>).
    pub perturbation: f64,
}

impl StableDiffusion {
    /// Loads a pipeline: what is not trained, the UNet, and the text encoder, all of which compute in `dtype`.
    ///
    /// # Errors
    /// When the pipeline cannot be loaded, or its UNet takes more than latents and a prompt.
    pub fn load(
        options: &ModelOptions,
        dtype: DType,
        resolution: u32,
    ) -> Result<(Self, UNet2DConditionModel, CLIPTextModel)> {
        let load = LoadOptions { dtype, safety_checker: false, ..options.load_options() };
        let name = &options.pretrained_model_name_or_path;
        let components = StableDiffusionPipeline::from_pretrained_with(name, &load)?.into_components();
        let StableDiffusionComponents { vae, tokenizer, scheduler, unet, text_encoder, .. } = components;
        check(&unet, &*vae, resolution)?;
        let noise_scheduler = DDPMScheduler::from_config(scheduler.config())?;
        let prediction_type = prediction_type(scheduler.config().get("prediction_type"))?;
        let frozen = Self { vae, tokenizer, scheduler, noise_scheduler, prediction_type, dtype };
        Ok((frozen, unet, text_encoder))
    }

    /// Lets the model predict something else than its checkpoint says: `--prediction_type`.
    ///
    /// # Errors
    /// When there is no such type.
    pub fn set_prediction_type(&mut self, name: Option<&str>) -> Result<()> {
        if let Some(name) = name {
            self.prediction_type = prediction_type(Some(&name.into()))?;
        }
        Ok(())
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

    /// The parts of a pipeline with these models.
    pub fn components(
        &self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
    ) -> StableDiffusionComponents {
        StableDiffusionComponents {
            vae: self.vae.clone(),
            tokenizer: self.tokenizer.clone(),
            scheduler: self.scheduler.clone(),
            unet,
            text_encoder,
            safety_checker: None,
            feature_extractor: None,
            image_encoder: None,
        }
    }

    /// Encodes images, and adds noise as of timesteps that are drawn.
    ///
    /// # Errors
    /// When the VAE cannot encode the images.
    pub fn example(
        &self,
        images: Tensor<4>,
        noise: NoiseOptions,
        generator: &mut Generator,
    ) -> Result<Example> {
        let latents = self.latents(images, generator)?;
        let shape = latents.dims();
        let device = Device::flex();
        let mut drawn = self.noise_like(shape, generator);
        if noise.offset != 0.0 {
            let [batch, channels, ..] = shape;
            let offset = generator.randn([batch, channels, 1, 1], DType::F32, &device);
            drawn = drawn + (offset * noise.offset).cast(self.dtype);
        }
        let added = if noise.perturbation == 0.0 {
            drawn.clone()
        } else {
            drawn.clone() + self.noise_like(shape, generator) * noise.perturbation
        };
        let steps = self.noise_scheduler.config().get("num_train_timesteps").and_then(|steps| steps.as_i64());
        let timesteps = generator.randint_vec(0, steps.unwrap_or(1000), shape[0])?;
        let timesteps: Vec<f32> = timesteps.into_iter().map(|timestep| timestep as f32).collect();
        let noisy = self.noise_scheduler.add_noise(latents.clone(), added, &timesteps)?;
        let target = target(&self.noise_scheduler, self.prediction_type, latents, drawn, &timesteps)?;
        Ok(Example { noisy, timesteps, target })
    }

    /// `torch.randn_like(latents)`, which follows the order of the latents in PyTorch's memory. An encoder with attention changes
    /// it.
    fn noise_like(&self, shape: [usize; 4], generator: &mut Generator) -> Tensor<4> {
        let device = Device::flex();
        let vae = self.vae.as_any().downcast_ref::<AutoencoderKL>();
        match vae.is_some_and(|vae| !vae.config().mid_block_add_attention) {
            true => generator.randn(shape, self.dtype, &device),
            false => generator.randn_channels_last(shape, self.dtype, &device),
        }
    }

    /// Latents that are drawn from what the VAE says of the images.
    fn latents(&self, images: Tensor<4>, generator: &mut Generator) -> Result<Tensor<4>> {
        let latents = match self.vae.encode(images.cast(self.dtype))? {
            EncodedImage::Distribution(distribution) => {
                let mean = distribution.mode();
                let drawn = generator.randn(mean.dims(), self.dtype, &Device::flex());
                mean + distribution.std() * drawn
            }
            other => other.mode(),
        };
        Ok(latents * self.vae.scaling_factor())
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

    /// The mean squared difference; with γ, weighted as in Min-SNR.
    ///
    /// # Errors
    /// When the scheduler has no signal-to-noise ratio.
    pub fn loss(
        &self,
        prediction: Tensor<4>,
        target: Tensor<4>,
        timesteps: &[f32],
        snr_gamma: Option<f64>,
    ) -> Result<Tensor<1>> {
        let Some(gamma) = snr_gamma else { return Ok(mse(prediction, target)) };
        let weights = min_snr_weights(&self.noise_scheduler, self.prediction_type, timesteps, gamma as f32)?;
        Ok(weighted_mse(prediction, target, &weights))
    }
}

impl ModelOptions {
    /// Where to load the model from.
    pub(crate) fn load_options(&self) -> LoadOptions {
        let mut load = LoadOptions { variant: self.variant.clone(), ..Default::default() };
        load.hub.revision = self.revision.clone();
        load
    }

    /// Loads the whole model, in `f32`, for the result of a training that replaces parts of it.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub(crate) fn load_pipeline(&self) -> Result<StableDiffusionPipeline> {
        let name = &self.pretrained_model_name_or_path;
        Ok(StableDiffusionPipeline::from_pretrained_with(name, &self.load_options())?)
    }

    /// Loads a part of the model to be trained, in `f32`.
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

/// Refuses models that take more than latents and a prompt.
fn check(unet: &UNet2DConditionModel, vae: &dyn Autoencoder, resolution: u32) -> Result<()> {
    let (takes, has) = (unet.config().in_channels, vae.latent_channels());
    if takes != has {
        let message = format!("the UNet takes {takes} channels, but latents have {has}");
        return Err(Error::option("pretrained-model-name-or-path", message));
    }
    if unet.config().dropout != 0.0 {
        let message = format!("`dropout` of the UNet is {}, and only 0 is supported", unet.config().dropout);
        return Err(Error::option("pretrained-model-name-or-path", message));
    }
    let factor = vae.scale_factor();
    if !(resolution as usize).is_multiple_of(factor) {
        return Err(Error::option(
            "resolution",
            format!("is {resolution}, but must be a multiple of {factor}"),
        ));
    }
    Ok(())
}

fn prediction_type(name: Option<&serde_json::Value>) -> Result<PredictionType> {
    match name.and_then(|name| name.as_str()).unwrap_or("epsilon") {
        "epsilon" => Ok(PredictionType::Epsilon),
        "v_prediction" => Ok(PredictionType::VPrediction),
        other => Err(Error::option(
            "prediction-type",
            format!("is `{other}`, but must be epsilon or v_prediction"),
        )),
    }
}
