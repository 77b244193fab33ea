//! The noise levels of flows, whose samples are (1 − σ)·x₀ + σ·ε
//! ([rectified flow](https://arxiv.org/abs/2209.03003)), and how they are shifted
//! ([Esser et al.](https://arxiv.org/abs/2403.03206), section 5.3.2).

use burn::tensor::Tensor;

use super::noise_schedule::mix;
use super::sigma_schedule::{SigmaSpacing, bound_of};
use super::time_shift::TimeShiftType;
use super::timestep_spacing::{MOST_TIMESTEPS, linspace, possible_steps};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::schedulers::TimestepOptions;

/// The rule for the noise levels of a run, which a class's configuration describes.
#[derive(Clone, Debug)]
pub(crate) struct FlowSigmas {
    pub num_train_timesteps: usize,
    pub shift: f64,
    pub use_dynamic_shifting: bool,
    pub time_shift_type: TimeShiftType,
    pub shift_terminal: Option<f64>,
    pub spacing: Option<SigmaSpacing>,
    pub invert_sigmas: bool,
}

/// The [`FlowSigmas`] of a class's configuration.
macro_rules! flow_sigmas {
    ($fields:expr, $config:expr) => {
        $crate::schedulers::common::flow_sigmas::FlowSigmas {
            num_train_timesteps: $fields.num_train_timesteps,
            shift: $fields.shift,
            use_dynamic_shifting: $fields.use_dynamic_shifting,
            time_shift_type: $fields.time_shift_type,
            shift_terminal: $fields.shift_terminal,
            spacing: $crate::schedulers::common::sigma_schedule::sigma_spacing!($fields, $config)?,
            invert_sigmas: $fields.invert_sigmas,
        }
    };
}
pub(crate) use flow_sigmas;

/// The precision in which levels are computed. Python uses single precision for a user's levels and double for its
/// own; multiplying by 1000 shows the difference.
#[derive(Clone, Copy)]
enum Precision {
    Single,
    Double,
}

impl Precision {
    fn round(self, value: f64) -> f64 {
        match self {
            Self::Single => f64::from(value as f32),
            Self::Double => value,
        }
    }

    /// s·σ/(1 + (s − 1)·σ).
    fn shifted(self, sigma: f64, shift: f64) -> f64 {
        let above = self.round(self.round(shift) * sigma);
        let below = self.round(1.0 + self.round(self.round(shift - 1.0) * sigma));
        self.round(above / below)
    }

    /// f/(f + (1/σ − 1)), the same value in another form.
    fn time_shifted(self, sigma: f64, factor: f64) -> f64 {
        let factor = self.round(factor);
        let odds = self.round(self.round(1.0 / sigma) - 1.0);
        self.round(factor / self.round(factor + odds))
    }
}

impl FlowSigmas {
    /// The timesteps and the levels of all training timesteps, from noise to none.
    pub fn of_training(&self, config: &Config) -> Result<(Vec<f32>, Vec<f32>)> {
        let count = self.num_train_timesteps;
        if !(1..=MOST_TIMESTEPS).contains(&count) {
            let message = format!("must be between 1 and {MOST_TIMESTEPS}, is {count}");
            return Err(Error::config(config.origin(), "num_train_timesteps", message));
        }
        let sigmas: Vec<f32> = (1..=count)
            .rev()
            .map(|timestep| {
                let sigma = f64::from(timestep as f32 / count as f32);
                let shifted = Precision::Single.shifted(sigma, self.shift);
                if self.use_dynamic_shifting { sigma as f32 } else { shifted as f32 }
            })
            .collect();
        if sigmas.iter().any(|sigma| !sigma.is_finite()) {
            let message = format!("{} leads to noise levels that are not finite", self.shift);
            return Err(Error::config(config.origin(), "shift", message));
        }
        Ok((self.timesteps_of(&sigmas), sigmas))
    }

    /// What the model receives for the levels.
    pub fn timesteps_of(&self, sigmas: &[f32]) -> Vec<f32> {
        sigmas.iter().map(|sigma| sigma * self.num_train_timesteps as f32).collect()
    }

    /// `count` levels between the first and the last of training, not shifted.
    pub fn spread(&self, training: &[f32], count: usize) -> Vec<f64> {
        let train = self.num_train_timesteps as f64;
        let [first, .., last] = *training else { return vec![f64::from(training[0]); count] };
        linspace(f64::from(first) * train, f64::from(last) * train, count)
            .into_iter()
            .map(|timestep| timestep / train)
            .collect()
    }

    /// The timesteps of a run and its levels, one of which follows the last step; `shift` is that of the
    /// configuration or what a user has set since, `training` the levels of [`FlowSigmas::of_training`].
    pub fn of_run(
        &self,
        options: &TimestepOptions<'_>,
        shift: f64,
        training: &[f32],
        config: &Config,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let count = self.count(options)?;
        let train = self.num_train_timesteps as f64;
        let given = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
        let (mut sigmas, precision) = match (options.sigmas, options.timesteps) {
            (Some(sigmas), _) => (given(sigmas), Precision::Single),
            (None, Some(timesteps)) => {
                let sigma = |&timestep: &f32| f64::from(timestep / train as f32);
                (timesteps.iter().map(sigma).collect(), Precision::Single)
            }
            (None, None) => (self.spread(training, count), Precision::Double),
        };

        for sigma in &mut sigmas {
            *sigma = match (self.use_dynamic_shifting, options.mu) {
                (false, _) => precision.shifted(*sigma, shift),
                (true, Some(mu)) => precision.time_shifted(*sigma, self.time_shift_type.factor(mu)),
                (true, None) => {
                    let message = "must be given, since the configuration has `use_dynamic_shifting`";
                    return Err(Error::argument("mu", message));
                }
            };
        }
        if let Some(terminal) = self.shift_terminal.filter(|&terminal| terminal != 0.0) {
            let signal = |sigma: f64| precision.round(1.0 - sigma);
            let scale = precision.round(signal(sigmas[count - 1]) / precision.round(1.0 - terminal));
            for sigma in &mut sigmas {
                *sigma = precision.round(1.0 - precision.round(signal(*sigma) / scale));
            }
        }
        if let Some(spacing) = self.spacing {
            let max = bound_of(config, "sigma_max")?.unwrap_or(sigmas[0]);
            let min = bound_of(config, "sigma_min")?.unwrap_or(sigmas[count - 1]);
            sigmas = spacing.between(max, min, count);
        }
        if let Some(sigma) = sigmas.iter().find(|sigma| !sigma.is_finite()) {
            if count == 1 && self.shift_terminal.is_some() {
                let message =
                    "must be at least 2: `shift_terminal` of the scheduler stretches the levels below 1";
                return Err(Error::argument("num_inference_steps", message));
            }
            let message = format!("lead to a noise level of {sigma} with the shifts of the configuration");
            return Err(Error::argument("sigmas", message));
        }

        let mut sigmas: Vec<f32> = sigmas.into_iter().map(|sigma| sigma as f32).collect();
        let mut timesteps = match options.timesteps {
            Some(timesteps) => timesteps.to_vec(),
            None => self.timesteps_of(&sigmas),
        };
        if self.invert_sigmas {
            sigmas.iter_mut().for_each(|sigma| *sigma = 1.0 - *sigma);
            timesteps = self.timesteps_of(&sigmas);
        }
        sigmas.push(if self.invert_sigmas { 1.0 } else { 0.0 });
        Ok((timesteps, sigmas))
    }

    /// The number of steps, in which all arguments must agree.
    fn count(&self, options: &TimestepOptions<'_>) -> Result<usize> {
        let lengths = [
            ("num_inference_steps", options.num_inference_steps),
            ("sigmas", options.sigmas.map(<[f32]>::len)),
            ("timesteps", options.timesteps.map(<[f32]>::len)),
        ];
        let mut given = lengths.into_iter().filter_map(|(name, length)| Some((name, length?)));
        let Some((first, count)) = given.next() else {
            let message = "must be given, or else `sigmas` or `timesteps`";
            return Err(Error::argument("num_inference_steps", message));
        };
        for (name, length) in given {
            if length != count {
                let message = format!("has {length} values, but `{first}` asks for {count} steps");
                return Err(Error::argument(name, message));
            }
        }
        if count == 0 && first != "num_inference_steps" {
            return Err(Error::argument(first, "must not be empty"));
        }
        possible_steps(count)?;
        Ok(count)
    }
}

/// σ·ε + (1 − σ)·x₀, which Python's `scale_noise` computes for flows; one σ for each item, or for all.
pub(crate) fn blend(sample: Tensor<4>, noise: Tensor<4>, levels: &[f64]) -> Result<Tensor<4>> {
    let signal: Vec<f64> = levels.iter().map(|level| 1.0 - level).collect();
    mix(sample, &signal, noise, levels)
}
