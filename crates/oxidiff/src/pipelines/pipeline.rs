//! The interface of every pipeline.

use std::fmt;
use std::path::Path;

use super::common::component_loader::ComponentLoader;
use super::common::ip_adapter::IpAdapterLoader;
use super::common::lora::LoraLoader;
use super::common::textual_inversion::TextualInversionLoader;
use super::component::Components;
use super::generation_config::GenerationConfig;
use super::model_index::ModelIndex;
use super::output::ImagePipelineOutput;
use super::request::{CallArguments, Request};
use crate::error::{Error, Result};
use crate::loading::folder::EmbeddedFolder;
use crate::loading::hub::MODEL_INDEX;
use crate::loading::single_file::SingleFileOptions;
use crate::loading::{LoadOptions, Needed, write_whole};
use crate::models::unets::FreeU;
use crate::schedulers::Scheduler;

/// The interface of every pipeline: loading, saving, printing, calling, and access to its parts.
///
/// ```no_run
/// use oxidiff::{Pipeline, StableDiffusionPipeline};
///
/// let mut pipeline = StableDiffusionPipeline::from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")?;
/// let images = pipeline.call("An image of a squirrel in Picasso style")?.images.into_images();
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub trait Pipeline: Clone + fmt::Debug + fmt::Display + Send + Sized + 'static {
    /// The name that `model_index.json` uses.
    const CLASS_NAME: &'static str;

    /// The arguments of a call.
    type Arguments: CallArguments;

    /// Loads the components that the index names.
    ///
    /// # Errors
    /// As [`Pipeline::from_pretrained`].
    fn load(loader: &ComponentLoader<'_>) -> Result<Self>;

    /// Makes a pipeline from the parts of another one. Both share the weights; none are copied.
    ///
    /// ```no_run
    /// use oxidiff::{Pipeline, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline};
    ///
    /// let text_to_image =
    ///     StableDiffusionPipeline::from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")?;
    /// let image_to_image = StableDiffusionImg2ImgPipeline::from_pipe(&text_to_image)?;
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the other pipeline has no such parts, or they do not fit.
    fn from_pipe(pipeline: &impl Pipeline) -> Result<Self> {
        Self::from_components(&pipeline.components(), pipeline.current_index())
    }

    /// Makes a pipeline from the parts of the pipeline with this index.
    ///
    /// # Errors
    /// As [`Pipeline::from_pipe`].
    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let _ = (components, index);
        Err(Error::unsupported(
            format!("a {} from the parts of another pipeline", Self::CLASS_NAME),
            "it can only be loaded",
        ))
    }

    /// Makes images.
    ///
    /// # Errors
    /// When an argument has a value that the pipeline cannot work with; the error names it.
    fn call(&mut self, arguments: impl Into<Self::Arguments>) -> Result<ImagePipelineOutput>;

    /// Whether a call takes the argument of this name.
    fn takes(argument: &str) -> bool {
        Self::Arguments::ALL.iter().any(|info| info.name == argument)
    }

    /// Brings the arguments of a request into the form that [`CallArguments`] reads, where that depends on the model:
    /// replaces the names of classes by their numbers.
    ///
    /// # Errors
    /// When the model does not know a value.
    fn prepare(&self, request: &mut Request) -> Result<()> {
        let _ = request;
        Ok(())
    }

    /// The parts, by their names in `model_index.json`.
    fn components(&self) -> Components<'_>;

    /// The index that the pipeline was made with; its parts may have been replaced since then.
    fn index(&self) -> &ModelIndex;

    /// The arguments that the checkpoint recommends, if any.
    fn generation_config(&self) -> &GenerationConfig {
        self.index().generation_config()
    }

    /// The scheduler.
    fn scheduler(&self) -> &dyn Scheduler;

    /// Replaces the scheduler.
    fn set_scheduler(&mut self, scheduler: impl Into<Box<dyn Scheduler>>);

    /// Shows a progress bar while denoising (the default), or hides it.
    fn set_progress_bar(&mut self, enabled: bool);

    /// Turns tiling on or off: whether large images are encoded and decoded in overlapping tiles, so that memory does
    /// not grow with their size.
    ///
    /// # Errors
    /// When the pipeline has no autoencoder.
    fn set_vae_tiling(&mut self, enabled: bool) -> Result<()> {
        let _ = enabled;
        Err(no_autoencoder(Self::CLASS_NAME))
    }

    /// Turns slicing on or off: whether the images of a batch are encoded and decoded one by one, which takes less
    /// memory.
    ///
    /// # Errors
    /// When the pipeline has no autoencoder.
    fn set_vae_slicing(&mut self, enabled: bool) -> Result<()> {
        let _ = enabled;
        Err(no_autoencoder(Self::CLASS_NAME))
    }

    /// Turns FreeU on with these factors, or off: it amplifies the UNet's backbone and damps low frequencies of its skips.
    ///
    /// # Errors
    /// When the pipeline has no UNet that could, or a factor is not finite.
    fn set_freeu(&mut self, factors: Option<FreeU>) -> Result<()> {
        let _ = factors;
        Err(Error::unsupported(
            format!("FreeU with a {}", Self::CLASS_NAME),
            "it has no `UNet2DConditionModel`",
        ))
    }

    /// Loads LoRAs into the pipeline's models; `None` if they take none.
    fn lora_loader(&mut self) -> Option<&mut dyn LoraLoader> {
        None
    }

    /// What loads IP-Adapters into the pipeline; `None` if its calls take no pictures for them.
    fn ip_adapter_loader(&mut self) -> Option<&mut dyn IpAdapterLoader> {
        None
    }

    /// What loads learned words into the pipeline's text encoders; `None` if it has none.
    fn textual_inversion_loader(&mut self) -> Option<&mut dyn TextualInversionLoader> {
        None
    }

    /// Loads the pipeline from a folder, or from the hub, in `f32` on the CPU.
    ///
    /// # Errors
    /// When a component is of a class that this pipeline does not take; when a file is missing or damaged.
    fn from_pretrained(name_or_path: &str) -> Result<Self> {
        Self::from_pretrained_with(name_or_path, &LoadOptions::default())
    }

    /// Loads the pipeline with another element type, device, variant or revision.
    ///
    /// # Errors
    /// As [`Pipeline::from_pretrained`].
    fn from_pretrained_with(name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        let folder = options.open(name_or_path, Needed::Pipeline)?;
        Self::load(&ComponentLoader::new(&folder, ModelIndex::read(&folder)?, options)?)
    }

    /// Loads the pipeline out of a checkpoint in the original layout of Stable Diffusion 1, 2 or XL, which is one file
    /// (`.safetensors`, `.ckpt`): a path or a link to the hub. Configurations and tokenizers come from `options.config`, or
    /// are those that the library holds for models of this kind. A safety checker is not part of such a file, and is left out.
    ///
    /// # Errors
    /// When the file is missing or damaged or lacks one of the models; when the configurations cannot be found.
    fn from_single_file(path: &str, options: &SingleFileOptions) -> Result<Self> {
        let folder = options.open_pipeline(path)?;
        let index = ModelIndex::of_single_file(&folder)?;
        Self::load(&ComponentLoader::new(&folder, index, &options.load_options())?)
    }

    /// Loads a pipeline that is part of the binary.
    ///
    /// # Errors
    /// As [`Pipeline::from_pretrained`].
    fn from_embedded(folder: &'static EmbeddedFolder, options: &LoadOptions) -> Result<Self> {
        let folder = options.open_embedded(folder)?;
        Self::load(&ComponentLoader::new(&folder, ModelIndex::read(&folder)?, options)?)
    }

    /// Writes the pipeline into `folder`, which is created if it does not exist; Python diffusers can load it from
    /// there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        for (name, component) in self.components().iter() {
            component.save(&folder.join(name))?;
        }
        self.generation_config().save(folder)?;
        write_whole(&folder.join(MODEL_INDEX), self.current_index().to_saved_json().as_bytes())
    }

    /// The index with the current classes of the parts.
    fn current_index(&self) -> ModelIndex {
        let mut index = self.index().clone();
        index.set_class_name(Self::CLASS_NAME);
        for (name, component) in self.components().iter() {
            let (library, class_name) = component.class();
            index.set_component(name, Some((library, &class_name)));
        }
        index
    }
}

fn no_autoencoder(class_name: &str) -> Error {
    Error::unsupported(format!("tiling or slicing in a {class_name}"), "the pipeline has no autoencoder")
}
