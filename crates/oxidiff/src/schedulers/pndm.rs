//! [Pseudo Numerical Methods for Diffusion Models on Manifolds](https://arxiv.org/abs/2202.09778) (PNDM).

use std::collections::VecDeque;

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields, whole_timestep};
use super::common::prediction_type::PredictionType;
use super::common::run::started;
use super::common::shape::check_same_shape;
use super::common::timestep_spacing::{TimestepSpacing, possible_steps};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "PNDMScheduler";

/// The configuration of a [`PNDMScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PNDMSchedulerConfig {
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
    /// Start with linear multi-step steps of rising order instead of Runge-Kutta steps.
    pub skip_prk_steps: bool,
    /// Whether the last step goes to ᾱ = 1 or to ᾱ of timestep 0.
    pub set_alpha_to_one: bool,
    /// What the model predicts; `epsilon` or `v_prediction`.
    pub prediction_type: PredictionType,
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
}

impl Default for PNDMSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            skip_prk_steps: false,
            set_alpha_to_one: false,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: TimestepSpacing::Leading,
            steps_offset: 0,
        }
    }
}

/// PNDM: each step moves along the curve on which the noised data lie (equation 11) in a
/// direction that a classical solver combines from several noise predictions.
///
/// The first three steps are Runge-Kutta steps (PRK) of four model calls each, the others linear multi-step steps
/// (PLMS) of one call. With `skip_prk_steps` all steps are PLMS, of rising order; the first one is done twice, which
/// is what Stable Diffusion uses.
///
/// ```
/// use oxidiff::{Device, PNDMScheduler, PNDMSchedulerConfig, Scheduler, StepOptions, Tensor};
///
/// let fields = PNDMSchedulerConfig { skip_prk_steps: true, ..Default::default() };
/// let mut scheduler = PNDMScheduler::new(fields)?;
/// scheduler.set_timesteps(4)?;
/// assert_eq!(scheduler.timesteps(), [750.0, 500.0, 500.0, 250.0, 0.0]);
///
/// let mut sample = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// for timestep in scheduler.timesteps().to_vec() {
///     let noise_prediction = sample.clone(); // a model's output
///     sample = scheduler.step(noise_prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PNDMScheduler {
    fields: PNDMSchedulerConfig,
    config: Config,
    noise_schedule: NoiseSchedule,
    final_alpha_bar: f64,
    num_inference_steps: Option<usize>,
    timesteps: Vec<f32>,
    /// How many of the timesteps belong to Runge-Kutta steps; these come first.
    prk_calls: usize,
    /// Model calls so far.
    counter: usize,
    /// The last four noise predictions, the latest last.
    predictions: VecDeque<Tensor<4>>,
    /// Where the step that spans several model calls started.
    step_start: Option<Tensor<4>>,
    /// The weighted sum of a Runge-Kutta step's predictions so far.
    prk_sum: Option<Tensor<4>>,
}

impl PNDMScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that PNDM cannot work with.
    pub fn new(fields: PNDMSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: PNDMSchedulerConfig, config: Config) -> Result<Self> {
        fields.prediction_type.known_to(&[PredictionType::Epsilon, PredictionType::VPrediction], &config)?;
        let betas = beta_fields!(fields);
        let noise_schedule = NoiseSchedule::new(&betas, BetaSchedule::COMMON, &config)?;
        let final_alpha_bar = if fields.set_alpha_to_one { 1.0 } else { noise_schedule.alpha_bar(0)? };
        Ok(Self {
            fields,
            config,
            noise_schedule,
            final_alpha_bar,
            num_inference_steps: None,
            timesteps: Vec::new(),
            prk_calls: 0,
            counter: 0,
            predictions: VecDeque::new(),
            step_start: None,
            prk_sum: None,
        })
    }

    /// The timesteps of the Runge-Kutta steps; none with `skip_prk_steps`.
    pub fn prk_timesteps(&self) -> &[f32] {
        &self.timesteps[..self.prk_calls]
    }

    /// The timesteps of the linear multi-step steps, which follow.
    pub fn plms_timesteps(&self) -> &[f32] {
        &self.timesteps[self.prk_calls..]
    }

    /// [`Scheduler::step`] with one of the four model calls of a Runge-Kutta step.
    ///
    /// # Errors
    /// Before [`Scheduler::set_timesteps`], or when all Runge-Kutta steps have been taken.
    pub fn step_prk(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
    ) -> Result<Tensor<4>> {
        self.step_with(model_output, timestep, sample, Self::prk)
    }

    /// [`Scheduler::step`] with a linear multi-step step.
    ///
    /// # Errors
    /// Before [`Scheduler::set_timesteps`], or before three Runge-Kutta steps, unless `skip_prk_steps`.
    pub fn step_plms(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
    ) -> Result<Tensor<4>> {
        self.step_with(model_output, timestep, sample, Self::plms)
    }

    /// A step by one of the two methods, which computes in single precision.
    fn step_with(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        method: fn(&mut Self, Tensor<4>, i64, Tensor<4>, i64) -> Result<Tensor<4>>,
    ) -> Result<Tensor<4>> {
        let num_inference_steps = started(self.num_inference_steps)?;
        check_same_shape(&model_output, &sample)?;
        let step_ratio = (self.fields.num_train_timesteps / num_inference_steps) as i64;
        let timestep = whole_timestep(timestep)?;

        let dtype = sample.dtype();
        let prediction = model_output.cast(DType::F32);
        let prev_sample = method(self, prediction, timestep, sample.cast(DType::F32), step_ratio)?;
        self.counter += 1;
        Ok(prev_sample.cast(dtype))
    }

    /// One of the four model calls of a Runge-Kutta step, equation 13: the predictions at the start, twice in the
    /// middle and at the end count 1/6, 1/3, 1/3 and 1/6.
    fn prk(
        &mut self,
        prediction: Tensor<4>,
        timestep: i64,
        sample: Tensor<4>,
        step_ratio: i64,
    ) -> Result<Tensor<4>> {
        if self.counter >= self.prk_calls {
            let message = format!("all {} model calls of Runge-Kutta steps have been made", self.prk_calls);
            return Err(Error::argument("timestep", message));
        }
        let call = self.counter % 4;
        let half_step = if call.is_multiple_of(2) { step_ratio / 2 } else { 0 };
        let prev_timestep = timestep - half_step;
        let start_timestep = whole_timestep(self.timesteps[self.counter - call])?;

        if call == 0 {
            self.remember(prediction.clone());
            self.step_start = Some(sample.clone());
        }
        let weight = if call == 0 || call == 3 { 1.0 / 6.0 } else { 1.0 / 3.0 };
        let weighted = prediction.clone() * weight;
        let sum = match self.prk_sum.take() {
            Some(sum) => sum + weighted,
            None => weighted,
        };
        // The first three calls only look ahead along their own prediction.
        let direction = if call == 3 {
            sum
        } else {
            self.prk_sum = Some(sum);
            prediction
        };
        let start = self.step_start.clone().unwrap_or(sample);
        self.transfer(start, start_timestep, prev_timestep, direction)
    }

    /// A linear multi-step step, equation 12, with Adams-Bashforth coefficients of the order that the number of known
    /// predictions allows.
    fn plms(
        &mut self,
        prediction: Tensor<4>,
        timestep: i64,
        sample: Tensor<4>,
        step_ratio: i64,
    ) -> Result<Tensor<4>> {
        if !self.fields.skip_prk_steps && self.predictions.len() < 3 {
            let message = "multi-step steps of PNDM need the predictions of three earlier Runge-Kutta steps";
            return Err(Error::argument("timestep", message));
        }
        // The second call repeats the first step, now with the mean of the predictions at its two ends.
        if self.counter == 1 {
            let first = self.predictions.back().cloned().unwrap_or_else(|| prediction.clone());
            let start = self.step_start.take().unwrap_or(sample);
            let mean = (prediction + first) * 0.5;
            return self.transfer(start, timestep + step_ratio, timestep, mean);
        }
        if self.counter == 0 {
            self.step_start = Some(sample.clone());
        }
        self.remember(prediction);
        let coefficients: &[f64] = match self.predictions.len() {
            1 => &[1.0],
            2 => &[3.0 / 2.0, -1.0 / 2.0],
            3 => &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
            _ => &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
        };
        let direction = self
            .predictions
            .iter()
            .rev()
            .zip(coefficients)
            .map(|(prediction, &coefficient)| prediction.clone() * coefficient)
            .reduce(|sum, term| sum + term)
            .expect("a prediction was just remembered");
        self.transfer(sample, timestep, timestep - step_ratio, direction)
    }

    fn remember(&mut self, prediction: Tensor<4>) {
        if self.predictions.len() == 4 {
            self.predictions.pop_front();
        }
        self.predictions.push_back(prediction);
    }

    /// φ(x, ε, t, t'), equation 11: moves `sample` from `timestep` to `prev_timestep` as if all its noise were ε.
    fn transfer(
        &self,
        sample: Tensor<4>,
        timestep: i64,
        prev_timestep: i64,
        prediction: Tensor<4>,
    ) -> Result<Tensor<4>> {
        let alpha_bar = self.noise_schedule.alpha_bar(timestep)?;
        let alpha_bar_prev = if prev_timestep >= 0 {
            self.noise_schedule.alpha_bar(prev_timestep)?
        } else {
            self.final_alpha_bar
        };
        let epsilon = match self.fields.prediction_type {
            PredictionType::VPrediction => {
                prediction * alpha_bar.sqrt() + sample.clone() * (1.0 - alpha_bar).sqrt()
            }
            _ => prediction,
        };
        let denominator = alpha_bar * (1.0 - alpha_bar_prev).sqrt()
            + (alpha_bar * (1.0 - alpha_bar) * alpha_bar_prev).sqrt();
        Ok(sample * (alpha_bar_prev / alpha_bar).sqrt()
            - epsilon * ((alpha_bar_prev - alpha_bar) / denominator))
    }
}

impl Scheduler for PNDMScheduler {
    scheduler_methods!(config);

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        possible_steps(num_inference_steps)?;
        let num_train_timesteps = self.fields.num_train_timesteps;
        let steps: Vec<f32> = self
            .fields
            .timestep_spacing
            .descending(num_train_timesteps, num_inference_steps, self.fields.steps_offset)
            .into_iter()
            .map(|timestep| timestep.round_ties_even() as f32)
            .collect();

        if self.fields.skip_prk_steps {
            self.prk_calls = 0;
            self.timesteps = steps;
            if let Some(&second) = self.timesteps.get(1) {
                self.timesteps.insert(1, second);
            }
        } else {
            if num_inference_steps < 4 {
                let message = format!(
                    "{num_inference_steps} is too few: PNDM needs 4 for its Runge-Kutta steps, unless `skip_prk_steps`"
                );
                return Err(Error::argument("num_inference_steps", message));
            }
            // A Runge-Kutta step from t₀ to t₁ calls the model at t₀, twice halfway, and at t₁.
            let half_step = (num_train_timesteps / num_inference_steps / 2) as f32;
            self.timesteps = steps[..4]
                .windows(2)
                .flat_map(|ends| {
                    let middle = ends[1] + half_step;
                    [ends[0], middle, middle, ends[1]]
                })
                .collect();
            self.prk_calls = self.timesteps.len();
            self.timesteps.extend(&steps[3..]);
        }
        self.num_inference_steps = Some(num_inference_steps);
        self.counter = 0;
        self.predictions.clear();
        self.step_start = None;
        self.prk_sum = None;
        Ok(())
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        _options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        let method = if self.counter < self.prk_calls { Self::step_prk } else { Self::step_plms };
        let prev_sample = method(self, model_output, timestep, sample)?;
        Ok(SchedulerOutput { prev_sample, pred_original_sample: None })
    }

    scheduler_methods!(add_noise: noise_schedule);
}
