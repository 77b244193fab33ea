//! Parallel decoding of masked tokens, as in [MaskGIT](https://arxiv.org/abs/2202.04200) and
//! [aMUSEd](https://arxiv.org/abs/2401.01808).

use std::f32::consts::FRAC_PI_2;
use std::path::Path;

use burn::tensor::{DType, Int, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use super::tensors::{floats, integers};
use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::loading::config::Config;
use crate::random::Generator;
use crate::schedulers::common::config_file;
use crate::schedulers::common::noise_schedule::linspace_f32;
use crate::schedulers::common::timestep_spacing::possible_steps;

const CLASS_NAME: &str = "AmusedScheduler";

/// How the number of masked tokens falls in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskingSchedule {
    /// As a cosine: slowly at first.
    #[default]
    Cosine,
    /// In equal steps.
    Linear,
}

/// The configuration of an [`AmusedScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmusedSchedulerConfig {
    /// The token that stands for unknown ones. A configuration file must have this field.
    pub mask_token_id: i64,
    /// How the number of masked tokens falls in a run.
    #[serde(default)]
    pub masking_schedule: MaskingSchedule,
}

/// What a step of [`AmusedScheduler`] computes.
#[derive(Clone, Debug)]
pub struct AmusedSchedulerOutput<const D: usize> {
    /// The tokens at the previous timestep, in the shape of the sample: the next input of the model.
    pub prev_sample: Tensor<D, Int>,
    /// All tokens as the model predicts them, in the same shape.
    pub pred_original_sample: Tensor<D, Int>,
}

/// The optional arguments of a step of [`AmusedScheduler`].
#[derive(Debug)]
pub struct AmusedStepOptions<'a> {
    /// The part of the tokens that is masked when a run starts.
    pub starting_mask_ratio: f64,
    /// Where randomness comes from; by default a freshly seeded generator.
    pub generator: Option<&'a mut Generator>,
}

impl Default for AmusedStepOptions<'_> {
    fn default() -> Self {
        Self { starting_mask_ratio: 1.0, generator: None }
    }
}

/// aMUSEd: draws a token for each masked place from the model's probabilities, and masks the least certain ones
/// again, fewer in each step.
///
/// It steps integers, the tokens of an image, and therefore does not implement
/// [`Scheduler`](crate::schedulers::Scheduler). Logits are read in single precision.
///
/// ```
/// use oxidiff::{AmusedScheduler, AmusedSchedulerConfig, AmusedStepOptions, Device, Generator, Tensor};
///
/// let fields = AmusedSchedulerConfig { mask_token_id: 10, masking_schedule: Default::default() };
/// let mut scheduler = AmusedScheduler::new(fields);
/// scheduler.set_timesteps(3)?;
///
/// let device = Device::default();
/// let mut generator = Generator::manual_seed(0);
/// let mut sample = Tensor::full([1, 4, 4], 10, &device);
/// for timestep in scheduler.timesteps().to_vec() {
///     let logits = Tensor::<4>::zeros([1, 10, 4, 4], &device); // a model's output
///     let options = AmusedStepOptions { generator: Some(&mut generator), ..Default::default() };
///     sample = scheduler.step(logits, timestep, sample, options)?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AmusedScheduler {
    fields: AmusedSchedulerConfig,
    config: Config,
    timesteps: Vec<usize>,
    temperatures: Vec<f32>,
}

impl AmusedScheduler {
    /// A scheduler with this configuration.
    pub fn new(fields: AmusedSchedulerConfig) -> Self {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self { fields, config, timesteps: Vec::new(), temperatures: Vec::new() }
    }

    /// Builds the scheduler from a configuration.
    ///
    /// # Errors
    /// When `mask_token_id` is missing, or a field has a value that this scheduler does not know.
    pub fn from_config(config: &Config) -> Result<Self> {
        let (fields, config) = config.resolve(CLASS_NAME)?;
        Ok(Self { fields, config, timesteps: Vec::new(), temperatures: Vec::new() })
    }

    /// Loads the scheduler from the `scheduler_config.json` of a folder or of the hub.
    ///
    /// # Errors
    /// When the file is missing, or a field has a value that this scheduler does not know.
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

    /// The timesteps of this run, from all masked to none. Before [`AmusedScheduler::set_timesteps`], none.
    pub fn timesteps(&self) -> &[usize] {
        &self.timesteps
    }

    /// The temperature at which each step chooses what to mask again.
    pub fn temperatures(&self) -> &[f32] {
        &self.temperatures
    }

    /// Chooses a run of `num_inference_steps` steps, whose temperature falls from 2 to 0.
    ///
    /// # Errors
    /// When there are no steps, or absurdly many.
    pub fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        self.set_timesteps_with_temperature(num_inference_steps, (2.0, 0.0))
    }

    /// Chooses a run with the temperatures of the first and of the last step. In Python, a single temperature falls
    /// to 0.01.
    ///
    /// # Errors
    /// When there are no steps, or absurdly many.
    pub fn set_timesteps_with_temperature(
        &mut self,
        num_inference_steps: usize,
        temperature: (f64, f64),
    ) -> Result<()> {
        possible_steps(num_inference_steps)?;
        self.timesteps = (0..num_inference_steps).rev().collect();
        self.temperatures = linspace_f32(temperature.0, temperature.1, num_inference_steps);
        Ok(())
    }

    /// Goes to the previous timestep: `model_output` are logits `[batch, tokens of the codebook, height, width]`,
    /// `sample` are tokens `[batch, height, width]`.
    ///
    /// # Errors
    /// When the shapes do not fit, `timestep` is not one of this run, or a logit is NaN.
    pub fn step(
        &self,
        model_output: Tensor<4>,
        timestep: usize,
        sample: Tensor<3, Int>,
        options: AmusedStepOptions<'_>,
    ) -> Result<AmusedSchedulerOutput<3>> {
        let [batch, codebook, height, width] = model_output.dims();
        if sample.dims() != [batch, height, width] {
            return Err(unlike(&sample.dims(), &[batch, height, width]));
        }
        let logits = model_output.reshape([batch, codebook, height * width]).swap_dims(1, 2);
        let sample = sample.reshape([batch, height * width]);
        let output = self.step_sequence(logits, timestep, sample, options)?;
        Ok(AmusedSchedulerOutput {
            prev_sample: output.prev_sample.reshape([batch, height, width]),
            pred_original_sample: output.pred_original_sample.reshape([batch, height, width]),
        })
    }

    /// [`AmusedScheduler::step`] of sequences: `model_output` are logits `[batch, length, tokens of the codebook]`,
    /// `sample` are tokens `[batch, length]`.
    ///
    /// # Errors
    /// As [`AmusedScheduler::step`].
    pub fn step_sequence(
        &self,
        model_output: Tensor<3>,
        timestep: usize,
        sample: Tensor<2, Int>,
        options: AmusedStepOptions<'_>,
    ) -> Result<AmusedSchedulerOutput<2>> {
        let [batch, length, codebook] = model_output.dims();
        if sample.dims() != [batch, length] {
            return Err(unlike(&sample.dims(), &[batch, length]));
        }
        let mut fresh = None;
        let generator = options.generator.unwrap_or_else(|| fresh.insert(Generator::from_entropy()));
        let device = sample.device();
        let probabilities = activation::softmax(model_output.cast(DType::F32), 2);
        let probabilities = floats(probabilities, "model_output")?;
        let sample = integers(sample);
        let mask = self.fields.mask_token_id;

        let drawn = generator.multinomial(&probabilities, codebook)?;
        let predicted: Vec<i64> = std::iter::zip(&sample, &drawn)
            .map(|(&token, &drawn)| if token == mask { drawn as i64 } else { token })
            .collect();
        let mut previous = predicted.clone();
        if timestep > 0 {
            let step = self.step_of(timestep)?;
            let uniform = generator.rand_vec::<f32>(batch * length);
            let temperature = self.temperatures[step];
            let ratio = options.starting_mask_ratio as f32 * self.mask_ratio(step);
            for item in 0..batch {
                let places = item * length..(item + 1) * length;
                let unknown = sample[places.clone()].iter().filter(|&&token| token == mask).count();
                // At least one token stays masked, and at least one is new.
                let masked = (length as f32 * ratio).floor().min(unknown as f32 - 1.0).max(1.0) as usize;
                let confidence: Vec<f32> = places
                    .clone()
                    .map(|place| {
                        let known = sample[place] != mask;
                        let probability =
                            if known { f32::MAX } else { probabilities[place * codebook + drawn[place]] };
                        probability.max(1e-20).ln() + temperature * gumbel(uniform[place])
                    })
                    .collect();
                let mut sorted = confidence.clone();
                sorted.sort_unstable_by(f32::total_cmp);
                let Some(&cut_off) = sorted.get(masked) else {
                    let message =
                        format!("has sequences of {length} tokens, of which none could become known");
                    return Err(Error::argument("sample", message));
                };
                for (place, confidence) in std::iter::zip(places, confidence) {
                    if confidence < cut_off {
                        previous[place] = mask;
                    }
                }
            }
        }
        let tensor = |tokens: Vec<i64>| {
            Tensor::from_data(TensorData::new(tokens, [batch, length]), (&device, DType::I64))
        };
        Ok(AmusedSchedulerOutput { prev_sample: tensor(previous), pred_original_sample: tensor(predicted) })
    }

    /// Masks tokens at random, as many as are masked at `timestep`.
    ///
    /// # Errors
    /// When `timestep` is not one of this run.
    pub fn add_noise<const D: usize>(
        &self,
        sample: Tensor<D, Int>,
        timestep: usize,
        generator: Option<&mut Generator>,
    ) -> Result<Tensor<D, Int>> {
        let ratio = self.mask_ratio(self.step_of(timestep)?);
        let mut fresh = None;
        let generator = generator.unwrap_or_else(|| fresh.insert(Generator::from_entropy()));
        let masked = generator.rand(sample.dims(), DType::F32, &sample.device()).lower_elem(ratio);
        Ok(sample.mask_fill(masked, self.fields.mask_token_id))
    }

    /// The part of the tokens that is masked after a step.
    fn mask_ratio(&self, step: usize) -> f32 {
        let gone = (step + 1) as f32 / self.timesteps.len() as f32;
        match self.fields.masking_schedule {
            MaskingSchedule::Cosine => (gone * FRAC_PI_2).cos(),
            MaskingSchedule::Linear => 1.0 - gone,
        }
    }

    fn step_of(&self, timestep: usize) -> Result<usize> {
        self.timesteps.iter().position(|&candidate| candidate == timestep).ok_or_else(|| {
            let count = self.timesteps.len();
            let message = format!("{timestep} is not one of this run's {count}; call `set_timesteps` first");
            Error::argument("timestep", message)
        })
    }
}

fn unlike(dims: &[usize], expected: &[usize]) -> Error {
    Error::argument("sample", format!("has shape {dims:?}, but the model's output is for {expected:?}"))
}

/// A sample of the Gumbel distribution.
fn gumbel(uniform: f32) -> f32 {
    -(-uniform.max(1e-20).ln()).max(1e-20).ln()
}
