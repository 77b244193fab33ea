//! A limit for what guidance does to the length of a prediction.

use burn::tensor::Tensor;
use serde_json::Value;

use crate::pipelines::request::{Argument, ArgumentKind, FromArgument};

/// How much longer a guided prediction may be than the one with the prompt, as a factor; 0 is no limit. `true` is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CfgNormalization(pub f64);

impl CfgNormalization {
    /// Shortens the guided prediction `guided` to the limit, which the prediction with the prompt alone, `positive`, sets.
    pub(super) fn apply(self, guided: Tensor<4>, positive: Tensor<4>) -> Tensor<4> {
        if self.0 <= 0.0 {
            return guided;
        }
        let length = |x: Tensor<4>| f64::from(x.square().sum().sqrt().into_scalar::<f32>());
        let (most, found) = (length(positive) * self.0, length(guided.clone()));
        if found > most { guided * (most / found) } else { guided }
    }
}

impl From<bool> for CfgNormalization {
    fn from(is_on: bool) -> Self {
        Self(f64::from(u8::from(is_on)))
    }
}

impl From<f64> for CfgNormalization {
    fn from(limit: f64) -> Self {
        Self(limit)
    }
}

impl FromArgument for CfgNormalization {
    const IS_FLAG: bool = true;
    const KIND: ArgumentKind = ArgumentKind::Flag;

    fn to_json(&self) -> Value {
        if self.0 == 0.0 { false.into() } else { self.0.into() }
    }

    fn from_argument(argument: Argument) -> Result<Self, String> {
        let is_flag = match &argument {
            Argument::Flag(_) => true,
            Argument::Written(text) => text.trim().parse::<f64>().is_err(),
            _ => false,
        };
        match is_flag {
            true => bool::from_argument(argument).map(Self::from),
            false => f64::from_argument(argument).map(Self),
        }
    }
}
