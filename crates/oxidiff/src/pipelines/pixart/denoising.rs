//! The denoising step of the family, and the decoding of the latents after the last step.

use burn::tensor::Tensor;

use super::arguments::Settings;
use super::components::{PixArtComponents, TOLD_SAMPLE_SIZE};
use crate::error::Result;
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::transformers::PixArtInputs;
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::latents::given_or_noise;
use crate::pipelines::common::perturbed_guidance::PerturbedGuidance;
use crate::pipelines::common::resolution_binning::BinnedSize;
use crate::pipelines::common::text::masked_prompts::GuidedTexts;
use crate::pipelines::common::timesteps::choose_timesteps;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::schedulers::{StepOptions, zero_terminal_snr};

/// A run of a call.
pub(super) struct Run {
    pub texts: GuidedTexts,
    pub size: BinnedSize,
    /// Guidance away from a prediction with perturbed attention.
    pub perturbed: Option<PerturbedGuidance>,
    /// Whether a run of one step ends with the scheduler's estimate of the noise-free latents.
    pub ends_denoised: bool,
}

impl PixArtComponents {
    /// Makes images: draws latents, denoises them step by step and decodes the result.
    ///
    /// # Errors
    /// When the model or the scheduler cannot work with its inputs, or a value is not finite.
    pub(super) fn run(
        &mut self,
        run: &Run,
        mut settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let steps = choose_timesteps(
            &mut *self.scheduler,
            settings.num_inference_steps,
            settings.timesteps.as_deref(),
            settings.sigmas.as_deref(),
        )?;
        self.scheduler.set_begin_index(0);
        zero_terminal_snr::check_timesteps(&*self.scheduler, self.scheduler.timesteps())?;
        let [height, width] = run.size.made.map(|side| side / self.vae.scale_factor());
        let shape = [settings.images, self.transformer.config().in_channels, height, width];
        let dtype = self.text_encoder.as_ref().map_or(self.transformer.dtype(), |encoder| encoder.dtype());
        let device = self.transformer.device();
        let latents =
            given_or_noise(settings.latents.take(), shape, &mut settings.generator, dtype, &device)?;
        let latents = latents * self.scheduler.init_noise_sigma();
        let output_type = settings.output_type;
        let latents = self.denoise(latents, steps, run, settings, index, progress_bar)?;
        if output_type == OutputType::Latent {
            return Ok(ImagePipelineOutput { images: Images::Latent(latents), nsfw_content_detected: None });
        }
        tracing::debug!("decoding");
        self.transformer.release_memory();
        let decoded = decoding::decode(&*self.vae, latents / self.vae.scaling_factor(), index)?;
        let images = postprocess(run.size.resize_and_crop(decoded), output_type)?;
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
    }

    fn denoise(
        &mut self,
        latents: Tensor<4>,
        steps: usize,
        run: &Run,
        mut settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<Tensor<4>> {
        let [images, channels, height, width] = latents.dims();
        let guidance = Guidance::by_scale(settings.guidance_scale);
        let perturbed = run.perturbed.as_ref();
        let texts = run.texts.joined(1 + usize::from(perturbed.is_some()));
        let copies = texts.tokens.dims()[0] / images;
        self.check_memory([images * copies, height, width])?;
        if settings.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &latents)?;
        }
        let timesteps = self.scheduler.timesteps().to_vec();
        let Self { transformer, scheduler, text_encoder, .. } = self;
        let encoder = text_encoder.as_ref().map(|encoder| ("text_encoder", encoder as &dyn Suspect));
        let denoising = Denoising {
            timesteps: &timesteps,
            steps,
            order: scheduler.order(),
            watch: Watch {
                condition: Some(Condition {
                    encoders: encoder.into_iter().collect(),
                    values: run.texts.positive.tokens.clone(),
                }),
                ..Watch::of(index, ("transformer", transformer), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        let [pixel_rows, pixel_columns] = run.size.made.map(|side| side as f32);
        let (resolution, aspect_ratio) = ([[pixel_rows, pixel_columns]], [pixel_rows / pixel_columns]);
        let told = transformer.config().sample_size == TOLD_SAMPLE_SIZE;
        let in_blocks = PerturbedGuidance::in_run(perturbed, images);
        let mut denoised = None;
        let sample = denoising.run(latents, |step, latents| {
            let input = Tensor::cat(vec![latents.clone(); copies], 0);
            let inputs = PixArtInputs {
                hidden_states: scheduler.scale_model_input(input, step.timestep)?,
                encoder_hidden_states: Some(texts.tokens.clone()),
                timestep: &[step.timestep],
                resolution: told.then_some(&resolution),
                aspect_ratio: told.then_some(&aspect_ratio),
                encoder_attention_mask: Some(texts.mask.clone()),
                attention_mask: None,
            };
            let predictions = transformer.forward_with(&inputs, in_blocks)?;
            let predictions = predictions.cast(latents.dtype());
            // The variance, which some models predict too, is not used.
            let predictions = predictions.narrow(1, 0, channels);
            let prediction = match perturbed {
                Some(perturbed) => perturbed.combine(predictions, guidance, step.timestep),
                None => guidance.combine(predictions),
            };
            let options = StepOptions {
                eta: Some(settings.eta),
                generator: Some(&mut settings.generator),
                ..Default::default()
            };
            let output = scheduler.step(prediction.clone(), step.timestep, latents, options)?;
            if run.ends_denoised && steps == 1 {
                denoised = output.pred_original_sample;
            }
            Ok(Stepped { prediction: Some(prediction), sample: output.prev_sample })
        })?;
        Ok(denoised.unwrap_or(sample))
    }

    /// Checks that calling the model for latents of this shape fits into the available memory.
    fn check_memory(&self, [batch, height, width]: [usize; 3]) -> Result<()> {
        let patch = self.transformer.config().patch_size;
        let tokens = (height / patch) * (width / patch);
        let work = format!("denoising {batch} x {height}x{width} latents");
        let needed = self.transformer.least_memory(batch.saturating_mul(tokens));
        memory::check_call(&self.transformer, &work, needed, &self.transformer.device())
    }
}
