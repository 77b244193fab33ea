//! AdamW (Loshchilov & Hutter 2017, <https://arxiv.org/abs/1711.05101>).

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::gradients::ParameterGradients;
use super::state_file::StateFile;
use super::trained::Trained;
use crate::error::Result;

/// Values that one thread changes at a time: three arrays of them fit into the second cache.
const PART: usize = 1 << 14;

/// The settings of [`AdamW`]; the defaults are those of diffusers' example scripts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// The decay of the mean of the gradients.
    pub beta1: f64,
    /// The decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the second mean.
    pub epsilon: f64,
    /// How much of a weight decays in a step, as a factor of the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-2 }
    }
}

/// The settings of some of the parameters, which PyTorch calls a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParameterGroup {
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// How much of a weight decays in a step, as a factor of the learning rate.
    pub weight_decay: f64,
}

/// The optimizer `torch.optim.AdamW`: the same steps as on PyTorch's CPU.
#[derive(Clone, Debug)]
pub struct AdamW {
    config: AdamWConfig,
    moments: BTreeMap<String, Moments>,
}

#[derive(Clone, Debug)]
struct Moments {
    step: u64,
    /// The mean of the gradients.
    first: Vec<f32>,
    /// The mean of their squares.
    second: Vec<f32>,
}

impl AdamW {
    /// An optimizer that has made no step.
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, moments: BTreeMap::new() }
    }

    /// The parameters after a step along their gradients. Those without a gradient stay as they are.
    ///
    /// # Panics
    /// When a gradient has another number of values than its parameter.
    #[must_use]
    pub fn step<T: Trained>(&mut self, trained: T, gradients: &ParameterGradients, learning_rate: f64) -> T {
        let group = ParameterGroup { learning_rate, weight_decay: self.config.weight_decay };
        self.step_groups(trained, gradients, |_| group)
    }

    /// As [`Self::step`], with settings for each parameter by its path: the groups of PyTorch's optimizers.
    ///
    /// # Panics
    /// As [`Self::step`].
    #[must_use]
    pub fn step_groups<T: Trained>(
        &mut self,
        trained: T,
        gradients: &ParameterGradients,
        group: impl Fn(&str) -> ParameterGroup,
    ) -> T {
        let gradients: BTreeMap<&str, &[f32]> = gradients.iter().collect();
        trained.changed(&mut |name, values| {
            let Some(gradient) = gradients.get(name) else { return };
            assert_eq!(gradient.len(), values.len(), "a gradient with the shape of `{name}`");
            let moments = self.moments.entry(name.to_owned()).or_insert_with(|| {
                let zeros = vec![0.0; values.len()];
                Moments { step: 0, first: zeros.clone(), second: zeros }
            });
            moments.step += 1;
            self.config.update(values, gradient, moments, group(name));
        })
    }

    /// Writes the moments and steps into `file`, under `prefix`.
    pub fn save(&self, file: &mut StateFile, prefix: &str) {
        for (name, moments) in &self.moments {
            let len = moments.first.len();
            file.put_f32(format!("{prefix}.{name}.exp_avg"), vec![len], moments.first.clone());
            file.put_f32(format!("{prefix}.{name}.exp_avg_sq"), vec![len], moments.second.clone());
            file.put_u64(format!("{prefix}.{name}.step"), moments.step);
        }
    }

    /// The optimizer that [`Self::save`] wrote.
    ///
    /// # Errors
    /// When the moments of a parameter are incomplete.
    pub fn load(config: AdamWConfig, file: &StateFile, prefix: &str) -> Result<Self> {
        let mut optimizer = Self::new(config);
        let start = format!("{prefix}.");
        let names = file.names().filter_map(|name| name.strip_prefix(&start)?.strip_suffix(".step"));
        for name in names {
            let first = file.f32(&format!("{start}{name}.exp_avg"))?;
            let second = file.f32(&format!("{start}{name}.exp_avg_sq"))?;
            if first.len() != second.len() {
                return Err(file.error(format!("the two means of `{name}` have different lengths")));
            }
            let step = file.u64(&format!("{start}{name}.step"))?;
            optimizer.moments.insert(name.to_owned(), Moments { step, first, second });
        }
        Ok(optimizer)
    }

    /// Checks that moments from a file belong to these parameters.
    ///
    /// # Errors
    /// When a parameter has another number of values than its moments, or there are moments of other parameters.
    pub fn check_fits<T: Trained>(&self, trained: &T, file: &StateFile) -> Result<()> {
        let mut mismatch = None;
        let mut others: BTreeSet<&str> = self.moments.keys().map(String::as_str).collect();
        trained.read(&mut |name, shape, _| {
            others.remove(name);
            let len: usize = shape.iter().product();
            if self.moments.get(name).is_some_and(|moments| moments.first.len() != len) {
                mismatch.get_or_insert_with(|| name.to_owned());
            }
        });
        if let Some(name) = mismatch {
            return Err(file.error(format!("the optimizer's means of `{name}` do not fit the model")));
        }
        match others.first() {
            Some(name) => {
                let message =
                    format!("the optimizer has means of `{name}`, which does not learn in this training");
                Err(file.error(message))
            }
            None => Ok(()),
        }
    }
}

impl AdamWConfig {
    /// One step, with the operations in the order that PyTorch has them in.
    fn update(&self, values: &mut [f32], gradient: &[f32], moments: &mut Moments, group: ParameterGroup) {
        let ParameterGroup { learning_rate, weight_decay } = group;
        let step = moments.step as f64;
        let correction1 = 1.0 - self.beta1.powf(step);
        let correction2 = (1.0 - self.beta2.powf(step)).sqrt() as f32;
        let step_size = (learning_rate / correction1) as f32;
        let kept = (1.0 - learning_rate * weight_decay) as f32;
        let new1 = (1.0 - self.beta1) as f32;
        let (beta2, new2) = (self.beta2 as f32, (1.0 - self.beta2) as f32);
        let epsilon = self.epsilon as f32;
        let parts = values.par_chunks_mut(PART).zip(gradient.par_chunks(PART));
        let means = moments.first.par_chunks_mut(PART).zip(moments.second.par_chunks_mut(PART));
        parts.zip(means).for_each(|((values, gradient), (first, second))| {
            let means = first.iter_mut().zip(second);
            for ((value, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(means) {
                *first += new1 * (gradient - *first);
                *second = *second * beta2 + new2 * (gradient * gradient);
                let spread = second.sqrt() / correction2 + epsilon;
                *value = *value * kept - step_size * (*first / spread);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_steps_are_those_of_pytorch() {
        // torch.optim.AdamW([p], lr=0.1, weight_decay=0.01) with p = [1, -2] and the gradients [0.5, 0.1], [-0.25, 0.3].
        let config = AdamWConfig::default();
        let group = ParameterGroup { learning_rate: 0.1, weight_decay: config.weight_decay };
        let mut values = vec![1.0, -2.0];
        let mut moments = Moments { step: 0, first: vec![0.0; 2], second: vec![0.0; 2] };
        for gradient in [[0.5, 0.1], [-0.25, 0.3]] {
            moments.step += 1;
            config.update(&mut values, &gradient, &mut moments, group);
        }
        // By hand, in double precision: see the formulas of the paper, algorithm 2.
        let expected = |start: f64, gradients: [f64; 2]| {
            let (mut value, mut m, mut v) = (start, 0.0, 0.0);
            for (index, g) in gradients.into_iter().enumerate() {
                let step = index as i32 + 1;
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                let m_hat = m / (1.0 - 0.9_f64.powi(step));
                let v_hat: f64 = v / (1.0 - 0.999_f64.powi(step));
                value -= 0.1 * 0.01 * value;
                value -= 0.1 * m_hat / (v_hat.sqrt() + 1e-8);
            }
            value
        };
        assert!((f64::from(values[0]) - expected(1.0, [0.5, -0.25])).abs() < 1e-6, "{values:?}");
        assert!((f64::from(values[1]) - expected(-2.0, [0.1, 0.3])).abs() < 1e-6, "{values:?}");
    }
}
