//! An ensemble of experts (Balaji et al. 2022, <https://arxiv.org/abs/2211.01324>): one model runs the first steps and
//! another one the last.

use crate::error::{Error, Result};
use crate::pipelines::common::arguments::check_finite;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::strength::Strength;
use crate::pipelines::common::timesteps::start_from_image;
use crate::schedulers::Scheduler;

/// Whether a fraction of all steps divides them into two parts. Python ignores other values.
fn divides(part: f64) -> bool {
    part > 0.0 && part < 1.0
}

/// The timestep at which this `part` of the way from noise to image is done.
fn cutoff(scheduler: &dyn Scheduler, part: f64) -> f64 {
    let trained = scheduler.config().get("num_train_timesteps").and_then(|count| count.as_f64());
    let trained = trained.unwrap_or(1000.0);
    (trained - part * trained).round_ties_even()
}

/// The timesteps up to `denoising_end`, and the number of steps.
///
/// # Errors
/// When no timestep is left.
pub(super) fn stop_early(
    scheduler: &dyn Scheduler,
    timesteps: Vec<f32>,
    steps: usize,
    denoising_end: Option<f64>,
) -> Result<(Vec<f32>, usize)> {
    let Some(end) = denoising_end.filter(|end| divides(*end)) else { return Ok((timesteps, steps)) };
    let cutoff = cutoff(scheduler, end);
    let left = timesteps.iter().filter(|timestep| f64::from(**timestep) >= cutoff).count();
    if left == 0 {
        return Err(Error::argument("denoising_end", format!("{end} of the run is less than one step")));
    }
    Ok((timesteps[..left].to_vec(), left.min(steps)))
}

/// The timesteps of a run that starts from an image: from `denoising_start` on if another model has denoised up to there,
/// or else as `strength` says; and the number of steps.
///
/// # Errors
/// When no timestep is left.
pub(super) fn start(
    scheduler: &mut dyn Scheduler,
    steps: usize,
    strength: Strength,
    denoising_start: Option<f64>,
) -> Result<(Vec<f32>, usize)> {
    let Some(start) = denoising_start.filter(|start| divides(*start)) else {
        return start_from_image(scheduler, steps, strength);
    };
    let is_given = strength.value != strength.default;
    warn_of_ignored("strength", is_given, "`denoising_start` says where the run starts");
    let cutoff = cutoff(scheduler, start);
    let all = scheduler.timesteps().to_vec();
    let mut left = all.iter().filter(|timestep| f64::from(**timestep) < cutoff).count();
    // A scheduler of second order begins with a step of first order.
    if scheduler.order() == 2 && left.is_multiple_of(2) {
        left += 1;
    }
    if left == 0 {
        return Err(Error::argument("denoising_start", format!("no step is left after {start} of the run")));
    }
    // One more than there are becomes index -1 in Python: only the last timestep.
    let begin = all.len().checked_sub(left).unwrap_or(all.len() - 1);
    scheduler.set_begin_index(begin);
    Ok((all[begin..].to_vec(), all.len() - begin))
}

/// Checks where a run starts and ends. Python ignores a part that does not divide the steps; so does this, with a warning.
///
/// # Errors
/// When a part is not finite, or the run does not end after it starts.
pub(super) fn check(denoising_start: Option<f64>, denoising_end: Option<f64>) -> Result<()> {
    for (argument, part) in [("denoising_start", denoising_start), ("denoising_end", denoising_end)] {
        let Some(part) = part else { continue };
        check_finite(argument, part)?;
        warn_of_ignored(argument, !divides(part), &format!("{part} is not between 0 and 1"));
    }
    match (denoising_start, denoising_end) {
        (Some(start), Some(end)) if divides(start) && divides(end) && start >= end => {
            let message = format!("is {start}, and must be below `denoising_end`, which is {end}");
            Err(Error::argument("denoising_start", message))
        }
        _ => Ok(()),
    }
}
