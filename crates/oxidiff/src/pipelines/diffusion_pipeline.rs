//! `DiffusionPipeline`: loads whatever pipeline a checkpoint says it is.

use std::fmt;
use std::path::Path;

use super::dit::{ClassConditional, DiTPipeline};
use super::generation_config::GenerationConfig;
use super::model_index::ModelIndex;
use super::output::ImagePipelineOutput;
use super::pipeline::{Component, Pipeline};
use super::stable_diffusion::{
    DepthToImage, ImageToImage, Inpaint, InstructPix2Pix, StableDiffusionDepth2ImgPipeline,
    StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline, StableDiffusionUpscalePipeline, TextToImage, Upscale,
};
use super::unconditional::{
    ConsistencyModelPipeline, DDIMPipeline, DDPMPipeline, PNDMPipeline, RePaint, RePaintPipeline,
    ScoreSdeVePipeline, Unconditional,
};
use crate::error::{Error, Result};
use crate::loading::folder::{EmbeddedFolder, Folder};
use crate::loading::single_file::SingleFileOptions;
use crate::loading::{LoadOptions, Needed};
use crate::schedulers::Scheduler;

/// The arguments of a call, of whatever pipeline: a text stands for text to image with the defaults.
#[non_exhaustive]
pub enum PipelineArguments {
    /// Text to image.
    TextToImage(Box<TextToImage>),
    /// An image from noise alone.
    Unconditional(Box<Unconditional>),
    /// An image of a class.
    ClassConditional(Box<ClassConditional>),
    /// Inpainting without a text.
    RePaint(Box<RePaint>),
    /// Image to image.
    ImageToImage(Box<ImageToImage>),
    /// Depth to image.
    DepthToImage(Box<DepthToImage>),
    /// Inpainting.
    Inpaint(Box<Inpaint>),
    /// Super-resolution.
    Upscale(Box<Upscale>),
    /// Editing by instructions.
    InstructPix2Pix(Box<InstructPix2Pix>),
}

impl PipelineArguments {
    /// What the arguments ask for, in words.
    fn task(&self) -> &'static str {
        match self {
            Self::TextToImage(_) => "text to image",
            Self::Unconditional(_) => "unconditional generation",
            Self::ClassConditional(_) => "class-conditional generation",
            Self::RePaint(_) => "inpainting without a text",
            Self::ImageToImage(_) => "image to image",
            Self::DepthToImage(_) => "depth to image",
            Self::Inpaint(_) => "inpainting",
            Self::Upscale(_) => "super-resolution",
            Self::InstructPix2Pix(_) => "editing by instructions",
        }
    }
}

macro_rules! from_arguments {
    ($($arguments:ident),+) => {
        $(
            impl From<$arguments> for PipelineArguments {
                fn from(arguments: $arguments) -> Self {
                    Self::$arguments(Box::new(arguments))
                }
            }
        )+
    };
}

from_arguments!(
    TextToImage,
    Unconditional,
    ClassConditional,
    RePaint,
    ImageToImage,
    DepthToImage,
    Inpaint,
    Upscale,
    InstructPix2Pix
);

impl From<&str> for PipelineArguments {
    fn from(prompt: &str) -> Self {
        TextToImage::from(prompt).into()
    }
}

impl From<String> for PipelineArguments {
    fn from(prompt: String) -> Self {
        TextToImage::from(prompt).into()
    }
}

impl From<Vec<String>> for PipelineArguments {
    fn from(prompts: Vec<String>) -> Self {
        TextToImage::from(prompts).into()
    }
}

/// Declares [`DiffusionPipeline`] from the list of pipeline classes and of the arguments that each is called with.
macro_rules! pipelines {
    ($($(#[$doc:meta])* $variant:ident($pipeline:ident): $arguments:ident,)+) => {
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
        #[expect(clippy::large_enum_variant, reason = "a program holds few of these")]
        pub enum DiffusionPipeline {
            $($(#[$doc])* $variant($pipeline),)+
        }

        /// Evaluates an expression on the pipeline, whichever it is.
        macro_rules! each {
            ($self:expr, $any:ident => $body:expr) => {
                match $self {
                    $(DiffusionPipeline::$variant($any) => $body,)+
                }
            };
        }

        impl DiffusionPipeline {
            /// The classes that can be loaded.
            pub const CLASS_NAMES: &[&str] = &[$($pipeline::CLASS_NAME),+];

            /// Loads a checkpoint as a pipeline of the given class.
            pub(super) fn load_as(
                class_name: &str,
                folder: &Folder,
                index: ModelIndex,
                options: &LoadOptions,
            ) -> Result<Self> {
                match class_name {
                    $($pipeline::CLASS_NAME => Ok(Self::$variant($pipeline::load(folder, index, options)?)),)+
                    other => Err(Error::unsupported(
                        format!("the pipeline class `{other}`"),
                        format!("available classes: {}", Self::CLASS_NAMES.join(", ")),
                    )),
                }
            }

            /// A pipeline of the given class that shares the parts of another one.
            pub(super) fn from_pipe_as(class_name: &str, pipeline: &Self) -> Result<Self> {
                match class_name {
                    $($pipeline::CLASS_NAME => {
                        each!(pipeline, any => $pipeline::from_pipe(any)).map(Self::$variant)
                    })+
                    other => Err(Error::unsupported(
                        format!("the pipeline class `{other}`"),
                        format!("available classes: {}", Self::CLASS_NAMES.join(", ")),
                    )),
                }
            }

            /// The name of the pipeline's class.
            pub fn class_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $pipeline::CLASS_NAME,)+
                }
            }

            /// Makes images from a prompt, with the defaults of the pipeline's class or with the arguments given.
            ///
            /// # Errors
            /// When the arguments are those of another task than the pipeline's, or one has a value that the pipeline
            /// cannot work with.
            pub fn call(&mut self, arguments: impl Into<PipelineArguments>) -> Result<ImagePipelineOutput> {
                match (self, arguments.into()) {
                    $((Self::$variant(pipeline), PipelineArguments::$arguments(arguments)) => pipeline.call(*arguments),)+
                    (pipeline, arguments) => Err(Error::unsupported(
                        format!("{} with a {}", arguments.task(), pipeline.class_name()),
                        "the pipeline is for another task",
                    )),
                }
            }
        }

        $(
            impl From<$pipeline> for DiffusionPipeline {
                fn from(pipeline: $pipeline) -> Self {
                    Self::$variant(pipeline)
                }
            }
        )+
    };
}

pipelines! {
    /// Images from noise, by one step or a few.
    ConsistencyModel(ConsistencyModelPipeline): Unconditional,
    /// Images from noise, by fewer steps than the model was trained with.
    DDIM(DDIMPipeline): Unconditional,
    /// Images from noise, by as many steps as the model was trained with.
    DDPM(DDPMPipeline): Unconditional,
    /// Images of classes by a diffusion transformer.
    DiT(DiTPipeline): ClassConditional,
    /// Images from noise, by steps that look back on those before them.
    PNDM(PNDMPipeline): Unconditional,
    /// Inpainting with a model of images from noise.
    RePaint(RePaintPipeline): RePaint,
    /// Images from noise, by a model of noise levels.
    ScoreSdeVe(ScoreSdeVePipeline): Unconditional,
    /// Text to image by latent diffusion.
    StableDiffusion(StableDiffusionPipeline): TextToImage,
    /// Image to image by latent diffusion.
    StableDiffusionImg2Img(StableDiffusionImg2ImgPipeline): ImageToImage,
    /// Image to image by latent diffusion that keeps the image's depth.
    StableDiffusionDepth2Img(StableDiffusionDepth2ImgPipeline): DepthToImage,
    /// Inpainting by latent diffusion.
    StableDiffusionInpaint(StableDiffusionInpaintPipeline): Inpaint,
    /// Super-resolution by latent diffusion.
    StableDiffusionUpscale(StableDiffusionUpscalePipeline): Upscale,
    /// Editing of images by instructions.
    StableDiffusionInstructPix2Pix(StableDiffusionInstructPix2PixPipeline): InstructPix2Pix,
}

impl DiffusionPipeline {
    fn load(folder: &Folder, options: &LoadOptions) -> Result<Self> {
        let index = ModelIndex::read(folder)?;
        let class_name = index.class_name()?.to_owned();
        Self::load_as(&class_name, folder, index, options)
    }

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

    /// Loads a pipeline out of a checkpoint in the original layout of Stable Diffusion 1 or 2, which is one file
    /// (`.safetensors`, `.ckpt`): a path or a link to the hub. Its class is that of `options.config`, or of the repository that
    /// the model was published in. A safety checker is not part of such a file, and is left out.
    ///
    /// # Errors
    /// As [`Pipeline::from_single_file`].
    pub fn from_single_file(path: &str, options: &SingleFileOptions) -> Result<Self> {
        let folder = options.open_pipeline(path)?;
        let index = ModelIndex::of_single_file(&folder)?;
        let class_name = index.class_name()?.to_owned();
        Self::load_as(&class_name, &folder, index, &options.load_options())
    }

    /// Loads a pipeline that is part of the binary.
    ///
    /// # Errors
    /// As [`Self::from_pretrained`].
    pub fn from_embedded(folder: &'static EmbeddedFolder, options: &LoadOptions) -> Result<Self> {
        Self::load(&options.open_embedded(folder)?, options)
    }

    /// The parts of the pipeline by the names that `model_index.json` gives them.
    pub fn components(&self) -> Vec<(&'static str, Component<'_>)> {
        each!(self, pipeline => pipeline.components())
    }

    /// How the checkpoint is best called; nothing where it does not say.
    pub fn generation_config(&self) -> &GenerationConfig {
        each!(self, pipeline => pipeline.generation_config())
    }

    /// The scheduler.
    pub fn scheduler(&self) -> &dyn Scheduler {
        each!(self, pipeline => pipeline.scheduler())
    }

    /// Replaces the scheduler.
    pub fn set_scheduler(&mut self, scheduler: impl Into<Box<dyn Scheduler>>) {
        each!(self, pipeline => pipeline.set_scheduler(scheduler));
    }

    /// Shows a progress bar while denoising (the default), or not.
    pub fn set_progress_bar(&mut self, enabled: bool) {
        each!(self, pipeline => pipeline.set_progress_bar(enabled));
    }

    /// Encodes and decodes large images in overlapping tiles, so that memory does not grow with their size, or whole.
    ///
    /// # Errors
    /// When the pipeline has no autoencoder.
    pub fn set_vae_tiling(&mut self, enabled: bool) -> Result<()> {
        each!(self, pipeline => pipeline.set_vae_tiling(enabled))
    }

    /// Encodes and decodes the images of a batch one by one, which takes less memory, or together.
    ///
    /// # Errors
    /// When the pipeline has no autoencoder.
    pub fn set_vae_slicing(&mut self, enabled: bool) -> Result<()> {
        each!(self, pipeline => pipeline.set_vae_slicing(enabled))
    }

    /// Writes the pipeline into `folder`, which is made where it does not exist; Python diffusers loads it from there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        each!(self, pipeline => pipeline.save_pretrained(folder))
    }
}

/// Prints the class and its `model_index.json`, as Python does.
impl fmt::Display for DiffusionPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        each!(self, pipeline => pipeline.fmt(f))
    }
}
