//! Sampling of continuous-time consistency models ([Lu & Song](https://arxiv.org/abs/2410.11081)) along the circle of TrigFlow, for
//! [SANA-Sprint](https://arxiv.org/abs/2503.09641).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::linspace_f32;
use super::common::run::started;
use super::common::shape::check_same_shape;
use super::common::step_index::{StepIndex, UnknownTimestep};
use super::common::timestep_spacing::{MOST_TIMESTEPS, all_training_timesteps, at_most_training_steps};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "SCMScheduler";
/// The only value of `prediction_type`.
const TRIGFLOW: &str = "trigflow";
/// The first timestep of a run, close to π/2.
#[expect(clippy::approx_constant, reason = "models were distilled with this angle, which is larger than π/2")]
pub(crate) const MAX_TIMESTEPS: f64 = 1.57080;
/// The second timestep of a run of two steps.
pub(crate) const INTERMEDIATE_TIMESTEPS: f64 = 1.3;

/// The configuration of an [`SCMScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SCMSchedulerConfig {
    /// The most steps of a run.
    pub num_train_timesteps: usize,
    /// What the model predicts: only `trigflow`.
    pub prediction_type: String,
    /// The standard deviation of the data, and of the noise that steps add.
    pub sigma_data: f64,
}

impl Default for SCMSchedulerConfig {
    fn default() -> Self {
        Self { num_train_timesteps: 1000, prediction_type: TRIGFLOW.to_owned(), sigma_data: 0.5 }
    }
}

/// Predicts the noise-free sample directly, and adds fresh noise for the next of a few steps.
///
/// Timesteps are angles between data (0) and noise (π/2). As in Python, those of a run end with 0, which is no step: a run of two steps has
/// three. The first is 1.5708 and the second of a run of two steps 1.3, unless [`TimestepOptions::max_timesteps`] and
/// [`TimestepOptions::intermediate_timesteps`] say otherwise.
///
/// ```
/// use oxidiff::{Device, SCMScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = SCMScheduler::new(Default::default())?;
/// scheduler.set_timesteps(2)?;
/// assert_eq!(scheduler.timesteps(), [1.5708, 1.3, 0.0]);
///
/// let mut sample = Tensor::<4>::ones([1, 32, 8, 8], &Device::default());
/// for timestep in [1.5708, 1.3] {
///     let prediction = sample.clone(); // a model's output
///     sample = scheduler.step(prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SCMScheduler {
    fields: SCMSchedulerConfig,
    config: Config,
    num_inference_steps: Option<usize>,
    timesteps: Vec<f32>,
    step_index: StepIndex,
}

impl SCMScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: SCMSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: SCMSchedulerConfig, config: Config) -> Result<Self> {
        if fields.prediction_type != TRIGFLOW {
            let message = format!("is `{}`; only `{TRIGFLOW}` is supported", fields.prediction_type);
            return Err(Error::config(config.origin(), "prediction_type", message));
        }
        if !fields.sigma_data.is_finite() || fields.sigma_data <= 0.0 {
            let message = format!("must be positive, is {}", fields.sigma_data);
            return Err(Error::config(config.origin(), "sigma_data", message));
        }
        let count = fields.num_train_timesteps;
        if !(1..=MOST_TIMESTEPS).contains(&count) {
            let message = format!("must be between 1 and {MOST_TIMESTEPS}, is {count}");
            return Err(Error::config(config.origin(), "num_train_timesteps", message));
        }
        Ok(Self {
            timesteps: all_training_timesteps(fields.num_train_timesteps),
            fields,
            config,
            num_inference_steps: None,
            step_index: StepIndex::new(UnknownTimestep::IsError),
        })
    }

    /// The standard deviation of the data, by which a model's inputs are divided.
    pub fn sigma_data(&self) -> f64 {
        self.fields.sigma_data
    }

    /// The given timesteps, with the number of steps.
    fn given(options: &TimestepOptions<'_>, timesteps: &[f32]) -> Result<(usize, Vec<f32>)> {
        let invalid = |message: String| Err(Error::argument("timesteps", message));
        if options.max_timesteps.is_some() {
            return Err(Error::argument("max_timesteps", "cannot be given together with `timesteps`"));
        }
        let steps = options.num_inference_steps.unwrap_or(timesteps.len().saturating_sub(1));
        if timesteps.len() != steps + 1 || steps == 0 {
            let message = format!(
                "must be one more than steps: the last is where the run ends, but got {}",
                timesteps.len()
            );
            return invalid(message);
        }
        match timesteps.iter().find(|timestep| !timestep.is_finite()) {
            Some(timestep) => invalid(format!("cannot be {timestep}")),
            None => Ok((steps, timesteps.to_vec())),
        }
    }
}

impl Scheduler for SCMScheduler {
    scheduler_methods!(config);

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        const INTERMEDIATE: &str = "intermediate_timesteps";
        options.only(&["timesteps", "max_timesteps", INTERMEDIATE], CLASS_NAME)?;
        let named =
            [("max_timesteps", options.max_timesteps), (INTERMEDIATE, options.intermediate_timesteps)];
        if let Some((name, Some(value))) =
            named.into_iter().find(|(_, value)| value.is_some_and(|value| !value.is_finite()))
        {
            return Err(Error::argument(name, format!("cannot be {value}")));
        }
        let (steps, timesteps) = match options.timesteps {
            Some(timesteps) => Self::given(&options, timesteps)?,
            None => {
                let steps = started(options.num_inference_steps)?;
                at_most_training_steps(steps, self.fields.num_train_timesteps)?;
                let first = options.max_timesteps.unwrap_or(MAX_TIMESTEPS);
                let usual = options.max_timesteps.is_none() && steps == 2;
                match options.intermediate_timesteps.or(usual.then_some(INTERMEDIATE_TIMESTEPS)) {
                    Some(second) => (steps, vec![first as f32, second as f32, 0.0]),
                    None => (steps, linspace_f32(first, 0.0, steps + 1)),
                }
            }
        };
        if options.intermediate_timesteps.is_some() && steps != 2 {
            let message = format!("is for runs of 2 steps, not of {steps}");
            return Err(Error::argument(INTERMEDIATE, message));
        }
        self.num_inference_steps = Some(steps);
        self.timesteps = timesteps;
        self.step_index.reset();
        Ok(())
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        started(self.num_inference_steps)?;
        let index = self.step_index.at(timestep, &self.timesteps, &self.timesteps)?;
        let [from, to] = [self.timesteps[index], self.timesteps[index + 1]]
            .map(|angle| [f64::from(angle.cos()), f64::from(angle.sin())]);
        let dtype = sample.dtype();
        let output = model_output.cast(DType::F32);
        // Noise is drawn in the last step too, which adds none of it.
        let noise = options.noise(&output, DType::F32)? * self.fields.sigma_data;
        let original = sample.cast(DType::F32) * from[0] - output * from[1];
        let prev_sample = original.clone() * to[0] + noise * to[1];
        self.step_index.advance();
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(original.cast(dtype)),
        })
    }

    fn add_noise(&self, _: Tensor<4>, _: Tensor<4>, _: &[f32]) -> Result<Tensor<4>> {
        Err(Error::unsupported(
            format!("`add_noise` of {CLASS_NAME}"),
            "the class defines none; pipelines go to an angle between an image and noise themselves",
        ))
    }

    scheduler_methods!(position: self => self.step_index, self.step_index);
}
