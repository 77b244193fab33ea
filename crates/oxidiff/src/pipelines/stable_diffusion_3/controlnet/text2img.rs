//! Text to image with ControlNets.

use super::parts::{controlnet_arguments, controlnet_methods, expose_controlnet};
use super::run::ControlCall;
use crate::error::Result;
use crate::models::controlnets::SD3ControlNet;
use crate::pipelines::common::control::ControlImages;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;
use crate::pipelines::stable_diffusion_3::arguments::Settings;
use crate::pipelines::stable_diffusion_3::components::StableDiffusion3Components;
use crate::pipelines::stable_diffusion_3::conditioning::Texts;
use crate::pipelines::stable_diffusion_3::denoising::Run;
use burn::tensor::Tensor;

/// Makes images from prompts that follow other images.
///
/// Its fields are those of [`StableDiffusion3Components`], and `controlnet`.
#[derive(Clone, Debug)]
pub struct StableDiffusion3ControlNetPipeline {
    /// Tells the transformer what to add after its blocks.
    pub controlnet: SD3ControlNet,
    components: StableDiffusion3Components,
    index: ModelIndex,
    progress_bar: bool,
}

controlnet_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusion3ControlNetPipeline.__call__`.
    pub struct StableDiffusion3ControlNetTextToImage: "text to image with Stable Diffusion 3 and ControlNet" {}
}

impl StableDiffusion3ControlNetTextToImage {
    /// Arguments with one prompt, images to follow, and the defaults.
    pub fn new(prompt: impl Into<String>, control_image: impl Into<ControlImages>) -> Self {
        Self { prompt: vec![prompt.into()], control_image: control_image.into(), ..Self::default() }
    }
}

impl StableDiffusion3Components {
    /// Makes images from noise that follow others.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn make_controlled(
        &mut self,
        control: ControlCall<'_>,
        texts: &Texts<'_>,
        latents: Option<Tensor<4>>,
        mut settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        if let Some(size) = control.tensor_size() {
            settings.size = size.map(Some);
        }
        let size = self.latent_size(settings.size)?;
        let text = self.embed(texts, settings.guidance.copies() > 1)?;
        let control = control.prepare(self, size, &settings, index)?;
        let steps = self.set_timesteps(&settings, size)?;
        self.scheduler.set_begin_index(0);
        let latents = self.initial_latents(latents, &mut settings, size)?;
        let run = Run {
            timesteps: self.scheduler.timesteps().to_vec(),
            steps,
            text,
            skip_layers: None,
            perturbed: None,
            control: Some(control),
            further_channels: None,
            after_step: None,
            shifts: true,
        };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for StableDiffusion3ControlNetPipeline {
    const CLASS_NAME: &'static str = "StableDiffusion3ControlNetPipeline";

    type Arguments = StableDiffusion3ControlNetTextToImage;

    fn call(
        &mut self,
        arguments: impl Into<StableDiffusion3ControlNetTextToImage>,
    ) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let control = arguments.take_control(&self.controlnet, None);
        let (latents, texts) = (arguments.latents.take(), arguments.texts());
        let (components, index) = (&mut self.components, &self.index);
        components.make_controlled(control, &texts, latents, settings, index, self.progress_bar)
    }

    controlnet_methods!();
    ip_adapter_methods!();
}

expose_controlnet!(StableDiffusion3ControlNetPipeline);
