//! Models that join the parts of a pipeline and steer its UNet: ControlNets and T2I-Adapters.

use super::component::Component;
use super::diffusion_pipeline::DiffusionPipeline;
use super::registry::{self, Entry, Task, entries};
use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::models::controlnets::ControlNets;
use crate::models::t2i_adapters::T2IAdapters;

/// Models that join the parts of a pipeline and steer its UNet. A family with them has the name of that without them, and the
/// suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addition {
    /// The name of the part.
    pub part: &'static str,
    noun: &'static str,
    suffix: &'static str,
}

impl Addition {
    /// One or several ControlNets.
    pub const CONTROLNET: Self = Self { part: "controlnet", noun: "ControlNet", suffix: "-controlnet" };
    /// One or several ControlNets that take several types of images.
    pub const CONTROLNET_UNION: Self =
        Self { part: "controlnet", noun: "ControlNetUnion", suffix: "-controlnet-union" };
    /// One or several T2I-Adapters.
    pub const ADAPTER: Self = Self { part: "adapter", noun: "T2I-Adapter", suffix: "-adapter" };

    const ALL: [Self; 3] = [Self::CONTROLNET, Self::CONTROLNET_UNION, Self::ADAPTER];

    /// That of these ControlNets.
    fn of(given: &ControlNets) -> Self {
        match given {
            ControlNets::Union(_) => Self::CONTROLNET_UNION,
            ControlNets::Plain(_)
            | ControlNets::Flux(_)
            | ControlNets::HunyuanDiT(_)
            | ControlNets::QwenImage(_)
            | ControlNets::SD3(_)
            | ControlNets::Sana(_)
            | ControlNets::ZImage(_) => Self::CONTROLNET,
        }
    }

    /// What is given to be added to a pipeline.
    ///
    /// # Errors
    /// When no pipeline takes all of it.
    pub fn given(options: &LoadOptions) -> Result<Option<Self>> {
        match (&options.controlnet, &options.adapter) {
            (Some(_), Some(_)) => {
                Err(Error::argument("adapter", "cannot be given together with `controlnet`"))
            }
            (Some(given), None) => Ok(Some(Self::of(given))),
            (None, Some(_)) => Ok(Some(Self::ADAPTER)),
            (None, None) => Ok(None),
        }
    }
}

impl Entry {
    /// The class that does the `task` with the parts of this class and the addition.
    ///
    /// # Errors
    /// When there is none.
    pub fn with(self, addition: Addition, task: Task) -> Result<Self> {
        let mut suffixes = Addition::ALL.iter().map(|addition| addition.suffix);
        let base = suffixes.find_map(|suffix| self.family.strip_suffix(suffix)).unwrap_or(self.family);
        let Addition { noun, suffix, .. } = addition;
        let is_wanted = |entry: &Self| entry.family.strip_suffix(suffix) == Some(base) && entry.task == task;
        entries().find(is_wanted).ok_or_else(|| {
            let known = entries().filter(|entry| entry.family.ends_with(suffix) && entry.task == task);
            let known: Vec<&str> = known.map(|entry| entry.class_name).collect();
            let what = format!("a {noun} with a {} for {}", self.class_name, task.name());
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::unsupported(what, format!("the classes with {noun}s for it are {known}"))
        })
    }
}

impl DiffusionPipeline {
    /// A pipeline for the same task with the parts of this one and with ControlNets, one or several. Both share the weights;
    /// none are copied.
    ///
    /// ```
    /// use oxidiff::{ControlNetModel, DiffusionPipeline, FromUNetOptions, UNet2DConditionModel};
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
    /// let pipeline = DiffusionPipeline::from_pretrained(folder)?;
    /// let components = pipeline.components();
    /// let unet = components.get::<UNet2DConditionModel>("unet").expect("the pipeline has a UNet");
    /// let controlnet = ControlNetModel::from_unet(unet, &FromUNetOptions::default())?;
    /// let controlled = pipeline.with_controlnet(controlnet)?;
    /// assert_eq!(controlled.class_name(), "StableDiffusionControlNetPipeline");
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such class, or a ControlNet was made for another UNet.
    pub fn with_controlnet(&self, controlnet: impl Into<ControlNets>) -> Result<Self> {
        let entry = registry::find(self.class_name())?;
        self.controlled_by(&controlnet.into(), entry.task)
    }

    /// As [`Self::with_controlnet`], for any task.
    pub(super) fn controlled_by(&self, controlnet: &ControlNets, task: Task) -> Result<Self> {
        self.with_addition(Addition::of(controlnet), controlnet.component(), task)
    }

    /// A pipeline for the same task with the parts of this one and with T2I-Adapters, one or several. Both share the weights;
    /// none are copied.
    ///
    /// # Errors
    /// When there is no such class, or an adapter was made for another UNet.
    pub fn with_adapter(&self, adapter: impl Into<T2IAdapters>) -> Result<Self> {
        let entry = registry::find(self.class_name())?;
        self.with_addition(Addition::ADAPTER, &adapter.into(), entry.task)
    }

    /// A pipeline for a task with the parts of this one and an addition.
    fn with_addition(&self, addition: Addition, part: &dyn Component, task: Task) -> Result<Self> {
        let entry = registry::find(self.class_name())?.with(addition, task)?;
        let components = self.components();
        let others = components.iter().filter(|(name, _)| *name != addition.part);
        let all = others.chain([(addition.part, part)]).collect();
        (entry.from_components)(&all, self.current_index())
    }
}
