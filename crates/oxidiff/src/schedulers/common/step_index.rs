//! The position in a run, for schedulers that follow a list of noise levels.

use crate::error::{Error, Result};

/// The index of the next step: found by its timestep at the first step, counted from then on.
#[derive(Clone, Debug)]
pub(crate) struct StepIndex {
    unknown: UnknownTimestep,
    begin: Option<usize>,
    current: Option<usize>,
}

/// The meaning of a timestep that is not in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownTimestep {
    /// A mistake.
    IsError,
    /// The last timestep.
    IsLast,
}

impl StepIndex {
    pub fn new(unknown: UnknownTimestep) -> Self {
        Self { unknown, begin: None, current: None }
    }

    /// Forgets the run, so that a new one can start.
    pub fn reset(&mut self) {
        *self = Self::new(self.unknown);
    }

    /// Sets where the run starts, so that the first timestep need not be searched for.
    pub fn set_begin(&mut self, begin_index: usize) {
        self.begin = Some(begin_index);
    }

    /// Where the run starts, if that was set.
    pub fn begin(&self) -> Option<usize> {
        self.begin
    }

    /// The index of the next step, once the run has begun.
    pub fn current(&self) -> Option<usize> {
        self.current
    }

    /// Moves to a step, or to where the run has not begun.
    pub fn set_current(&mut self, index: Option<usize>) {
        self.current = index;
    }

    /// The index of the current step, whose timestep is `timestep`. Its noise level and the next one exist.
    pub fn at(&mut self, timestep: f32, timesteps: &[f32], sigmas: &[f32]) -> Result<usize> {
        let index = self.at_timestep(timestep, timesteps)?;
        if index + 1 >= sigmas.len() {
            return Err(is_over(timesteps));
        }
        Ok(index)
    }

    /// The index of the current step, whose timestep is `timestep`.
    pub fn at_timestep(&mut self, timestep: f32, timesteps: &[f32]) -> Result<usize> {
        let index = match self.current.or(self.begin) {
            Some(index) => index,
            None => self.find(timestep, timesteps)?,
        };
        if index >= timesteps.len() {
            return Err(is_over(timesteps));
        }
        self.current = Some(index);
        Ok(index)
    }

    /// Advances to the next step.
    pub fn advance(&mut self) {
        self.current = self.current.map(|index| index + 1);
    }

    /// The noise levels that `added_to` mean when noise is added: if the beginning of the run was set, that of the
    /// current step, or of the first step before the run has begun; otherwise those of the timesteps themselves.
    pub fn levels_of_added_noise(
        &self,
        added_to: &[f32],
        timesteps: &[f32],
        sigmas: &[f32],
    ) -> Result<Vec<f64>> {
        added_to
            .iter()
            .map(|&timestep| {
                let index = match self.begin {
                    Some(begin) => self.current.unwrap_or(begin),
                    None => self.find(timestep, timesteps)?,
                };
                sigmas.get(index).map(|&sigma| f64::from(sigma)).ok_or_else(|| {
                    let message = format!("step {index} is beyond the {} steps of this run", timesteps.len());
                    Error::argument("timesteps", message)
                })
            })
            .collect()
    }

    /// Finds a timestep. Of equal ones, the second is meant, so that a run that starts in the middle skips no level.
    pub fn find(&self, timestep: f32, timesteps: &[f32]) -> Result<usize> {
        let mut matches = (0..timesteps.len()).filter(|&index| timesteps[index] == timestep);
        match (matches.next(), matches.next()) {
            (_, Some(second)) => Ok(second),
            (Some(only), None) => Ok(only),
            (None, None) if self.unknown == UnknownTimestep::IsLast && !timesteps.is_empty() => {
                Ok(timesteps.len() - 1)
            }
            (None, None) => {
                let message = format!("{timestep} is not one of this run's {} timesteps", timesteps.len());
                Err(Error::argument("timestep", message))
            }
        }
    }
}

fn is_over(timesteps: &[f32]) -> Error {
    let message = format!("the run of {} steps is over; set the timesteps again", timesteps.len());
    Error::argument("timestep", message)
}
