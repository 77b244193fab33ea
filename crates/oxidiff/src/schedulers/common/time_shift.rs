//! How the noise levels of flows are shifted by µ, which a pipeline computes from the size of the image.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::loading::config::Config;

/// How µ shifts the noise levels of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeShiftType {
    /// By the factor exp(µ).
    #[default]
    Exponential,
    /// By the factor µ.
    Linear,
}

impl TimeShiftType {
    /// The factor that µ stands for.
    pub(crate) fn factor(self, mu: f64) -> f64 {
        match self {
            Self::Exponential => mu.exp(),
            Self::Linear => mu,
        }
    }

    /// Rejects the shift that only some classes know.
    pub(crate) fn must_be_exponential(self, config: &Config) -> Result<()> {
        if self == Self::Exponential {
            return Ok(());
        }
        let class_name = config.class_name().unwrap_or_default();
        let message = format!("must be `exponential`, the only one that {class_name} knows");
        Err(Error::config(config.origin(), "time_shift_type", message))
    }
}

/// The shift that µ means to the multi-step and single-step solvers, whose configuration must allow it.
pub(crate) fn dynamic_shift(mu: f64, use_dynamic_shifting: bool) -> Result<f64> {
    if use_dynamic_shifting {
        Ok(TimeShiftType::Exponential.factor(mu))
    } else {
        Err(Error::argument("mu", "needs a configuration with `use_dynamic_shifting`"))
    }
}
