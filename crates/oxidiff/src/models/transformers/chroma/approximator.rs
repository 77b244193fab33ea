//! The network that stands for the layers of FLUX.1 that make modulations: from the time and the place of a modulation to its values.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::ChromaTransformer2DConfig;
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::{TimestepEmbedding, Timesteps};
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::Modulation;
use crate::models::layers::normalization::RmsNorm;

/// Times and places are embedded as multiples of this.
const SCALE: f32 = 1000.0;
/// The epsilon that PyTorch takes where a norm has none of its own: that of `f32`.
const EPSILON: f64 = f32::EPSILON as f64;

/// Makes the values of all modulations.
#[derive(Module, Debug)]
pub(super) struct Approximator {
    in_proj: Linear,
    layers: Vec<TimestepEmbedding>,
    norms: Vec<RmsNorm>,
    out_proj: Linear,
}

impl Approximator {
    pub fn init(config: &ChromaTransformer2DConfig, dim: usize, device: &Device) -> Self {
        let hidden = config.approximator_hidden_dim;
        let layer = |_| TimestepEmbedding::init(hidden, hidden, Activation::Silu, None, None, device);
        Self {
            in_proj: Linear::init(config.approximator_num_channels, hidden, true, device),
            layers: (0..config.approximator_layers).map(layer).collect(),
            norms: (0..config.approximator_layers).map(|_| RmsNorm::init(hidden, EPSILON, device)).collect(),
            out_proj: Linear::init(hidden, dim, true, device),
        }
    }

    /// What [`Self::values`] takes: the waves of each time beside those of each of `count` places, `[times * count, channels]`.
    pub fn raw(&self, times: &[f32], count: usize, dtype: DType, device: &Device) -> Tensor<2> {
        embed(self.in_proj.in_features() / 4, times, count, device).cast(dtype)
    }

    /// The values for each of `times` times.
    pub fn values(&self, raw: Tensor<2>, times: usize) -> Values {
        let count = raw.dims()[0] / times;
        let mut x = self.in_proj.forward(raw);
        for (layer, norm) in self.layers.iter().zip(&self.norms) {
            x = x.clone() + layer.forward(norm.forward(x), None);
        }
        let values = self.out_proj.forward(x).cast(DType::F32);
        let dim = values.dims()[1];
        Values { rows: values.reshape([times, count, dim]) }
    }
}

/// Side by side, each time, the guidance 0, which Chroma does not know, and each place: `[times * count, 4 * features]`.
fn embed(features: usize, times: &[f32], count: usize, device: &Device) -> Tensor<2> {
    let table = |features: usize, values: &[f32]| {
        let raw = Timesteps { num_channels: features, flip_sin_to_cos: true, downscale_freq_shift: 0.0 };
        raw.forward(values, device)
    };
    let scaled: Vec<f32> = times.iter().map(|time| time * SCALE).collect();
    let places: Vec<f32> = (0..count).map(|place| place as f32 * SCALE).collect();
    let guidance = table(features, &[0.0]).repeat_dim(0, times.len());
    let time = Tensor::cat(vec![table(features, &scaled), guidance], 1);
    let time: Tensor<3> = time.unsqueeze_dim::<3>(1).repeat_dim(1, count);
    let places: Tensor<3> = table(2 * features, &places).unsqueeze_dim::<3>(0).repeat_dim(0, times.len());
    Tensor::cat(vec![time, places], 2).reshape([times.len() * count, 4 * features])
}

/// The values of modulations, `[times, values, features]` in `f32`.
pub(super) struct Values {
    rows: Tensor<3>,
}

impl Values {
    /// The modulation whose shift, scale and gate start at `place`.
    pub fn gated(&self, place: usize) -> Modulation {
        Modulation::new(self.row(place), self.row(place + 1), Some(self.row(place + 2)))
    }

    /// The modulation whose shift and scale start at `place`.
    pub fn ungated(&self, place: usize) -> Modulation {
        Modulation::new(self.row(place), self.row(place + 1), None)
    }

    fn row(&self, place: usize) -> Tensor<2> {
        self.rows.clone().narrow(1, place, 1).squeeze_dim(1)
    }
}
