//! The denoising step of the family, and the decoding of the latents after the last step.

use burn::tensor::{DType, Tensor};

use super::arguments::Settings;
use super::components::StableDiffusion3Components;
use super::controlnet::{Control, ControlStep};
use super::skip_layer_guidance::SkipLayerGuidance;
use crate::error::Result;
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
use crate::models::finite::Suspect;
use crate::models::layers::perturbed::Perturbed;
use crate::models::model::Model;
use crate::models::transformers::SD3Inputs;
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{AfterStep, Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::latents::unscaled_and_shifted;
use crate::pipelines::common::perturbed_guidance::PerturbedGuidance;
use crate::pipelines::common::text::{PromptEncoding, TextEncoding};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::schedulers::StepOptions;

/// A run of a call.
pub(super) struct Run<'a> {
    /// The timesteps, from noisy to clean.
    pub timesteps: Vec<f32>,
    /// The number of steps.
    pub steps: usize,
    pub text: PromptEncoding,
    pub skip_layers: Option<SkipLayerGuidance>,
    pub perturbed: Option<PerturbedGuidance>,
    /// ControlNets and what they follow.
    pub control: Option<Control<'a>>,
    /// Channels beside those of the latents, `[images, channels, height, width]`.
    pub further_channels: Option<Tensor<4>>,
    pub after_step: Option<AfterStep<'a>>,
    /// Whether latents are shifted before they are decoded.
    pub shifts: bool,
}

impl StableDiffusion3Components {
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
        let (output_type, shifts) = (settings.output_type, run.shifts);
        let latents = self.denoise(latents, run, settings, index, progress_bar)?;
        self.decode(latents, output_type, shifts, index)
    }

    fn denoise(
        &mut self,
        latents: Tensor<4>,
        mut run: Run<'_>,
        mut settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<Tensor<4>> {
        let guidance = settings.guidance;
        let alone = run.text.positive.clone();
        let text = match run.perturbed {
            Some(_) => run.text.for_perturbed_guidance(),
            None => run.text.for_guidance(),
        };
        self.check_memory(&latents, &text)?;
        if settings.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &latents)?;
        }
        let copies = guidance.copies() + usize::from(run.perturbed.is_some());
        let is_guided = guidance.copies() > 1;
        let picture =
            self.embed_picture(std::mem::take(&mut settings.picture), is_guided, settings.images)?;
        let Self { transformer, scheduler, text_encoder, text_encoder_2, text_encoder_3, .. } = self;
        let mut encoders: Vec<(&'static str, &dyn Suspect)> = Vec::new();
        encoders.extend(text_encoder.iter().map(|model| ("text_encoder", model as _)));
        encoders.extend(text_encoder_2.iter().map(|model| ("text_encoder_2", model as _)));
        encoders.extend(text_encoder_3.iter().map(|model| ("text_encoder_3", model as _)));
        let denoising = Denoising {
            timesteps: &run.timesteps,
            steps: run.steps,
            order: scheduler.order(),
            watch: Watch {
                helpers: run.control.as_ref().map(Control::models).unwrap_or_default(),
                condition: Some(Condition { encoders, values: text.tokens.clone() }),
                ..Watch::of(index, ("transformer", transformer), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        denoising.run(latents, |step, latents| {
            let steps = run.timesteps.len() as f64;
            let window = [step.index as f64 / steps, (step.index + 1) as f64 / steps];
            let samples = match &run.control {
                Some(control) => control.samples(&ControlStep {
                    latents: latents.clone().repeat_dim(0, copies),
                    text: &text,
                    timestep: step.timestep,
                    window,
                    transformer,
                })?,
                None => Vec::new(),
            };
            let call = |copies: usize, text: &TextEncoding, skip_layers: &[usize]| {
                let mut input = latents.clone();
                if let Some(further) = &run.further_channels {
                    input = Tensor::cat(vec![input, further.clone()], 1);
                }
                // A call with the prompt alone is about the last items.
                let picture = picture.clone().map(|all| {
                    let (first, items) = (all.dims()[0], input.dims()[0] * copies);
                    all.narrow(0, first - items, items)
                });
                let inputs = SD3Inputs {
                    hidden_states: input.repeat_dim(0, copies),
                    encoder_hidden_states: text.tokens.clone(),
                    pooled_projections: text.pooled.clone().expect("the family pools its prompts"),
                    timestep: &[step.timestep],
                    block_controlnet_hidden_states: &samples,
                    skip_layers,
                };
                let made = match &run.perturbed {
                    Some(guidance) => {
                        let perturbed = Perturbed { items: settings.images, blocks: &guidance.blocks };
                        transformer.forward_perturbed(&inputs, perturbed)?
                    }
                    None => transformer.forward_with_picture(&inputs, picture.as_ref())?,
                };
                Ok::<_, crate::error::Error>(made.cast(DType::F32))
            };
            let predicted = call(copies, &text, &[])?;
            let prediction = match (&run.perturbed, &run.skip_layers) {
                (Some(perturbed), _) => perturbed.combine(predicted, guidance, step.timestep),
                (None, Some(skip)) if skip.is_on(step.index, run.steps) => {
                    let without = call(1, &alone, &skip.layers)?;
                    let images = without.dims()[0];
                    let conditional = predicted.clone().narrow(0, images, images);
                    guidance.combine(predicted) + (conditional - without) * skip.scale
                }
                _ => guidance.combine(predicted),
            };
            let options = StepOptions { generator: Some(&mut settings.generator), ..Default::default() };
            let mut sample = scheduler.step(prediction.clone(), step.timestep, latents, options)?.prev_sample;
            if let Some(after_step) = &mut run.after_step {
                sample = after_step(step.index, sample, &**scheduler)?;
            }
            Ok(Stepped { prediction: Some(prediction), sample })
        })
    }

    /// Checks that calling the model on these latents fits into the available memory.
    fn check_memory(&self, latents: &Tensor<4>, text: &TextEncoding) -> Result<()> {
        let [_, _, height, width] = latents.dims();
        let [batch, tokens, _] = text.tokens.dims();
        let patch = self.transformer.config().patch_size;
        let patches = (height / patch).saturating_mul(width / patch);
        let tokens = batch.saturating_mul(tokens.saturating_add(patches));
        let work = format!("denoising {batch} x {height}x{width} latents");
        let device = self.transformer.device();
        memory::check_call(&self.transformer, &work, self.transformer.least_memory(tokens), &device)
    }

    /// Converts the latents at the end of a run to the requested output.
    fn decode(
        &self,
        latents: Tensor<4>,
        output_type: OutputType,
        shifts: bool,
        index: &ModelIndex,
    ) -> Result<ImagePipelineOutput> {
        let images = match output_type {
            OutputType::Latent => Images::Latent(latents),
            output_type => {
                tracing::debug!("decoding");
                self.transformer.release_memory();
                let latents = latents.cast(self.vae.dtype());
                let latents = match shifts {
                    true => unscaled_and_shifted(&*self.vae, latents),
                    false => latents / self.vae.scaling_factor(),
                };
                postprocess(decoding::decode(&*self.vae, latents, index)?, output_type)?
            }
        };
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
    }
}
