//! The image encoder of FLUX.1 Redux (Black Forest Labs 2024, <https://huggingface.co/black-forest-labs/FLUX.1-Redux-dev>): it turns
//! what SigLIP sees into tokens of a prompt.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::activations::Activation;
use crate::models::layers::linear::Linear;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::stays_on_the_cpu;

/// The configuration of a [`ReduxImageEncoder`]; fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct ReduxImageEncoderConfig {
    pub redux_dim: usize,
    pub txt_in_features: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for ReduxImageEncoderConfig {
    fn default() -> Self {
        Self { redux_dim: 1152, txt_in_features: 4096, other: Map::new() }
    }
}

/// Turns an embedded image into tokens of a prompt.
///
/// ```
/// use oxidiff::{Device, Model, ReduxImageEncoder, ReduxImageEncoderConfig, Tensor};
///
/// let config = ReduxImageEncoderConfig { redux_dim: 8, txt_in_features: 12, ..Default::default() };
/// let model = ReduxImageEncoder::init(&config, &Device::flex())?;
/// let tokens = model.forward(Tensor::zeros([1, 4, 8], &Device::flex()))?;
/// assert_eq!(tokens.dims(), [1, 4, 12]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct ReduxImageEncoder {
    redux_up: Linear,
    redux_down: Linear,
    #[module(skip)]
    config: ReduxImageEncoderConfig,
}

impl Model for ReduxImageEncoder {
    type Config = ReduxImageEncoderConfig;

    const CLASS_NAME: &'static str = "ReduxImageEncoder";
    /// As an index names the module of the pipeline's folder.
    const LIBRARY: &'static str = "flux";

    fn init(config: &ReduxImageEncoderConfig, device: &Device) -> Result<Self> {
        for (field, value) in [("redux_dim", config.redux_dim), ("txt_in_features", config.txt_in_features)] {
            if !(1..=1 << 16).contains(&value) {
                return Err(Error::config("", field, format!("cannot be {value}")));
            }
        }
        let (from, to) = (config.redux_dim, config.txt_in_features);
        Ok(Self {
            redux_up: Linear::init(from, 3 * to, true, device),
            redux_down: Linear::init(3 * to, to, true, device),
            config: config.clone(),
        })
    }

    fn config(&self) -> &ReduxImageEncoderConfig {
        &self.config
    }

    stays_on_the_cpu!();

    compiled_with_the_library!();
}

impl ReduxImageEncoder {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.redux_down.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.redux_down.weight.val().device()
    }

    /// `[batch, patches, redux_dim]` to `[batch, patches, txt_in_features]`.
    ///
    /// # Errors
    /// When a patch has another number of features.
    pub fn forward(&self, x: Tensor<3>) -> Result<Tensor<3>> {
        let (found, taken) = (x.dims()[2], self.config.redux_dim);
        if found != taken {
            return Err(Error::argument("x", format!("has {found} features, the model takes {taken}")));
        }
        let x = x.to_device(&self.device()).cast(self.dtype());
        call(Self::CLASS_NAME, &self.device(), || {
            Ok(self.redux_down.forward(Activation::Silu.forward(self.redux_up.forward(x))))
        })
    }
}
