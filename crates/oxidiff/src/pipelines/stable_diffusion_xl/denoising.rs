//! The denoising step of the family, and the decoding of the latents after the last step.

use burn::tensor::{DType, Tensor};

use super::arguments::Settings;
use super::components::StableDiffusionXLComponents;
use super::micro_conditioning::Conditions;
use crate::error::Result;
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
use crate::models::autoencoders::Autoencoder;
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::unets::{AddedConditions, IpAdapterInputs, UNet2DConditionInputs};
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{AfterStep, Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::latents::unscaled;
use crate::pipelines::common::steering::{Steering, StepInput};
use crate::pipelines::common::text::TextEncoding;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::schedulers::{StepOptions, zero_terminal_snr};

/// A run of a call.
pub(super) struct Run<'a> {
    /// The timesteps, from noisy to clean.
    pub timesteps: Vec<f32>,
    /// The number of steps; smaller than the number of timesteps if a step calls the model more than once.
    pub steps: usize,
    /// The text of each item of the model's batch, `[copies * images, ...]`.
    pub text: TextEncoding,
    /// The pictures of IP-Adapters.
    pub ip_adapter: Option<IpAdapterInputs>,
    /// Further inputs for each item of the model's batch.
    pub conditions: Vec<Conditions>,
    pub guidance: Guidance,
    /// The guidance scale, for models that take it as an input.
    pub timestep_cond: Option<Tensor<2>>,
    /// Further channels, which the model receives after those of the latents:
    /// `[copies * images, channels, height, width]`.
    pub further_channels: Option<Tensor<4>>,
    /// ControlNets, which look at the latents alone, or T2I-Adapters; and the number of timesteps that their parts of the run
    /// are parts of.
    pub control: Option<(Steering<'a>, usize)>,
    pub after_step: Option<AfterStep<'a>>,
}

impl StableDiffusionXLComponents {
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
        self.check_memory(images * copies, height, width)?;
        if settings.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &latents)?;
        }
        let pooled = run.text.pooled.as_ref().map_or(0, |pooled| pooled.dims()[1]);
        let time_ids = self.time_ids(&run.conditions, pooled, run.text.tokens.dtype(), &latents.device())?;
        let inputs = UNet2DConditionInputs {
            timestep_cond: run.timestep_cond.take(),
            ip_adapter: run.ip_adapter.take(),
            added: AddedConditions {
                text_embeds: run.text.pooled.clone(),
                time_ids: Some(time_ids),
                ..Default::default()
            },
            ..Default::default()
        };
        let text = run.text.tokens;
        let Self { unet, scheduler, text_encoder, text_encoder_2, .. } = self;
        let first = text_encoder.as_ref().map(|encoder| ("text_encoder", encoder as &dyn Suspect));
        let second = text_encoder_2.as_ref().map(|encoder| ("text_encoder_2", encoder as &dyn Suspect));
        let denoising = Denoising {
            timesteps: &run.timesteps,
            steps: run.steps,
            order: scheduler.order(),
            watch: Watch {
                helpers: run.control.as_ref().map(|(control, _)| control.models()).unwrap_or_default(),
                condition: Some(Condition {
                    encoders: first.into_iter().chain(second).collect(),
                    values: text.clone(),
                }),
                ..Watch::of(index, ("unet", unet), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        denoising.run(latents, |step, latents| {
            let input = Tensor::cat(vec![latents.clone(); copies], 0);
            let mut input = scheduler.scale_model_input(input, step.timestep)?;
            let mut inputs = inputs.clone();
            if let Some((control, timesteps)) = &run.control {
                let window = [step.index, step.index + 1].map(|done| done as f64 / *timesteps as f64);
                let (of_run, timestep) = ((step.index, run.steps), step.timestep);
                let input = StepInput { step: of_run, window, sample: &input, timestep, text: &text };
                control.add_to(&mut inputs, &input)?;
            }
            if let Some(channels) = &run.further_channels {
                input = Tensor::cat(vec![input, channels.clone()], 1);
            }
            let predictions = unet.forward_with(input, &[step.timestep], text.clone(), inputs)?;
            let prediction = run.guidance.combine(predictions);
            let options = StepOptions {
                eta: Some(settings.eta),
                generator: Some(&mut settings.generator),
                ..Default::default()
            };
            let mut sample = scheduler.step(prediction.clone(), step.timestep, latents, options)?.prev_sample;
            if let Some(after_step) = &mut run.after_step {
                sample = after_step(step.index, sample, &**scheduler)?;
            }
            Ok(Stepped { prediction: Some(prediction), sample })
        })
    }

    /// Checks that calling the model on a batch of latents fits into the available memory.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn check_memory(&self, batch: usize, height: usize, width: usize) -> Result<()> {
        let needed = self.unet.least_memory(batch, height, width);
        let work = format!("denoising {batch} x {height}x{width} latents");
        memory::check_call(&self.unet, &work, needed, &self.unet.device())
    }

    /// Converts the latents at the end of a run to the requested output.
    fn decode(
        &self,
        latents: Tensor<4>,
        output_type: OutputType,
        index: &ModelIndex,
    ) -> Result<ImagePipelineOutput> {
        let images = match output_type {
            OutputType::Latent => Images::Latent(latents),
            output_type => {
                tracing::debug!("decoding");
                self.unet.release_memory();
                let vae = self.precise_vae();
                let latents = latents.cast(vae.dtype());
                postprocess(decoding::decode(&*vae, unscaled(&*vae, latents)?, index)?, output_type)?
            }
        };
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
    }

    /// The VAE, in single precision if it would overflow in half precision.
    pub(super) fn precise_vae(&self) -> Box<dyn Autoencoder> {
        if self.vae.dtype() == DType::F16 && self.vae.force_upcast() {
            self.vae.upcast()
        } else {
            self.vae.clone()
        }
    }
}
