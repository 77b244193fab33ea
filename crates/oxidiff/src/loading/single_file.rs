//! Checkpoints that are one file in the original layout: Python's `from_single_file`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{DType, Device};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::loading::folder::Folder;
use crate::loading::formats::float8;
use crate::loading::formats::state_dict::StateDict;
use crate::loading::hub::{HubOptions, HubRepo};
use crate::loading::quantisation::QuantizationConfig;
use crate::loading::{LoadOptions, Needed, original};

const HUB_ADDRESSES: [&str; 4] = ["https://huggingface.co/", "https://hf.co/", "huggingface.co/", "hf.co/"];

/// How to load a checkpoint that is a single file: the keyword arguments of Python's `from_single_file`.
#[derive(Clone, Debug)]
pub struct SingleFileOptions {
    /// The element type of the weights in memory, and therefore of the computation. `f32` by default.
    pub dtype: DType,
    /// Where to put the weights. The CPU by default.
    pub device: Device,
    /// Where to find the configurations and the tokenizers, which the file does not contain: a folder in the layout of
    /// diffusers, or the name of a repository. By default those that the library holds for models of this kind, which is
    /// inferred from the weights: nothing is fetched then.
    pub config: Option<String>,
    /// The folder in `config` that holds the model's configuration, when a model is loaded and not a pipeline.
    pub subfolder: Option<String>,
    /// Use the UNet's weights averaged over its training (EMA), from a file that has both.
    pub extract_ema: bool,
    /// Weights to round to small numbers while they are loaded: `quantization_config` in Python.
    pub quantization: Option<QuantizationConfig>,
    /// Fields of the configuration of a model, with the values that it is to have instead of those in its file: further keyword arguments
    /// in Python. A pipeline has no use for them.
    pub config_overrides: Map<String, Value>,
    /// Where and how to fetch a file from the hub, or the configurations, if `config` is the name of a repository.
    pub hub: HubOptions,
}

impl Default for SingleFileOptions {
    fn default() -> Self {
        let LoadOptions { dtype, device, hub, .. } = LoadOptions::default();
        Self {
            dtype,
            device,
            config: None,
            subfolder: None,
            extract_ema: false,
            quantization: None,
            config_overrides: Map::new(),
            hub,
        }
    }
}

impl SingleFileOptions {
    pub(crate) fn load_options(&self) -> LoadOptions {
        LoadOptions {
            dtype: self.dtype,
            device: self.device.clone(),
            quantization: self.quantization.clone(),
            config_overrides: self.config_overrides.clone(),
            hub: self.hub.clone(),
            ..LoadOptions::default()
        }
    }

    /// Opens the file, a path or a link to the hub, and finds its configurations.
    ///
    /// # Errors
    /// When the file is missing or damaged, when it is of a family that is not supported, or when the configurations of
    /// `config` cannot be found.
    pub(crate) fn open(&self, path_or_link: &str) -> Result<Folder> {
        self.with_configurations(self.open_weights(path_or_link)?)
    }

    /// Opens the file, a path or a link to the hub.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub(crate) fn open_weights(&self, path_or_link: &str) -> Result<StateDict> {
        let mut original = float8::with_scales(StateDict::open(&self.locate(path_or_link)?)?)?;
        if self.extract_ema {
            original = original::with_averaged_weights(&original)?;
        } else if original::has_averaged_weights(&original) {
            tracing::warn!(
                "{} also has averaged weights (EMA); set `extract_ema` to use those",
                original.origin()
            );
        }
        Ok(original)
    }

    fn with_configurations(&self, original: StateDict) -> Result<Folder> {
        let configs = match &self.config {
            Some(config) => self.load_options().open(config, Needed::Configs)?,
            None => Folder::embedded(original::infer_configs(&original)?),
        };
        Ok(Folder::Original { configs: Box::new(configs), original: Arc::new(original) })
    }

    /// Like [`Self::open`], for a pipeline.
    ///
    /// # Errors
    /// As for [`Self::open`], and when the file holds something other than a whole checkpoint.
    pub(crate) fn open_pipeline(&self, path_or_link: &str) -> Result<Folder> {
        let original = self.open_weights(path_or_link)?;
        if self.config.is_none() {
            // The error names a family that is known but not supported.
            original::infer_configs(&original)?;
        }
        if original::is_controlnet(&original) {
            return Err(original.error(
                "a ControlNet, not a whole checkpoint: load it with `from_single_file` of its class, and give it to a pipeline",
            ));
        }
        if original::is_transformer(&original) {
            return Err(original.error(
                "a transformer, not a whole checkpoint: load it with `from_single_file` of its class, and give it to a pipeline",
            ));
        }
        if original::is_language_model(&original) {
            return Err(original.error(
                "a language model, not a whole checkpoint: load it with `from_single_file` of its class, and give it to a pipeline",
            ));
        }
        if !original::has_models(&original) {
            return Err(original.error(
                "not a whole checkpoint of Stable Diffusion in its original layout: no `model.diffusion_model`, \
                 `first_stage_model`, `cond_stage_model` or `conditioner`; a single model, a LoRA or an embedding is loaded into a pipeline",
            ));
        }
        if self.config.is_none() && original::loses_third_text_encoder(&original) {
            tracing::warn!(
                "{}: its third text encoder is left out, for want of a tokenizer: choose a folder that has one with `config`",
                original.origin()
            );
        }
        self.with_configurations(original)
    }

    fn locate(&self, path_or_link: &str) -> Result<PathBuf> {
        let path = Path::new(path_or_link);
        let link = HUB_ADDRESSES.into_iter().find_map(|address| path_or_link.strip_prefix(address));
        let Some(link) = link.filter(|_| !path.is_file()) else { return Ok(path.to_path_buf()) };
        let mut parts = link.splitn(3, '/');
        let (Some(owner), Some(name), Some(file)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::argument(
                "path",
                format!("`{path_or_link}` is not a link to a file of a repository"),
            ));
        };
        let (revision, file) = match file.strip_prefix("blob/").or_else(|| file.strip_prefix("resolve/")) {
            Some(rest) => {
                rest.split_once('/').map_or((None, file), |(revision, file)| (Some(revision), file))
            }
            None => (None, file),
        };
        let mut hub = self.hub.clone();
        hub.revision = hub.revision.or_else(|| revision.map(str::to_owned));
        HubRepo::open(&format!("{owner}/{name}"), &hub)?.get(file)
    }
}
