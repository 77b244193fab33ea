//! What the pipelines of latent consistency models have in common.

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::stable_diffusion::components::StableDiffusionComponents;
use crate::pipelines::stable_diffusion::denoising::Run;
use crate::schedulers::TimestepOptions;

impl StableDiffusionComponents {
    /// Checks that the parts are those of a latent consistency model.
    ///
    /// # Errors
    /// When they do not fit each other, or the UNet is not told the guidance scale.
    pub(super) fn check_consistency_model(&self) -> Result<()> {
        self.check_channels(&[0])?;
        self.unet.config().time_cond_proj_dim.map(drop).ok_or_else(not_told)
    }

    /// Sets the timesteps of a run through those of the distillation.
    ///
    /// # Errors
    /// When the scheduler is not for distilled models, or cannot use the options.
    pub(super) fn choose_distilled_timesteps(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        if !self.scheduler.role().distilled {
            let class_name = self.scheduler.config().class_name().unwrap_or_default();
            return Err(Error::unsupported(
                format!("{class_name} with a latent consistency model"),
                "its `set_timesteps` takes no `original_inference_steps`; use an LCMScheduler",
            ));
        }
        self.scheduler.set_timesteps_with(options)
    }

    /// A run through the scheduler's timesteps, with the text of each image, `[images, tokens, features]`.
    ///
    /// # Errors
    /// When the UNet is not told the guidance scale.
    pub(super) fn consistency_run(
        &self,
        text: Tensor<3>,
        guidance_scale: f64,
        device: &Device,
    ) -> Result<Run<'static>> {
        let timesteps = self.scheduler.timesteps().to_vec();
        let timestep_cond = self.embed_guidance_scale(guidance_scale, text.dims()[0], device);
        Ok(Run {
            steps: timesteps.len(),
            timesteps,
            text,
            guidance: Guidance::Off,
            inputs: UNet2DConditionInputs {
                timestep_cond: Some(timestep_cond.ok_or_else(not_told)?),
                ..Default::default()
            },
            further_channels: None,
            control: None,
            after_step: None,
            ends_denoised: true,
        })
    }
}

fn not_told() -> Error {
    let message = "must be set: a latent consistency model is told the guidance scale";
    Error::config("unet/config.json", "time_cond_proj_dim", message)
}
