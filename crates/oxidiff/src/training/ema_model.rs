//! The moving average of a model's weights: `EMAModel` of diffusers' `training_utils.py`.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::state_file::StateFile;
use super::trained::Trained;
use crate::error::{Error, Result};
use crate::loading::weights;
use crate::loading::write_whole;
use crate::models::model::Model;

/// How fast the average follows; the defaults are Python's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EMAModelConfig {
    /// The largest share of the average that stays in a step.
    pub decay: f64,
    /// The smallest.
    pub min_decay: f64,
    /// Steps before which the average is the model itself.
    pub update_after_step: u64,
    /// Whether the decay rises as `1 − (1 + step / inv_gamma) ^ −power`; otherwise as `(1 + step) / (10 + step)`.
    pub use_ema_warmup: bool,
    /// See [`Self::use_ema_warmup`].
    pub inv_gamma: f64,
    /// See [`Self::use_ema_warmup`]: 2/3 for long trainings, 3/4 for shorter ones.
    pub power: f64,
}

impl Default for EMAModelConfig {
    fn default() -> Self {
        Self {
            decay: 0.9999,
            min_decay: 0.0,
            update_after_step: 0,
            use_ema_warmup: false,
            inv_gamma: 1.0,
            power: 2.0 / 3.0,
        }
    }
}

/// An exponential moving average of parameters.
#[derive(Clone, Debug)]
pub struct EMAModel {
    config: EMAModelConfig,
    optimization_step: u64,
    averages: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl EMAModel {
    /// An average that starts as the parameters are.
    pub fn new(trained: &impl Trained, config: EMAModelConfig) -> Self {
        let mut averages = BTreeMap::new();
        trained.read(&mut |name, shape, values| {
            averages.insert(name.to_owned(), (shape.to_vec(), values));
        });
        Self { config, optimization_step: 0, averages }
    }

    /// How much of the average stays in the step with this number, counted from 1: `get_decay`.
    fn decay_at(&self, optimization_step: u64) -> f64 {
        let step = optimization_step.saturating_sub(self.config.update_after_step + 1) as f64;
        if step == 0.0 {
            return 0.0;
        }
        let rising = if self.config.use_ema_warmup {
            1.0 - (1.0 + step / self.config.inv_gamma).powf(-self.config.power)
        } else {
            (1.0 + step) / (10.0 + step)
        };
        rising.min(self.config.decay).max(self.config.min_decay)
    }

    /// The decay of the last step; 0 before the first.
    pub fn cur_decay(&self) -> f64 {
        self.decay_at(self.optimization_step)
    }

    /// Moves the average towards the parameters after an optimizer's step.
    pub fn step(&mut self, trained: &impl Trained) {
        self.optimization_step += 1;
        let moved = (1.0 - self.cur_decay()) as f32;
        trained.read(&mut |name, _, values| {
            if let Some((_, average)) = self.averages.get_mut(name) {
                let pairs = average.par_iter_mut().with_min_len(1 << 14).zip(values.par_iter());
                pairs.for_each(|(average, value)| *average -= moved * (*average - value));
            }
        });
    }

    /// The parameters with the values of the average.
    pub fn copy_to<T: Trained>(&self, trained: T) -> T {
        trained.changed(&mut |name, values| {
            if let Some((_, average)) = self.averages.get(name) {
                values.copy_from_slice(average);
            }
        })
    }

    /// Adds the average to the state of a training, under `prefix`.
    pub fn save(&self, file: &mut StateFile, prefix: &str) {
        file.put_u64(format!("{prefix}.optimization_step"), self.optimization_step);
        for (name, (shape, average)) in &self.averages {
            file.put_f32(format!("{prefix}.shadow.{name}"), shape.clone(), average.clone());
        }
    }

    /// The average of these parameters that [`Self::save`] wrote.
    ///
    /// # Errors
    /// When that of a parameter is missing, or has another shape.
    pub fn load(
        trained: &impl Trained,
        config: EMAModelConfig,
        file: &StateFile,
        prefix: &str,
    ) -> Result<Self> {
        let mut average = Self::new(trained, config);
        average.optimization_step = file.u64(&format!("{prefix}.optimization_step"))?;
        for (name, (shape, values)) in &mut average.averages {
            let key = format!("{prefix}.shadow.{name}");
            let stored = file.f32(&key)?;
            if file.shape(&key) != Some(shape) {
                return Err(file.error(format!("`{key}` has another shape than the model's parameter")));
            }
            *values = stored;
        }
        Ok(average)
    }

    /// Writes the average as a model folder whose configuration also has the average's settings, as in Python.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained<M: Model>(&self, model: &M, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let EMAModelConfig { decay, min_decay, update_after_step, use_ema_warmup, inv_gamma, power } =
            self.config;
        let config = model
            .saved_config()
            .with("decay", decay)
            .with("inv_gamma", inv_gamma)
            .with("min_decay", min_decay)
            .with("optimization_step", self.optimization_step)
            .with("power", power)
            .with("update_after_step", update_after_step)
            .with("use_ema_warmup", use_ema_warmup);
        write_whole(&folder.join("config.json"), (config.to_json() + "\n").as_bytes())?;
        weights::save(&self.copy_to(model.clone()), &folder.join(format!("{}.safetensors", M::WEIGHTS_NAME)))
    }
}
