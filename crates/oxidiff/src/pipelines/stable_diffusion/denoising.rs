//! The denoising loop of the family.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};

use super::components::StableDiffusionComponents;
use super::guidance::Guidance;
use crate::error::Result;
use crate::image_processor::OutputType;
use crate::memory;
use crate::models::call::SMALLER_CALL;
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::decoding;
use crate::pipelines::finite::{Watch, WatchedStep};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::progress::denoising_bar;
use crate::random::Generators;
use crate::schedulers::{Scheduler, StepOptions, zero_terminal_snr};

/// Called after each step with the new latents: returns those to go on with, or those to stop with and decode.
pub type StepCallback = Box<dyn FnMut(StepEnd) -> ControlFlow<Tensor<4>, Tensor<4>>>;

/// What a callback is told.
#[derive(Clone, Debug)]
pub struct StepEnd {
    /// Number of the step, from 0.
    pub index: usize,
    /// The timestep that was denoised.
    pub timestep: f32,
    /// The latents behind the step, `[images, channels, height, width]`.
    pub latents: Tensor<4>,
}

/// Changes the latents behind each step, before the callback: given are the step's number, the latents and the scheduler.
pub(super) type AfterStep<'a> = &'a mut dyn FnMut(usize, Tensor<4>, &dyn Scheduler) -> Result<Tensor<4>>;

/// What the loop needs beside the latents.
pub(super) struct Denoising<'a> {
    /// The timesteps to go through, from noisy to clean.
    pub timesteps: Vec<f32>,
    /// The number of steps that they make; fewer than timesteps where a step calls the model more than once.
    pub steps: usize,
    /// The text of each item of the model's batch, `[copies * images, tokens, features]`.
    pub text: Tensor<3>,
    pub guidance: Guidance,
    /// What the model is told beside the text.
    pub inputs: UNet2DConditionInputs,
    /// Channels that the model is given behind the latents, `[copies * images, channels, height, width]`.
    pub further_channels: Option<Tensor<4>>,
    pub after_step: Option<AfterStep<'a>>,
    pub eta: f64,
    pub generator: &'a mut Generators,
    /// The index of the pipeline, to find the file of a weight that is not finite.
    pub index: &'a ModelIndex,
    /// Whether the latents are decoded afterwards.
    pub output_type: OutputType,
    pub callback: Option<StepCallback>,
    pub progress_bar: bool,
}

impl StableDiffusionComponents {
    /// Takes the noise out of `latents`, `[images, channels, height, width]`, step by step.
    ///
    /// # Errors
    /// When the model or the scheduler cannot work with what it is given, or a value is not finite.
    pub(super) fn denoise(&mut self, mut latents: Tensor<4>, mut run: Denoising<'_>) -> Result<Tensor<4>> {
        let order = self.scheduler.order();
        let warmup = run.timesteps.len().saturating_sub(run.steps * order);
        let bar = denoising_bar(run.steps, run.progress_bar);
        zero_terminal_snr::check_timesteps(&*self.scheduler, &run.timesteps)?;
        let [images, _, height, width] = latents.dims();
        let batch = images * run.guidance.copies();
        self.check_memory(batch, height, width, &latents.device())?;
        if run.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &latents)?;
        }
        let watch = Watch {
            index: run.index,
            denoiser: ("unet", &self.unet),
            condition: Some(("text_encoder", &self.text_encoder, run.text.clone())),
        };
        watch.check_start(&latents)?;
        for (index, &timestep) in run.timesteps.iter().enumerate() {
            tracing::debug!(index, timestep, "denoising");
            let input = Tensor::cat(vec![latents.clone(); run.guidance.copies()], 0);
            let mut input = self.scheduler.scale_model_input(input, timestep)?;
            if let Some(channels) = &run.further_channels {
                input = Tensor::cat(vec![input, channels.clone()], 1);
            }
            let predictions =
                self.unet.forward_with(input, &[timestep], run.text.clone(), run.inputs.clone())?;
            let prediction = run.guidance.combine(predictions);

            let options = StepOptions {
                eta: Some(run.eta),
                generator: Some(&mut *run.generator),
                ..Default::default()
            };
            latents = self.scheduler.step(prediction.clone(), timestep, latents, options)?.prev_sample;
            watch.check_step(&WatchedStep {
                index,
                timestep,
                scheduler: &*self.scheduler,
                prediction: &prediction,
                sample: &latents,
            })?;
            if let Some(after_step) = &mut run.after_step {
                latents = after_step(index, latents, &*self.scheduler)?;
            }

            if let Some(callback) = &mut run.callback {
                match callback(StepEnd { index, timestep, latents }) {
                    ControlFlow::Continue(next) => latents = next,
                    ControlFlow::Break(last) => {
                        latents = last;
                        break;
                    }
                }
            }
            if index + 1 == run.timesteps.len() || (index + 1 > warmup && (index + 1) % order == 0) {
                bar.inc(1);
            }
        }
        bar.finish();
        Ok(latents)
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
        memory::check(&work, needed, device, SMALLER_CALL)
    }
}
