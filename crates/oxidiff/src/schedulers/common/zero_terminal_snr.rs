//! Zero terminal signal-to-noise ratio (Lin et al. 2023, <https://arxiv.org/abs/2305.08891>), and the models that cannot
//! have it.
//!
//! At the last training timestep, nothing of the image is left in the sample. A model that predicts the noise then
//! returns its input, which says nothing about the image; the image that follows from its prediction is 0 / 0.

use crate::error::{Error, Result};
use crate::schedulers::Scheduler;

/// Rejects a scheduler whose runs all begin where a noise-predicting model knows nothing about the image.
///
/// # Errors
/// When the configuration combines `rescale_betas_zero_snr`, `prediction_type: epsilon` and a spacing of timesteps that
/// begins at the last one.
pub(crate) fn check_configuration(scheduler: &dyn Scheduler) -> Result<()> {
    let config = scheduler.config();
    let text = |field: &str| config.get(field).and_then(|value| value.as_str());
    let begins_at_last = match scheduler.config().class_name() {
        Some("LCMScheduler") => true,
        _ => matches!(text("timestep_spacing"), Some("trailing" | "linspace")),
    };
    if begins_at_last && loses_signal(scheduler) { Err(no_signal(scheduler)) } else { Ok(()) }
}

/// Rejects a run that visits the timestep at which a noise-predicting model knows nothing about the image.
///
/// # Errors
/// When it does.
pub(crate) fn check_timesteps(scheduler: &dyn Scheduler, timesteps: &[f32]) -> Result<()> {
    let count = scheduler.config().get("num_train_timesteps").and_then(|count| count.as_f64());
    let visits = |last: f64| timesteps.iter().any(|&timestep| f64::from(timestep) >= last);
    if count.is_some_and(|count| visits(count - 1.0)) && loses_signal(scheduler) {
        return Err(no_signal(scheduler));
    }
    Ok(())
}

fn loses_signal(scheduler: &dyn Scheduler) -> bool {
    let config = scheduler.config();
    scheduler.role().divides_by_signal
        && config.get("rescale_betas_zero_snr").and_then(|value| value.as_bool()) == Some(true)
        && config.get("prediction_type").and_then(|value| value.as_str()) == Some("epsilon")
}

fn no_signal(scheduler: &dyn Scheduler) -> Error {
    let config = scheduler.config();
    let message = "cannot be true when `prediction_type` is `epsilon` and the first timestep is the last of training: \
                   there the sample is pure noise, which says nothing about the image. Models for it were trained with \
                   `v_prediction`; `timestep_spacing: leading` leaves that timestep out";
    Error::config(config.origin(), "rescale_betas_zero_snr", message)
}
