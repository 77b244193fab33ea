//! What steers a UNet in a run besides the text: ControlNets or T2I-Adapters.

use burn::tensor::{Device, Tensor};

use super::control::{Control, ControlCall, Size};
use super::t2i::{Adapted, AdapterCall};
use crate::error::Result;
use crate::models::finite::Suspect;
use crate::models::unets::UNet2DConditionInputs;

/// What steers a call, before its images are prepared.
pub(crate) enum SteeringCall<'a> {
    ControlNets(ControlCall<'a>),
    Adapters(AdapterCall<'a>),
}

/// What steers a run.
pub(crate) enum Steering<'a> {
    ControlNets(Control<'a>),
    Adapters(Adapted<'a>),
}

/// The inputs of a UNet in a step, before anything but its latents is joined to them.
pub(crate) struct StepInput<'a> {
    /// The number of the step, from 0, and how many steps the run has.
    pub step: (usize, usize),
    /// Which part of the run is over before the step and after it.
    pub window: [f64; 2],
    /// The latents, `[copies * images, channels, height, width]`.
    pub sample: &'a Tensor<4>,
    pub timestep: f32,
    /// `[copies * images, tokens, features]`.
    pub text: &'a Tensor<3>,
}

impl<'a> SteeringCall<'a> {
    /// Prepares the images for `prompts` prompts with `images` images in all.
    ///
    /// # Errors
    /// When an argument has a value that the models cannot work with.
    pub fn prepare(
        self,
        vae_scale_factor: usize,
        size: Size,
        counts: [usize; 2],
        device: &Device,
    ) -> Result<Steering<'a>> {
        Ok(match self {
            Self::ControlNets(call) => call.prepare(vae_scale_factor, size, counts, device)?.into(),
            Self::Adapters(call) => call.prepare(vae_scale_factor, size, counts, device)?.into(),
        })
    }
}

impl Steering<'_> {
    /// Height and width of the images in pixels.
    pub fn size(&self) -> [usize; 2] {
        match self {
            Self::ControlNets(control) => control.size(),
            Self::Adapters(adapted) => adapted.size(),
        }
    }

    /// The models, to be searched if a value is not finite.
    pub fn models(&self) -> Vec<(&'static str, &dyn Suspect)> {
        match self {
            Self::ControlNets(control) => control.models(),
            Self::Adapters(adapted) => adapted.models(),
        }
    }

    /// Adds to the UNet's inputs what the models say in a step.
    ///
    /// # Errors
    /// When a model cannot work with its inputs.
    pub fn add_to(&self, inputs: &mut UNet2DConditionInputs, step: &StepInput<'_>) -> Result<()> {
        match self {
            Self::ControlNets(control) => control.add_to(inputs, step),
            Self::Adapters(adapted) => {
                adapted.add_to(inputs, step);
                Ok(())
            }
        }
    }
}

impl<'a> From<ControlCall<'a>> for SteeringCall<'a> {
    fn from(call: ControlCall<'a>) -> Self {
        Self::ControlNets(call)
    }
}

impl<'a> From<AdapterCall<'a>> for SteeringCall<'a> {
    fn from(call: AdapterCall<'a>) -> Self {
        Self::Adapters(call)
    }
}

impl<'a> From<Control<'a>> for Steering<'a> {
    fn from(control: Control<'a>) -> Self {
        Self::ControlNets(control)
    }
}

impl<'a> From<Adapted<'a>> for Steering<'a> {
    fn from(adapted: Adapted<'a>) -> Self {
        Self::Adapters(adapted)
    }
}
