//! Embeddings of the timestep.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::activations::Activation;
use super::linear::{Embedding, Linear};
use super::parameter;
use crate::error::Result;

/// Sinusoidal embedding of timesteps (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>, section 3.5, in the form of
/// DDPM).
#[derive(Clone, Copy, Debug)]
pub struct Timesteps {
    /// Length of an embedding.
    pub num_channels: usize,
    /// Cosines first.
    pub flip_sin_to_cos: bool,
    /// Shifts the spacing of the frequencies, which run from 1 to `10000^-(h / (h - shift))`, where `h` is half the length.
    pub downscale_freq_shift: f64,
}

impl Timesteps {
    /// One embedding per timestep, `[timesteps, num_channels]` in `f32`.
    pub fn forward(&self, timesteps: &[f32], device: &Device) -> Tensor<2> {
        // Arguments reach 1000 and more, where rounding an `f32` changes a sine visibly, so each operation is rounded where
        // PyTorch rounds it.
        let half = self.num_channels / 2;
        let divisor = (half as f64 - self.downscale_freq_shift) as f32;
        let log_period = -(10_000f64.ln()) as f32;
        let frequencies: Vec<f32> =
            (0..half).map(|i| f64::from(log_period * i as f32 / divisor).exp() as f32).collect();

        let mut values = Vec::with_capacity(timesteps.len() * self.num_channels);
        for &timestep in timesteps {
            let angles = frequencies.iter().map(|frequency| f64::from(timestep * frequency));
            let sines = angles.clone().map(|angle| angle.sin() as f32);
            let cosines = angles.map(|angle| angle.cos() as f32);
            if self.flip_sin_to_cos {
                values.extend(cosines.chain(sines));
            } else {
                values.extend(sines.chain(cosines));
            }
            values.resize(values.len() + self.num_channels % 2, 0.0);
        }
        Tensor::from_data(TensorData::new(values, [timesteps.len(), self.num_channels]), (device, DType::F32))
    }
}

/// Random Fourier features of timesteps (Song et al. 2020, <https://arxiv.org/abs/2011.13456>, appendix).
#[derive(Module, Debug)]
pub struct GaussianFourierProjection {
    /// Frequencies, `[num_channels / 2]`.
    pub weight: Param<Tensor<1>>,
    log: bool,
    flip_sin_to_cos: bool,
}

/// The shape of a [`GaussianFourierProjection`].
#[derive(Clone, Copy, Debug)]
pub struct GaussianFourierProjectionConfig {
    /// Number of frequencies, half the length of an embedding.
    pub embedding_size: usize,
    /// Standard deviation of the frequencies.
    pub scale: f64,
    /// Whether to embed the logarithm of a timestep.
    pub log: bool,
    /// Cosines first.
    pub flip_sin_to_cos: bool,
}

impl GaussianFourierProjectionConfig {
    /// The module on `device`.
    pub fn init(&self, device: &Device) -> GaussianFourierProjection {
        GaussianFourierProjection {
            weight: parameter::normal_scaled([self.embedding_size], self.scale, device),
            log: self.log,
            flip_sin_to_cos: self.flip_sin_to_cos,
        }
    }
}

impl GaussianFourierProjection {
    /// One embedding per timestep, `[timesteps, 2 * embedding_size]` in `f32`.
    pub fn forward(&self, timesteps: &[f32], device: &Device) -> Tensor<2> {
        let timesteps: Vec<f32> = if self.log {
            timesteps.iter().map(|timestep| f64::from(*timestep).ln() as f32).collect()
        } else {
            timesteps.to_vec()
        };
        let timesteps =
            Tensor::<1>::from_data(timesteps.as_slice(), (device, DType::F32)).unsqueeze_dim::<2>(1);
        let frequencies = self.weight.val().cast(DType::F32).unsqueeze_dim::<2>(0);
        let angles = timesteps * frequencies * 2.0 * std::f64::consts::PI;
        let (sin, cos) = (angles.clone().sin(), angles.cos());
        Tensor::cat(if self.flip_sin_to_cos { vec![cos, sin] } else { vec![sin, cos] }, 1)
    }
}

/// How timesteps are embedded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeEmbeddingType {
    /// Sines and cosines of fixed frequencies.
    #[default]
    Positional,
    /// Sines and cosines of random frequencies, which are part of the checkpoint.
    Fourier,
    /// A table with a row for each timestep of training.
    Learned,
}

/// The first layer of a model's timestep embedding, of the type that its configuration names.
#[derive(Module, Debug)]
pub enum TimeProjection {
    /// Sines and cosines of fixed frequencies.
    Positional(PositionalProjection),
    /// Sines and cosines of random frequencies.
    Fourier(GaussianFourierProjection),
    /// A table with a row for each timestep.
    Learned(Embedding),
}

/// Has no weights, as the frequencies are fixed.
#[derive(Module, Debug)]
pub struct PositionalProjection {
    #[module(skip)]
    timesteps: Timesteps,
}

impl From<Timesteps> for TimeProjection {
    fn from(timesteps: Timesteps) -> Self {
        Self::Positional(PositionalProjection { timesteps })
    }
}

impl TimeProjection {
    /// One embedding per timestep, `[timesteps, features]`.
    ///
    /// # Errors
    /// When timesteps are looked up in a table, and one is not in it; the error names `argument`.
    pub fn forward(&self, timesteps: &[f32], argument: &'static str, device: &Device) -> Result<Tensor<2>> {
        Ok(match self {
            Self::Positional(projection) => projection.timesteps.forward(timesteps, device),
            Self::Fourier(projection) => projection.forward(timesteps, device),
            Self::Learned(table) => table.lookup(timesteps, argument, device)?,
        })
    }
}

/// Two linear layers that turn the raw embedding of a timestep into the input of the residual blocks.
#[derive(Module, Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    cond_proj: Option<Linear>,
    linear_2: Linear,
    #[module(skip)]
    act: Activation,
    #[module(skip)]
    post_act: Option<Activation>,
}

impl TimestepEmbedding {
    /// From `in_channels` to `time_embed_dim`; `cond_proj_dim` is the length of an additional condition.
    pub fn init(
        in_channels: usize,
        time_embed_dim: usize,
        act: Activation,
        post_act: Option<Activation>,
        cond_proj_dim: Option<usize>,
        device: &Device,
    ) -> Self {
        Self {
            linear_1: Linear::init(in_channels, time_embed_dim, true, device),
            cond_proj: cond_proj_dim.map(|dim| Linear::init(dim, in_channels, false, device)),
            linear_2: Linear::init(time_embed_dim, time_embed_dim, true, device),
            act,
            post_act,
        }
    }

    /// The same layers without biases.
    pub fn without_biases(mut self) -> Self {
        self.linear_1.bias = None;
        self.linear_2.bias = None;
        self
    }

    /// Length of the input.
    pub fn in_channels(&self) -> usize {
        self.linear_1.in_features()
    }

    /// The element type of the weights.
    pub fn dtype(&self) -> DType {
        self.linear_1.weight.val().dtype()
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.linear_1.weight.val().device()
    }

    /// `[batch, in_channels]`, and the condition `[batch, cond_proj_dim]`, to `[batch, time_embed_dim]`.
    pub fn forward(&self, sample: Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<2> {
        let sample = match (condition, &self.cond_proj) {
            (Some(condition), Some(cond_proj)) => sample + cond_proj.forward(condition),
            _ => sample,
        };
        let embedding = self.linear_2.forward(self.act.forward(self.linear_1.forward(sample)));
        match self.post_act {
            Some(act) => act.forward(embedding),
            None => embedding,
        }
    }
}
