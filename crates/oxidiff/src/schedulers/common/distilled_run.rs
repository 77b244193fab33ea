//! The runs of models that were distilled to need few steps: they visit some of the timesteps of the distillation.

use super::noise_schedule::whole_timestep;
use super::run::started;
use super::step_index::{StepIndex, UnknownTimestep};
use super::timestep_spacing::{all_training_timesteps, at_most_training_steps};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::schedulers::TimestepOptions;
use crate::wording::counted;

/// The timesteps of a run, and its position.
#[derive(Clone, Debug)]
pub(crate) struct DistilledRun {
    num_train_timesteps: usize,
    timesteps: Vec<f32>,
    num_inference_steps: Option<usize>,
    step_index: StepIndex,
}

/// A step of a run.
pub(crate) struct DistilledStep {
    /// The timestep that the step leads to; none after the last.
    pub next: Option<f32>,
    /// Whether the sample should be clean after it.
    pub is_final: bool,
}

/// How many timesteps a model was distilled with, and which.
pub(crate) struct Distillation {
    pub steps: usize,
    /// Ascending.
    pub timesteps: Vec<usize>,
}

impl Distillation {
    /// The first `strength` of `steps` equally spaced timesteps, which end with the last of training.
    ///
    /// The number of steps is the `given` one, or else the field of the `config`.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn evenly(
        num_train_timesteps: usize,
        given: Option<usize>,
        (configured, config): (usize, &Config),
        strength: f64,
    ) -> Result<Self> {
        const NAME: &str = "original_inference_steps";
        let steps = given.unwrap_or(configured);
        if !(1..=num_train_timesteps).contains(&steps) {
            let message =
                format!("must be between 1 and `num_train_timesteps`, {num_train_timesteps}, is {steps}");
            return Err(match given {
                Some(_) => Error::argument(NAME, message),
                None => Error::config(config.origin(), NAME, message),
            });
        }
        let distance = num_train_timesteps / steps;
        let used = (steps as f64 * strength) as usize;
        Ok(Self { steps, timesteps: (1..=used).map(|count| count * distance - 1).collect() })
    }
}

/// The part of the timesteps that is used when the run starts from an image.
pub(crate) fn strength(options: &TimestepOptions<'_>) -> Result<f64> {
    let strength = options.strength.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&strength) {
        return Err(Error::argument("strength", format!("must be between 0 and 1, is {strength}")));
    }
    Ok(strength)
}

impl DistilledRun {
    /// No run yet: all training timesteps.
    pub fn not_chosen(num_train_timesteps: usize) -> Self {
        Self {
            num_train_timesteps,
            timesteps: all_training_timesteps(num_train_timesteps),
            num_inference_steps: None,
            step_index: StepIndex::new(UnknownTimestep::IsError),
        }
    }

    pub fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    /// Chooses a run of the distillation's timesteps, or of those that `options` name.
    pub fn choose(&mut self, options: &TimestepOptions<'_>, distillation: &Distillation) -> Result<()> {
        let (timesteps, count) = match (options.num_inference_steps, options.timesteps) {
            (Some(_), Some(_)) => {
                let message = "cannot be given together with `num_inference_steps`";
                return Err(Error::argument("timesteps", message));
            }
            (None, None) => {
                return Err(Error::argument("num_inference_steps", "must be given, or else `timesteps`"));
            }
            (Some(count), None) => (self.spread(count, options, distillation)?, count),
            (None, Some(timesteps)) => (self.named(timesteps, strength(options)?)?, timesteps.len()),
        };
        self.timesteps = timesteps;
        self.num_inference_steps = Some(count);
        self.step_index.reset();
        Ok(())
    }

    /// `count` of the distillation's timesteps, evenly spaced, from the last one down.
    fn spread(
        &self,
        count: usize,
        options: &TimestepOptions<'_>,
        distillation: &Distillation,
    ) -> Result<Vec<f32>> {
        at_most_training_steps(count, self.num_train_timesteps)?;
        let available = distillation.timesteps.len();
        if count > available || count > distillation.steps {
            let message = format!(
                "{count} is more than the {} that `original_inference_steps` {} and `strength` {} allow",
                counted(available.min(distillation.steps), "step"),
                distillation.steps,
                strength(options)?,
            );
            return Err(Error::argument("num_inference_steps", message));
        }
        let distance = available as f64 / count as f64;
        Ok((0..count)
            .map(|step| distillation.timesteps[available - 1 - (step as f64 * distance) as usize] as f32)
            .collect())
    }

    /// Timesteps chosen by a user, without the first ones, which `strength` leaves out.
    fn named(&self, timesteps: &[f32], strength: f64) -> Result<Vec<f32>> {
        let invalid = |message: String| Err(Error::argument("timesteps", message));
        if timesteps.windows(2).any(|pair| pair[1] >= pair[0]) {
            return invalid("must be in descending order".into());
        }
        for &timestep in timesteps {
            let known = 0..self.num_train_timesteps as i64;
            if !known.contains(&whole_timestep(timestep)?) {
                let last = self.num_train_timesteps - 1;
                return invalid(format!("{timestep} is not a training timestep, 0 to {last}"));
            }
        }
        let used = (timesteps.len() as f64 * strength) as usize;
        if used == 0 {
            return invalid(format!(
                "has {} values, of which `strength` {strength} leaves none",
                timesteps.len()
            ));
        }
        Ok(timesteps[timesteps.len() - used..].to_vec())
    }

    /// The current step, whose timestep is `timestep`.
    pub fn enter(&mut self, timestep: f32) -> Result<DistilledStep> {
        let count = started(self.num_inference_steps)?;
        let index = self.step_index.at_timestep(timestep, &self.timesteps)?;
        // Timesteps that `strength` left out count as steps, as they do in Python.
        Ok(DistilledStep { next: self.timesteps.get(index + 1).copied(), is_final: index + 1 == count })
    }

    /// Advances to the next step.
    pub fn advance(&mut self) {
        self.step_index.advance();
    }

    /// The position in the run.
    pub fn position(&self) -> &StepIndex {
        &self.step_index
    }

    pub fn position_mut(&mut self) -> &mut StepIndex {
        &mut self.step_index
    }
}
