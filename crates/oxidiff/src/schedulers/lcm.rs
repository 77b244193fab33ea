//! Multistep consistency sampling, algorithm 3 of
//! [Latent Consistency Models](https://arxiv.org/abs/2310.04378) (LCM).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::distilled_run::{Distillation, DistilledRun, strength};
use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields, whole_timestep};
use super::common::prediction_type::PredictionType;
use super::common::shape::check_same_shape;
use super::common::thresholding::{DynamicThresholding, check_clip_range};
use super::common::timestep_spacing::TimestepSpacing;
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::Result;
use crate::loading::config::Config;

const CLASS_NAME: &str = "LCMScheduler";

/// The configuration of an [`LCMScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LCMSchedulerConfig {
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
    /// Number of steps of the schedule that the model was distilled with; a run visits some of its timesteps.
    pub original_inference_steps: usize,
    /// Clip the predicted noise-free sample.
    pub clip_sample: bool,
    /// The bound of that clipping, at least 0.
    pub clip_sample_range: f64,
    /// Without effect, as in Python: no step leads beyond the first training timestep.
    pub set_alpha_to_one: bool,
    /// Without effect, as in Python.
    pub steps_offset: usize,
    /// What the model predicts; `epsilon`, `sample` or `v_prediction`.
    pub prediction_type: PredictionType,
    /// Use dynamic thresholding instead of clipping; for models of pixels, not of latents.
    pub thresholding: bool,
    /// The quantile that dynamic thresholding looks at.
    pub dynamic_thresholding_ratio: f64,
    /// The highest threshold of dynamic thresholding.
    pub sample_max_value: f64,
    /// Without effect, as in Python: the timesteps are those of the distillation.
    pub timestep_spacing: TimestepSpacing,
    /// The factor of timesteps in the boundary condition.
    pub timestep_scaling: f64,
    /// Change β so that the last training timestep is pure noise.
    pub rescale_betas_zero_snr: bool,
}

impl Default for LCMSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            trained_betas: None,
            original_inference_steps: 50,
            clip_sample: false,
            clip_sample_range: 1.0,
            set_alpha_to_one: true,
            steps_offset: 0,
            prediction_type: PredictionType::Epsilon,
            thresholding: false,
            dynamic_thresholding_ratio: 0.995,
            sample_max_value: 1.0,
            timestep_spacing: TimestepSpacing::Leading,
            timestep_scaling: 10.0,
            rescale_betas_zero_snr: false,
        }
    }
}

impl LCMSchedulerConfig {
    /// The noise schedule that the fields describe. Rejects predictions that LCM and TCD do not know.
    pub(super) fn noise_schedule(&self, config: &Config) -> Result<NoiseSchedule> {
        let known = [PredictionType::Epsilon, PredictionType::Sample, PredictionType::VPrediction];
        self.prediction_type.known_to(&known, config)?;
        let betas = beta_fields!(self, rescale_betas_zero_snr);
        NoiseSchedule::new(&betas, BetaSchedule::COMMON, config)
    }
}

/// LCM: predicts the noise-free sample directly, and adds noise again for the next of a few steps.
///
/// [`Scheduler::step`] returns the prediction, Python's `denoised`, as
/// [`pred_original_sample`](SchedulerOutput::pred_original_sample).
///
/// ```
/// use oxidiff::{Device, LCMScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = LCMScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
/// assert_eq!(scheduler.timesteps(), [999.0, 759.0, 499.0, 259.0]);
///
/// let mut sample = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// for timestep in scheduler.timesteps().to_vec() {
///     let noise_prediction = sample.clone(); // a model's output
///     sample = scheduler.step(noise_prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LCMScheduler {
    fields: LCMSchedulerConfig,
    config: Config,
    noise_schedule: NoiseSchedule,
    thresholding: Option<DynamicThresholding>,
    run: DistilledRun,
}

impl LCMScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: LCMSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: LCMSchedulerConfig, config: Config) -> Result<Self> {
        let noise_schedule = fields.noise_schedule(&config)?;
        check_clip_range(fields.clip_sample, fields.clip_sample_range, &config)?;
        let thresholding = DynamicThresholding::from_fields(
            fields.thresholding,
            fields.dynamic_thresholding_ratio,
            fields.sample_max_value,
            &config,
        )?;
        let run = DistilledRun::not_chosen(fields.num_train_timesteps);
        Ok(Self { fields, config, noise_schedule, thresholding, run })
    }

    /// c_skip and c_out of a timestep: the weights of the sample and of the prediction, with which the consistency
    /// function is the identity at timestep 0 (appendix C of the paper).
    pub fn get_scalings_for_boundary_condition_discrete(&self, timestep: f32) -> (f64, f64) {
        const SIGMA_DATA: f64 = 0.5;
        let scaled = f64::from(timestep) * self.fields.timestep_scaling;
        let variance = scaled * scaled + SIGMA_DATA * SIGMA_DATA;
        (SIGMA_DATA * SIGMA_DATA / variance, scaled / variance.sqrt())
    }
}

impl Scheduler for LCMScheduler {
    scheduler_methods!(config);

    fn timesteps(&self) -> &[f32] {
        self.run.timesteps()
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        options.only(&["original_inference_steps", "strength", "timesteps"], CLASS_NAME)?;
        let configured = (self.fields.original_inference_steps, &self.config);
        let (given, trained) = (options.original_inference_steps, self.fields.num_train_timesteps);
        let distillation = Distillation::evenly(trained, given, configured, strength(&options)?)?;
        self.run.choose(&options, &distillation)
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let step = self.run.enter(timestep)?;
        let alpha_bar = self.noise_schedule.alpha_bar(whole_timestep(timestep)?)?;

        let dtype = sample.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        let (signal, noise_level) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
        let mut pred_original_sample = match self.fields.prediction_type {
            PredictionType::VPrediction => sample.clone() * signal - model_output * noise_level,
            PredictionType::Sample => model_output,
            _ => (sample.clone() - model_output * noise_level) / signal,
        };
        if let Some(thresholding) = &self.thresholding {
            pred_original_sample = thresholding.apply(pred_original_sample)?;
        } else if self.fields.clip_sample {
            let range = self.fields.clip_sample_range;
            pred_original_sample = pred_original_sample.clamp(-range, range);
        }

        // The consistency function, equation 9.
        let (c_skip, c_out) = self.get_scalings_for_boundary_condition_discrete(timestep);
        let denoised = pred_original_sample * c_out + sample * c_skip;

        let prev_sample = if step.is_final {
            denoised.clone()
        } else {
            let next = step.next.unwrap_or(timestep);
            let alpha_bar_next = self.noise_schedule.alpha_bar(whole_timestep(next)?)?;
            let noise = options.noise(&denoised, dtype)?;
            denoised.clone() * alpha_bar_next.sqrt() + noise * (1.0 - alpha_bar_next).sqrt()
        };
        self.run.advance();
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(denoised.cast(dtype)),
        })
    }

    scheduler_methods!(add_noise: noise_schedule);
    scheduler_methods!(velocity: noise_schedule);

    scheduler_methods!(position: self => self.run.position(), self.run.position_mut());
}
