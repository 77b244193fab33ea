//! The noise of stochastic solvers in σ, drawn as torchsde and k-diffusion draw it.

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::brownian_tree::BrownianTree;
use crate::error::{Error, Result};
use crate::random::Generator;

/// The seed of the noise of a [`DPMSolverSDEScheduler`](crate::schedulers::DPMSolverSDEScheduler).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "must be a whole number from 0, or a list of them")]
pub enum NoiseSamplerSeed {
    /// One seed for the whole batch.
    One(u64),
    /// A seed for each item.
    PerItem(Vec<u64>),
}

/// Noise as increments of a Brownian motion in σ, so that it does not depend on how a run is divided into steps.
#[derive(Clone, Debug)]
pub(crate) struct NoiseSampler {
    shape: [usize; 4],
    /// One for the batch, or one for each item.
    trees: Vec<BrownianTree>,
}

impl NoiseSampler {
    /// A sampler for the scheduler `class_name`, for steps between noise `levels`.
    ///
    /// # Errors
    /// When no noise lies between the levels, or the number of seeds is not the batch size.
    pub(crate) fn new(
        class_name: &str,
        levels: &[f32],
        seed: Option<&NoiseSamplerSeed>,
        shape: [usize; 4],
        dtype: DType,
    ) -> Result<Self> {
        let levels = levels.iter().copied().filter(|&level| level > 0.0);
        let (low, high) =
            levels.fold((f32::INFINITY, 0f32), |(low, high), level| (low.min(level), high.max(level)));
        if !(low.is_finite() && high.is_finite()) {
            return Err(Error::unsupported(
                "noise between these levels",
                format!("they range from {low} to {high}"),
            ));
        }
        let len: usize = shape.iter().product();
        let tree =
            |seed: u64, len: usize| BrownianTree::new(f64::from(low), f64::from(high), seed, len, dtype);
        let trees = match seed {
            // Python draws a number of 63 bits.
            None => vec![tree(Generator::from_entropy().initial_seed() >> 1, len)],
            Some(NoiseSamplerSeed::One(seed)) => vec![tree(*seed, len)],
            Some(NoiseSamplerSeed::PerItem(seeds)) if seeds.len() == shape[0] => {
                seeds.iter().map(|&seed| tree(seed, len / shape[0])).collect()
            }
            Some(NoiseSamplerSeed::PerItem(seeds)) => {
                let message = format!("has {} seeds for a batch of {}", seeds.len(), shape[0]);
                return Err(Error::config(class_name, "noise_sampler_seed", message));
            }
        };
        Ok(Self { shape, trees })
    }

    /// The shape of the samples.
    pub(crate) fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// Noise of variance 1 for a step from one level down to another.
    pub(crate) fn sample(&mut self, from: f32, to: f32, device: &Device) -> Tensor<4> {
        let increments: Vec<f32> =
            self.trees.iter_mut().flat_map(|tree| tree.increment(f64::from(to), f64::from(from))).collect();
        let increment = Tensor::from_data(TensorData::new(increments, self.shape), (device, DType::F32));
        if from == to {
            // A step between equal levels adds no noise.
            return increment;
        }
        // The run goes backwards in the motion's time.
        increment / -f64::from((from - to).abs().sqrt())
    }
}
