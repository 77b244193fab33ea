//! The timesteps of a run.

use super::arguments::check_finite;
use super::strength::Strength;
use crate::error::{Error, Result};
use crate::schedulers::{ModelKind, Scheduler};

/// Sets a scheduler's timesteps: the given ones, or `num_inference_steps` of its own choice. Returns the number of
/// steps.
///
/// # Errors
/// When the scheduler is for another kind of model, when both timesteps and sigmas are given, when one of them is not
/// finite, or when the scheduler does not take a given list.
pub(crate) fn choose_timesteps(
    scheduler: &mut dyn Scheduler,
    num_inference_steps: usize,
    timesteps: Option<&[f32]>,
    sigmas: Option<&[f32]>,
) -> Result<usize> {
    if scheduler.role().model != ModelKind::Diffusion {
        let why = "its steps are not those that a Stable Diffusion model was trained for";
        return Err(unfit(scheduler, "this pipeline", why));
    }
    choose(scheduler, num_inference_steps, timesteps, sigmas)
}

/// As [`choose_timesteps`], for a flow model that schedulers of flows and of diffusion models both step.
///
/// # Errors
/// As [`choose_timesteps`].
pub(crate) fn choose_timesteps_of_flow(
    scheduler: &mut dyn Scheduler,
    num_inference_steps: usize,
    timesteps: Option<&[f32]>,
    sigmas: Option<&[f32]>,
) -> Result<usize> {
    if !matches!(scheduler.role().model, ModelKind::Diffusion | ModelKind::Flow) {
        let why = "its steps are not those that a flow model was trained for";
        return Err(unfit(scheduler, "this pipeline", why));
    }
    choose(scheduler, num_inference_steps, timesteps, sigmas)
}

/// The error that a scheduler does not work in some pipelines.
pub(super) fn unfit(scheduler: &dyn Scheduler, pipelines: &str, why: &str) -> Error {
    let class_name = scheduler.config().class_name().unwrap_or_default();
    Error::unsupported(format!("{class_name} in {pipelines}"), why)
}

fn choose(
    scheduler: &mut dyn Scheduler,
    num_inference_steps: usize,
    timesteps: Option<&[f32]>,
    sigmas: Option<&[f32]>,
) -> Result<usize> {
    for (argument, list) in [("timesteps", timesteps), ("sigmas", sigmas)] {
        list.unwrap_or_default().iter().try_for_each(|number| check_finite(argument, (*number).into()))?;
    }
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

/// Leaves out the first steps of a run that starts from an image; `strength` says how much of the image to change. Returns
/// the remaining timesteps and the number of steps. A scheduler that uses a timestep twice, as PNDM does, still has one
/// timestep when no step is left.
///
/// # Errors
/// When no timestep is left.
pub(crate) fn start_from_image(
    scheduler: &mut dyn Scheduler,
    steps: usize,
    strength: Strength,
) -> Result<(Vec<f32>, usize)> {
    let left = ((steps as f64 * strength.value) as usize).min(steps);
    let begin = (steps - left) * scheduler.order();
    let timesteps = scheduler.timesteps().get(begin..).unwrap_or_default().to_vec();
    if timesteps.is_empty() {
        return Err(strength.no_step_left(steps));
    }
    scheduler.set_begin_index(begin);
    Ok((timesteps, left))
}
