//! The denoising step of the family, and the decoding of the latents after the last step.

use burn::tensor::{Device, Tensor};

use super::arguments::Settings;
use super::components::StableDiffusionComponents;
use crate::error::Result;
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{AfterStep, Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::steering::{Steering, StepInput};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::schedulers::{StepOptions, zero_terminal_snr};

/// A run of a call.
pub(super) struct Run<'a> {
    /// The timesteps, from noisy to clean.
    pub timesteps: Vec<f32>,
    /// The number of steps; smaller than the number of timesteps if a step calls the model more than once.
    pub steps: usize,
    /// The text of each item of the model's batch, `[copies * images, tokens, features]`.
    pub text: Tensor<3>,
    pub guidance: Guidance,
    /// Further inputs of the model.
    pub inputs: UNet2DConditionInputs,
    /// Further channels, which the model receives after those of the latents:
    /// `[copies * images, channels, height, width]`.
    pub further_channels: Option<Tensor<4>>,
    /// ControlNets, which look at the latents alone, or T2I-Adapters.
    pub control: Option<Steering<'a>>,
    pub after_step: Option<AfterStep<'a>>,
    /// Whether the result is the estimate of the noise-free latents that the last step makes, not the latents after it.
    pub ends_denoised: bool,
}

impl StableDiffusionComponents {
    /// Makes images from `latents`, `[images, channels, height, width]`: denoises them step by step and decodes the
    /// result.
    ///
    /// # Errors
    /// When the model or the scheduler cannot work with its inputs, or a value is not finite.
    pub(super) fn run(
        &mut self,
        latents: Tensor<4>,
        run: Run<'_>,
        settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let output_type = settings.output_type;
        let latents = self.denoise(latents, run, settings, index, progress_bar)?;
        self.decode(latents, output_type, index)
    }

    fn denoise(
        &mut self,
        latents: Tensor<4>,
        mut run: Run<'_>,
        mut settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<Tensor<4>> {
        zero_terminal_snr::check_timesteps(&*self.scheduler, &run.timesteps)?;
        let [images, _, height, width] = latents.dims();
        let copies = run.guidance.copies();
        self.check_memory(images * copies, height, width, &latents.device())?;
        if settings.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &latents)?;
        }
        let Self { unet, text_encoder, scheduler, .. } = self;
        let denoising = Denoising {
            timesteps: &run.timesteps,
            steps: run.steps,
            order: scheduler.order(),
            watch: Watch {
                helpers: run.control.as_ref().map(Steering::models).unwrap_or_default(),
                condition: Some(Condition {
                    encoders: vec![("text_encoder", text_encoder)],
                    values: run.text.clone(),
                }),
                ..Watch::of(index, ("unet", unet), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        let mut denoised = None;
        let last = denoising.timesteps.len().saturating_sub(1);
        let sample = denoising.run(latents, |step, latents| {
            let input = Tensor::cat(vec![latents.clone(); copies], 0);
            let mut input = scheduler.scale_model_input(input, step.timestep)?;
            let mut inputs = run.inputs.clone();
            if let Some(control) = &run.control {
                let (timestep, text) = (step.timestep, &run.text);
                let of_run = (step.index, run.steps);
                let window =
                    [step.index, step.index + 1].map(|done| done as f64 / run.timesteps.len() as f64);
                control.add_to(
                    &mut inputs,
                    &StepInput { step: of_run, window, sample: &input, timestep, text },
                )?;
            }
            if let Some(channels) = &run.further_channels {
                input = Tensor::cat(vec![input, channels.clone()], 1);
            }
            let predictions = unet.forward_with(input, &[step.timestep], run.text.clone(), inputs)?;
            let prediction = run.guidance.combine(predictions);
            let options = StepOptions {
                eta: settings.eta,
                generator: Some(&mut settings.generator),
                ..Default::default()
            };
            let output = scheduler.step(prediction.clone(), step.timestep, latents, options)?;
            if run.ends_denoised && step.index == last {
                denoised = output.pred_original_sample;
            }
            let mut sample = output.prev_sample;
            if let Some(after_step) = &mut run.after_step {
                sample = after_step(step.index, sample, &**scheduler)?;
            }
            Ok(Stepped { prediction: Some(prediction), sample })
        })?;
        Ok(denoised.unwrap_or(sample))
    }

    /// Checks that calling the model on a batch of latents fits into the available memory.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn check_memory(
        &self,
        batch: usize,
        height: usize,
        width: usize,
        device: &Device,
    ) -> Result<()> {
        let needed = self.unet.least_memory(batch, height, width);
        let work = format!("denoising {batch} x {height}x{width} latents");
        memory::check_call(&self.unet, &work, needed, device)
    }

    /// Converts the latents at the end of a run to the requested output. Images that the safety checker flags are black.
    pub(super) fn decode(
        &self,
        latents: Tensor<4>,
        output_type: OutputType,
        index: &ModelIndex,
    ) -> Result<ImagePipelineOutput> {
        if output_type == OutputType::Latent {
            return Ok(ImagePipelineOutput { images: Images::Latent(latents), nsfw_content_detected: None });
        }
        tracing::debug!("decoding");
        self.unet.release_memory();
        let decoded = decoding::decode(&*self.vae, latents / self.vae.scaling_factor(), index)?;
        let (decoded, nsfw_content_detected) =
            self.safety().check_images(decoded, self.text_encoder.dtype())?;
        Ok(ImagePipelineOutput { images: postprocess(decoded, output_type)?, nsfw_content_detected })
    }
}
