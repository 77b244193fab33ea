//! How configurations describe the rotary embedding: in `rope_parameters` since transformers 5, before that in `rope_theta` and
//! `rope_scaling`.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// θ of a rotary embedding of one of the `kinds`.
///
/// # Errors
/// When it is not a positive number, or the embedding is of a kind that stretches positions.
pub fn rope_theta(
    rope_parameters: Option<&Map<String, Value>>,
    rope_scaling: Option<&Map<String, Value>>,
    (rope_theta, default): (Option<f64>, f64),
    kinds: &[&str],
) -> Result<f64> {
    for (field, parameters) in [("rope_parameters", rope_parameters), ("rope_scaling", rope_scaling)] {
        let Some(parameters) = parameters else { continue };
        let kind = parameters.get("rope_type").or_else(|| parameters.get("type"));
        if let Some(kind) = kind.filter(|kind| kinds.iter().all(|known| *kind != known)) {
            let message = format!("has the rope_type {kind}; only \"{}\" is supported", kinds[0]);
            return Err(Error::config("", field, message));
        }
    }
    let stored = rope_parameters.and_then(|parameters| parameters.get("rope_theta"));
    let theta = match stored {
        Some(stored) => stored.as_f64(),
        None => Some(rope_theta.unwrap_or(default)),
    };
    theta.filter(|theta| theta.is_finite() && *theta > 0.0).ok_or_else(|| {
        let (field, found) = match stored {
            Some(stored) => ("rope_parameters", stored.to_string()),
            None => ("rope_theta", format!("{rope_theta:?}")),
        };
        Error::config("", field, format!("θ must be a positive number, not {found}"))
    })
}
