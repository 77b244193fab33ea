//! The timesteps of a run.

use crate::error::{Error, Result};
use crate::schedulers::Scheduler;

/// Sets a scheduler's timesteps, to those given or else to `num_inference_steps` of its own choice, and returns the number
/// of steps.
///
/// # Errors
/// When timesteps and sigmas are both given, or the scheduler takes no list of its own.
pub(super) fn choose_timesteps(
    scheduler: &mut dyn Scheduler,
    num_inference_steps: usize,
    timesteps: Option<&[f32]>,
    sigmas: Option<&[f32]>,
) -> Result<usize> {
    match (timesteps, sigmas) {
        (Some(_), Some(_)) => Err(Error::argument("timesteps", "cannot be given together with `sigmas`")),
        (Some(timesteps), None) => {
            scheduler.set_custom_timesteps(timesteps)?;
            Ok(scheduler.timesteps().len())
        }
        (None, Some(sigmas)) => {
            scheduler.set_custom_sigmas(sigmas)?;
            Ok(scheduler.timesteps().len())
        }
        (None, None) => {
            scheduler.set_timesteps(num_inference_steps)?;
            Ok(num_inference_steps)
        }
    }
}
