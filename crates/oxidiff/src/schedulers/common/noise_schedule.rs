//! How much noise a training timestep carries: the variances β and their cumulative products ᾱ.
//!
//! Tables are single precision, since PyTorch's are and models were trained with them.

use burn::tensor::{DType, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::timestep_spacing::MOST_TIMESTEPS;
use crate::error::{Error, Result};
use crate::loading::config::Config;

/// How β grows from the first training timestep to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// β in equal steps ([DDPM](https://arxiv.org/abs/2006.11239)).
    #[default]
    Linear,
    /// √β in equal steps ([latent diffusion](https://arxiv.org/abs/2112.10752)).
    ScaledLinear,
    /// ᾱ follows a squared cosine ([Improved DDPM](https://arxiv.org/abs/2102.09672)), β at most 0.999.
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredcosCapV2,
    /// The logarithm of the signal-to-noise ratio is Laplace distributed; β at most 0.999.
    Laplace,
    /// ᾱ falls exponentially, to e⁻¹²; β at most 0.999.
    Exp,
    /// β follows a logistic function ([GeoDiff](https://arxiv.org/abs/2203.02923)).
    Sigmoid,
}

impl BetaSchedule {
    /// The schedules that every scheduler supports.
    pub(crate) const COMMON: &[Self] = &[Self::Linear, Self::ScaledLinear, Self::SquaredcosCapV2];
    /// Those that [`HeunDiscreteScheduler`](crate::schedulers::HeunDiscreteScheduler) supports.
    pub(crate) const WITH_EXP: &[Self] =
        &[Self::Linear, Self::ScaledLinear, Self::SquaredcosCapV2, Self::Exp];
    /// Those that [`RePaintScheduler`](crate::schedulers::RePaintScheduler) supports.
    pub(crate) const WITH_SIGMOID: &[Self] =
        &[Self::Linear, Self::ScaledLinear, Self::SquaredcosCapV2, Self::Sigmoid];
    /// Those that [`DDPMScheduler`](crate::schedulers::DDPMScheduler) supports.
    pub(crate) const WITH_LAPLACE_AND_SIGMOID: &[Self] =
        &[Self::Linear, Self::ScaledLinear, Self::SquaredcosCapV2, Self::Laplace, Self::Sigmoid];
}

/// The configuration fields that define a noise schedule; all schedulers have them, under these names.
pub(crate) struct BetaFields<'a> {
    pub num_train_timesteps: usize,
    pub beta_start: f64,
    pub beta_end: f64,
    pub beta_schedule: BetaSchedule,
    pub trained_betas: Option<&'a [f64]>,
    pub rescale_betas_zero_snr: bool,
}

/// The [`BetaFields`] of a class's configuration; the second form is for classes with that field.
macro_rules! beta_fields {
    ($fields:expr) => {
        beta_fields!(@rescaled $fields, false)
    };
    ($fields:expr, rescale_betas_zero_snr) => {
        beta_fields!(@rescaled $fields, $fields.rescale_betas_zero_snr)
    };
    (@rescaled $fields:expr, $rescaled:expr) => {
        $crate::schedulers::common::noise_schedule::BetaFields {
            num_train_timesteps: $fields.num_train_timesteps,
            beta_start: $fields.beta_start,
            beta_end: $fields.beta_end,
            beta_schedule: $fields.beta_schedule,
            trained_betas: $fields.trained_betas.as_deref(),
            rescale_betas_zero_snr: $rescaled,
        }
    };
}
pub(crate) use beta_fields;

impl BetaFields<'_> {
    fn betas(&self) -> Vec<f32> {
        if let Some(betas) = self.trained_betas {
            return betas.iter().map(|&beta| beta as f32).collect();
        }
        let (start, end, count) = (self.beta_start, self.beta_end, self.num_train_timesteps);
        match self.beta_schedule {
            BetaSchedule::Linear => linspace_f32(start, end, count),
            BetaSchedule::ScaledLinear => {
                linspace_f32(start.sqrt(), end.sqrt(), count).into_iter().map(|root| root * root).collect()
            }
            BetaSchedule::SquaredcosCapV2 => betas_for_alpha_bar(count, |t| {
                ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2)
            }),
            BetaSchedule::Laplace => betas_for_alpha_bar(count, |t| {
                let distance = 0.5 - t;
                let half_log_snr = -0.5 * 1f64.copysign(distance) * (1.0 - 2.0 * distance.abs() + 1e-6).ln();
                let snr = half_log_snr.exp();
                (snr / (1.0 + snr)).sqrt()
            }),
            BetaSchedule::Exp => betas_for_alpha_bar(count, |t| (-12.0 * t).exp()),
            BetaSchedule::Sigmoid => linspace_f32(-6.0, 6.0, count)
                .into_iter()
                .map(|x| 1.0 / (1.0 + (-x).exp()) * (end - start) as f32 + start as f32)
                .collect(),
        }
    }
}

/// How much noise the training timesteps carry.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingNoise {
    /// β: the variance of the noise that each timestep adds.
    pub betas: Vec<f32>,
    /// ᾱ: the part of the variance that is still the sample's.
    pub alphas_cumprod: Vec<f32>,
}

impl TrainingNoise {
    /// That of a scheduler's configuration; `None` if it has no schedule of β.
    pub(crate) fn of(config: &Config, keeps_signal: bool) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields {
            num_train_timesteps: usize,
            beta_schedule: BetaSchedule,
            // Classes with only one schedule have no bounds.
            #[serde(default)]
            beta_start: f64,
            #[serde(default)]
            beta_end: f64,
            #[serde(default)]
            trained_betas: Option<Vec<f64>>,
            #[serde(default)]
            rescale_betas_zero_snr: bool,
        }

        let fields: Fields = serde_json::from_value(config.values().clone().into()).ok()?;
        let betas = beta_fields!(fields, rescale_betas_zero_snr);
        let build = if keeps_signal { NoiseSchedule::with_signal } else { NoiseSchedule::new };
        let schedule = build(&betas, &[fields.beta_schedule], config).ok()?;
        Some(Self { betas: schedule.betas, alphas_cumprod: schedule.alphas_cumprod })
    }
}

/// ᾱ for every training timestep.
#[derive(Clone, Debug)]
pub(crate) struct NoiseSchedule {
    betas: Vec<f32>,
    alphas_cumprod: Vec<f32>,
}

impl NoiseSchedule {
    /// Builds the table that `fields` describe; `known` are the schedules that the class of `config` has.
    pub fn new(fields: &BetaFields<'_>, known: &[BetaSchedule], config: &Config) -> Result<Self> {
        let invalid = |field: &str, message: String| Err(Error::config(config.origin(), field, message));

        if !(1..=MOST_TIMESTEPS).contains(&fields.num_train_timesteps) {
            let message =
                format!("must be between 1 and {MOST_TIMESTEPS}, is {}", fields.num_train_timesteps);
            return invalid("num_train_timesteps", message);
        }
        if !known.contains(&fields.beta_schedule) && fields.trained_betas.is_none() {
            let message = format!(
                "{:?} is not implemented for {}; supported: {known:?}",
                fields.beta_schedule,
                config.class_name().unwrap_or_default(),
            );
            return invalid("beta_schedule", message);
        }
        let mut betas = fields.betas();
        if betas.is_empty() {
            return invalid("trained_betas", "must not be empty".into());
        }
        if let Some(beta) = betas.iter().find(|beta| !(0.0..=1.0).contains(*beta)) {
            let field = match fields.trained_betas {
                Some(_) => "trained_betas",
                None if (0.0..=1.0).contains(&fields.beta_start) => "beta_end",
                None => "beta_start",
            };
            return invalid(field, format!("gives β = {beta}, which is not between 0 and 1"));
        }
        if fields.rescale_betas_zero_snr {
            betas = rescale_zero_terminal_snr(&betas);
            if betas.iter().any(|beta| !beta.is_finite()) {
                let message = "needs ᾱ to fall from the first timestep to the last";
                return invalid("rescale_betas_zero_snr", message.into());
            }
        }
        let alphas_cumprod = cumulative_product(betas.iter().map(|beta| 1.0 - beta));
        Ok(Self { betas, alphas_cumprod })
    }

    /// As [`NoiseSchedule::new`], but a last ᾱ that rescaling made zero becomes the smallest half-precision number, for
    /// schedulers that divide by it.
    pub fn with_signal(fields: &BetaFields<'_>, known: &[BetaSchedule], config: &Config) -> Result<Self> {
        let mut schedule = Self::new(fields, known, config)?;
        if let (true, Some(last)) = (fields.rescale_betas_zero_snr, schedule.alphas_cumprod.last_mut()) {
            *last = 2f32.powi(-24);
        }
        Ok(schedule)
    }

    /// How many of `num_train_timesteps` are left without the last ones, whose λ = ln(√ᾱ/√(1 − ᾱ)) is less than
    /// `lambda_min_clipped`.
    pub fn timesteps_above(
        &self,
        lambda_min_clipped: f64,
        num_train_timesteps: usize,
        config: &Config,
    ) -> Result<usize> {
        let lambda = |alpha_bar: f32| alpha_bar.sqrt().ln() - (1.0 - alpha_bar).sqrt().ln();
        let clipped = self
            .alphas_cumprod
            .iter()
            .rev()
            .take_while(|&&alpha_bar| f64::from(lambda(alpha_bar)) < lambda_min_clipped)
            .count();
        match num_train_timesteps.checked_sub(clipped) {
            Some(left) if left > 0 => Ok(left),
            _ => Err(Error::config(config.origin(), "lambda_min_clipped", "leaves no training timestep")),
        }
    }

    /// ᾱ of a training timestep.
    pub fn alpha_bar(&self, timestep: i64) -> Result<f64> {
        entry(&self.alphas_cumprod, timestep)
    }

    /// β of a training timestep.
    pub fn beta(&self, timestep: i64) -> Result<f64> {
        entry(&self.betas, timestep)
    }

    /// σ = √((1 − ᾱ)/ᾱ), the noise level if the signal is not scaled down
    /// ([Karras et al.](https://arxiv.org/abs/2206.00364)).
    pub fn sigmas(&self) -> Vec<f32> {
        self.alphas_cumprod.iter().map(|alpha_bar| ((1.0 - alpha_bar) / alpha_bar).sqrt()).collect()
    }

    /// √ᾱ·x₀ + √(1 − ᾱ)·ε, equation 4 of DDPM.
    pub fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        let (signal, noise_level) = self.levels(timesteps)?;
        mix(original_samples, &signal, noise, &noise_level)
    }

    /// v = √ᾱ·ε − √(1 − ᾱ)·x₀, what a model with v-prediction is trained to predict
    /// ([Salimans & Ho](https://arxiv.org/abs/2202.00512)).
    pub fn velocity(&self, sample: Tensor<4>, noise: Tensor<4>, timesteps: &[f32]) -> Result<Tensor<4>> {
        let (signal, noise_level) = self.levels(timesteps)?;
        let negated: Vec<f64> = noise_level.iter().map(|level| -level).collect();
        mix(sample, &negated, noise, &signal)
    }

    /// √ᾱ and √(1 − ᾱ) of each timestep.
    fn levels(&self, timesteps: &[f32]) -> Result<(Vec<f64>, Vec<f64>)> {
        timesteps
            .iter()
            .map(|&timestep| {
                let alpha_bar = self.alpha_bar(whole_timestep(timestep)?)?;
                Ok((alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()))
            })
            .collect()
    }
}

/// A table's value for a training timestep.
fn entry(table: &[f32], timestep: i64) -> Result<f64> {
    let index = usize::try_from(timestep).ok();
    index.and_then(|index| table.get(index)).map(|&value| f64::from(value)).ok_or_else(|| {
        let last = table.len() - 1;
        Error::argument("timestep", format!("{timestep} is not a training timestep, 0 to {last}"))
    })
}

/// A timestep as an index into the training timesteps.
pub(crate) fn whole_timestep(timestep: f32) -> Result<i64> {
    if timestep.fract() == 0.0 {
        Ok(timestep as i64)
    } else {
        Err(Error::argument("timestep", format!("{timestep} is not a whole training timestep")))
    }
}

/// `a[i]·x[i] + b[i]·y[i]` for every item `i` of the batch; a single coefficient applies to all items.
pub(crate) fn mix(x: Tensor<4>, a: &[f64], y: Tensor<4>, b: &[f64]) -> Result<Tensor<4>> {
    if x.dims() != y.dims() {
        let message = format!("has shape {:?}, the samples have {:?}", y.dims(), x.dims());
        return Err(Error::argument("noise", message));
    }
    let batch = x.dims()[0];
    for count in [a.len(), b.len()] {
        if count != batch && count != 1 {
            let message = format!("has {count} values, needs 1 or one for each of the {batch} samples");
            return Err(Error::argument("timesteps", message));
        }
    }
    let device = x.device();
    let column = |values: &[f64]| {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        let count = values.len();
        Tensor::<4>::from_data(TensorData::new(values, [count, 1, 1, 1]), (&device, DType::F32))
    };
    let dtype = x.dtype();
    Ok((x.cast(DType::F32) * column(a) + y.cast(DType::F32) * column(b)).cast(dtype))
}

/// β that make ᾱ follow `alpha_bar`, a function of time from 0 to 1.
fn betas_for_alpha_bar(count: usize, alpha_bar: impl Fn(f64) -> f64) -> Vec<f32> {
    const MAX_BETA: f64 = 0.999;
    let time = |index: usize| index as f64 / count as f64;
    (0..count).map(|i| (1.0 - alpha_bar(time(i + 1)) / alpha_bar(time(i))).min(MAX_BETA) as f32).collect()
}

/// Shifts and scales √ᾱ so that the last one is zero and the first one stays
/// ([Lin et al.](https://arxiv.org/abs/2305.08891), algorithm 1).
fn rescale_zero_terminal_snr(betas: &[f32]) -> Vec<f32> {
    let roots: Vec<f32> =
        cumulative_product(betas.iter().map(|beta| 1.0 - beta)).into_iter().map(f32::sqrt).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let scale = first / (first - last);
    let alphas_bar: Vec<f32> = roots.iter().map(|root| ((root - last) * scale).powi(2)).collect();

    let mut rescaled = vec![1.0 - alphas_bar[0]];
    rescaled.extend(alphas_bar.windows(2).map(|pair| 1.0 - pair[1] / pair[0]));
    rescaled
}

/// Running products, accumulated in double precision and stored in single, as PyTorch does on the CPU.
fn cumulative_product(factors: impl Iterator<Item = f32>) -> Vec<f32> {
    factors
        .scan(1f64, |product, factor| {
            *product *= f64::from(factor);
            Some(*product as f32)
        })
        .collect()
}

/// Equal steps in single precision, built from both ends towards the middle as `torch.linspace` does, which fuses the
/// multiplication with the addition.
pub(crate) fn linspace_f32(start: f64, end: f64, count: usize) -> Vec<f32> {
    let (start, end) = (start as f32, end as f32);
    if count == 1 {
        return vec![start];
    }
    let step = (end - start) / (count - 1) as f32;
    (0..count)
        .map(|i| {
            if i < count / 2 {
                step.mul_add(i as f32, start)
            } else {
                (-step).mul_add((count - 1 - i) as f32, end)
            }
        })
        .collect()
}
