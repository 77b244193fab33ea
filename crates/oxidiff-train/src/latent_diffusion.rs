//! What trainings in latents share: the VAE, noise, what a model should predict, and the loss.

use oxidiff::training::{min_snr_weights, mse, target, weighted_mse};
use oxidiff::{
    Autoencoder, DDPMScheduler, DType, Device, Generator, Model, PredictionType, Scheduler, Tensor,
    TensorData, UNet2DConditionModel,
};

use crate::error::{Error, Result};
use crate::image_encoder::ImageEncoder;

/// From images to noisy latents, and from predictions to losses.
pub(crate) struct LatentDiffusion {
    pub encoder: ImageEncoder,
    /// Adds the noise.
    noise_scheduler: DDPMScheduler,
    pub prediction_type: PredictionType,
    /// What the models that are not trained compute in; the VAE has a type of its own.
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

impl LatentDiffusion {
    /// The latents of `vae`, with the noise of a pipeline's scheduler, for a UNet that computes in `dtype` on images of
    /// `resolution` pixels.
    ///
    /// # Errors
    /// When the UNet takes more than latents, or the scheduler has settings that cannot be trained.
    pub fn new(
        vae: Box<dyn Autoencoder>,
        scheduler: &dyn Scheduler,
        unet: &UNet2DConditionModel,
        dtype: DType,
        resolution: u32,
        cache_latents: bool,
    ) -> Result<Self> {
        check(unet, &*vae, resolution)?;
        let noise_scheduler = DDPMScheduler::from_config(scheduler.config())?;
        let prediction_type = prediction_type(scheduler.config().get("prediction_type"))?;
        let encoder = ImageEncoder::new(vae, cache_latents);
        Ok(Self { encoder, noise_scheduler, prediction_type, dtype })
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
        let (latents, mut drawn) = self.latents_and_noise(images, generator)?;
        let shape = latents.dims();
        let device = Device::flex();
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

    /// The latents of images, and as much noise.
    ///
    /// # Errors
    /// When the VAE cannot encode the images.
    pub fn latents_and_noise(
        &self,
        images: Tensor<4>,
        generator: &mut Generator,
    ) -> Result<(Tensor<4>, Tensor<4>)> {
        let latents = self.latents(images, generator)?;
        let noise = self.noise_like(latents.dims(), generator);
        Ok((latents, noise))
    }

    fn noise_like(&self, shape: [usize; 4], generator: &mut Generator) -> Tensor<4> {
        self.encoder.noise_like(shape, self.dtype, generator)
    }

    /// Latents that are drawn from what the VAE says of the images.
    fn latents(&self, images: Tensor<4>, generator: &mut Generator) -> Result<Tensor<4>> {
        let (mean, deviation) = self.encoder.encode(&images)?;
        let vae = &self.encoder.vae;
        let latents = match deviation {
            Some(deviation) => {
                let drawn = generator.randn(mean.dims(), vae.dtype(), &Device::flex());
                mean + deviation * drawn
            }
            None => mean,
        };
        Ok((self.standardized(latents)? * vae.scaling_factor()).cast(self.dtype))
    }

    /// Latents less the mean of their channel, over its deviation, if the VAE's configuration has both.
    fn standardized(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        let Some(statistics) = self.encoder.vae.latent_statistics() else { return Ok(latents) };
        let channels = latents.dims()[1];
        if statistics.iter().any(|values| values.len() != channels) {
            let message =
                format!("`latents_mean` and `latents_std` of the VAE do not have {channels} values each");
            return Err(Error::option("pretrained-model-name-or-path", message));
        }
        let [mean, deviation] = statistics.map(|values| {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            let data = TensorData::new(values, [1, channels, 1, 1]);
            Tensor::<4>::from_data(data, (&latents.device(), DType::F32)).cast(latents.dtype())
        });
        Ok((latents - mean) / deviation)
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
        let weights = snr_gamma.map(|gamma| self.snr_weights(timesteps, gamma)).transpose()?;
        Ok(squared_error(prediction, target, weights.as_deref()))
    }

    /// The weights of Min-SNR with this γ at some timesteps.
    ///
    /// # Errors
    /// When the scheduler has no signal-to-noise ratio.
    pub fn snr_weights(&self, timesteps: &[f32], gamma: f64) -> Result<Vec<f32>> {
        Ok(min_snr_weights(&self.noise_scheduler, self.prediction_type, timesteps, gamma as f32)?)
    }

    /// As [`Self::snr_weights`], but for velocities those of noise and 1 more: so the script of DreamBooth for Stable Diffusion XL
    /// keeps weights from falling below 1.
    ///
    /// # Errors
    /// As [`Self::snr_weights`].
    pub fn raised_snr_weights(&self, timesteps: &[f32], gamma: f64) -> Result<Vec<f32>> {
        let scheduler = &self.noise_scheduler;
        let weights = min_snr_weights(scheduler, PredictionType::Epsilon, timesteps, gamma as f32)?;
        let more = if self.prediction_type == PredictionType::VPrediction { 1.0 } else { 0.0 };
        Ok(weights.into_iter().map(|weight| weight + more).collect())
    }
}

/// The mean squared difference, with a weight for each item if there are some.
pub(crate) fn squared_error(prediction: Tensor<4>, target: Tensor<4>, weights: Option<&[f32]>) -> Tensor<1> {
    match weights {
        Some(weights) => weighted_mse(prediction, target, weights),
        None => mse(prediction, target),
    }
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
    ImageEncoder::check_side("resolution", resolution, vae.scale_factor())
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
