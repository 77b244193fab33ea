//! What every model can do: be built from a configuration, loaded from a checkpoint, and saved.

use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, Device, Int, Tensor};
use oxidiff_kernels::{in_memory, release_mapped, release_mapped_integers};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::device;
use crate::loading::folder::Folder;
use crate::loading::original;
use crate::loading::quantisation::QuantizationConfig;
use crate::loading::single_file::SingleFileOptions;
use crate::loading::weights::{self, Checkpoint, OldKey};
use crate::loading::{LoadOptions, Needed, WeightOptions};
use crate::models::layers::quantised_weight::quantised_weights;
use crate::models::on_cards::{not_on_cards, quantised_on_a_card};

/// A neural network with a configuration: `ModelMixin` in Python.
///
/// The paths of the fields that hold parameters are the keys of a checkpoint.
pub trait Model: Module {
    /// The typed configuration.
    type Config: Serialize + DeserializeOwned + Clone;

    /// The name that `model_index.json` and `_class_name` use.
    const CLASS_NAME: &'static str;

    /// The Python library that the class belongs to.
    const LIBRARY: &'static str = "diffusers";

    /// Former classes, in earlier versions of diffusers, whose checkpoints this class can load too.
    const FORMER_CLASS_NAMES: &'static [&'static str] = &[];

    /// Name of the weights file, without its extension.
    const WEIGHTS_NAME: &'static str = "diffusion_pytorch_model";

    /// The key under which an old checkpoint keeps a parameter, if not under its own key.
    const OLD_KEY: OldKey = |_| None;

    /// The beginnings of the names of weights that checkpoints have and this class has no use for.
    const UNUSED_WEIGHTS: &'static [&'static str] = &[];

    /// Builds the model with initial weights on `device`, which are created on first use.
    ///
    /// # Errors
    /// When the configuration contradicts itself, or asks for something that is not supported.
    fn init(config: &Self::Config, device: &Device) -> Result<Self>;

    /// The configuration. It does not change after the model is built.
    fn config(&self) -> &Self::Config;

    /// Builds the model with initial weights from the data of a configuration file.
    ///
    /// # Errors
    /// When a field has a value of the wrong type, or the configuration contradicts itself; the error names the field.
    fn from_config(config: &Config, device: &Device) -> Result<Self> {
        Self::init(&Self::resolve(config)?, device).map_err(|error| error.in_file(config.origin()))
    }

    /// Loads the model from a folder, or from the hub, in `f32` on the CPU.
    ///
    /// # Errors
    /// When a file is missing or damaged, or weights and configuration do not match.
    fn from_pretrained(name_or_path: &str) -> Result<Self> {
        Self::from_pretrained_with(name_or_path, &LoadOptions::default())
    }

    /// Loads the model with another element type, device, variant, subfolder or revision.
    ///
    /// # Errors
    /// As for [`Model::from_pretrained`].
    fn from_pretrained_with(name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        let needed = Needed::Model { config: "config.json", weights: Self::WEIGHTS_NAME };
        let folder = options.open(name_or_path, needed)?;
        Self::load_folder(&folder, options.weight_options())
    }

    /// Loads the model from a checkpoint in the original layout of Stable Diffusion 1, 2 or XL, which is a single file: a path
    /// or a link to the hub. The configuration comes from `options.config`, or is the one that the library holds for models of
    /// this kind.
    ///
    /// # Errors
    /// When the file is missing or damaged or has no such model, or its configuration cannot be found.
    fn from_single_file(path: &str, options: &SingleFileOptions) -> Result<Self> {
        let mut folder = options.open(path)?;
        let subfolder = match (&options.config, &folder) {
            (None, Folder::Original { original, .. }) => original::subfolder(original, Self::CLASS_NAME),
            _ => options.subfolder.as_deref(),
        };
        if let Some(subfolder) = subfolder {
            folder = folder.subfolder(subfolder);
        }
        Self::load_folder(&folder, options.load_options().weight_options())
    }

    /// Writes `config.json` and the weights into `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        self.save_folder(folder.as_ref())
    }

    /// The model with weights of another element type, in which it then computes: `model.to(dtype)` in Python.
    #[must_use]
    fn cast(&self, dtype: DType) -> Self {
        cast(self, dtype)
    }

    /// Computes on `device`, which is a card, or the CPU again. The weights are on the CPU as well.
    ///
    /// # Errors
    /// When models of this class compute on the CPU only.
    #[doc(hidden)]
    fn place_on_card(&mut self, device: &Device) -> Result<()> {
        let _ = device;
        Err(not_on_cards(Self::CLASS_NAME))
    }

    /// The name of the card that the model computes on, if it does.
    #[doc(hidden)]
    fn card(&self) -> Option<&str> {
        None
    }

    /// Gives the image projections of IP-Adapters, which are no weights of the model's own, another element type.
    #[doc(hidden)]
    fn cast_image_projections(&mut self, dtype: DType) {
        let _ = dtype;
    }

    /// Releases the memory of a card that the model has there, if [`set_model_cpu_offload`](crate::set_model_cpu_offload) says so.
    #[doc(hidden)]
    fn leave_card(&self) {}

    /// Releases memory while the model is not used: the memory of weights from a mapped file goes back to the system. They are
    /// read again, from the system's file cache, when they are needed. A card's memory is released after
    /// [`set_model_cpu_offload`](crate::set_model_cpu_offload) only.
    fn release_memory(&self) {
        release_memory(self);
    }

    /// The same model with its weights in memory instead of a mapped file, in huge pages where the system has them. That takes
    /// their memory for good, but kernels need fewer look-ups of pages: it pays off for a model that is called hundreds of times.
    #[must_use]
    fn in_memory(&self) -> Self {
        in_memory_of_its_own(self)
    }

    /// The configuration as saved in `config.json`.
    fn saved_config(&self) -> Config {
        Config::from_fields(Self::CLASS_NAME, self.config())
    }

    /// The typed configuration in the data of a configuration file.
    #[doc(hidden)]
    fn resolve(config: &Config) -> Result<Self::Config> {
        resolve(config, Self::CLASS_NAME)
    }

    /// The configuration for a checkpoint that lacks parts which the class can do without, if it lacks any; `has` tells whether it
    /// has weights whose names begin so.
    #[doc(hidden)]
    fn without_missing_parts(config: &Self::Config, has: &dyn Fn(&str) -> bool) -> Option<Self::Config> {
        let _ = (config, has);
        None
    }

    /// The model with the parts that only some checkpoints have, and with what other files of the folder say; `has` tells whether
    /// the checkpoint has weights whose names begin so.
    #[doc(hidden)]
    fn with_parts_of(self, folder: &Folder, has: &dyn Fn(&str) -> bool) -> Result<Self> {
        let _ = (folder, has);
        Ok(self)
    }

    /// Writes the files that the model has beside `config.json` and its weights.
    #[doc(hidden)]
    fn save_other_files(&self, folder: &Path) -> Result<()> {
        let _ = folder;
        Ok(())
    }

    /// Loads the model from the folder that holds its `config.json` and its weights.
    #[doc(hidden)]
    fn load_folder(folder: &Folder, options: WeightOptions<'_>) -> Result<Self> {
        load(folder, options)
    }

    /// As [`Model::save_pretrained`].
    #[doc(hidden)]
    fn save_folder(&self, folder: &Path) -> Result<()> {
        save_model(self, folder)
    }
}

/// Methods of [`Model`] whose code for a large model takes seconds to compile. A method that a trait provides is compiled with each
/// program that uses it; with this in its `impl`, a model of the library has its own, which are compiled with the library.
macro_rules! compiled_with_the_library {
    () => {
        $crate::models::model::compiled_with_the_library!(but save_folder);

        fn save_folder(&self, folder: &std::path::Path) -> $crate::Result<()> {
            $crate::models::model::save_model(self, folder)
        }
    };
    (but save_folder) => {
        fn resolve(config: &$crate::Config) -> $crate::Result<Self::Config> {
            $crate::models::model::resolve(config, Self::CLASS_NAME)
        }

        fn load_folder(
            folder: &$crate::loading::folder::Folder,
            options: $crate::loading::WeightOptions<'_>,
        ) -> $crate::Result<Self> {
            $crate::models::model::load(folder, options)
        }

        fn cast(&self, dtype: burn::tensor::DType) -> Self {
            $crate::models::model::cast(self, dtype)
        }

        fn release_memory(&self) {
            $crate::models::model::release_memory(self);
        }

        fn in_memory(&self) -> Self {
            $crate::models::model::in_memory_of_its_own(self)
        }
    };
}
pub(crate) use compiled_with_the_library;

pub(crate) fn resolve<T: Serialize + DeserializeOwned>(config: &Config, class_name: &str) -> Result<T> {
    Ok(config.resolve(class_name)?.0)
}

pub(crate) fn cast<M: Model>(model: &M, dtype: DType) -> M {
    let mut made = cast_weights(model, dtype);
    made.cast_image_projections(dtype);
    made
}

/// The module with weights of another element type.
pub(crate) fn cast_weights<M: Module>(module: &M, dtype: DType) -> M {
    module.clone().map(&mut Cast { dtype, quantised: quantised_weights(module) })
}

pub(crate) fn release_memory<M: Model>(model: &M) {
    model.visit(&mut Release);
    model.leave_card();
}

pub(crate) fn in_memory_of_its_own<M: Module>(model: &M) -> M {
    model.clone().map(&mut InMemory)
}

/// Writes `config.json` and the weights into `folder`, which is created if it does not exist.
///
/// # Errors
/// When the folder cannot be written, or the weights are quantised.
pub(crate) fn save_model<M: Model>(model: &M, folder: &Path) -> Result<()> {
    if !quantised_weights(model).is_empty() {
        let what = format!("saving this {}", M::CLASS_NAME);
        return Err(Error::unsupported(
            what,
            "its weights are quantised; `convert` writes such weights to a GGUF file",
        ));
    }
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let config = model.saved_config();
    crate::loading::write_whole(&folder.join("config.json"), (config.to_json() + "\n").as_bytes())?;
    model.save_other_files(folder)?;
    weights::save(model, &folder.join(format!("{}.safetensors", M::WEIGHTS_NAME)))
}

struct Cast {
    dtype: DType,
    /// These keep their blocks.
    quantised: Vec<ParamId>,
}

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.quantised.contains(&param.id) {
            return param;
        }
        param.map(|weight| weight.cast(self.dtype))
    }
}

struct InMemory;

impl ModuleMapper for InMemory {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(in_memory)
    }
}

struct Release;

impl ModuleVisitor for Release {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_initialized() {
            release_mapped(&param.val());
        }
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        release_mapped_integers(&param.val());
    }
}

/// The configuration of a model of transformers as it is saved: it names `float32`, whatever the type of the stored weights.
///
/// Without an explicit type, transformers loads a model in the type that its configuration names, but diffusers loads its
/// models in `float32`. In Python, a pipeline whose text encoder names another type would load but fail in its first call.
pub(crate) fn saved_transformers_config<T: Serialize>(fields: &T) -> Config {
    // Before transformers 5, the field was called `torch_dtype`.
    Config::from_transformers_fields(fields).without("torch_dtype").with("dtype", "float32")
}

/// The configuration with other values of some fields. As in Python, those that the class does not have are ignored, with a warning.
///
/// # Errors
/// When the configuration has a value of the wrong type.
fn overridden<M: Model>(mut config: Config, fields: &Map<String, Value>) -> Result<Config> {
    if fields.is_empty() {
        return Ok(config);
    }
    let own = Config::from_fields(M::CLASS_NAME, &M::resolve(&config)?);
    for (field, value) in fields {
        match own.get(field) {
            Some(_) => config = config.with(field, value.clone()),
            None => tracing::warn!(
                "`{field}` is no field of the configuration of a {}, and ignored",
                M::CLASS_NAME
            ),
        }
    }
    Ok(config)
}

/// Loads a model from the folder that holds its `config.json` and its weights.
///
/// # Errors
/// When the device cannot be used, a file is missing or damaged, or weights and configuration do not match.
pub(crate) fn load<M: Model>(folder: &Folder, options: WeightOptions<'_>) -> Result<M> {
    let WeightOptions { variant, dtype, device, quantization, config_overrides } = options;
    device::check(device, dtype)?;
    quantization.map_or(Ok(()), QuantizationConfig::check)?;
    let text = folder.read("config.json", M::CLASS_NAME)?;
    let config = Config::parse(&text, &folder.locate("config.json").display().to_string())?;
    let is_other = |name: &&str| *name != M::CLASS_NAME && !M::FORMER_CLASS_NAMES.contains(name);
    if let Some(other) = config.class_name().filter(is_other) {
        let message = format!("is `{other}`, but `{}` was requested", M::CLASS_NAME);
        return Err(Error::config(config.origin(), "_class_name", message));
    }
    let config = match config_overrides {
        Some(fields) => overridden::<M>(config, fields)?,
        None => config,
    };
    let is_card = device::is_card(device);
    let host = if is_card { &Device::flex() } else { device };
    let model = M::from_config(&config, host)?;
    let checkpoint = Checkpoint::open(folder, M::WEIGHTS_NAME, variant, M::CLASS_NAME)?;
    let checkpoint = checkpoint.without(M::UNUSED_WEIGHTS);
    let model = match M::without_missing_parts(model.config(), &|prefix| checkpoint.has(prefix)) {
        Some(config) => M::init(&config, host)?,
        None => model,
    };
    let model = model.with_parts_of(folder, &|prefix| checkpoint.has(prefix))?;
    if is_card && (quantization.is_some() || checkpoint.is_quantised()) {
        return Err(quantised_on_a_card(M::CLASS_NAME));
    }
    let mut model = checkpoint.load_into(
        model,
        WeightOptions { device: host, ..options },
        (M::CLASS_NAME, M::OLD_KEY),
    )?;
    if is_card {
        model.place_on_card(device)?;
    }
    Ok(model)
}
