//! Inpainting with an unconditional model: algorithm 1 of [RePaint](https://arxiv.org/abs/2201.09865), with DDIM's steps.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields, whole_timestep};
use super::common::run::started;
use super::common::shape::check_same_shape;
use super::common::timestep_spacing::{MOST_TIMESTEPS, all_training_timesteps, possible_steps};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "RePaintScheduler";

/// The configuration of a [`RePaintScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RePaintSchedulerConfig {
    /// Number of steps the model was trained with.
    pub num_train_timesteps: usize,
    /// β of the first training timestep.
    pub beta_start: f64,
    /// β of the last training timestep.
    pub beta_end: f64,
    /// How β grows in between; `linear`, `scaled_linear`, `squaredcos_cap_v2` or `sigmoid`.
    pub beta_schedule: BetaSchedule,
    /// Weight of the noise added to the unknown part; 0 is DDIM, 1 is DDPM.
    pub eta: f64,
    /// All β, instead of a schedule.
    pub trained_betas: Option<Vec<f64>>,
    /// Clip the predicted noise-free sample to ±1.
    pub clip_sample: bool,
}

impl Default for RePaintSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            eta: 0.0,
            trained_betas: None,
            clip_sample: true,
        }
    }
}

/// RePaint: takes the known part of each sample from the image and the unknown part from the model, and goes back and
/// forth in time so that both fit together.
///
/// If the next timestep of a run is noisier than the current one, call [`RePaintScheduler::undo_step`] instead of
/// [`Scheduler::step`]. A step needs `original_image` and `mask` of [`StepOptions`]. Like Python's class, it cannot
/// add noise to samples for training.
///
/// ```
/// use oxidiff::{Device, RePaintScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = RePaintScheduler::new(Default::default())?;
/// scheduler.set_timesteps_with_jumps(20, 5, 2)?;
///
/// let image = Tensor::<4>::ones([1, 3, 8, 8], &Device::default());
/// let mask = image.clone(); // 1 where the image is known
/// let mut sample = image.clone();
/// let mut last = scheduler.timesteps()[0] + 1.0;
/// for timestep in scheduler.timesteps().to_vec() {
///     if timestep < last {
///         let noise_prediction = sample.clone(); // a model's output
///         let options = StepOptions {
///             original_image: Some(image.clone()),
///             mask: Some(mask.clone()),
///             ..Default::default()
///         };
///         sample = scheduler.step(noise_prediction, timestep, sample, options)?.prev_sample;
///     } else {
///         sample = scheduler.undo_step(sample, last, StepOptions::default())?;
///     }
///     last = timestep;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RePaintScheduler {
    fields: RePaintSchedulerConfig,
    config: Config,
    noise_schedule: NoiseSchedule,
    timesteps: Vec<f32>,
    num_inference_steps: Option<usize>,
}

impl RePaintScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: RePaintSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: RePaintSchedulerConfig, config: Config) -> Result<Self> {
        let betas = beta_fields!(fields);
        let noise_schedule = NoiseSchedule::new(&betas, BetaSchedule::WITH_SIGMOID, &config)?;
        if !(0.0..).contains(&fields.eta) {
            let message = format!("is {}, must be at least 0", fields.eta);
            return Err(Error::config(config.origin(), "eta", message));
        }
        let timesteps = all_training_timesteps(fields.num_train_timesteps);
        Ok(Self { fields, config, noise_schedule, timesteps, num_inference_steps: None })
    }

    /// Chooses the timesteps of a run of at most as many steps as training had. After every `jump_length` steps, it
    /// goes back by as many, `jump_n_sample` − 1 times in all.
    ///
    /// # Errors
    /// When there are no steps, a jump has no length, or the run would be absurdly long.
    pub fn set_timesteps_with_jumps(
        &mut self,
        num_inference_steps: usize,
        jump_length: usize,
        jump_n_sample: usize,
    ) -> Result<()> {
        possible_steps(num_inference_steps)?;
        if jump_length == 0 {
            return Err(Error::argument("jump_length", "must be at least 1"));
        }
        let steps = num_inference_steps.min(self.fields.num_train_timesteps);
        let ratio = self.fields.num_train_timesteps / steps;
        let jumps = jump_n_sample.saturating_sub(1);
        // A jump starts at the end of every part of `jump_length` steps except the first.
        let jumping_points = steps.saturating_sub(jump_length).div_ceil(jump_length);
        let length =
            jumping_points.saturating_mul(jumps).saturating_mul(2 * jump_length).saturating_add(steps);
        if length > MOST_TIMESTEPS {
            let message = format!("makes a run of {length} steps, more than {MOST_TIMESTEPS}");
            return Err(Error::argument("jump_n_sample", message));
        }
        let mut remaining = vec![jumps; jumping_points];
        let mut run = Vec::with_capacity(length);
        let mut step = steps;
        while step > 0 {
            step -= 1;
            run.push(step);
            if step.is_multiple_of(jump_length)
                && let Some(remaining) = remaining.get_mut(step / jump_length)
                && *remaining > 0
            {
                *remaining -= 1;
                run.extend(step + 1..=step + jump_length);
                step += jump_length;
            }
        }
        self.timesteps = run.into_iter().map(|step| (step * ratio) as f32).collect();
        self.num_inference_steps = Some(steps);
        Ok(())
    }

    /// How many training timesteps a step spans.
    fn step_ratio(&self) -> Result<i64> {
        let steps = started(self.num_inference_steps)?;
        Ok((self.fields.num_train_timesteps / steps) as i64)
    }

    /// Goes from `sample` at `timestep` back to the noisier timestep that a step came from, by the forward process.
    ///
    /// Noise comes from the generator of `options`, several times in a step; `variance_noise` is used each time.
    ///
    /// # Errors
    /// Before [`Scheduler::set_timesteps`], or when the timesteps are not training timesteps.
    pub fn undo_step(
        &mut self,
        mut sample: Tensor<4>,
        timestep: f32,
        mut options: StepOptions<'_>,
    ) -> Result<Tensor<4>> {
        let timestep = whole_timestep(timestep)?;
        let dtype = sample.dtype();
        for passed in 0..self.step_ratio()? {
            let beta = self.noise_schedule.beta(timestep + passed)?;
            let given = options.variance_noise.clone();
            let noise = options.noise(&sample, dtype)?;
            options.variance_noise = given;
            let noisier = sample.cast(DType::F32) * (1.0 - beta).sqrt() + noise * beta.sqrt();
            sample = noisier.cast(dtype);
        }
        Ok(sample)
    }
}

/// A tensor that a step needs; it fits the sample or is repeated along dimensions of length 1.
fn needed(name: &'static str, tensor: Option<Tensor<4>>, sample: &Tensor<4>) -> Result<Tensor<4>> {
    let tensor = tensor.ok_or_else(|| Error::argument(name, "must be given to RePaintScheduler's step"))?;
    let fits =
        tensor.dims().into_iter().zip(sample.dims()).all(|(length, full)| length == full || length == 1);
    if !fits {
        let message = format!("has shape {:?}, the sample has {:?}", tensor.dims(), sample.dims());
        return Err(Error::argument(name, message));
    }
    Ok(tensor.cast(DType::F32))
}

impl Scheduler for RePaintScheduler {
    scheduler_methods!(config);

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    /// As [`RePaintScheduler::set_timesteps_with_jumps`], by default with Python's parts of 10 steps, each 10 times.
    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        options.only(&["jump_length", "jump_n_sample"], CLASS_NAME)?;
        let (length, samples) = (options.jump_length.unwrap_or(10), options.jump_n_sample.unwrap_or(10));
        self.set_timesteps_with_jumps(options.count()?, length, samples)
    }

    /// The known part of a sample comes from an image.
    fn images_only(&self) -> bool {
        true
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let timestep = whole_timestep(timestep)?;
        let previous = timestep - self.step_ratio()?;
        let original_image = needed("original_image", options.original_image.take(), &sample)?;
        let mask = needed("mask", options.mask.take(), &sample)?;
        let alpha_bar = self.noise_schedule.alpha_bar(timestep)?;
        let alpha_bar_prev = if previous >= 0 { self.noise_schedule.alpha_bar(previous)? } else { 1.0 };

        let dtype = sample.dtype();
        let noise_dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        let mut pred_original_sample =
            (sample.clone() - model_output.clone() * (1.0 - alpha_bar).sqrt()) / alpha_bar.sqrt();
        if self.fields.clip_sample {
            pred_original_sample = pred_original_sample.clamp(-1.0, 1.0);
        }

        // DDIM's step for the unknown part, equations 12 and 16 of that paper.
        let variance = (1.0 - alpha_bar_prev) / (1.0 - alpha_bar) * (1.0 - alpha_bar / alpha_bar_prev);
        let deviation = self.fields.eta * variance.sqrt();
        let direction = 1.0 - alpha_bar_prev - deviation * deviation;
        if direction < 0.0 {
            let message = format!(
                "`eta` of the configuration, {}, asks for more noise than timestep {previous} has",
                self.fields.eta
            );
            return Err(Error::argument("timestep", message));
        }
        let noise = options.noise(&sample, noise_dtype)?;
        let mut unknown =
            pred_original_sample.clone() * alpha_bar_prev.sqrt() + model_output * direction.sqrt();
        if timestep > 0 && self.fields.eta > 0.0 {
            unknown = unknown + noise.clone() * deviation;
        }
        // Equation 8a for the known part, 8c for both.
        let known = original_image * alpha_bar_prev.sqrt() + noise * (1.0 - alpha_bar_prev).sqrt();
        let prev_sample = mask.clone() * known + (mask.neg() + 1.0) * unknown;
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample.cast(dtype)),
        })
    }

    fn add_noise(
        &self,
        _original_samples: Tensor<4>,
        _noise: Tensor<4>,
        _timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        Err(Error::unsupported(
            "`add_noise` with RePaintScheduler",
            "a model for RePaint is trained with the noise of DDPMScheduler",
        ))
    }
}
