//! Models of any class as one type: loaded by the name of the class, and called with arguments by name.
//!
//! A class is a row of `registry.rs` and an `impl CallableModel` in `calls/`.

mod callable;
mod calls;
mod controlnets;
mod registry;

use std::fmt;
use std::path::Path;

use burn::tensor::{DType, Device};

pub use self::callable::{CallableModel, ModelOutput};
use self::registry::Entry;
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::single_file::SingleFileOptions;
use crate::loading::{LoadOptions, Needed};
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::on_cards::place;
use crate::pipelines::component::Component;
use crate::pipelines::{ArgumentInfo, Request};

/// A model of any class.
///
/// ```
/// use oxidiff::{AnyModel, Device, LoadOptions, Request, Tensor};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
/// let options = LoadOptions { subfolder: Some("vae".into()), ..Default::default() };
/// let vae = AnyModel::from_pretrained("AutoencoderKL", folder, &options)?;
/// let image = Tensor::<4>::zeros([1, 3, 32, 32], &Device::flex());
/// let output = vae.call(Request::default().with("sample", image))?;
/// let (name, sample) = output.into_iter().next().unwrap();
/// assert_eq!((name, sample.shape()), ("sample", vec![1, 3, 32, 32]));
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub struct AnyModel(Box<dyn AnyCallable>);

impl AnyModel {
    /// The names of the classes.
    pub fn class_names() -> Vec<&'static str> {
        registry::MODELS.iter().map(|entry| entry.class_name).collect()
    }

    /// The arguments of a call of the class `class_name`.
    ///
    /// # Errors
    /// When there is no such class.
    pub fn arguments_of(class_name: &str) -> Result<&'static [ArgumentInfo]> {
        Ok(registry::find(class_name)?.arguments)
    }

    /// Whether models of the class `class_name` are autoencoders.
    ///
    /// # Errors
    /// When there is no such class.
    pub fn is_autoencoder(class_name: &str) -> Result<bool> {
        Ok(registry::find(class_name)?.is_autoencoder)
    }

    /// The configuration of a model of the class `class_name` for which nothing is given.
    ///
    /// # Errors
    /// When there is no such class.
    pub fn default_config(class_name: &str) -> Result<Config> {
        (registry::find(class_name)?.default_config)()
    }

    /// Reads only the configuration of a model of any class.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn load_config(name_or_path: &str, options: &LoadOptions) -> Result<Config> {
        const CONFIG: &str = "config.json";
        let folder = options.open(name_or_path, Needed::Config { config: CONFIG })?;
        Config::parse(&folder.read(CONFIG, "a model")?, &folder.locate(CONFIG).display().to_string())
    }

    /// Builds a model of the class `class_name` with initial weights.
    ///
    /// # Errors
    /// When there is no such class, or it cannot be built from the configuration.
    pub fn from_config(class_name: &str, config: &Config, device: &Device) -> Result<Self> {
        (registry::find(class_name)?.from_config)(config, device)
    }

    /// Loads a model of the class `class_name` from a folder or from the hub.
    ///
    /// # Errors
    /// When there is no such class, a file is missing or damaged, or weights and configuration do not match.
    pub fn from_pretrained(class_name: &str, name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        (registry::find(class_name)?.from_pretrained)(name_or_path, options)
    }

    /// Loads a model of the class `class_name` out of a checkpoint in its original layout, which is one file.
    ///
    /// # Errors
    /// When there is no such class, the file is missing or damaged or has no such model.
    pub fn from_single_file(class_name: &str, path: &str, options: &SingleFileOptions) -> Result<Self> {
        (registry::find(class_name)?.from_single_file)(path, options)
    }

    /// The model that a part of a pipeline is, which shares its weights; `None` for a part of another kind.
    pub fn from_component(component: &dyn Component) -> Option<Self> {
        registry::MODELS.iter().find_map(|entry: &Entry| (entry.from_component)(component))
    }

    /// The model as a part of a pipeline; both share the weights.
    pub fn to_component(&self) -> Box<dyn Component> {
        self.0.component()
    }

    /// The name of the class.
    pub fn class_name(&self) -> &'static str {
        self.0.class_name()
    }

    /// The configuration.
    pub fn config(&self) -> Config {
        self.0.saved_config()
    }

    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.0.dtype()
    }

    /// The number of parameters.
    pub fn num_parameters(&self) -> usize {
        self.0.num_parameters()
    }

    /// Calls the model.
    ///
    /// # Errors
    /// When it takes no argument of a name, or one has a value that it cannot work with.
    pub fn call(&self, request: Request) -> Result<ModelOutput> {
        self.0.call(request)
    }

    /// The model with weights of another element type.
    #[must_use]
    pub fn cast(&self, dtype: DType) -> Self {
        Self(self.0.cast(dtype))
    }

    /// Computes on `device` from now on: a card that `cuda` opened, or the CPU. The weights stay on the CPU as well, and the model takes and
    /// returns tensors there. Classes without kernels that are called once for a generation, such as T2I-Adapters, stay on the CPU: see [`Self::card`].
    ///
    /// # Errors
    /// When models of this class, or weights like these, compute on the CPU only.
    pub fn place(&mut self, device: &Device) -> Result<()> {
        self.0.place(device)
    }

    /// The name of the card that the model computes on, such as `cuda:0`; `None` for a model that computes where its weights are.
    pub fn card(&self) -> Option<&str> {
        self.0.card()
    }

    /// The model as an autoencoder, if it is one.
    pub fn as_autoencoder(&self) -> Option<&dyn Autoencoder> {
        self.0.as_autoencoder()
    }

    /// The model as an autoencoder, if it is one, to change it.
    pub fn as_autoencoder_mut(&mut self) -> Option<&mut dyn Autoencoder> {
        self.0.as_autoencoder_mut()
    }

    /// Writes `config.json` and the weights into `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: &Path) -> Result<()> {
        self.0.save(folder)
    }
}

impl<M: CallableModel + 'static> From<M> for AnyModel {
    fn from(model: M) -> Self {
        Self(Box::new(model))
    }
}

/// A copy shares the weights.
impl Clone for AnyModel {
    fn clone(&self) -> Self {
        Self(self.0.clone_box())
    }
}

impl fmt::Debug for AnyModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A callable model of any class. Every [`CallableModel`] is one.
trait AnyCallable: fmt::Debug + Send + Sync {
    fn class_name(&self) -> &'static str;
    fn saved_config(&self) -> Config;
    fn dtype(&self) -> DType;
    fn num_parameters(&self) -> usize;
    fn call(&self, request: Request) -> Result<ModelOutput>;
    fn cast(&self, dtype: DType) -> Box<dyn AnyCallable>;
    fn place(&mut self, device: &Device) -> Result<()>;
    fn card(&self) -> Option<&str>;
    fn component(&self) -> Box<dyn Component>;
    fn as_autoencoder(&self) -> Option<&dyn Autoencoder>;
    fn as_autoencoder_mut(&mut self) -> Option<&mut dyn Autoencoder>;
    fn save(&self, folder: &Path) -> Result<()>;
    fn clone_box(&self) -> Box<dyn AnyCallable>;
}

impl<M: CallableModel + 'static> AnyCallable for M {
    fn class_name(&self) -> &'static str {
        M::CLASS_NAME
    }

    fn saved_config(&self) -> Config {
        self.saved_config()
    }

    fn dtype(&self) -> DType {
        CallableModel::dtype(self)
    }

    fn num_parameters(&self) -> usize {
        self.num_params()
    }

    fn call(&self, request: Request) -> Result<ModelOutput> {
        CallableModel::call(self, callable::arguments::<M>(request)?)
    }

    fn cast(&self, dtype: DType) -> Box<dyn AnyCallable> {
        Box::new(Model::cast(self, dtype))
    }

    fn place(&mut self, device: &Device) -> Result<()> {
        place(self, device)
    }

    fn card(&self) -> Option<&str> {
        Model::card(self)
    }

    fn component(&self) -> Box<dyn Component> {
        self.to_component()
    }

    fn as_autoencoder(&self) -> Option<&dyn Autoencoder> {
        CallableModel::as_autoencoder(self)
    }

    fn as_autoencoder_mut(&mut self) -> Option<&mut dyn Autoencoder> {
        CallableModel::as_autoencoder_mut(self)
    }

    fn save(&self, folder: &Path) -> Result<()> {
        self.save_pretrained(folder)
    }

    fn clone_box(&self) -> Box<dyn AnyCallable> {
        Box::new(self.clone())
    }
}
