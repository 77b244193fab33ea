//! The pipeline for a task, for checkpoints of any family.

use super::additions::Addition;
use super::common::component_loader::ComponentLoader;
use super::diffusion_pipeline::DiffusionPipeline;
use super::model_index::ModelIndex;
use super::registry::{self, Entry, Task};
use crate::error::{Error, Result};
use crate::loading::folder::{EmbeddedFolder, Folder};
use crate::loading::{LoadOptions, Needed};
use crate::models::controlnets::ControlNets;

/// The tasks that the classes of one family do with the same parts.
const TASKS: [Task; 3] = [Task::TextToImage, Task::ImageToImage, Task::Inpainting];

/// Finds the class that does a task with the parts of a pipeline of class `class_name`.
fn entry_for(class_name: &str, AutoPipeline { class_name: auto, task }: AutoPipeline) -> Result<Entry> {
    let family = registry::entries()
        .find(|entry| entry.class_name == class_name && TASKS.contains(&entry.task))
        .map(|entry| entry.family);
    let found = registry::entries().find(|entry| Some(entry.family) == family && entry.does(task));
    found.ok_or_else(|| {
        let has_task = |family| registry::entries().any(|entry| entry.family == family && entry.does(task));
        let known: Vec<&str> = registry::entries()
            .filter(|entry| TASKS.contains(&entry.task) && has_task(entry.family))
            .map(|entry| entry.class_name)
            .collect();
        Error::unsupported(
            format!("{auto} for a `{class_name}`"),
            format!("supported classes: {}", known.join(", ")),
        )
    })
}

/// An AutoPipeline that is chosen at run time: see [`AUTO_PIPELINES`].
#[derive(Clone, Copy, Debug)]
pub struct AutoPipeline {
    /// The name of the class.
    pub class_name: &'static str,
    /// The task that its pipelines do.
    pub task: Task,
}

impl AutoPipeline {
    /// The AutoPipeline of this name.
    pub fn find(class_name: &str) -> Option<Self> {
        AUTO_PIPELINES.iter().find(|auto| auto.class_name == class_name).copied()
    }

    /// Loads the pipeline for the task from a folder, or from the hub.
    ///
    /// # Errors
    /// When the family of the checkpoint has no such pipeline, or it cannot be loaded.
    pub fn from_pretrained_with(
        self,
        name_or_path: &str,
        options: &LoadOptions,
    ) -> Result<DiffusionPipeline> {
        self.load(&options.open(name_or_path, Needed::Pipeline)?, options)
    }

    fn load(self, folder: &Folder, options: &LoadOptions) -> Result<DiffusionPipeline> {
        let index = ModelIndex::read(folder)?;
        let mut entry = entry_for(index.class_name()?, self)?;
        if let Some(addition) = Addition::given(options)? {
            entry = entry.with(addition, self.task)?;
        }
        (entry.load)(&ComponentLoader::new(folder, index, options)?)
    }

    /// Makes the pipeline for the task from the parts of another one. Both share the weights; none are copied.
    ///
    /// # Errors
    /// When the family of the pipeline has none for this task, or the parts do not fit.
    pub fn from_pipe(self, pipeline: &DiffusionPipeline) -> Result<DiffusionPipeline> {
        let entry = entry_for(pipeline.class_name(), self)?;
        (entry.from_components)(&pipeline.components(), pipeline.current_index())
    }

    /// Makes the pipeline for the task with ControlNets, one or several, from the parts of another pipeline. Both share the
    /// weights; none are copied.
    ///
    /// # Errors
    /// When there is no such class for the family of the pipeline, or a ControlNet was made for another UNet.
    pub fn from_pipe_with_controlnet(
        self,
        pipeline: &DiffusionPipeline,
        controlnet: impl Into<ControlNets>,
    ) -> Result<DiffusionPipeline> {
        pipeline.controlled_by(&controlnet.into(), self.task)
    }
}

macro_rules! auto_pipelines {
    ($($(#[$doc:meta])* $auto:ident: $task:expr;)+) => {
        /// All AutoPipelines.
        pub const AUTO_PIPELINES: &[AutoPipeline] = &[$($auto::AUTO),+];

        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $auto;

            impl $auto {
                const AUTO: AutoPipeline = AutoPipeline { class_name: stringify!($auto), task: $task };

                /// Loads the pipeline for this task from a folder, or from the hub, in `f32` on the CPU.
                ///
                /// # Errors
                /// When the family of the checkpoint has no such pipeline, or it cannot be loaded.
                pub fn from_pretrained(name_or_path: &str) -> Result<DiffusionPipeline> {
                    Self::from_pretrained_with(name_or_path, &LoadOptions::default())
                }

                /// Loads the pipeline with another element type, device, variant or revision.
                ///
                /// # Errors
                /// As [`Self::from_pretrained`].
                pub fn from_pretrained_with(
                    name_or_path: &str,
                    options: &LoadOptions,
                ) -> Result<DiffusionPipeline> {
                    Self::AUTO.from_pretrained_with(name_or_path, options)
                }

                /// Loads the pipeline from a checkpoint that is part of the binary.
                ///
                /// # Errors
                /// As [`Self::from_pretrained`].
                pub fn from_embedded(
                    folder: &'static EmbeddedFolder,
                    options: &LoadOptions,
                ) -> Result<DiffusionPipeline> {
                    Self::AUTO.load(&options.open_embedded(folder)?, options)
                }

                /// Makes the pipeline for this task from the parts of another one. Both share the weights; none are copied.
                ///
                /// # Errors
                /// When the family of the pipeline has none for this task, or the parts do not fit.
                pub fn from_pipe(pipeline: &DiffusionPipeline) -> Result<DiffusionPipeline> {
                    Self::AUTO.from_pipe(pipeline)
                }

                /// Makes the pipeline for this task with ControlNets, one or several, from the parts of another pipeline.
                /// Both share the weights; none are copied.
                ///
                /// # Errors
                /// When there is no such class for the family of the pipeline, or a ControlNet was made for another UNet.
                pub fn from_pipe_with_controlnet(
                    pipeline: &DiffusionPipeline,
                    controlnet: impl Into<ControlNets>,
                ) -> Result<DiffusionPipeline> {
                    Self::AUTO.from_pipe_with_controlnet(pipeline, controlnet)
                }
            }
        )+
    };
}

auto_pipelines! {
    /// Text to image.
    ///
    /// ```
    /// use oxidiff::AutoPipelineForText2Image;
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
    /// let pipeline = AutoPipelineForText2Image::from_pretrained(folder)?;
    /// assert_eq!(pipeline.class_name(), "StableDiffusionPipeline");
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    AutoPipelineForText2Image: Task::TextToImage;

    /// Image to image.
    ///
    /// ```
    /// use oxidiff::{AutoPipelineForImage2Image, DiffusionPipeline};
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
    /// let text_to_image = DiffusionPipeline::from_pretrained(folder)?;
    /// let image_to_image = AutoPipelineForImage2Image::from_pipe(&text_to_image)?;
    /// assert_eq!(image_to_image.class_name(), "StableDiffusionImg2ImgPipeline");
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    AutoPipelineForImage2Image: Task::ImageToImage;

    /// Inpainting.
    ///
    /// ```
    /// use oxidiff::AutoPipelineForInpainting;
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
    /// let pipeline = AutoPipelineForInpainting::from_pretrained(folder)?;
    /// assert_eq!(pipeline.class_name(), "StableDiffusionInpaintPipeline");
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    AutoPipelineForInpainting: Task::Inpainting;
}
