//! The pipelines that can be loaded by name: one row per class.

use std::sync::{PoisonError, RwLock};

use super::aura_flow::AuraFlowPipeline;
use super::chroma::{ChromaImg2ImgPipeline, ChromaInpaintPipeline, ChromaPipeline};
use super::common::component_loader::ComponentLoader;
use super::component::Components;
use super::diffusion_pipeline::DiffusionPipeline;
use super::dit::DiTPipeline;
use super::flux::{
    FluxControlImg2ImgPipeline, FluxControlInpaintPipeline, FluxControlNetImg2ImgPipeline,
    FluxControlNetInpaintPipeline, FluxControlNetPipeline, FluxControlPipeline, FluxFillPipeline,
    FluxImg2ImgPipeline, FluxInpaintPipeline, FluxKontextInpaintPipeline, FluxKontextPipeline, FluxPipeline,
};
use super::flux2::{Flux2KleinInpaintPipeline, Flux2KleinKVPipeline, Flux2KleinPipeline, Flux2Pipeline};
use super::hunyuan_dit::{HunyuanDiTControlNetPipeline, HunyuanDiTPAGPipeline, HunyuanDiTPipeline};
use super::lumina2::Lumina2Pipeline;
use super::model_index::ModelIndex;
use super::pipeline::Pipeline;
use super::pixart::{PixArtAlphaPipeline, PixArtSigmaPAGPipeline, PixArtSigmaPipeline};
use super::qwen_image::{
    QwenImageControlNetInpaintPipeline, QwenImageControlNetPipeline, QwenImageEditInpaintPipeline,
    QwenImageEditPipeline, QwenImageEditPlusPipeline, QwenImageImg2ImgPipeline, QwenImageInpaintPipeline,
    QwenImageLayeredPipeline, QwenImagePipeline,
};
use super::request::{ArgumentInfo, CallArguments};
use super::sana::{
    SanaControlNetPipeline, SanaPAGPipeline, SanaPipeline, SanaSprintImg2ImgPipeline, SanaSprintPipeline,
};
use super::stable_diffusion::{
    LatentConsistencyModelImg2ImgPipeline, LatentConsistencyModelPipeline, StableDiffusionAdapterPipeline,
    StableDiffusionControlNetImg2ImgPipeline, StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline, StableDiffusionDepth2ImgPipeline, StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline, StableDiffusionInstructPix2PixPipeline,
    StableDiffusionLatentUpscalePipeline, StableDiffusionPipeline, StableDiffusionUpscalePipeline,
};
use super::stable_diffusion_3::{
    StableDiffusion3ControlNetInpaintingPipeline, StableDiffusion3ControlNetPipeline,
    StableDiffusion3Img2ImgPipeline, StableDiffusion3InpaintPipeline, StableDiffusion3PAGImg2ImgPipeline,
    StableDiffusion3PAGPipeline, StableDiffusion3Pipeline,
};
use super::stable_diffusion_xl::{
    StableDiffusionXLAdapterPipeline, StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetInpaintPipeline, StableDiffusionXLControlNetPipeline,
    StableDiffusionXLControlNetUnionImg2ImgPipeline, StableDiffusionXLControlNetUnionInpaintPipeline,
    StableDiffusionXLControlNetUnionPipeline, StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline, StableDiffusionXLInstructPix2PixPipeline, StableDiffusionXLPipeline,
};
use super::unconditional::{
    ConsistencyModelPipeline, DDIMPipeline, DDPMPipeline, PNDMPipeline, RePaintPipeline, ScoreSdeVePipeline,
};
use super::z_image::{
    ZImageControlNetInpaintPipeline, ZImageControlNetPipeline, ZImageImg2ImgPipeline, ZImageInpaintPipeline,
    ZImageOmniPipeline, ZImagePipeline,
};
use crate::error::{Error, Result};

/// The task of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// An image from a prompt.
    TextToImage,
    /// An image from another image and a prompt.
    ImageToImage,
    /// Repaints a part of an image.
    Inpainting,
    /// An image from the depth of another image and a prompt.
    DepthToImage,
    /// Enlarges an image.
    SuperResolution,
    /// Edits an image as a prompt says.
    Editing,
    /// An image of a class.
    ClassConditional,
    /// An image from noise alone.
    Unconditional,
}

impl Task {
    /// The task in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TextToImage => "text to image",
            Self::ImageToImage => "image to image",
            Self::Inpainting => "inpainting",
            Self::DepthToImage => "depth to image",
            Self::SuperResolution => "super-resolution",
            Self::Editing => "editing",
            Self::ClassConditional => "images of classes",
            Self::Unconditional => "images from noise",
        }
    }
}

/// The classes of the library. Those of one family have the same parts, so that one can be made from another.
const PIPELINES: &[Entry] = &[
    Entry::of::<AuraFlowPipeline>("auraflow", Task::TextToImage),
    Entry::of::<ChromaPipeline>("chroma", Task::TextToImage),
    Entry::of::<ChromaImg2ImgPipeline>("chroma", Task::ImageToImage),
    Entry::of::<ChromaInpaintPipeline>("chroma", Task::Inpainting),
    Entry::of::<ConsistencyModelPipeline>("consistency-models", Task::Unconditional),
    Entry::of::<DDIMPipeline>("ddim", Task::Unconditional),
    Entry::of::<DDPMPipeline>("ddpm", Task::Unconditional),
    Entry::of::<DiTPipeline>("dit", Task::ClassConditional),
    Entry::of::<Flux2KleinPipeline>("flux2-klein", Task::TextToImage)
        .also(Task::ImageToImage)
        .looking_at_images(),
    Entry::of::<Flux2KleinInpaintPipeline>("flux2-klein", Task::Inpainting),
    Entry::of::<Flux2KleinKVPipeline>("flux2-klein-kv", Task::TextToImage).looking_at_images(),
    Entry::of::<Flux2Pipeline>("flux2", Task::TextToImage).also(Task::ImageToImage).looking_at_images(),
    Entry::of::<FluxPipeline>("flux", Task::TextToImage),
    Entry::of::<FluxImg2ImgPipeline>("flux", Task::ImageToImage),
    Entry::of::<FluxInpaintPipeline>("flux", Task::Inpainting),
    Entry::of::<FluxControlPipeline>("flux-control", Task::TextToImage),
    Entry::of::<FluxControlImg2ImgPipeline>("flux-control", Task::ImageToImage),
    Entry::of::<FluxControlInpaintPipeline>("flux-control", Task::Inpainting),
    Entry::of::<FluxControlNetPipeline>("flux-controlnet", Task::TextToImage),
    Entry::of::<FluxControlNetImg2ImgPipeline>("flux-controlnet", Task::ImageToImage),
    Entry::of::<FluxControlNetInpaintPipeline>("flux-controlnet", Task::Inpainting),
    Entry::of::<FluxFillPipeline>("flux-fill", Task::Inpainting),
    Entry::of::<FluxKontextPipeline>("flux-kontext", Task::TextToImage).also(Task::ImageToImage),
    Entry::of::<FluxKontextInpaintPipeline>("flux-kontext", Task::Inpainting),
    Entry::of::<HunyuanDiTPipeline>("hunyuan", Task::TextToImage),
    Entry::of::<HunyuanDiTControlNetPipeline>("hunyuan-controlnet", Task::TextToImage),
    Entry::of::<HunyuanDiTPAGPipeline>("hunyuan-pag", Task::TextToImage),
    Entry::of::<LatentConsistencyModelPipeline>("latent-consistency-models", Task::TextToImage),
    Entry::of::<LatentConsistencyModelImg2ImgPipeline>("latent-consistency-models", Task::ImageToImage),
    Entry::of::<Lumina2Pipeline>("lumina2", Task::TextToImage),
    Entry::of::<PNDMPipeline>("pndm", Task::Unconditional),
    Entry::of::<PixArtAlphaPipeline>("pixart-alpha", Task::TextToImage),
    Entry::of::<PixArtSigmaPipeline>("pixart-sigma", Task::TextToImage),
    Entry::of::<PixArtSigmaPAGPipeline>("pixart-sigma-pag", Task::TextToImage),
    Entry::of::<QwenImagePipeline>("qwenimage", Task::TextToImage),
    Entry::of::<QwenImageImg2ImgPipeline>("qwenimage", Task::ImageToImage),
    Entry::of::<QwenImageInpaintPipeline>("qwenimage", Task::Inpainting),
    Entry::of::<QwenImageControlNetPipeline>("qwenimage-controlnet", Task::TextToImage),
    Entry::of::<QwenImageControlNetInpaintPipeline>("qwenimage-controlnet", Task::Inpainting),
    Entry::of::<QwenImageEditPipeline>("qwenimage-edit", Task::ImageToImage),
    Entry::of::<QwenImageEditInpaintPipeline>("qwenimage-edit", Task::Inpainting),
    Entry::of::<QwenImageEditPlusPipeline>("qwenimage-edit-plus", Task::ImageToImage).looking_at_images(),
    Entry::of::<QwenImageLayeredPipeline>("qwenimage-layered", Task::ImageToImage),
    Entry::of::<RePaintPipeline>("repaint", Task::Inpainting),
    Entry::of::<SanaPipeline>("sana", Task::TextToImage),
    Entry::of::<SanaControlNetPipeline>("sana-controlnet", Task::TextToImage),
    Entry::of::<SanaPAGPipeline>("sana-pag", Task::TextToImage),
    Entry::of::<SanaSprintPipeline>("sana-sprint", Task::TextToImage),
    Entry::of::<SanaSprintImg2ImgPipeline>("sana-sprint", Task::ImageToImage),
    Entry::of::<ScoreSdeVePipeline>("score-sde-ve", Task::Unconditional),
    Entry::of::<StableDiffusionPipeline>("stable-diffusion", Task::TextToImage),
    Entry::of::<StableDiffusionImg2ImgPipeline>("stable-diffusion", Task::ImageToImage),
    Entry::of::<StableDiffusionInpaintPipeline>("stable-diffusion", Task::Inpainting),
    Entry::of::<StableDiffusionDepth2ImgPipeline>("stable-diffusion", Task::DepthToImage),
    Entry::of::<StableDiffusionUpscalePipeline>("stable-diffusion", Task::SuperResolution),
    Entry::of::<StableDiffusionInstructPix2PixPipeline>("stable-diffusion", Task::Editing),
    Entry::of::<StableDiffusionControlNetPipeline>("stable-diffusion-controlnet", Task::TextToImage),
    Entry::of::<StableDiffusionControlNetImg2ImgPipeline>("stable-diffusion-controlnet", Task::ImageToImage),
    Entry::of::<StableDiffusionControlNetInpaintPipeline>("stable-diffusion-controlnet", Task::Inpainting),
    Entry::of::<StableDiffusionAdapterPipeline>("stable-diffusion-adapter", Task::TextToImage),
    Entry::of::<StableDiffusionLatentUpscalePipeline>(
        "stable-diffusion-latent-upscale",
        Task::SuperResolution,
    ),
    Entry::of::<StableDiffusion3Pipeline>("stable-diffusion-3", Task::TextToImage),
    Entry::of::<StableDiffusion3Img2ImgPipeline>("stable-diffusion-3", Task::ImageToImage),
    Entry::of::<StableDiffusion3InpaintPipeline>("stable-diffusion-3", Task::Inpainting),
    Entry::of::<StableDiffusion3PAGPipeline>("stable-diffusion-3-pag", Task::TextToImage),
    Entry::of::<StableDiffusion3PAGImg2ImgPipeline>("stable-diffusion-3-pag", Task::ImageToImage),
    Entry::of::<StableDiffusion3ControlNetPipeline>("stable-diffusion-3-controlnet", Task::TextToImage),
    Entry::of::<StableDiffusion3ControlNetInpaintingPipeline>(
        "stable-diffusion-3-controlnet",
        Task::Inpainting,
    ),
    Entry::of::<StableDiffusionXLPipeline>("stable-diffusion-xl", Task::TextToImage),
    Entry::of::<StableDiffusionXLImg2ImgPipeline>("stable-diffusion-xl", Task::ImageToImage),
    Entry::of::<StableDiffusionXLInpaintPipeline>("stable-diffusion-xl", Task::Inpainting),
    Entry::of::<StableDiffusionXLInstructPix2PixPipeline>("stable-diffusion-xl", Task::Editing),
    Entry::of::<StableDiffusionXLAdapterPipeline>("stable-diffusion-xl-adapter", Task::TextToImage),
    Entry::of::<StableDiffusionXLControlNetPipeline>("stable-diffusion-xl-controlnet", Task::TextToImage),
    Entry::of::<StableDiffusionXLControlNetImg2ImgPipeline>(
        "stable-diffusion-xl-controlnet",
        Task::ImageToImage,
    ),
    Entry::of::<StableDiffusionXLControlNetInpaintPipeline>(
        "stable-diffusion-xl-controlnet",
        Task::Inpainting,
    ),
    Entry::of::<StableDiffusionXLControlNetUnionPipeline>(
        "stable-diffusion-xl-controlnet-union",
        Task::TextToImage,
    ),
    Entry::of::<StableDiffusionXLControlNetUnionImg2ImgPipeline>(
        "stable-diffusion-xl-controlnet-union",
        Task::ImageToImage,
    ),
    Entry::of::<StableDiffusionXLControlNetUnionInpaintPipeline>(
        "stable-diffusion-xl-controlnet-union",
        Task::Inpainting,
    ),
    Entry::of::<ZImagePipeline>("z-image", Task::TextToImage),
    Entry::of::<ZImageImg2ImgPipeline>("z-image", Task::ImageToImage),
    Entry::of::<ZImageInpaintPipeline>("z-image", Task::Inpainting),
    Entry::of::<ZImageControlNetPipeline>("z-image-controlnet", Task::TextToImage),
    Entry::of::<ZImageControlNetInpaintPipeline>("z-image-controlnet", Task::Inpainting),
    Entry::of::<ZImageOmniPipeline>("z-image-omni", Task::TextToImage).looking_at_images(),
];

/// Classes that had another name in earlier versions of diffusers, and their names now.
const FORMER_NAMES: [(&str, &str); 1] = [("Lumina2Text2ImgPipeline", Lumina2Pipeline::CLASS_NAME)];

/// The classes of other crates.
static REGISTERED: RwLock<Vec<Entry>> = RwLock::new(Vec::new());

/// A pipeline class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub class_name: &'static str,
    pub family: &'static str,
    pub task: Task,
    /// Another task of the class, with further arguments.
    also: Option<Task>,
    /// Whether it looks at any number of images together for one result.
    pub looks_at_images: bool,
    pub arguments: &'static [ArgumentInfo],
    /// Whether a call takes an argument; some of `arguments` are for other classes of the family.
    pub takes: fn(&str) -> bool,
    pub load: fn(&ComponentLoader<'_>) -> Result<DiffusionPipeline>,
    pub from_components: fn(&Components<'_>, ModelIndex) -> Result<DiffusionPipeline>,
}

impl Entry {
    const fn of<P: Pipeline>(family: &'static str, task: Task) -> Self {
        Self {
            class_name: P::CLASS_NAME,
            family,
            task,
            also: None,
            looks_at_images: false,
            arguments: P::Arguments::ALL,
            takes: P::takes,
            load: |loader| {
                let loaded = P::load(loader).map_err(|error| error.in_checkpoint(Some(loader.checkpoint())));
                Ok(loaded?.into())
            },
            from_components: |components, index| {
                let folder = index.folder().cloned();
                let made = P::from_components(components, index);
                Ok(made.map_err(|error| error.in_checkpoint(folder.as_ref()))?.into())
            },
        }
    }

    /// The same class with another task.
    const fn also(mut self, task: Task) -> Self {
        self.also = Some(task);
        self
    }

    /// The same class, which looks at any number of images together for one result.
    const fn looking_at_images(mut self) -> Self {
        self.looks_at_images = true;
        self
    }

    /// Whether this is a task of the class.
    pub fn does(&self, task: Task) -> bool {
        self.task == task || self.also == Some(task)
    }
}

/// Registers a pipeline class of another crate: [`DiffusionPipeline`] then loads it, and the AutoPipelines find it in its
/// family. Registering a class with the name of an earlier one replaces that.
///
/// ```
/// use oxidiff::{StableDiffusionPipeline, Task, register_pipeline};
///
/// // Pass your own class here.
/// register_pipeline::<StableDiffusionPipeline>("stable-diffusion", Task::TextToImage);
/// ```
pub fn register_pipeline<P: Pipeline>(family: &'static str, task: Task) {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    registered.retain(|entry| entry.class_name != P::CLASS_NAME);
    registered.push(Entry::of::<P>(family, task));
}

/// All classes; registered ones come first.
pub(crate) fn entries() -> impl Iterator<Item = Entry> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner).clone();
    registered.into_iter().chain(PIPELINES.iter().copied())
}

/// What a class is called now, if it had this name before.
pub(crate) fn current_name(former: &str) -> Option<&'static str> {
    FORMER_NAMES.iter().find(|(name, _)| *name == former).map(|(_, current)| *current)
}

/// The class of this name.
///
/// # Errors
/// When there is none.
pub(crate) fn find(class_name: &str) -> Result<Entry> {
    entries().find(|entry| entry.class_name == class_name).ok_or_else(|| {
        let known: Vec<&str> = entries().map(|entry| entry.class_name).collect();
        Error::unsupported(
            format!("the pipeline class `{class_name}`"),
            format!("available classes: {}", known.join(", ")),
        )
    })
}
