//! From a name or a folder to a component: configuration files, weights and the hub.

pub mod config;
pub mod convert;
pub(crate) mod device;
pub mod folder;
pub(crate) mod formats;
pub mod hub;
pub(crate) mod locate;
pub(crate) mod lora;
pub(crate) mod non_finite;
pub(crate) mod original;
pub mod quantisation;
pub mod single_file;
mod stored_elements;
pub(crate) mod variant;
pub(crate) mod weights;
mod write_whole;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use serde_json::{Map, Value};

pub(crate) use self::formats::{bare_tensor, state_dict};
pub(crate) use self::write_whole::write_whole_with;
pub use self::write_whole::{check_writable, write_whole};

use crate::any_model::AnyModel;
use crate::error::{Error, Result};
use crate::loading::folder::{EmbeddedFolder, Folder};
use crate::loading::hub::{HubOptions, HubRepo, is_configuration, model_files, model_weights};
use crate::loading::quantisation::QuantizationConfig;
use crate::models::controlnets::ControlNets;
use crate::models::t2i_adapters::T2IAdapters;

/// How to load a model or a pipeline: the keyword arguments of Python's `from_pretrained`.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The element type of the weights in memory, and therefore of the computation (`torch_dtype`). `f32` by default.
    pub dtype: DType,
    /// Where to put the weights. The CPU by default.
    pub device: Device,
    /// Which variant of the weights to read, if the checkpoint has it: `fp16` reads `*.fp16.safetensors`.
    pub variant: Option<String>,
    /// The folder in the checkpoint, for a model that is part of a pipeline.
    pub subfolder: Option<String>,
    /// Whether to load the safety checker, if the checkpoint has one; `false` is `safety_checker=None` in Python.
    pub safety_checker: bool,
    /// The ControlNets of a pipeline, instead of those of the checkpoint, if it has any: `controlnet=` in Python.
    pub controlnet: Option<ControlNets>,
    /// The T2I-Adapters of a pipeline, instead of those of the checkpoint, if it has any: `adapter=` in Python.
    pub adapter: Option<T2IAdapters>,
    /// Weights of a pipeline's models from other files instead of those of the checkpoint, by the names of the models, such as
    /// `transformer` and `text_encoder`: a path or a link to the hub, of a file that [`Model::from_single_file`](crate::Model) reads.
    /// Configurations are those of the checkpoint.
    pub weights: BTreeMap<String, String>,
    /// Models that the caller will put into the pipeline, by their names: those of the checkpoint are neither fetched nor read.
    #[doc(hidden)]
    pub models: BTreeMap<String, AnyModel>,
    /// Weights to round to small numbers while they are loaded: `quantization_config` in Python.
    pub quantization: Option<QuantizationConfig>,
    /// Fields of the configuration of a model, with the values that it is to have instead of those in its file: further keyword arguments
    /// in Python. A pipeline has no use for them.
    pub config_overrides: Map<String, Value>,
    /// Where and how to fetch files from the hub.
    pub hub: HubOptions,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            dtype: DType::F32,
            device: Device::flex(),
            variant: None,
            subfolder: None,
            safety_checker: true,
            controlnet: None,
            adapter: None,
            weights: BTreeMap::new(),
            models: BTreeMap::new(),
            quantization: None,
            config_overrides: Map::new(),
            hub: HubOptions::default(),
        }
    }
}

/// What will be read, so that nothing else is downloaded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needed {
    /// A pipeline with all its components.
    Pipeline,
    /// One model: its configuration and its weights.
    Model { config: &'static str, weights: &'static str },
    /// A configuration alone.
    Config { config: &'static str },
    /// The configurations and tokenizers of a pipeline, without its weights.
    Configs,
}

/// How to load the weights of one model.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct WeightOptions<'a> {
    pub variant: Option<&'a str>,
    pub dtype: DType,
    pub device: &'a Device,
    pub quantization: Option<&'a QuantizationConfig>,
    pub config_overrides: Option<&'a Map<String, Value>>,
}

impl<'a> WeightOptions<'a> {
    /// Plain weights of this type on `device`.
    pub(crate) fn new(dtype: DType, device: &'a Device) -> Self {
        Self { variant: None, dtype, device, quantization: None, config_overrides: None }
    }
}

impl LoadOptions {
    /// How to load the weights of a model that is not part of a pipeline.
    pub(crate) fn weight_options(&self) -> WeightOptions<'_> {
        let Self { variant, dtype, device, quantization, config_overrides, .. } = self;
        WeightOptions {
            variant: variant.as_deref(),
            dtype: *dtype,
            device,
            quantization: quantization.as_ref(),
            config_overrides: Some(config_overrides),
        }
    }

    /// How to load the weights of a part of a pipeline.
    pub(crate) fn weight_options_of(&self, component: &str) -> WeightOptions<'_> {
        let options = self.weight_options();
        let quantization = options.quantization.filter(|config| config.includes(component));
        WeightOptions { quantization, config_overrides: None, ..options }
    }

    /// Finds the folder of a checkpoint by its path, or by its name on the hub, from where only the needed files are fetched.
    pub(crate) fn open(&self, name_or_path: &str, needed: Needed) -> Result<Folder> {
        let path = Path::new(name_or_path);
        let inside = |root| match &self.subfolder {
            Some(subfolder) => Folder::Directory(root).subfolder(subfolder),
            None => Folder::Directory(root),
        };
        if path.is_dir() {
            let folder = inside(path.to_path_buf());
            self.check_variant(&folder, needed)?;
            Ok(folder)
        } else if is_meant_as_path(path) {
            let message = if path.is_file() {
                "is a file, not the folder of a checkpoint: load it with `from_single_file`"
            } else if path.exists() {
                "is neither a folder nor a file"
            } else {
                "no such folder"
            };
            Err(Error::MissingFile { path: path.into(), message: message.into() })
        } else {
            Ok(inside(self.fetch(name_or_path, needed)?))
        }
    }

    /// Opens the folder of a pipeline that is part of the binary.
    pub(crate) fn open_embedded(&self, folder: &'static EmbeddedFolder) -> Result<Folder> {
        let folder = Folder::embedded(folder);
        self.check_variant(&folder, Needed::Pipeline)?;
        Ok(folder)
    }

    /// Checks that a local checkpoint has the requested variant. One from the hub was checked before it was fetched.
    fn check_variant(&self, folder: &Folder, needed: Needed) -> Result<()> {
        let Some(variant) = self.variant.as_deref() else { return Ok(()) };
        match needed {
            Needed::Pipeline => variant::check_pipeline(folder, variant),
            Needed::Model { weights, .. } => {
                let names = folder.file_names();
                let names = model_weights(&Vec::from_iter(names.iter().map(String::as_str)), weights);
                variant::check_model(&names, weights, variant)
            }
            Needed::Config { .. } | Needed::Configs => Ok(()),
        }
    }

    fn fetch(&self, repo_id: &str, needed: Needed) -> Result<PathBuf> {
        let repo = HubRepo::open(repo_id, &self.hub)?;
        let inside = |file: &str| match &self.subfolder {
            Some(subfolder) => format!("{subfolder}/{file}"),
            None => file.to_owned(),
        };
        match needed {
            Needed::Pipeline => {
                let replaced: Vec<&str> =
                    self.weights.keys().chain(self.models.keys()).map(String::as_str).collect();
                repo.get_pipeline_without(self.variant.as_deref(), &replaced)?;
            }
            Needed::Config { config } => {
                repo.get(&inside(config))?;
            }
            Needed::Configs => {
                for file in repo.list_files()?.iter().filter(|file| is_configuration(file)) {
                    repo.get(file)?;
                }
            }
            Needed::Model { config, weights } => {
                repo.get(&inside(config))?;
                let (files, subfolder) = (repo.list_files()?, self.subfolder.as_deref());
                for file in model_files(&files, subfolder, weights, self.variant.as_deref())? {
                    repo.get(&file)?;
                }
            }
        }
        Ok(repo.snapshot_folder())
    }
}

/// Whether a name is a path. Names on the hub have at most one slash, and never look like a path otherwise.
fn is_meant_as_path(path: &Path) -> bool {
    path.exists()
        || path.is_absolute()
        || path.starts_with(".")
        || path.starts_with("..")
        || path.components().count() > 2
}

/// Fetches what a pipeline needs from the hub into the cache, and returns its folder there.
///
/// # Errors
/// When the hub does not have the pipeline or cannot be reached, or the cache cannot be written.
pub fn download(repo_id: &str, options: &LoadOptions) -> Result<PathBuf> {
    Ok(options.open(repo_id, Needed::Pipeline)?.name())
}
