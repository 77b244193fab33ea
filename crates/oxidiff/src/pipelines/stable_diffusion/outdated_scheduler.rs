//! Corrects outdated fields in the scheduler configurations of early checkpoints.

use serde_json::Value;

use crate::error::Result;
use crate::loading::config::Config;
use crate::schedulers::{self, Scheduler};

/// A field that is wrong in early checkpoints, and its correction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Correction {
    /// Stable Diffusion always starts one step later.
    StepsOffset,
    /// Samples are latents, which are never clipped.
    ClipSample,
    /// The first steps need no Runge-Kutta method.
    SkipPrkSteps,
}

/// Applies those corrections that the scheduler's configuration needs.
///
/// # Errors
/// When the corrected configuration is refused.
pub(super) fn correct(
    scheduler: Box<dyn Scheduler>,
    corrections: &[Correction],
) -> Result<Box<dyn Scheduler>> {
    let mut config: Config = scheduler.config().clone();
    let mut outdated = false;
    for correction in corrections {
        let (field, meant) = match correction {
            Correction::StepsOffset => ("steps_offset", Value::from(1)),
            Correction::ClipSample => ("clip_sample", Value::from(false)),
            Correction::SkipPrkSteps => ("skip_prk_steps", Value::from(true)),
        };
        if config.get(field).is_some_and(|value| *value != meant) {
            tracing::warn!(
                "the scheduler's configuration is outdated: `{field}` should be {meant}; using {meant}"
            );
            config = config.patched(field, meant);
            outdated = true;
        }
    }
    if !outdated {
        return Ok(scheduler);
    }
    let class_name = config.class_name().unwrap_or_default().to_owned();
    schedulers::from_config(&class_name, &config)
}
