//! The stochastic second-order DPM-Solver in the noise levels of [Karras et al.](https://arxiv.org/abs/2206.00364), as
//! k-diffusion's `sample_dpmpp_sde`.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_sampler::{NoiseSampler, NoiseSamplerSeed};
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields};
use super::common::prediction_type::PredictionType;
use super::common::shape::check_same_shape;
use super::common::sigma_schedule::{SigmaSpacing, TrainingSigmas, sigma_spacing};
use super::common::timestep_spacing::{TimestepSpacing, possible_steps};
use super::common::two_stage::TwoStageRun;
use super::common::variance_exploding::{initial_deviation, original_from};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "DPMSolverSDEScheduler";

/// The configuration of a [`DPMSolverSDEScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DPMSolverSDESchedulerConfig {
    /// Number of steps the model was trained with.
    pub num_train_timesteps: usize,
    /// β of the first training timestep.
    pub beta_start: f64,
    /// β of the last training timestep.
    pub beta_end: f64,
    /// How β grows in between; `linear`, `scaled_linear` or `squaredcos_cap_v2`.
    pub beta_schedule: BetaSchedule,
    /// All β, instead of a schedule.
    pub trained_betas: Option<Vec<f64>>,
    /// What the model predicts; `epsilon` or `v_prediction`.
    pub prediction_type: PredictionType,
    /// Space noise levels as Karras et al. do.
    pub use_karras_sigmas: bool,
    /// Space noise levels evenly in ln σ.
    pub use_exponential_sigmas: bool,
    /// Space noise levels as quantiles of a beta distribution.
    pub use_beta_sigmas: bool,
    /// The seed of the noise; a random one by default.
    pub noise_sampler_seed: Option<NoiseSamplerSeed>,
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
}

impl Default for DPMSolverSDESchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            prediction_type: PredictionType::Epsilon,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            noise_sampler_seed: None,
            timestep_spacing: TimestepSpacing::Linspace,
            steps_offset: 0,
        }
    }
}

/// Stochastic DPM-Solver++: an ancestral step to the middle (in ln σ), and then one over the whole step with the
/// noise-free sample predicted there.
///
/// Both take their noise from one Brownian motion in σ, which depends on `noise_sampler_seed` alone; the generator of
/// [`StepOptions`] is not used. Each step of the run takes two calls of the model and of [`Scheduler::step`], except
/// for the last, which takes one. Samples are not scaled down with the signal; call [`Scheduler::scale_model_input`]
/// before the model.
///
/// ```
/// use oxidiff::{DPMSolverSDEScheduler, Device, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = DPMSolverSDEScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
///
/// let noise = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// let mut sample = noise * scheduler.init_noise_sigma();
/// for timestep in scheduler.timesteps().to_vec() {
///     let input = scheduler.scale_model_input(sample.clone(), timestep)?;
///     let noise_prediction = input; // a model's output
///     sample = scheduler.step(noise_prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DPMSolverSDEScheduler {
    fields: DPMSolverSDESchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    training: TrainingSigmas,
    run: TwoStageRun,
    noise_sampler: Option<NoiseSampler>,
}

impl DPMSolverSDEScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: DPMSolverSDESchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: DPMSolverSDESchedulerConfig, config: Config) -> Result<Self> {
        fields.prediction_type.known_to(&[PredictionType::Epsilon, PredictionType::VPrediction], &config)?;
        let spacing = sigma_spacing!(fields, &config)?;
        let noise_schedule = NoiseSchedule::new(&beta_fields!(fields), BetaSchedule::COMMON, &config)?;
        let count = fields.num_train_timesteps;
        let mut scheduler = Self {
            fields,
            config,
            spacing,
            training: TrainingSigmas::new(noise_schedule.sigmas()),
            run: TwoStageRun::new(),
            noise_sampler: None,
        };
        scheduler.set_timesteps(count)?;
        Ok(scheduler)
    }
}

/// −ln σ in single precision, as in PyTorch: a difference of one bit would move times of the Brownian motion.
fn time_of(sigma: f32) -> f32 {
    -(f64::from(sigma).ln() as f32)
}

/// The inverse of [`time_of`].
fn sigma_at(time: f32) -> f32 {
    f64::from(-time).exp() as f32
}

impl Scheduler for DPMSolverSDEScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn init_noise_sigma(&self) -> f64 {
        initial_deviation(self.run.highest(), self.fields.timestep_spacing)
    }

    fn order(&self) -> usize {
        2
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        options.only(&["num_train_timesteps"], CLASS_NAME)?;
        let num_inference_steps = options.count()?;
        possible_steps(num_inference_steps)?;
        let timesteps = self.fields.timestep_spacing.descending(
            options.training_steps(self.fields.num_train_timesteps)?,
            num_inference_steps,
            self.fields.steps_offset,
        );
        let (timesteps, sigmas) =
            self.training.levels_with_unbounded_karras(timesteps, self.spacing, &self.config)?;
        let middle_timesteps: Vec<f64> = sigmas
            .windows(2)
            .map(|ends| self.training.timestep_of((ends[0].ln() + (ends[1].ln() - ends[0].ln()) * 0.5).exp()))
            .collect();

        let sigmas: Vec<f32> = sigmas.into_iter().map(|sigma| sigma as f32).collect();
        let middle = |from: f32, to: f32| {
            let (from, to) = (time_of(from), time_of(to));
            sigma_at(from + (to - from) * 0.5)
        };
        let middles: Vec<f32> = sigmas.windows(2).map(|ends| middle(ends[0], ends[1])).collect();
        self.run.restart(&timesteps, middle_timesteps, &sigmas, middles, 1);
        self.noise_sampler = None;
        Ok(())
    }

    fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        self.run.scale_model_input(sample, timestep)
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let index = self.run.enter(timestep)?;
        let (sigma, sigma_next) = self.run.ends(index);
        let level = f64::from(self.run.level(index));

        let dtype = sample.dtype();
        let sampler = match self.noise_sampler.take() {
            Some(sampler) => sampler,
            None => NoiseSampler::new(
                CLASS_NAME,
                self.run.sigmas().unwrap_or_default(),
                self.fields.noise_sampler_seed.as_ref(),
                sample.dims(),
                dtype,
            )?,
        };
        let sampler = self.noise_sampler.insert(sampler);
        if sampler.shape() != sample.dims() {
            let message =
                format!("has another shape, {:?}, than earlier steps' {:?}", sample.dims(), sampler.shape());
            return Err(Error::argument("sample", message));
        }
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);
        let pred_original_sample = original_from(self.fields.prediction_type, model_output, &sample, level);

        let prev_sample = if sigma_next == 0.0 {
            self.run.advance_to_next();
            // Euler's method.
            let derivative = (sample.clone() - pred_original_sample.clone()) / sigma;
            sample - derivative * sigma
        } else {
            let (begun, to) = match self.run.begun() {
                None => {
                    self.run.advance_to_middle(sample.clone());
                    (sample, time_of(self.run.middle(index)))
                }
                Some(begun) => {
                    self.run.advance_to_next();
                    (begun, time_of(sigma_next as f32))
                }
            };
            let from = time_of(sigma as f32);
            // The added noise; together with what an ancestral step leaves, it has the variance of the level.
            let (sigma_from, sigma_to) = (sigma_at(from), sigma_at(to));
            let (from_squared, to_squared) = (sigma_from * sigma_from, sigma_to * sigma_to);
            let up = (to_squared * (from_squared - to_squared) / from_squared).sqrt().min(sigma_to);
            let down = time_of((to_squared - up * up).max(0.0).sqrt());

            let noise = sampler.sample(sigma_from, sigma_to, &begun.device());
            begun * f64::from(sigma_at(down) / sigma_from)
                - pred_original_sample.clone() * f64::from((from - down).exp_m1())
                + noise * (options.s_noise * f64::from(up))
        };
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample),
        })
    }

    scheduler_methods!(add_noise: run);
}
