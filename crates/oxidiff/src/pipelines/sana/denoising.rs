//! The denoising step of Sana, and the decoding after the last step of all classes.

use burn::tensor::{DType, Tensor};

use super::arguments::Settings;
use super::components::SanaComponents;
use crate::error::{Error, Result};
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::transformers::{SanaControlNetInputs, SanaControlNetModel, SanaInputs};
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::perturbed_guidance::PerturbedGuidance;
use crate::pipelines::common::resolution_binning::BinnedSize;
use crate::pipelines::common::text::masked_prompts::GuidedTexts;
use crate::pipelines::common::timesteps::choose_timesteps_of_flow;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::schedulers::StepOptions;

/// A ControlNet and what it follows in a run.
pub(super) struct Control<'a> {
    pub net: &'a SanaControlNetModel,
    pub scale: f64,
    /// The latents to follow, one for each image.
    pub latents: Tensor<4>,
}

/// What a run has besides the texts.
#[derive(Default)]
pub(super) struct Further<'a> {
    pub control: Option<&'a Control<'a>>,
    pub perturbed: Option<PerturbedGuidance>,
    /// Whether the model is told the scheduler's timesteps as they are: some classes leave out the scale of the configuration, as in
    /// Python.
    pub has_plain_times: bool,
}

impl SanaComponents {
    /// Denoises latents `[images, channels, height, width]`, and returns those after the last step.
    ///
    /// # Errors
    /// When the model or the scheduler cannot work with its inputs, or a value is not finite.
    pub(super) fn denoise(
        &mut self,
        latents: Tensor<4>,
        texts: &GuidedTexts,
        further: Further<'_>,
        settings: &mut Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<Tensor<4>> {
        let Further { control, perturbed, has_plain_times } = further;
        // The prompts are read once more for perturbed attention.
        let joined = texts.joined(1 + usize::from(perturbed.is_some()));
        let images = latents.dims()[0];
        self.check_memory(latents.dims(), joined.mask.dims()[0], settings.output_type)?;
        let copies = joined.mask.dims()[0] / latents.dims()[0];
        let followed = control.map(|control| control.latents.clone().repeat_dim(0, copies));
        let guidance = Guidance::by_scale(settings.guidance_scale);
        let Self { transformer, scheduler, text_encoder, .. } = self;
        let (given, sigmas) = (settings.timesteps.as_deref(), settings.sigmas.as_deref());
        let steps = choose_timesteps_of_flow(&mut **scheduler, settings.num_inference_steps, given, sigmas)?;
        let timesteps = scheduler.timesteps().to_vec();
        let encoder = text_encoder.as_ref().map(|encoder| ("text_encoder", encoder as &dyn Suspect));
        let helper = control.map(|control| ("controlnet", control.net as &dyn Suspect));
        let denoising = Denoising {
            timesteps: &timesteps,
            steps,
            order: scheduler.order(),
            watch: Watch {
                helpers: helper.into_iter().collect(),
                condition: Some(Condition {
                    encoders: encoder.into_iter().collect(),
                    values: joined.tokens.clone(),
                }),
                ..Watch::of(index, ("transformer", transformer), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        let channels = transformer.config().in_channels;
        denoising.run(latents, |step, latents| {
            let input = latents.clone().repeat_dim(0, copies).cast(transformer.dtype());
            let scale = if has_plain_times { 1.0 } else { transformer.config().timestep_scale as f32 };
            let timestep = [step.timestep * scale];
            let samples = match (control, &followed) {
                (Some(control), Some(followed)) => control.net.forward(&SanaControlNetInputs {
                    hidden_states: input.clone(),
                    controlnet_cond: followed.clone(),
                    conditioning_scale: control.scale,
                    encoder_hidden_states: joined.tokens.clone(),
                    encoder_attention_mask: Some(joined.mask.clone()),
                    timestep: &timestep,
                })?,
                _ => Vec::new(),
            };
            let inputs = SanaInputs {
                hidden_states: input,
                encoder_hidden_states: joined.tokens.clone(),
                encoder_attention_mask: Some(joined.mask.clone()),
                timestep: &timestep,
                guidance: None,
                controlnet_block_samples: &samples,
            };
            let in_blocks = PerturbedGuidance::in_run(perturbed.as_ref(), images);
            let predicted = transformer.forward_perturbed(&inputs, in_blocks)?.cast(DType::F32);
            let prediction = match &perturbed {
                Some(perturbed) => perturbed.combine(predicted, guidance, step.timestep),
                None => guidance.combine(predicted),
            };
            // A learned variance is not used.
            let prediction = match prediction.dims()[1] / 2 == channels {
                true => prediction.narrow(1, 0, channels),
                false => prediction,
            };
            let options = StepOptions {
                generator: Some(&mut settings.generator),
                eta: Some(settings.eta),
                ..Default::default()
            };
            let sample = scheduler.step(prediction.clone(), step.timestep, latents, options)?.prev_sample;
            Ok(Stepped { prediction: Some(prediction), sample })
        })
    }

    /// Checks that calling the model for such latents, of a batch with guidance, and decoding them fits into the available memory.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn check_memory(
        &self,
        [images, _, height, width]: [usize; 4],
        batch: usize,
        output_type: OutputType,
    ) -> Result<()> {
        let patch = self.transformer.config().patch_size;
        let tokens = (height / patch) * (width / patch) * batch;
        let work = format!("denoising {batch} x {height}x{width} latents");
        let (needed, device) = (self.transformer.least_memory(tokens), self.transformer.device());
        memory::check_call(&self.transformer, &work, needed, &device)?;
        if output_type == OutputType::Latent {
            return Ok(());
        }
        let latents = Tensor::<4>::empty([images, self.vae.latent_channels(), height, width], &device);
        decoding::check_size(&*self.vae, &latents)
    }

    /// Converts the latents at the end of a run to the requested output.
    ///
    /// # Errors
    /// When they cannot be decoded.
    pub(super) fn decode(
        &self,
        latents: Tensor<4>,
        size: Option<BinnedSize>,
        output_type: OutputType,
        index: &ModelIndex,
    ) -> Result<ImagePipelineOutput> {
        let images = match output_type {
            OutputType::Latent => Images::Latent(latents),
            output_type => {
                tracing::debug!("decoding");
                self.transformer.release_memory();
                let latents = latents.cast(self.vae.dtype()) / self.vae.scaling_factor();
                let decoded = decoding::decode(&*self.vae, latents, index)?;
                postprocess(size.map_or(decoded.clone(), |size| size.resize_and_crop(decoded)), output_type)?
            }
        };
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
    }

    /// # Errors
    /// When the model imitates guidance, which only the pipelines of SANA-Sprint tell it.
    pub(super) fn check_guidance_embeds(&self, wanted: bool) -> Result<()> {
        let found = self.transformer.config().guidance_embeds;
        if found == wanted {
            return Ok(());
        }
        let message = if found {
            "is true: the model was distilled for `SanaSprintPipeline`"
        } else {
            "is false, but pipelines of SANA-Sprint tell the model the guidance"
        };
        Err(Error::config("transformer/config.json", "guidance_embeds", message))
    }
}
