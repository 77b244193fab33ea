//! The index of a checkpoint in shards (`*.safetensors.index.json`, `*.bin.index.json`): which file holds which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};

/// File names by tensor name.
#[derive(Deserialize)]
pub(crate) struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl ShardIndex {
    /// Reads an index; `origin` names its file in messages.
    ///
    /// # Errors
    /// When it is not JSON, lists nothing, or names something other than a file in its own folder.
    pub(crate) fn parse(text: &[u8], origin: &str) -> Result<Self> {
        let wrong = |message: String| Error::config(origin, "weight_map", message);
        let index: Self = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        if let Some(escape) = index.weight_map.values().find(|shard| !is_plain_file_name(shard)) {
            return Err(wrong(format!("the shard `{escape}` is not a file name")));
        }
        if index.weight_map.is_empty() {
            return Err(wrong("lists no tensor".into()));
        }
        Ok(index)
    }

    /// The files, each once.
    pub(crate) fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// The tensors, each with its file.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &str)> {
        self.weight_map.iter().map(|(key, file)| (key.as_str(), file.as_str()))
    }
}

fn is_plain_file_name(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|file| file == name)
}
