//! Which of the training timesteps an inference run visits.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the timesteps of a run are spread over the training timesteps, named as in table 2 of
/// [Common Diffusion Noise Schedules and Sample Steps are Flawed](https://arxiv.org/abs/2305.08891).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// Equally spaced from the first training timestep to the last.
    #[default]
    Linspace,
    /// Multiples of a whole step, starting with 0.
    Leading,
    /// Equal steps down from the last training timestep.
    Trailing,
}

impl TimestepSpacing {
    /// `count` timesteps of `num_train_timesteps`, descending. Only those of `Linspace` can be fractions.
    pub(crate) fn descending(
        self,
        num_train_timesteps: usize,
        count: usize,
        steps_offset: usize,
    ) -> Vec<f64> {
        match self {
            Self::Linspace => {
                let mut timesteps = linspace(0.0, (num_train_timesteps - 1) as f64, count);
                timesteps.reverse();
                timesteps
            }
            Self::Leading => {
                let ratio = num_train_timesteps / count;
                (0..count).rev().map(|i| (i * ratio + steps_offset) as f64).collect()
            }
            Self::Trailing => {
                let ratio = num_train_timesteps as f64 / count as f64;
                trailing(num_train_timesteps, ratio, count)
            }
        }
    }

    /// At most `count` whole timesteps of the first `usable` of `num_train_timesteps`, descending. They are those of
    /// a run with one more step, without its last, which would be clean already.
    pub(crate) fn before_clean(
        self,
        usable: usize,
        num_train_timesteps: usize,
        count: usize,
        steps_offset: usize,
    ) -> Vec<f64> {
        match self {
            Self::Linspace | Self::Leading => {
                let mut timesteps = self.descending(usable, count + 1, steps_offset);
                timesteps.truncate(count);
                timesteps.into_iter().map(f64::round_ties_even).collect()
            }
            Self::Trailing => trailing(usable, num_train_timesteps as f64 / count as f64, count),
        }
    }

    /// As [`TimestepSpacing::descending`], in single precision, as some of Python's classes compute them before
    /// interpolating noise levels.
    pub(crate) fn descending_f32(
        self,
        num_train_timesteps: usize,
        count: usize,
        steps_offset: usize,
    ) -> Vec<f32> {
        let timesteps = self.descending(num_train_timesteps, count, steps_offset);
        timesteps.into_iter().map(|timestep| timestep as f32).collect()
    }
}

/// At most `count` whole timesteps `last − 1`, `last − 1 − ratio`, … ≥ 0.
///
/// NumPy's `arange(last, 0, -ratio)`, which the Python class uses, yields one timestep too many (−1) if `ratio` was
/// rounded down; `count` leaves it out.
pub(crate) fn trailing(last: usize, ratio: f64, count: usize) -> Vec<f64> {
    let last = last as f64;
    // The first difference, with its rounding error, is what NumPy keeps adding.
    let step = (last - ratio) - last;
    let available = (last / ratio).ceil() as usize;
    (0..available.min(count)).map(|i| (last + i as f64 * step).round_ties_even() - 1.0).collect()
}

/// Timesteps without their fractions.
pub(crate) fn whole(timesteps: &[f64]) -> Vec<f64> {
    timesteps.iter().map(|timestep| timestep.trunc()).collect()
}

/// `count` equally spaced numbers from `start` to `stop`, rounded like NumPy's.
pub(crate) fn linspace(start: f64, stop: f64, count: usize) -> Vec<f64> {
    if count < 2 {
        return vec![start; count];
    }
    let step = (stop - start) / (count - 1) as f64;
    let mut values: Vec<f64> = (0..count).map(|i| i as f64 * step + start).collect();
    values[count - 1] = stop;
    values
}

/// More timesteps than any run or training has: tables of more would not fit into memory.
pub(crate) const MOST_TIMESTEPS: usize = 1_000_000;

/// Rejects runs with no steps, or absurdly many.
pub(crate) fn possible_steps(num_inference_steps: usize) -> Result<()> {
    if !(1..=MOST_TIMESTEPS).contains(&num_inference_steps) {
        let message = format!("must be between 1 and {MOST_TIMESTEPS}, but is {num_inference_steps}");
        return Err(Error::argument("num_inference_steps", message));
    }
    Ok(())
}

/// Rejects runs of more steps than the model was trained with.
pub(crate) fn at_most_training_steps(num_inference_steps: usize, num_train_timesteps: usize) -> Result<()> {
    possible_steps(num_inference_steps)?;
    if num_inference_steps > num_train_timesteps {
        let message = format!(
            "{num_inference_steps} cannot be larger than `num_train_timesteps`: the model was trained with \
             {num_train_timesteps} timesteps"
        );
        return Err(Error::argument("num_inference_steps", message));
    }
    Ok(())
}

/// All training timesteps, from noisy to clean.
pub(crate) fn all_training_timesteps(num_train_timesteps: usize) -> Vec<f32> {
    (0..num_train_timesteps).rev().map(|timestep| timestep as f32).collect()
}
