//! `DiffusionPipeline`: loads the pipeline that a checkpoint names.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value};

use super::additions::Addition;
use super::any_pipeline::{AnyPipeline, PipelineArguments};
use super::common::component_loader::ComponentLoader;
use super::common::ip_adapter::IpAdapterLoader;
use super::common::lora::LoraLoader;
use super::common::textual_inversion::TextualInversionLoader;
use super::component::{Component, Components};
use super::generation_config::GenerationConfig;
use super::model_index::ModelIndex;
use super::output::ImagePipelineOutput;
use super::pipeline::Pipeline;
use super::registry::{self, Task};
use super::request::ArgumentInfo;
use crate::error::{Error, Result};
use crate::loading::folder::{EmbeddedFolder, Folder};
use crate::loading::single_file::SingleFileOptions;
use crate::loading::{LoadOptions, Needed};
use crate::models::unets::FreeU;
use crate::schedulers::Scheduler;

/// A pipeline of the class that its `model_index.json` names.
///
/// ```no_run
/// use oxidiff::{DiffusionPipeline, EulerDiscreteScheduler, Scheduler};
///
/// let mut pipeline = DiffusionPipeline::from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")?;
/// println!("{pipeline}");
///
/// let images = pipeline.call("An image of a squirrel in Picasso style")?.images.into_images();
/// images[0].save("image_of_squirrel_painting.png").expect("the file can be written");
///
/// pipeline.set_scheduler(EulerDiscreteScheduler::from_config(pipeline.scheduler().config())?);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Debug)]
pub struct DiffusionPipeline(Box<dyn AnyPipeline>);

impl<P: Pipeline> From<P> for DiffusionPipeline {
    fn from(pipeline: P) -> Self {
        Self(Box::new(pipeline))
    }
}

/// A copy shares the weights.
impl Clone for DiffusionPipeline {
    fn clone(&self) -> Self {
        Self(self.0.clone_box())
    }
}

impl DiffusionPipeline {
    /// The names of the classes that can be loaded.
    pub fn class_names() -> Vec<&'static str> {
        registry::entries().map(|entry| entry.class_name).collect()
    }

    /// All arguments that any class takes, each once, as a class describes it in which it has an effect.
    pub fn all_arguments() -> Vec<ArgumentInfo> {
        let mut all: Vec<ArgumentInfo> = Vec::new();
        for argument in registry::entries().flat_map(|entry| entry.arguments) {
            match all.iter_mut().find(|other| other.name == argument.name) {
                None => all.push(*argument),
                Some(other) if other.summary().starts_with("Has no effect") => *other = *argument,
                Some(_) => {}
            }
        }
        all
    }

    /// The arguments of a call of the class `class_name`.
    ///
    /// ```
    /// use oxidiff::DiffusionPipeline;
    ///
    /// let arguments = DiffusionPipeline::arguments_of("StableDiffusionPipeline")?;
    /// let scale = arguments.iter().find(|argument| argument.name == "guidance_scale").unwrap();
    /// assert_eq!((scale.default)(), 7.5);
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such class.
    pub fn arguments_of(class_name: &str) -> Result<Vec<ArgumentInfo>> {
        let entry = registry::find(class_name)?;
        Ok(entry.arguments.iter().filter(|argument| (entry.takes)(argument.name)).copied().collect())
    }

    /// Makes a pipeline of the class `class_name` from the parts of this one. Both share the weights; none are copied.
    ///
    /// # Errors
    /// When there is no such class, or the parts do not fit.
    pub fn to_class(&self, class_name: &str) -> Result<Self> {
        (registry::find(class_name)?.from_components)(&self.components(), self.current_index())
    }

    /// The pipeline with another part; the others share the weights with those of this one.
    ///
    /// ```
    /// use oxidiff::{DDIMScheduler, DiffusionPipeline, Scheduler};
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
    /// let pipeline = DiffusionPipeline::from_pretrained(folder)?;
    /// let ddim: Box<dyn Scheduler> = DDIMScheduler::from_config(pipeline.scheduler().config())?.into();
    /// let pipeline = pipeline.with_component("scheduler", &ddim)?;
    /// assert_eq!(pipeline.scheduler().config().class_name(), Some("DDIMScheduler"));
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the pipeline has no such part, or the new one does not fit.
    pub fn with_component(&self, name: &str, component: &dyn Component) -> Result<Self> {
        let parts: Vec<_> = self.components().iter().collect();
        let is_optional = self.current_index().option(name).is_some();
        if !is_optional && !parts.iter().any(|(other, _)| *other == name) {
            let names = parts.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            let message = format!("a {} has no part `{name}`; it has {names}", self.class_name());
            return Err(Error::argument("components", message));
        }
        let others = parts.into_iter().filter(|(other, _)| *other != name);
        let (library, class_name) = component.class();
        self.assemble(&others.chain([(name, component)]).collect(), name, Some((library, &class_name)))
    }

    /// The pipeline without an optional part, such as the safety checker.
    ///
    /// # Errors
    /// When the pipeline needs the part.
    pub fn without_component(&self, name: &str) -> Result<Self> {
        let others = self.components().iter().filter(|(other, _)| *other != name).collect();
        self.assemble(&others, name, None)
    }

    /// A pipeline of this class with other parts, of which that of one `name` has changed its class.
    fn assemble(&self, components: &Components<'_>, name: &str, class: Option<(&str, &str)>) -> Result<Self> {
        let mut index = self.current_index();
        index.set_component(name, class);
        (registry::find(self.class_name())?.from_components)(components, index)
    }

    /// Makes a pipeline of the class `class_name` from parts.
    ///
    /// # Errors
    /// When there is no such class, a part is missing, or the parts do not fit.
    pub fn from_components(class_name: &str, components: &Components<'_>) -> Result<Self> {
        Self::from_components_with(class_name, components, &Map::new())
    }

    /// Makes a pipeline of the class `class_name` from parts, with values of the class's own options, such as
    /// `force_zeros_for_empty_prompt`.
    ///
    /// # Errors
    /// As [`Self::from_components`], and when the class has no such option, or an option has another type.
    pub fn from_components_with(
        class_name: &str,
        components: &Components<'_>,
        options: &Map<String, Value>,
    ) -> Result<Self> {
        let mut index = ModelIndex::of_class(class_name);
        for (name, value) in options {
            index.set_option(name, value.clone());
        }
        for (name, component) in components.iter() {
            let (library, class_name) = component.class();
            index.set_component(name, Some((library, &class_name)));
        }
        let made = (registry::find(class_name)?.from_components)(components, index)?;
        let index = made.current_index();
        match options.keys().find(|name| index.option(name).is_none()) {
            Some(unknown) => {
                Err(Error::UnknownArgument { argument: unknown.clone(), taker: class_name.to_owned() })
            }
            None => Ok(made),
        }
    }

    /// The index of the pipeline with the current classes of its parts, as JSON.
    pub fn config(&self) -> Map<String, Value> {
        self.0.current_index().values().clone()
    }

    /// Loads a pipeline from a folder, or from the hub, in `f32` on the CPU.
    ///
    /// # Errors
    /// When the class of the pipeline or of a component is not supported; when a file is missing or damaged.
    pub fn from_pretrained(name_or_path: &str) -> Result<Self> {
        Self::from_pretrained_with(name_or_path, &LoadOptions::default())
    }

    /// Loads a pipeline with another element type, device, variant or revision, or with ControlNets or T2I-Adapters: then it is
    /// of the class for the same task with them.
    ///
    /// # Errors
    /// As [`Self::from_pretrained`].
    pub fn from_pretrained_with(name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        Self::load(&options.open(name_or_path, Needed::Pipeline)?, options)
    }

    /// Loads a pipeline of the class `class_name`, whatever class the checkpoint names.
    ///
    /// # Errors
    /// As [`Pipeline::from_pretrained`](Pipeline::from_pretrained) of the class, and when there is no such class.
    pub fn from_pretrained_as(class_name: &str, name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        let load = registry::find(class_name)?.load;
        let folder = options.open(name_or_path, Needed::Pipeline)?;
        load(&ComponentLoader::new(&folder, ModelIndex::read(&folder)?, options)?)
    }

    /// Loads a pipeline out of a checkpoint in its original layout, which is one file (`.safetensors`, `.ckpt`): a path or a
    /// link to the hub. Its class is that of `options.config`, or else that of the repository in which models of this kind
    /// were published. A safety checker is not part of such a file, and is left out.
    ///
    /// # Errors
    /// As [`Pipeline::from_single_file`].
    pub fn from_single_file(path: &str, options: &SingleFileOptions) -> Result<Self> {
        let folder = options.open_pipeline(path)?;
        let index = ModelIndex::of_single_file(&folder)?;
        let load = registry::find(index.class_name()?)?.load;
        load(&ComponentLoader::new(&folder, index, &options.load_options())?)
    }

    /// Loads a pipeline that is part of the binary.
    ///
    /// # Errors
    /// As [`Self::from_pretrained`].
    pub fn from_embedded(folder: &'static EmbeddedFolder, options: &LoadOptions) -> Result<Self> {
        Self::load(&options.open_embedded(folder)?, options)
    }

    fn load(folder: &Folder, options: &LoadOptions) -> Result<Self> {
        let index = ModelIndex::read(folder)?;
        let entry = registry::find(index.class_name()?)?;
        let entry = match Addition::given(options)? {
            Some(addition) => entry.with(addition, entry.task)?,
            None => entry,
        };
        (entry.load)(&ComponentLoader::new(folder, index, options)?)
    }

    /// The name of the pipeline's class.
    pub fn class_name(&self) -> &'static str {
        self.0.class_name()
    }

    /// The task of the pipeline; `None` for a class that is not registered.
    pub fn task(&self) -> Option<Task> {
        registry::find(self.class_name()).ok().map(|entry| entry.task)
    }

    /// Whether the pipeline looks at all images of its argument `image` together for one result, instead of at one for each.
    pub fn looks_at_images(&self) -> bool {
        registry::find(self.class_name()).is_ok_and(|entry| entry.looks_at_images)
    }

    /// Makes images from a prompt, with the defaults of the pipeline's class or with the arguments given: a
    /// [`Request`](crate::Request), or the class's own.
    ///
    /// # Errors
    /// When the arguments are those of another class, or one has a value that the pipeline cannot work with.
    pub fn call(&mut self, arguments: impl Into<PipelineArguments>) -> Result<ImagePipelineOutput> {
        self.0.call(arguments.into())
    }

    /// Whether a call takes the argument of this name.
    pub fn takes(&self, argument: &str) -> bool {
        self.0.takes(argument)
    }

    /// The pipeline as its own class, if that is `P`.
    pub fn downcast_ref<P: Pipeline>(&self) -> Option<&P> {
        self.0.as_any().downcast_ref()
    }

    /// The pipeline as its own class, if that is `P`, to change it.
    pub fn downcast_mut<P: Pipeline>(&mut self) -> Option<&mut P> {
        self.0.as_any_mut().downcast_mut()
    }

    /// The pipeline as its own class.
    ///
    /// # Errors
    /// With the pipeline, when it is of another class.
    pub fn downcast<P: Pipeline>(self) -> std::result::Result<P, Self> {
        if !self.0.as_any().is::<P>() {
            return Err(self);
        }
        Ok(*self.0.into_any().downcast().expect("the class was checked"))
    }

    /// The parts of the pipeline, by their names in `model_index.json`.
    pub fn components(&self) -> Components<'_> {
        self.0.components()
    }

    /// The index with the current classes of the parts.
    pub(crate) fn current_index(&self) -> ModelIndex {
        self.0.current_index()
    }

    /// The arguments that the checkpoint recommends, if any.
    pub fn generation_config(&self) -> &GenerationConfig {
        self.0.index().generation_config()
    }

    /// The scheduler.
    pub fn scheduler(&self) -> &dyn Scheduler {
        self.0.scheduler()
    }

    /// Replaces the scheduler.
    pub fn set_scheduler(&mut self, scheduler: impl Into<Box<dyn Scheduler>>) {
        self.0.set_scheduler(scheduler.into());
    }

    /// Shows a progress bar while denoising (the default), or hides it.
    pub fn set_progress_bar(&mut self, enabled: bool) {
        self.0.set_progress_bar(enabled);
    }

    /// Turns tiling on or off: whether large images are encoded and decoded in overlapping tiles, so that memory does
    /// not grow with their size.
    ///
    /// # Errors
    /// When the pipeline has no autoencoder.
    pub fn set_vae_tiling(&mut self, enabled: bool) -> Result<()> {
        self.0.set_vae_tiling(enabled)
    }

    /// Turns slicing on or off: whether the images of a batch are encoded and decoded one by one, which takes less
    /// memory.
    ///
    /// # Errors
    /// When the pipeline has no autoencoder.
    pub fn set_vae_slicing(&mut self, enabled: bool) -> Result<()> {
        self.0.set_vae_slicing(enabled)
    }

    /// Turns FreeU on with these factors, or off: it amplifies the UNet's backbone and damps low frequencies of its skips.
    ///
    /// # Errors
    /// When the pipeline has no UNet that could, or a factor is not finite.
    pub fn set_freeu(&mut self, factors: Option<FreeU>) -> Result<()> {
        self.0.set_freeu(factors)
    }

    /// Loads LoRAs into the pipeline's models; `None` if they take none.
    pub fn lora_loader(&mut self) -> Option<&mut dyn LoraLoader> {
        self.0.lora_loader()
    }

    /// Loads IP-Adapters into the pipeline; `None` if its calls take no pictures for them.
    pub fn ip_adapter_loader(&mut self) -> Option<&mut dyn IpAdapterLoader> {
        self.0.ip_adapter_loader()
    }

    /// Loads learned words into the pipeline's text encoders; `None` if it has none.
    pub fn textual_inversion_loader(&mut self) -> Option<&mut dyn TextualInversionLoader> {
        self.0.textual_inversion_loader()
    }

    /// Writes the pipeline into `folder`, which is created if it does not exist; Python diffusers can load it from there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        self.0.save_pretrained(folder.as_ref())
    }
}

/// Prints the class and its `model_index.json`, as Python does.
impl fmt::Display for DiffusionPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
