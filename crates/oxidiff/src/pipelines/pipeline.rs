//! `DiffusionPipeline`: loads whatever pipeline a checkpoint says it is.

use std::fmt;
use std::path::Path;

use super::model_index::ModelIndex;
use super::stable_diffusion::{StableDiffusionOutput, StableDiffusionPipeline, TextToImage};
use crate::error::{Error, Result};
use crate::loading::folder::{EmbeddedFolder, Folder};
use crate::loading::{LoadOptions, Needed};
use crate::models::autoencoders::AutoencoderKL;
use crate::models::unets::UNet2DConditionModel;
use crate::schedulers::Scheduler;
use crate::text_encoders::{CLIPTextModel, CLIPTokenizer};

/// A pipeline of the class that its `model_index.json` names.
///
/// ```no_run
/// use oxidiff::{DiffusionPipeline, EulerDiscreteScheduler, Scheduler};
///
/// let mut pipeline = DiffusionPipeline::from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")?;
/// println!("{pipeline}");
///
/// let images = pipeline.call("An image of a squirrel in Picasso style")?.images.into_images();
/// images[0].save("image_of_squirrel_painting.png").expect("a place to write");
///
/// pipeline.set_scheduler(EulerDiscreteScheduler::from_config(pipeline.scheduler().config())?);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DiffusionPipeline {
    /// Text to image by latent diffusion.
    StableDiffusion(StableDiffusionPipeline),
}

/// One part of a pipeline.
#[derive(Debug)]
#[non_exhaustive]
pub enum Component<'a> {
    /// A UNet that is conditioned on a text.
    UNet2DConditionModel(&'a UNet2DConditionModel),
    /// An autoencoder.
    AutoencoderKL(&'a AutoencoderKL),
    /// A text encoder.
    CLIPTextModel(&'a CLIPTextModel),
    /// A tokenizer.
    CLIPTokenizer(&'a CLIPTokenizer),
    /// A scheduler.
    Scheduler(&'a dyn Scheduler),
}

impl Component<'_> {
    /// The library that the class belongs to in Python, and the class's name.
    pub fn class(&self) -> (&'static str, String) {
        match self {
            Self::UNet2DConditionModel(_) => ("diffusers", "UNet2DConditionModel".into()),
            Self::AutoencoderKL(_) => ("diffusers", "AutoencoderKL".into()),
            Self::CLIPTextModel(_) => ("transformers", "CLIPTextModel".into()),
            Self::CLIPTokenizer(_) => ("transformers", "CLIPTokenizer".into()),
            Self::Scheduler(scheduler) => {
                ("diffusers", scheduler.config().class_name().unwrap_or_default().to_owned())
            }
        }
    }
}

impl DiffusionPipeline {
    /// Loads a pipeline from a folder, or from the hub, in `f32` on the CPU.
    ///
    /// # Errors
    /// When the pipeline's class, or that of a component, is not supported; when a file is missing or damaged.
    pub fn from_pretrained(name_or_path: &str) -> Result<Self> {
        Self::from_pretrained_with(name_or_path, &LoadOptions::default())
    }

    /// Loads a pipeline with another element type, device, variant or revision.
    ///
    /// # Errors
    /// As [`Self::from_pretrained`].
    pub fn from_pretrained_with(name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        Self::load(&options.open(name_or_path, Needed::Pipeline)?, options)
    }

    /// Loads a pipeline that is part of the binary.
    ///
    /// # Errors
    /// As [`Self::from_pretrained`].
    pub fn from_embedded(folder: &'static EmbeddedFolder, options: &LoadOptions) -> Result<Self> {
        Self::load(&Folder::embedded(folder), options)
    }

    fn load(folder: &Folder, options: &LoadOptions) -> Result<Self> {
        let index = ModelIndex::read(folder)?;
        match index.class_name()? {
            StableDiffusionPipeline::CLASS_NAME => {
                Ok(Self::StableDiffusion(StableDiffusionPipeline::load(folder, index, options)?))
            }
            other => Err(Error::unsupported(
                format!("the pipeline class `{other}`"),
                format!("only {} can be loaded", StableDiffusionPipeline::CLASS_NAME),
            )),
        }
    }

    /// Makes images from a prompt, with the defaults of the pipeline's class or with the arguments given.
    ///
    /// # Errors
    /// When an argument has a value that the pipeline cannot work with.
    pub fn call(&mut self, arguments: impl Into<TextToImage>) -> Result<StableDiffusionOutput> {
        match self {
            Self::StableDiffusion(pipeline) => pipeline.call(arguments),
        }
    }

    /// The parts of the pipeline by the names that `model_index.json` gives them.
    pub fn components(&self) -> Vec<(&'static str, Component<'_>)> {
        match self {
            Self::StableDiffusion(pipeline) => pipeline.components(),
        }
    }

    /// The scheduler.
    pub fn scheduler(&self) -> &dyn Scheduler {
        match self {
            Self::StableDiffusion(pipeline) => &*pipeline.scheduler,
        }
    }

    /// Replaces the scheduler.
    pub fn set_scheduler(&mut self, scheduler: impl Into<Box<dyn Scheduler>>) {
        match self {
            Self::StableDiffusion(pipeline) => pipeline.scheduler = scheduler.into(),
        }
    }

    /// Shows a progress bar while denoising (the default), or not.
    pub fn set_progress_bar(&mut self, enabled: bool) {
        match self {
            Self::StableDiffusion(pipeline) => pipeline.set_progress_bar(enabled),
        }
    }

    /// Writes the pipeline into `folder`, which is made where it does not exist; Python diffusers loads it from there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        match self {
            Self::StableDiffusion(pipeline) => pipeline.save_pretrained(folder),
        }
    }
}

/// Prints the class and its `model_index.json`, as Python does.
impl fmt::Display for DiffusionPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StableDiffusion(pipeline) => pipeline.fmt(f),
        }
    }
}
