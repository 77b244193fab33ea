//! What trainings of flows share (Lipman et al. 2022, <https://arxiv.org/abs/2210.02747>): noise levels, noisy latents, and the
//! velocities that a model should predict.

use std::f32::consts::PI;

use clap::{Args, ValueEnum};
use oxidiff::{
    Autoencoder, DType, Device, FlowMatchEulerDiscreteScheduler, Generator, Scheduler, Tensor, TensorData,
};

use crate::error::{Error, Result};
use crate::image_encoder::ImageEncoder;
use crate::options::positive;

/// Which noise levels a training of a flow draws, and how it weighs losses (Esser et al. 2024,
/// <https://arxiv.org/abs/2403.03206>, section 3.1).
#[derive(Args, Clone, Debug)]
pub struct FlowOptions {
    /// Which noise levels are drawn how often, or how their losses are weighed
    #[arg(long, value_name = "NAME", value_enum, default_value_t = WeightingScheme::None)]
    pub weighting_scheme: WeightingScheme,
    /// The mean of the levels' logits, for logit_normal
    #[arg(long, value_name = "MEAN", default_value_t = 0.0, allow_negative_numbers = true)]
    pub logit_mean: f64,
    /// Their deviation
    #[arg(long, value_name = "DEVIATION", default_value_t = 1.0)]
    pub logit_std: f64,
    /// How much more often levels in the middle are drawn, for mode; from -1 to 1.75
    #[arg(long, value_name = "SCALE", default_value_t = 1.29, allow_negative_numbers = true)]
    pub mode_scale: f64,
}

/// How noise levels are drawn or losses weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightingScheme {
    /// All timesteps alike; losses weigh 1 / σ².
    #[value(name = "sigma_sqrt")]
    SigmaSqrt,
    /// Timesteps whose logits are normal.
    #[value(name = "logit_normal")]
    LogitNormal,
    /// Timesteps in the middle more often.
    #[value(name = "mode")]
    Mode,
    /// All timesteps alike; losses weigh as in the cosine schedule.
    #[value(name = "cosmap")]
    CosMap,
    /// All timesteps alike.
    #[value(name = "none")]
    None,
}

impl FlowOptions {
    /// Checks the options.
    ///
    /// # Errors
    /// When noise levels could be drawn that do not exist.
    pub(crate) fn check(&self) -> Result<()> {
        positive("logit-std", self.logit_std)?;
        if !self.logit_mean.is_finite() {
            return Err(Error::option("logit-mean", format!("is {}, not a finite number", self.logit_mean)));
        }
        // Where the density of section 3.1 is one: beyond, levels would fall below 0 or rise above 1.
        let most = 2.0 / (std::f64::consts::PI - 2.0);
        if !(-1.0..=most).contains(&self.mode_scale) {
            let message = format!("is {}, but must be from -1 to {most:.4}", self.mode_scale);
            return Err(Error::option("mode-scale", message));
        }
        Ok(())
    }

    /// Draws places from 0 to 1 in the list of timesteps: `compute_density_for_timestep_sampling`.
    fn draw(&self, count: usize, generator: &mut Generator) -> Vec<f32> {
        if self.weighting_scheme == WeightingScheme::LogitNormal {
            return normal(count, self.logit_mean, self.logit_std, generator)
                .into_iter()
                .map(|logit| 1.0 / (1.0 + (-logit).exp()))
                .collect();
        }
        let mut places = generator.rand_vec::<f32>(count);
        if self.weighting_scheme == WeightingScheme::Mode {
            let scale = self.mode_scale as f32;
            for place in &mut places {
                let u = *place;
                *place = 1.0 - u - scale * ((PI * u / 2.0).cos().powi(2) - 1.0 + u);
            }
        }
        places
    }

    /// The weights of losses at noise levels, if they are not all 1: `compute_loss_weighting_for_sd3`.
    fn weights(&self, sigmas: &[f32]) -> Option<Vec<f32>> {
        let weight: fn(f32) -> f32 = match self.weighting_scheme {
            WeightingScheme::SigmaSqrt => |sigma| sigma.powi(-2),
            WeightingScheme::CosMap => |sigma| 2.0 / (PI * (1.0 - 2.0 * sigma + 2.0 * sigma * sigma)),
            _ => return None,
        };
        Some(sigmas.iter().map(|sigma| weight(*sigma)).collect())
    }
}

/// `torch.normal(mean, deviation, (count,))`, which computes few numbers in double precision.
fn normal(count: usize, mean: f64, deviation: f64, generator: &mut Generator) -> Vec<f32> {
    const FEW: usize = 16;
    if count < FEW {
        let drawn = generator.randn_vec::<f64>(count).into_iter();
        return drawn.map(|x| (x * deviation + mean) as f32).collect();
    }
    let (mean, deviation) = (mean as f32, deviation as f32);
    generator.randn_vec::<f32>(count).into_iter().map(|x| x * deviation + mean).collect()
}

/// From images to noisy latents, and to what a model should predict.
pub(crate) struct FlowMatching {
    pub encoder: ImageEncoder,
    /// The noise levels that the model is trained with, from the highest to the lowest.
    sigmas: Vec<f32>,
    /// Their timesteps.
    timesteps: Vec<f32>,
    /// What the model computes in.
    pub dtype: DType,
    options: FlowOptions,
}

/// Noisy latents, and what a model should say of them.
pub(crate) struct FlowExample {
    pub noisy: Tensor<4>,
    pub timesteps: Vec<f32>,
    /// The velocity, from the latents to the noise.
    pub target: Tensor<4>,
    /// Of the loss of each item, if they are not all 1.
    pub weights: Option<Vec<f32>>,
}

impl FlowMatching {
    /// The latents of `vae`, with the noise levels of a pipeline's scheduler, for a model that computes in `dtype`.
    ///
    /// # Errors
    /// When the scheduler is not one of flows.
    pub fn new(
        vae: Box<dyn Autoencoder>,
        scheduler: &dyn Scheduler,
        dtype: DType,
        cache_latents: bool,
        options: FlowOptions,
    ) -> Result<Self> {
        let scheduler = FlowMatchEulerDiscreteScheduler::from_config(scheduler.config())?;
        let timesteps = scheduler.timesteps().to_vec();
        let sigmas = scheduler.sigmas().unwrap_or_default().to_vec();
        if timesteps.is_empty() || sigmas.len() < timesteps.len() {
            let message = "has a scheduler without the noise levels of a training";
            return Err(Error::option("pretrained-model-name-or-path", message));
        }
        let encoder = ImageEncoder::new(vae, cache_latents);
        Ok(Self { encoder, sigmas, timesteps, dtype, options })
    }

    /// Encodes images, and adds noise of levels that are drawn.
    ///
    /// # Errors
    /// When the VAE cannot encode the images.
    pub fn example(&self, images: &Tensor<4>, generator: &mut Generator) -> Result<FlowExample> {
        let vae = &self.encoder.vae;
        let (mean, _) = self.encoder.encode(images)?;
        let latents = ((mean - vae.shift_factor().unwrap_or(0.0)) * vae.scaling_factor()).cast(self.dtype);
        let items = latents.dims()[0];
        let noise = self.encoder.noise_like(latents.dims(), self.dtype, generator);

        let places = self.options.draw(items, generator);
        let last = self.timesteps.len() - 1;
        // The logits of a normal distribution can be so high that they are rounded to 1.
        let places: Vec<usize> =
            places.iter().map(|place| ((place * (last + 1) as f32) as usize).min(last)).collect();
        let levels: Vec<f32> = places.iter().map(|place| self.sigmas[*place]).collect();
        let sigmas =
            Tensor::<4>::from_data(TensorData::new(levels, [items, 1, 1, 1]), (&Device::flex(), DType::F32));
        let sigmas = sigmas.cast(self.dtype);
        let rounded = sigmas.clone().cast(DType::F32).into_data().iter::<f32>().collect::<Vec<f32>>();
        let noisy = (1.0 - sigmas.clone()) * latents.clone() + sigmas * noise.clone();
        Ok(FlowExample {
            noisy,
            timesteps: places.iter().map(|place| self.timesteps[*place]).collect(),
            target: noise - latents,
            weights: self.options.weights(&rounded),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(weighting_scheme: WeightingScheme) -> FlowOptions {
        FlowOptions { weighting_scheme, logit_mean: 0.5, logit_std: 2.0, mode_scale: 1.29 }
    }

    #[test]
    fn places_are_those_of_python() {
        // torch.manual_seed(0); compute_density_for_timestep_sampling(scheme, 3, 0.5, 2.0, 1.29)
        for (scheme, expected) in [
            (WeightingScheme::None, [0.496_256_6, 0.768_221_8, 0.088_477_43]),
            (WeightingScheme::LogitNormal, [0.972_932_8, 0.478_299_2, 0.020_682_28]),
            (WeightingScheme::Mode, [0.500_987_3, 0.367_203_4, 0.822_143_6]),
        ] {
            let drawn = options(scheme).draw(3, &mut Generator::manual_seed(0));
            for (ours, theirs) in drawn.iter().zip(expected) {
                assert!((ours - theirs).abs() < 1e-6, "{scheme:?}: {drawn:?}");
            }
        }
    }

    #[test]
    fn weights_are_those_of_python() {
        // compute_loss_weighting_for_sd3(scheme, torch.tensor([0.1, 0.5, 1.0]))
        for (scheme, expected) in [
            (WeightingScheme::SigmaSqrt, [100.0, 4.0, 1.0]),
            (WeightingScheme::CosMap, [0.776_365_5, 1.273_239_5, 0.636_619_75]),
        ] {
            let weights = options(scheme).weights(&[0.1, 0.5, 1.0]).unwrap();
            for (ours, theirs) in weights.iter().zip(expected) {
                assert!((ours - theirs).abs() < 1e-5 * theirs, "{scheme:?}: {weights:?}");
            }
        }
        assert_eq!(options(WeightingScheme::Mode).weights(&[0.1]), None);
    }

    #[test]
    fn levels_that_do_not_exist_are_refused() {
        for (change, expected) in [
            ((|it| it.mode_scale = 1.8) as fn(&mut FlowOptions), "--mode-scale: is 1.8"),
            (|it| it.mode_scale = f64::NAN, "--mode-scale"),
            (|it| it.logit_std = 0.0, "--logit-std"),
            (|it| it.logit_mean = f64::INFINITY, "--logit-mean"),
        ] {
            let mut options = options(WeightingScheme::Mode);
            options.check().unwrap();
            change(&mut options);
            let error = options.check().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
