//! The timesteps of a run of a flow model.

use super::arguments::check_finite;
use super::ignored::warn_of_ignored;
use super::strength::Strength;
use super::timesteps::unfit;
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::schedulers::{ModelKind, Scheduler, TimestepOptions, possible_steps};

/// µ, by which noise levels are shifted, for an image of this many tokens: it grows evenly from `base_shift` to `max_shift` of the
/// scheduler's configuration.
///
/// # Errors
/// When a field of the configuration is not a number.
pub(crate) fn flow_shift(config: &Config, tokens: usize) -> Result<f64> {
    let number = |field: &str, default: f64| match config.get(field) {
        None => Ok(default),
        Some(value) if value.is_null() => Ok(default),
        Some(value) => value
            .as_f64()
            .ok_or_else(|| Error::config(config.origin(), field, format!("must be a number, not {value}"))),
    };
    let (base_tokens, max_tokens) =
        (number("base_image_seq_len", 256.0)?, number("max_image_seq_len", 4096.0)?);
    let (base_shift, max_shift) = (number("base_shift", 0.5)?, number("max_shift", 1.15)?);
    let slope = (max_shift - base_shift) / (max_tokens - base_tokens);
    let mu = tokens as f64 * slope + (base_shift - slope * base_tokens);
    if mu.is_finite() {
        return Ok(mu);
    }
    let message = format!("and `base_image_seq_len` are {max_tokens} and {base_tokens}, but must differ");
    Err(Error::config(config.origin(), "max_image_seq_len", message))
}

/// Who spreads the noise levels of a run whose scheduler is one of diffusion models, with `use_flow_sigmas` in its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpreadBy {
    /// The pipeline, as for all other schedulers.
    Pipeline,
    /// The scheduler: the given noise levels have no effect.
    Scheduler,
}

/// Whether a scheduler of diffusion models is configured for the noise levels of a flow.
fn uses_flow_sigmas(scheduler: &dyn Scheduler) -> bool {
    scheduler.config().get("use_flow_sigmas").and_then(serde_json::Value::as_bool).unwrap_or(false)
}

/// Sets a scheduler's timesteps: those of the given noise levels, or of `num_inference_steps` levels that are evenly spread
/// from 1. The scheduler shifts them by `mu` if it is configured so. Returns the number of steps.
///
/// # Errors
/// When the scheduler is for another kind of model, a level is not finite, or the scheduler does not take such levels.
pub(crate) fn choose_flow_timesteps(
    scheduler: &mut dyn Scheduler,
    num_inference_steps: usize,
    sigmas: Option<&[f32]>,
    mu: f64,
    spread_by: SpreadBy,
) -> Result<usize> {
    if spread_by == SpreadBy::Scheduler && uses_flow_sigmas(scheduler) {
        warn_of_ignored("sigmas", sigmas.is_some(), "the scheduler's `use_flow_sigmas` is on");
        return choose_own_flow_timesteps(scheduler, num_inference_steps, None, Some(mu));
    }
    let spread;
    let sigmas = match sigmas {
        Some(sigmas) => sigmas,
        None => {
            possible_steps(num_inference_steps)?;
            spread = evenly_spread(num_inference_steps);
            &spread
        }
    };
    choose_own_flow_timesteps(scheduler, num_inference_steps, Some(sigmas), Some(mu))
}

/// Sets a scheduler's timesteps: those of the given noise levels, or of `num_inference_steps` levels that the scheduler spreads itself.
/// It shifts them by `mu` if it is configured so. Returns the number of steps.
///
/// # Errors
/// As [`choose_flow_timesteps`].
pub(crate) fn choose_own_flow_timesteps(
    scheduler: &mut dyn Scheduler,
    num_inference_steps: usize,
    sigmas: Option<&[f32]>,
    mu: Option<f64>,
) -> Result<usize> {
    let steps_a_flow = match scheduler.role().model {
        ModelKind::Flow => true,
        ModelKind::Diffusion => uses_flow_sigmas(scheduler),
        _ => false,
    };
    if !steps_a_flow {
        let why = "without `use_flow_sigmas`, its steps are not those that a flow model was trained for";
        return Err(unfit(scheduler, "this pipeline", why));
    }
    sigmas.unwrap_or_default().iter().try_for_each(|sigma| check_finite("sigmas", (*sigma).into()))?;
    let num_inference_steps_alone = sigmas.is_none().then_some(num_inference_steps);
    let options =
        TimestepOptions { num_inference_steps: num_inference_steps_alone, sigmas, mu, ..Default::default() };
    scheduler.set_timesteps_with(options)?;
    Ok(sigmas.map_or(num_inference_steps, |_| scheduler.timesteps().len()))
}

/// `torch.linspace(1, 1 / count, count)`, which counts from both ends.
fn evenly_spread(count: usize) -> Vec<f32> {
    let end = (1.0 / count as f64) as f32;
    let step = (end - 1.0) / (count.max(2) - 1) as f32;
    let level = |index: usize| match index < count / 2 {
        true => 1.0 + step * index as f32,
        false => end - step * (count - index - 1) as f32,
    };
    (0..count).map(level).collect()
}

/// Leaves out the first steps of a run that starts from an image; `strength` says how much of the image to change. A step of which
/// only a part would be left is run. Returns the remaining timesteps and the number of steps.
///
/// # Errors
/// When no timestep is left, or the scheduler is one of diffusion models, none of which adds noise to an image as a flow does.
pub(crate) fn start_flow_from_image(
    scheduler: &mut dyn Scheduler,
    steps: usize,
    strength: Strength,
) -> Result<(Vec<f32>, usize)> {
    if scheduler.role().model == ModelKind::Diffusion {
        let why = "it does not add noise to an image as a flow does";
        return Err(unfit(scheduler, "a pipeline that starts from an image", why));
    }
    let run = (steps as f64 * strength.value).min(steps as f64);
    let left_out = (steps as f64 - run).max(0.0) as usize;
    let begin = left_out * scheduler.order();
    let timesteps = scheduler.timesteps().get(begin..).unwrap_or_default().to_vec();
    if left_out >= steps || timesteps.is_empty() {
        return Err(strength.no_step_left(steps));
    }
    scheduler.set_begin_index(begin);
    Ok((timesteps, steps - left_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedulers::{FlowMatchEulerDiscreteScheduler, FlowMatchEulerDiscreteSchedulerConfig};

    #[test]
    fn the_shift_grows_with_the_image() {
        let config = Config::default();
        assert!((flow_shift(&config, 256).unwrap() - 0.5).abs() < 1e-12);
        assert!((flow_shift(&config, 4096).unwrap() - 1.15).abs() < 1e-12);
        let config = Config::from_json(r#"{"base_image_seq_len": 8, "max_image_seq_len": 8}"#).unwrap();
        assert!(flow_shift(&config, 256).unwrap_err().to_string().contains("max_image_seq_len"));
        let config = Config::from_json(r#"{"max_shift": "high"}"#).unwrap();
        assert!(flow_shift(&config, 256).unwrap_err().to_string().contains("max_shift"));
    }

    #[test]
    fn a_step_of_which_a_part_is_left_is_run() {
        let mut scheduler =
            FlowMatchEulerDiscreteScheduler::new(FlowMatchEulerDiscreteSchedulerConfig::default()).unwrap();
        for (strength, left) in [(1.0, 4), (0.9, 4), (0.75, 3), (0.6, 3), (0.26, 2), (0.1, 1)] {
            let steps = choose_flow_timesteps(&mut scheduler, 4, None, 0.0, SpreadBy::Pipeline).unwrap();
            let strength = Strength { value: strength, default: 0.6 };
            let (timesteps, steps) = start_flow_from_image(&mut scheduler, steps, strength).unwrap();
            assert_eq!((timesteps.len(), steps), (left, left), "{strength}");
        }
        let none = Strength { value: 0.0, default: 0.6 };
        assert!(start_flow_from_image(&mut scheduler, 4, none).is_err());
        assert_eq!(evenly_spread(4), [1.0, 0.75, 0.5, 0.25]);
        assert_eq!(evenly_spread(1), [1.0]);
    }
}
