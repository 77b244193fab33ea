//! Strategic stochastic sampling, algorithm 4 of
//! [Trajectory Consistency Distillation](https://arxiv.org/abs/2402.19159) (TCD).

use burn::tensor::{DType, Tensor};

use super::common::distilled_run::{Distillation, DistilledRun, strength};
use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{NoiseSchedule, whole_timestep};
use super::common::prediction_type::PredictionType;
use super::common::shape::check_same_shape;
use super::{LCMSchedulerConfig, Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "TCDScheduler";

/// The configuration of a [`TCDScheduler`], which has the fields and the defaults of [`LCMScheduler`](super::LCMScheduler).
///
/// `clip_sample`, `thresholding` and the fields that belong to them have no effect here, as in Python.
pub type TCDSchedulerConfig = LCMSchedulerConfig;

/// What [`TCDScheduler::step_noised`] computes.
#[derive(Clone, Debug)]
pub struct TCDSchedulerOutput {
    /// The sample at the previous timestep, `[batch, channels, height, width]`: the next input of the model.
    pub prev_sample: Tensor<4>,
    /// The sample at the timestep that the model's prediction leads to, before noise is added again, of the same shape.
    pub pred_noised_sample: Tensor<4>,
}

/// TCD: follows the trajectory that the prediction implies to a cleaner timestep than the next one, and adds noise to
/// return to that one.
///
/// `eta` of [`StepOptions`] is the paper's γ, by default 0.3: at 0 steps are deterministic, at 1 they go all the way to
/// the first training timestep.
///
/// ```
/// use oxidiff::{Device, Scheduler, StepOptions, TCDScheduler, Tensor};
///
/// let mut scheduler = TCDScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
///
/// let mut sample = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// for timestep in scheduler.timesteps().to_vec() {
///     let noise_prediction = sample.clone(); // a model's output
///     let options = StepOptions { eta: Some(0.2), ..Default::default() };
///     sample = scheduler.step(noise_prediction, timestep, sample, options)?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TCDScheduler {
    fields: TCDSchedulerConfig,
    config: Config,
    noise_schedule: NoiseSchedule,
    run: DistilledRun,
}

impl TCDScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: TCDSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: TCDSchedulerConfig, config: Config) -> Result<Self> {
        let noise_schedule = fields.noise_schedule(&config)?;
        let run = DistilledRun::not_chosen(fields.num_train_timesteps);
        Ok(Self { fields, config, noise_schedule, run })
    }

    /// As [`Scheduler::step`], and also returns where the prediction led.
    ///
    /// # Errors
    /// As [`Scheduler::step`], and when `eta` is not between 0 and 1.
    pub fn step_noised(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<TCDSchedulerOutput> {
        const DEFAULT_ETA: f64 = 0.3;
        check_same_shape(&model_output, &sample)?;
        let eta = options.eta.unwrap_or(DEFAULT_ETA);
        if !(0.0..=1.0).contains(&eta) {
            return Err(Error::argument("eta", format!("must be between 0 and 1, is {eta}")));
        }
        let step = self.run.enter(timestep)?;
        let next = step.next.unwrap_or(0.0);
        let target = ((1.0 - eta) as f32 * next).floor();
        let alpha_bar = self.noise_schedule.alpha_bar(whole_timestep(timestep)?)?;
        let alpha_bar_next = self.noise_schedule.alpha_bar(whole_timestep(next)?)?;
        let alpha_bar_target = self.noise_schedule.alpha_bar(whole_timestep(target)?)?;

        let dtype = sample.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        let (signal, noise_level) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
        let (original, epsilon) = match self.fields.prediction_type {
            PredictionType::VPrediction => (
                sample.clone() * signal - model_output.clone() * noise_level,
                model_output * signal + sample * noise_level,
            ),
            PredictionType::Sample => (model_output.clone(), (sample - model_output * signal) / noise_level),
            _ => ((sample - model_output.clone() * noise_level) / signal, model_output),
        };
        let pred_noised_sample =
            original * alpha_bar_target.sqrt() + epsilon * (1.0 - alpha_bar_target).sqrt();

        let prev_sample = if eta > 0.0 && !step.is_final {
            let kept = alpha_bar_next / alpha_bar_target;
            let noise = options.noise(&pred_noised_sample, dtype)?;
            pred_noised_sample.clone() * kept.sqrt() + noise * (1.0 - kept).sqrt()
        } else {
            pred_noised_sample.clone()
        };
        self.run.advance();
        Ok(TCDSchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_noised_sample: pred_noised_sample.cast(dtype),
        })
    }
}

impl Scheduler for TCDScheduler {
    scheduler_methods!(config);

    fn timesteps(&self) -> &[f32] {
        self.run.timesteps()
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        options.only(&["original_inference_steps", "strength", "timesteps"], CLASS_NAME)?;
        let num_train_timesteps = self.fields.num_train_timesteps;
        let strength = strength(&options)?;
        let distillation = match options.original_inference_steps {
            None => {
                let configured = (self.fields.original_inference_steps, &self.config);
                Distillation::evenly(num_train_timesteps, None, configured, strength)?
            }
            // A given number limits how many steps there are, but not where they are.
            Some(steps) => {
                let used = (num_train_timesteps as f64 * strength) as usize;
                Distillation { steps, timesteps: (0..used).collect() }
            }
        };
        self.run.choose(&options, &distillation)
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        let output = self.step_noised(model_output, timestep, sample, options)?;
        Ok(SchedulerOutput { prev_sample: output.prev_sample, pred_original_sample: None })
    }

    scheduler_methods!(add_noise: noise_schedule);
    scheduler_methods!(velocity: noise_schedule);

    scheduler_methods!(position: self => self.run.position(), self.run.position_mut());
}
