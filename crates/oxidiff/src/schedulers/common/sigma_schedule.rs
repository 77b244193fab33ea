//! Noise levels σ for an inference run: read off the training schedule, or spaced by a rule of their own.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use statrs::function::beta::inv_beta_reg;

use super::timestep_spacing::linspace;
use crate::error::{Error, Result};
use crate::loading::config::Config;

/// The last noise level of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalSigmasType {
    /// No noise at all.
    #[default]
    Zero,
    /// The noise of the first training timestep.
    SigmaMin,
}

impl FinalSigmasType {
    /// The level after the last step of a run.
    pub(crate) fn after(self, training: &TrainingSigmas) -> f64 {
        match self {
            Self::Zero => 0.0,
            Self::SigmaMin => training.min(),
        }
    }
}

/// The rules that space noise levels between a highest and a lowest one, whatever the training schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SigmaSpacing {
    /// Equal steps of σ^(1/7), equation 5 of [Karras et al.](https://arxiv.org/abs/2206.00364).
    Karras,
    /// Equal steps of ln σ.
    Exponential,
    /// Quantiles of the Beta(0.6, 0.6) distribution ([Beta Sampling is All You Need](https://arxiv.org/abs/2407.12173)).
    Beta,
}

impl SigmaSpacing {
    /// The rule that the configuration's flags choose, if any.
    pub fn from_flags(karras: bool, exponential: bool, beta: bool, config: &Config) -> Result<Option<Self>> {
        match (karras, exponential, beta) {
            (false, false, false) => Ok(None),
            (true, false, false) => Ok(Some(Self::Karras)),
            (false, true, false) => Ok(Some(Self::Exponential)),
            (false, false, true) => Ok(Some(Self::Beta)),
            _ => {
                let message = "only one of `use_beta_sigmas`, `use_exponential_sigmas`, `use_karras_sigmas` can be used";
                let field = if beta { "use_beta_sigmas" } else { "use_exponential_sigmas" };
                Err(Error::config(config.origin(), field, message))
            }
        }
    }

    /// The configuration field that chooses this rule.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Karras => "use_karras_sigmas",
            Self::Exponential => "use_exponential_sigmas",
            Self::Beta => "use_beta_sigmas",
        }
    }

    /// `count` noise levels from `max` down to `min`.
    pub fn between(self, max: f64, min: f64, count: usize) -> Vec<f64> {
        match self {
            Self::Karras => {
                const RHO: f64 = 7.0;
                let (high, low) = (max.powf(1.0 / RHO), min.powf(1.0 / RHO));
                linspace(0.0, 1.0, count)
                    .into_iter()
                    .map(|ramp| (high + ramp * (low - high)).powf(RHO))
                    .collect()
            }
            Self::Exponential => linspace(max.ln(), min.ln(), count).into_iter().map(f64::exp).collect(),
            Self::Beta => linspace(0.0, 1.0, count)
                .into_iter()
                .map(|ramp| min + inv_beta_reg(0.6, 0.6, 1.0 - ramp) * (max - min))
                .collect(),
        }
    }
}

/// The [`SigmaSpacing`] that the flags of a class's configuration choose.
macro_rules! sigma_spacing {
    ($fields:expr, $config:expr) => {
        $crate::schedulers::common::sigma_schedule::SigmaSpacing::from_flags(
            $fields.use_karras_sigmas,
            $fields.use_exponential_sigmas,
            $fields.use_beta_sigmas,
            $config,
        )
    };
}
pub(crate) use sigma_spacing;

/// A bound on noise levels, if a configuration has it.
pub(crate) fn bound_of(config: &Config, field: &str) -> Result<Option<f64>> {
    match config.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(bound) if bound > 0.0 => Ok(Some(bound)),
            _ => Err(Error::config(config.origin(), field, format!("is {value}, must be a number above 0"))),
        },
    }
}

/// The training schedule's noise levels, ascending, for going from timesteps to noise levels and back.
#[derive(Clone, Debug)]
pub(crate) struct TrainingSigmas {
    sigmas: Vec<f32>,
    log_sigmas: Vec<f32>,
    /// Whether no level is below the one before; the last one can be, if it was set by hand.
    ascending: bool,
}

impl TrainingSigmas {
    pub fn new(sigmas: Vec<f32>) -> Self {
        let log_sigmas: Vec<f32> = sigmas.iter().map(|sigma| f64::from(*sigma).ln() as f32).collect();
        let ascending = log_sigmas.is_sorted();
        Self { sigmas, log_sigmas, ascending }
    }

    /// σ of the first training timestep.
    pub fn min(&self) -> f64 {
        f64::from(self.sigmas[0])
    }

    /// σ of the last training timestep.
    pub fn max(&self) -> f64 {
        f64::from(self.sigmas[self.sigmas.len() - 1])
    }

    /// ln σ of the last and the first training timestep.
    pub fn log_range(&self) -> (f64, f64) {
        (f64::from(self.log_sigmas[self.log_sigmas.len() - 1]), f64::from(self.log_sigmas[0]))
    }

    /// All noise levels, descending.
    pub fn descending(&self) -> impl Iterator<Item = f32> {
        self.sigmas.iter().rev().copied()
    }

    /// σ at a timestep, interpolated between training timesteps and constant beyond them.
    pub fn at(&self, timestep: f64) -> f64 {
        let last = self.sigmas.len() - 1;
        if timestep <= 0.0 {
            return self.min();
        }
        if timestep >= last as f64 {
            return self.max();
        }
        let below = timestep.floor();
        let (low, high) =
            (f64::from(self.sigmas[below as usize]), f64::from(self.sigmas[below as usize + 1]));
        (high - low) * (timestep - below) + low
    }

    /// The timesteps of a run and their noise levels: the given ones, or as many levels as `spacing` spreads between
    /// the highest and the lowest of these. Fields `sigma_max` and `sigma_min`, which a configuration may have from
    /// another class, bound the spacing instead, as in Python.
    pub fn levels(
        &self,
        timesteps: &[f32],
        spacing: Option<SigmaSpacing>,
        config: &Config,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        self.levels_of(timesteps.iter().map(|&timestep| f64::from(timestep)).collect(), spacing, config)
    }

    fn levels_of(
        &self,
        timesteps: Vec<f64>,
        spacing: Option<SigmaSpacing>,
        config: &Config,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let sigmas: Vec<f64> = timesteps.iter().map(|&timestep| self.at(timestep)).collect();
        let Some(spacing) = spacing else {
            return Ok((timesteps, sigmas));
        };
        let max = bound_of(config, "sigma_max")?.unwrap_or(sigmas[0]);
        let min = bound_of(config, "sigma_min")?.unwrap_or(sigmas[sigmas.len() - 1]);
        let sigmas = spacing.between(max, min, sigmas.len());
        Ok((sigmas.iter().map(|&sigma| self.timestep_of(sigma)).collect(), sigmas))
    }

    /// The timesteps and noise levels of a run of `count` steps that `spacing` spreads between all levels of training.
    pub fn spaced(
        &self,
        spacing: SigmaSpacing,
        count: usize,
        config: &Config,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let max = bound_of(config, "sigma_max")?.unwrap_or(self.max());
        let min = bound_of(config, "sigma_min")?.unwrap_or(self.min());
        let sigmas = spacing.between(max, min, count);
        Ok((sigmas.iter().map(|&sigma| self.timestep_of(sigma)).collect(), sigmas))
    }

    /// The timesteps and noise levels of a run of `count` steps: spaced by a rule, or those of a flow with this shift
    /// and number of training timesteps, or else read off the schedule at `timesteps`.
    pub fn solver_levels(
        &self,
        timesteps: Vec<f64>,
        count: usize,
        spacing: Option<SigmaSpacing>,
        flow: Option<(f64, usize)>,
        config: &Config,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        Ok(match (spacing, flow) {
            (Some(spacing), _) => {
                let (timesteps, sigmas) = self.spaced(spacing, count, config)?;
                let rounded = timesteps.iter().map(|timestep| timestep.round_ties_even());
                (if spacing == SigmaSpacing::Karras { rounded.collect() } else { timesteps }, sigmas)
            }
            (None, Some((shift, num_train_timesteps))) => flow_levels(shift, num_train_timesteps, count),
            (None, None) => {
                let sigmas = timesteps.iter().map(|&timestep| self.at(timestep)).collect();
                (timesteps, sigmas)
            }
        })
    }

    /// As [`TrainingSigmas::levels`], but no bounds apply to [`SigmaSpacing::Karras`], as in those classes of Python
    /// that have the rule from k-diffusion.
    pub fn levels_with_unbounded_karras(
        &self,
        timesteps: Vec<f64>,
        spacing: Option<SigmaSpacing>,
        config: &Config,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let unbounded = Config::default();
        let karras = spacing == Some(SigmaSpacing::Karras);
        self.levels_of(timesteps, spacing, if karras { &unbounded } else { config })
    }

    /// The timestep, as a fraction, whose ln σ is that of `sigma`; the inverse of a schedule linear in ln σ.
    pub fn timestep_of(&self, sigma: f64) -> f64 {
        let logs = &self.log_sigmas;
        if logs.len() < 2 {
            return 0.0;
        }
        let log_sigma = sigma.max(1e-10).ln();
        let reached = |log: &f32| log_sigma >= f64::from(*log);
        // The last one that is reached. A table of a million entries is too long to search for each of a million
        // timesteps.
        let below = if self.ascending {
            logs.partition_point(reached).saturating_sub(1)
        } else {
            logs.iter().rposition(reached).unwrap_or(0)
        };
        let below = below.min(logs.len() - 2);
        let (low, high) = (logs[below], logs[below + 1]);
        let weight = ((f64::from(low) - log_sigma) / f64::from(low - high)).clamp(0.0, 1.0);
        (1.0 - weight) * below as f64 + weight * (below + 1) as f64
    }
}

/// The timesteps and noise levels of a flow's run of `count` steps: even, and then shifted towards the noisy end.
pub(crate) fn flow_levels(shift: f64, num_train_timesteps: usize, count: usize) -> (Vec<f64>, Vec<f64>) {
    let train = num_train_timesteps as f64;
    let mut levels: Vec<f64> = linspace(1.0, 1.0 / train, count + 1)
        .into_iter()
        .map(|signal| {
            let sigma = 1.0 - signal;
            shift * sigma / (1.0 + (shift - 1.0) * sigma)
        })
        .collect();
    levels.reverse();
    levels.truncate(count);
    (levels.iter().map(|sigma| sigma * train).collect(), levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.beta.ppf(p, 0.6, 0.6)` of SciPy 1.17.1.
    const BETA_QUANTILES: [(f64, f64); 14] = [
        (0.0001, 3.998377158137721e-07),
        (0.001, 1.855873851745199e-05),
        (0.01, 0.0008612388215429059),
        (0.02040816326530612, 0.002826505325987209),
        (0.1, 0.03958440558878085),
        (0.25, 0.17568037865269498),
        (0.3333333333333333, 0.2754132907776234),
        (0.5, 0.5000000000000001),
        (0.6, 0.6372990092467856),
        (0.75, 0.824319621347305),
        (0.9, 0.9604155944112192),
        (0.9795918367346939, 0.9971734946740128),
        (0.99, 0.9991387611784571),
        (0.999, 0.9999814412614826),
    ];

    #[test]
    fn beta_quantiles_are_those_of_scipy() {
        for (p, expected) in BETA_QUANTILES {
            let quantile = inv_beta_reg(0.6, 0.6, p);
            assert!((quantile - expected).abs() <= 1e-12 + 1e-9 * expected, "{p}: {quantile} != {expected}");
        }
    }
}
