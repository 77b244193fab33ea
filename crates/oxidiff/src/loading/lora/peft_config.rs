//! The configuration of an adapter that PEFT wrote, which diffusers keeps in the metadata of a file.

use serde_json::{Map, Value};

use super::METADATA_KEY;
use crate::error::{Error, Result};

/// The part of PEFT's configuration that matters for the result.
pub(super) struct PeftConfig {
    alpha: f64,
    alpha_pattern: Map<String, Value>,
    by_root_of_rank: bool,
}

impl PeftConfig {
    /// The configuration for the model `target`, if the file `origin` has one in its metadata.
    ///
    /// # Errors
    /// When a field has the wrong type, or asks for something that is not supported.
    pub(super) fn read(metadata: &Map<String, Value>, origin: &str, target: &str) -> Result<Option<Self>> {
        let get = |field: &str| metadata.get(&format!("{target}.{field}"));
        let Some(alpha) = get("lora_alpha") else { return Ok(None) };
        let wrong = |field: &str, message: &str| {
            Err(Error::config(origin, format!("{METADATA_KEY}.{target}.{field}"), message))
        };
        let Some(alpha) = alpha.as_f64() else { return wrong("lora_alpha", "must be a number") };
        if get("lora_bias").and_then(Value::as_bool) == Some(true) {
            return wrong("lora_bias", "is not supported");
        }
        let alpha_pattern = match get("alpha_pattern") {
            Some(Value::Object(patterns)) => patterns.clone(),
            None | Some(Value::Null) => Map::new(),
            Some(_) => return wrong("alpha_pattern", "must be an object"),
        };
        let by_root_of_rank = get("use_rslora").and_then(Value::as_bool).unwrap_or(false);
        Ok(Some(Self { alpha, alpha_pattern, by_root_of_rank }))
    }

    /// The factor of a layer of this rank.
    pub(super) fn scaling(&self, module: &str, rank: f64) -> f64 {
        let matches = |pattern: &str| match pattern.strip_prefix('^') {
            Some(whole) => module == whole,
            None => module == pattern || module.strip_suffix(pattern).is_some_and(|head| head.ends_with('.')),
        };
        let own = self
            .alpha_pattern
            .iter()
            .find(|(pattern, _)| matches(pattern))
            .and_then(|(_, alpha)| alpha.as_f64());
        own.unwrap_or(self.alpha) / if self.by_root_of_rank { rank.sqrt() } else { rank }
    }
}
