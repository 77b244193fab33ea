//! Training in the formulation of EDM (Karras et al. 2022, <https://arxiv.org/abs/2206.00364>): noise is added to the images
//! without scaling them down, and the model and its preconditioning together predict the images.

use oxidiff::{
    Config, DType, Device, EDMEulerScheduler, EulerDiscreteScheduler, Generator, PredictionType, Scheduler,
    Tensor, TensorData,
};

use crate::error::{Error, Result};
use crate::latent_diffusion::{Example, LatentDiffusion};

/// The noise levels of a training, and how the model is called at each.
#[derive(Clone, Debug)]
pub(crate) struct Edm {
    /// What the model is told of each noise level, from the highest.
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    /// How many of them are drawn.
    count: i64,
    scaling: Scaling,
    prediction_type: PredictionType,
}

/// How inputs and outputs of a model are scaled, table 1 of EDM.
#[derive(Clone, Copy, Debug)]
enum Scaling {
    /// A model that was trained on other terms, as one with variance preserving noise (VP).
    VariancePreserving,
    /// A model of EDM's own, for data of this deviation.
    Edm { data: f64 },
}

/// The factors for one noise level.
#[derive(Clone, Copy, Debug)]
struct Factors {
    /// Of the model's input: c_in.
    input: f64,
    /// Of the noisy latents in the prediction: c_skip.
    skip: f64,
    /// Of the model's output in the prediction: c_out.
    output: f64,
}

/// From a model's output to a prediction of the latents.
pub(crate) struct Preconditioned {
    noisy: Tensor<4>,
    factors: Vec<Factors>,
    /// Of each item in the loss; all weigh the same if there are none.
    pub weights: Option<Vec<f32>>,
}

/// Whether a scheduler is for models of EDM's own.
pub(crate) fn is_of_edm(scheduler: &Config) -> bool {
    scheduler.class_name().is_some_and(|class| class.contains("EDM"))
}

impl Edm {
    /// The noise levels of a pipeline's scheduler. Models whose scheduler is not one of EDM have those of
    /// [`EulerDiscreteScheduler`].
    ///
    /// # Errors
    /// When the scheduler has settings that cannot be trained.
    pub fn new(scheduler: &Config, prediction_type: PredictionType) -> Result<Self> {
        let (scheduler, scaling): (Box<dyn Scheduler>, _) = if is_of_edm(scheduler) {
            let scheduler = EDMEulerScheduler::from_config(scheduler)?;
            let data = scheduler.config().get("sigma_data").and_then(|data| data.as_f64()).unwrap_or(0.5);
            (scheduler.into(), Scaling::Edm { data })
        } else {
            (EulerDiscreteScheduler::from_config(scheduler)?.into(), Scaling::VariancePreserving)
        };
        let count = scheduler.config().get("num_train_timesteps").and_then(|count| count.as_i64());
        let timesteps = scheduler.timesteps().to_vec();
        let sigmas = scheduler.sigmas().unwrap_or_default().to_vec();
        let count = count.unwrap_or(1000).min(timesteps.len() as i64);
        let drawn = &sigmas[..sigmas.len().min(count as usize)];
        if drawn.len() < count as usize || !drawn.iter().all(|sigma| sigma.is_finite() && *sigma > 0.0) {
            let message = "the noise levels of the scheduler are not all above 0, as EDM needs them";
            return Err(Error::option("do-edm-style-training", message));
        }
        Ok(Self { timesteps, sigmas, count, scaling, prediction_type })
    }

    /// Encodes images, and adds noise of levels that are drawn. The example is what the model is called with, and the latents to
    /// predict.
    ///
    /// # Errors
    /// When the VAE cannot encode the images.
    pub fn example(
        &self,
        diffusion: &LatentDiffusion,
        images: Tensor<4>,
        generator: &mut Generator,
    ) -> Result<(Example, Preconditioned)> {
        let (latents, noise) = diffusion.latents_and_noise(images, generator)?;
        let indices = generator.randint_vec(0, self.count, latents.dims()[0])?;
        let indices: Vec<usize> = indices.into_iter().map(|index| index as usize).collect();
        let sigmas: Vec<f64> = indices.iter().map(|index| f64::from(self.sigmas[*index])).collect();
        let (dtype, device) = (latents.dtype(), Device::flex());
        let noisy = latents.clone() + noise * column(&sigmas, &device).cast(dtype);

        let factors: Vec<Factors> = sigmas.iter().map(|sigma| self.factors(*sigma)).collect();
        let inputs = Vec::from_iter(factors.iter().map(|factors| factors.input));
        let scaled = (noisy.clone().cast(DType::F32) * column(&inputs, &device)).cast(dtype);
        let timesteps = indices.iter().map(|index| self.timesteps[*index]).collect();
        let weights = match self.scaling {
            Scaling::VariancePreserving => Some(sigmas.iter().map(|sigma| sigma.powi(-2) as f32).collect()),
            Scaling::Edm { .. } => None,
        };
        let example = Example { noisy: scaled, timesteps, target: latents };
        Ok((example, Preconditioned { noisy, factors, weights }))
    }

    fn factors(&self, sigma: f64) -> Factors {
        let is_velocity = self.prediction_type == PredictionType::VPrediction;
        match self.scaling {
            Scaling::VariancePreserving => {
                let variance = sigma * sigma + 1.0;
                let input = 1.0 / variance.sqrt();
                if is_velocity {
                    Factors { input, skip: 1.0 / variance, output: -sigma * input }
                } else {
                    Factors { input, skip: 1.0, output: -sigma }
                }
            }
            Scaling::Edm { data } => {
                let variance = sigma * sigma + data * data;
                let input = 1.0 / variance.sqrt();
                let sign = if is_velocity { -1.0 } else { 1.0 };
                Factors { input, skip: data * data / variance, output: sign * sigma * data * input }
            }
        }
    }
}

impl Preconditioned {
    /// The latents that the model's output implies, which must have [`autodiff`](Tensor::autodiff), in `f32`.
    pub fn latents(&self, output: Tensor<4>) -> Tensor<4> {
        let device = output.device();
        let factor = |of: fn(&Factors) -> f64| column(&Vec::from_iter(self.factors.iter().map(of)), &device);
        let noisy = self.noisy.clone().cast(DType::F32).autodiff() * factor(|factors| factors.skip);
        output.cast(DType::F32) * factor(|factors| factors.output) + noisy
    }
}

/// One number for each item, `[items, 1, 1, 1]`.
fn column(numbers: &[f64], device: &Device) -> Tensor<4> {
    let numbers: Vec<f32> = numbers.iter().map(|number| *number as f32).collect();
    let shape = [numbers.len(), 1, 1, 1];
    Tensor::from_data(TensorData::new(numbers, shape), (device, DType::F32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxidiff::{EDMEulerSchedulerConfig, EulerDiscreteSchedulerConfig};

    const TYPES: [PredictionType; 2] = [PredictionType::Epsilon, PredictionType::VPrediction];

    #[test]
    fn a_perfect_model_predicts_the_latents() {
        for prediction_type in TYPES {
            let fields = EulerDiscreteSchedulerConfig { prediction_type, ..Default::default() };
            let scheduler = EulerDiscreteScheduler::new(fields).unwrap();
            let edm = Edm::new(scheduler.config(), prediction_type).unwrap();
            assert_eq!((edm.count, edm.timesteps[0], edm.timesteps[999]), (1000, 999.0, 0.0));
            assert!(edm.sigmas[0] > 100.0 && edm.sigmas[999] < 0.02);
            let (latent, noise, sigma) = (0.7, -1.3, 2.5_f64);
            let signal = 1.0 / (sigma * sigma + 1.0).sqrt();
            let output = match prediction_type {
                PredictionType::VPrediction => signal * noise - sigma * signal * latent,
                _ => noise,
            };
            let factors = edm.factors(sigma);
            let predicted = factors.skip * (latent + sigma * noise) + factors.output * output;
            assert!((predicted - latent).abs() < 1e-12 && factors.input == signal, "{predicted}");
        }
    }

    #[test]
    fn models_of_edm_are_called_as_by_its_scheduler() {
        let ones = || Tensor::<4>::ones([1, 1, 1, 1], &Device::flex());
        for prediction_type in TYPES {
            let fields = EDMEulerSchedulerConfig { prediction_type, sigma_data: 0.8, ..Default::default() };
            let scheduler = EDMEulerScheduler::new(fields).unwrap();
            assert!(is_of_edm(scheduler.config()));
            let edm = Edm::new(scheduler.config(), prediction_type).unwrap();
            assert_eq!(edm.count, 1000);
            let factors = edm.factors(3.0);
            let close =
                |ours: f64, theirs: Tensor<4>| (ours - f64::from(theirs.into_scalar::<f32>())).abs() < 1e-6;
            assert!(close(factors.input, scheduler.precondition_inputs(ones(), 3.0)));
            let predicted = scheduler.precondition_outputs(ones(), ones(), 3.0).unwrap();
            assert!(close(factors.skip + factors.output, predicted));
        }
    }
}
