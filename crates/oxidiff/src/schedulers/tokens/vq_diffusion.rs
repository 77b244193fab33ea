//! Diffusion of tokens that are replaced or masked:
//! [Vector Quantized Diffusion Model for Text-to-Image Synthesis](https://arxiv.org/abs/2111.14822).

use std::path::Path;

use burn::tensor::{DType, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::tensors::{floats, integers};
use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::loading::config::Config;
use crate::random::Generator;
use crate::schedulers::common::config_file;
use crate::schedulers::common::timestep_spacing::{MOST_TIMESTEPS, possible_steps};

const CLASS_NAME: &str = "VQDiffusionScheduler";

/// The configuration of a [`VQDiffusionScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VQDiffusionSchedulerConfig {
    /// The number of tokens, the last of which is the masked one. A configuration file must have this field.
    pub num_vec_classes: usize,
    /// Number of steps the model was trained with.
    #[serde(default = "defaults::num_train_timesteps")]
    pub num_train_timesteps: usize,
    /// The probability that a token stays until the first timestep.
    #[serde(default = "defaults::almost_one")]
    pub alpha_cum_start: f64,
    /// The probability that a token stays until the last timestep.
    #[serde(default = "defaults::almost_zero")]
    pub alpha_cum_end: f64,
    /// The probability that a token is masked until the first timestep.
    #[serde(default = "defaults::almost_zero")]
    pub gamma_cum_start: f64,
    /// The probability that a token is masked until the last timestep.
    #[serde(default = "defaults::almost_one")]
    pub gamma_cum_end: f64,
}

mod defaults {
    pub fn num_train_timesteps() -> usize {
        100
    }

    pub fn almost_one() -> f64 {
        0.99999
    }

    pub fn almost_zero() -> f64 {
        0.000009
    }
}

impl VQDiffusionSchedulerConfig {
    /// Python's defaults, for this number of tokens.
    pub fn with_classes(num_vec_classes: usize) -> Self {
        Self {
            num_vec_classes,
            num_train_timesteps: defaults::num_train_timesteps(),
            alpha_cum_start: defaults::almost_one(),
            alpha_cum_end: defaults::almost_zero(),
            gamma_cum_start: defaults::almost_zero(),
            gamma_cum_end: defaults::almost_one(),
        }
    }
}

/// Logarithms of the transition probabilities of one timestep (or of all up to one): a token stays with a + b, becomes a
/// certain other one with b, and is masked with c.
#[derive(Clone, Copy, Debug)]
struct Transition {
    stay: f32,
    replace: f32,
    mask: f32,
}

/// VQ-Diffusion: draws the tokens at the previous timestep from their distribution given those at this one and what the
/// model predicts of the noise-free ones.
///
/// It steps integers, the tokens of an image, and therefore does not implement
/// [`Scheduler`](crate::schedulers::Scheduler).
///
/// ```
/// use oxidiff::{Device, Generator, Tensor, VQDiffusionScheduler, VQDiffusionSchedulerConfig};
///
/// let mut scheduler = VQDiffusionScheduler::new(VQDiffusionSchedulerConfig::with_classes(9))?;
/// scheduler.set_timesteps(100)?;
///
/// let device = Device::default();
/// let mut generator = Generator::manual_seed(0);
/// let mut sample = Tensor::full([1, 16], 8, &device); // all masked
/// for timestep in scheduler.timesteps().to_vec() {
///     let log_probabilities = Tensor::<3>::full([1, 8, 16], (1f64 / 8.0).ln(), &device); // a model's output
///     sample = scheduler.step(log_probabilities, timestep, sample, Some(&mut generator))?;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct VQDiffusionScheduler {
    fields: VQDiffusionSchedulerConfig,
    config: Config,
    /// From one timestep to the next.
    transitions: Vec<Transition>,
    /// From noise-free tokens.
    cumulative: Vec<Transition>,
    timesteps: Vec<usize>,
}

impl VQDiffusionScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: VQDiffusionSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    /// Builds the scheduler from a configuration.
    ///
    /// # Errors
    /// When `num_vec_classes` is missing, or a field has a value that this scheduler cannot work with.
    pub fn from_config(config: &Config) -> Result<Self> {
        let (fields, config) = config.resolve(CLASS_NAME)?;
        Self::build(fields, config)
    }

    fn build(fields: VQDiffusionSchedulerConfig, config: Config) -> Result<Self> {
        let invalid = |field: &str, message: String| Err(Error::config(config.origin(), field, message));
        let count = fields.num_train_timesteps;
        if !(2..=MOST_TIMESTEPS).contains(&count) {
            return invalid("num_train_timesteps", format!("must be 2 to {MOST_TIMESTEPS}, is {count}"));
        }
        if fields.num_vec_classes < 2 {
            let message =
                format!("is {}, must be at least 2: a token and the masked one", fields.num_vec_classes);
            return invalid("num_vec_classes", message);
        }
        for (field, probability) in [
            ("alpha_cum_start", fields.alpha_cum_start),
            ("alpha_cum_end", fields.alpha_cum_end),
            ("gamma_cum_start", fields.gamma_cum_start),
            ("gamma_cum_end", fields.gamma_cum_end),
        ] {
            if !(0.0..=1.0).contains(&probability) {
                return invalid(field, format!("is {probability}, must be between 0 and 1"));
            }
        }

        // The first entry stands for no transition.
        let ramp = |start: f64, end: f64, before: f64| -> Vec<f64> {
            let place = |index: usize| index as f64 / (count - 1) as f64 * (end - start) + start;
            std::iter::once(before).chain((0..count).map(place)).collect()
        };
        let kept = ramp(fields.alpha_cum_start, fields.alpha_cum_end, 1.0);
        let masked = ramp(fields.gamma_cum_start, fields.gamma_cum_end, 0.0);
        let others = (fields.num_vec_classes - 1) as f64;
        let transition = |stay: f64, mask: f64| Transition {
            stay: stay.ln() as f32,
            replace: ((1.0 - stay - mask) / others).ln() as f32,
            mask: mask.ln() as f32,
        };
        let transitions = (1..=count)
            .map(|t| transition(kept[t] / kept[t - 1], 1.0 - (1.0 - masked[t]) / (1.0 - masked[t - 1])))
            .collect();
        let cumulative = (1..=count).map(|t| transition(kept[t], masked[t])).collect();
        let timesteps = (0..count).rev().collect();
        Ok(Self { fields, config, transitions, cumulative, timesteps })
    }

    /// Loads the scheduler from the `scheduler_config.json` of a folder or of the hub.
    ///
    /// # Errors
    /// When the file is missing, or a field has a value that this scheduler cannot work with.
    pub fn from_pretrained(name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        Self::from_config(&config_file::load(name_or_path, options)?)
    }

    /// Writes `scheduler_config.json` into `folder`, creating it if necessary.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: &Path) -> Result<()> {
        config_file::save(&self.config, folder)
    }

    /// The configuration, with defaults filled in.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The timesteps of this run, from all masked to none.
    pub fn timesteps(&self) -> &[usize] {
        &self.timesteps
    }

    /// Chooses the first `num_inference_steps` training timesteps.
    ///
    /// # Errors
    /// When there are no steps, or absurdly many.
    pub fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        possible_steps(num_inference_steps)?;
        self.timesteps = (0..num_inference_steps).rev().collect();
        Ok(())
    }

    /// Draws the tokens at the previous timestep: `model_output` are logarithms of the probabilities of noise-free
    /// tokens `[batch, num_vec_classes − 1, places]`, `sample` and the result are tokens `[batch, places]`.
    /// Randomness comes from a freshly seeded generator if none is given.
    ///
    /// # Errors
    /// When the shapes do not fit, a token does not exist, or `timestep` is not a training timestep.
    pub fn step(
        &self,
        model_output: Tensor<3>,
        timestep: usize,
        sample: Tensor<2, Int>,
        generator: Option<&mut Generator>,
    ) -> Result<Tensor<2, Int>> {
        let device = sample.device();
        let log_probabilities = if timestep == 0 {
            self.check(&model_output, &sample)?;
            model_output.cast(DType::F32)
        } else {
            self.q_posterior(model_output, sample, timestep)?
        };
        let shape = log_probabilities.dims();
        let [batch, classes, places] = shape;
        let logits = floats(log_probabilities, "model_output")?;
        let mut fresh = None;
        let generator = generator.unwrap_or_else(|| fresh.insert(Generator::from_entropy()));
        let uniform = generator.rand_vec::<f32>(logits.len());
        let noised: Vec<f32> =
            std::iter::zip(logits, uniform).map(|(logit, uniform)| gumbel(uniform) + logit).collect();

        let mut drawn = Vec::with_capacity(batch * places);
        for item in noised.chunks_exact((classes * places).max(1)) {
            for place in 0..places {
                // Of equal values, the first wins.
                let mut best = 0;
                for class in 1..classes {
                    if item[class * places + place] > item[best * places + place] {
                        best = class;
                    }
                }
                drawn.push(best as i64);
            }
        }
        Ok(Tensor::from_data(TensorData::new(drawn, [batch, places]), (&device, DType::I64)))
    }

    /// The logarithms of p(x_{t−1} | x_t), `[batch, num_vec_classes, places]`, equation 11 of the paper, from those of
    /// p(x_0 | x_t), `[batch, num_vec_classes − 1, places]`, and the tokens x_t.
    ///
    /// # Errors
    /// As [`VQDiffusionScheduler::step`], and when `t` is 0, which nothing precedes.
    pub fn q_posterior(&self, log_p_x_0: Tensor<3>, x_t: Tensor<2, Int>, t: usize) -> Result<Tensor<3>> {
        self.check(&log_p_x_0, &x_t)?;
        let (Some(here), Some(since), Some(before)) = (
            self.transitions.get(t),
            self.cumulative.get(t),
            t.checked_sub(1).and_then(|before| self.cumulative.get(before)),
        ) else {
            let last = self.cumulative.len() - 1;
            return Err(Error::argument("timestep", format!("{t} is not between 1 and {last}")));
        };
        let [batch, classes, places] = log_p_x_0.dims();
        let device = x_t.device();
        let predicted = floats(log_p_x_0.cast(DType::F32), "model_output")?;
        let tokens = integers(x_t);
        let masked = classes;
        if let Some(token) = tokens.iter().find(|token| !(0..=masked as i64).contains(*token)) {
            return Err(Error::argument("sample", format!("{token} is not a token, 0 to {masked}")));
        }

        let mut posterior = vec![0f32; batch * (classes + 1) * places];
        let mut q = vec![0f32; classes];
        for item in 0..batch {
            for place in 0..places {
                let token = tokens[item * places + place] as usize;
                let log_one_hot = |class: usize| if class == token { 0.0 } else { 1e-30f32.ln() };
                // q(x_t | x) for a token x, by a transition.
                let to_token = |transition: &Transition, class: usize| {
                    if token == masked {
                        transition.mask
                    } else {
                        log_add_exp(log_one_hot(class) + transition.stay, transition.replace)
                    }
                };
                for (class, q) in q.iter_mut().enumerate() {
                    *q = predicted[(item * classes + class) * places + place] - to_token(since, class);
                }
                let total = log_sum_exp(&q);
                for class in 0..=classes {
                    let (until, from) = if class == masked {
                        (before.mask, log_one_hot(masked))
                    } else {
                        let until = log_add_exp(q[class] - total + before.stay, before.replace);
                        (until, to_token(here, class))
                    };
                    posterior[(item * (classes + 1) + class) * places + place] = until + from + total;
                }
            }
        }
        let data = TensorData::new(posterior, [batch, classes + 1, places]);
        Ok(Tensor::from_data(data, (&device, DType::F32)))
    }

    fn check(&self, model_output: &Tensor<3>, sample: &Tensor<2, Int>) -> Result<()> {
        let [batch, places] = sample.dims();
        let expected = [batch, self.fields.num_vec_classes - 1, places];
        if model_output.dims() != expected {
            let message = format!("has shape {:?}, must have {expected:?}", model_output.dims());
            return Err(Error::argument("model_output", message));
        }
        Ok(())
    }
}

/// A sample of the Gumbel distribution.
fn gumbel(uniform: f32) -> f32 {
    -(-(uniform + 1e-30).ln() + 1e-30).ln()
}

/// ln(eᵃ + eᵇ).
fn log_add_exp(a: f32, b: f32) -> f32 {
    if a == b && a.is_infinite() { a } else { a.max(b) + (-(a - b).abs()).exp().ln_1p() }
}

/// The logarithm of the sum of exponentials.
fn log_sum_exp(values: &[f32]) -> f32 {
    let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let max = if max.is_finite() { max } else { 0.0 };
    max + values.iter().map(|value| (value - max).exp()).sum::<f32>().ln()
}
