//! The denoising step of the family, and the decoding of the latents after the last step.

use burn::tensor::{DType, Tensor};

use super::arguments::Settings;
use super::components::HunyuanDiTComponents;
use super::conditioning::Texts;
use super::controlnet::Control;
use crate::error::Result;
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::transformers::HunyuanDiTInputs;
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::latents::given_or_noise;
use crate::pipelines::common::perturbed_guidance::PerturbedGuidance;
use crate::pipelines::common::timesteps::choose_timesteps;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::schedulers::{StepOptions, zero_terminal_snr};

/// A run of a call.
pub(super) struct Run<'a> {
    /// Height and width of the images in pixels.
    pub size: [usize; 2],
    pub texts: Texts,
    /// The latents to start from.
    pub latents: Option<Tensor<4>>,
    /// ControlNets and what they follow.
    pub control: Option<Control<'a>>,
    pub perturbed: Option<PerturbedGuidance>,
}

impl HunyuanDiTComponents {
    /// Makes images: denoises latents step by step and decodes the result.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with, or a value is not finite.
    pub(super) fn run(
        &mut self,
        run: Run<'_>,
        settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let output_type = settings.output_type;
        let latents = self.denoise(run, settings, index, progress_bar)?;
        self.decode(latents, output_type, index)
    }

    fn denoise(
        &mut self,
        run: Run<'_>,
        mut settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<Tensor<4>> {
        let channels = self.transformer.config().in_channels;
        let [height, width] = run.size.map(|side| side / self.vae.scale_factor());
        let shape = [settings.images, channels, height, width];
        settings.generator.check(settings.images)?;
        let steps = choose_timesteps(&mut *self.scheduler, settings.num_inference_steps, None, None)?;
        let timesteps = self.scheduler.timesteps().to_vec();
        zero_terminal_snr::check_timesteps(&*self.scheduler, &timesteps)?;

        let is_guided = run.texts.negative.is_some();
        let guidance = match is_guided {
            true => Guidance::ClassifierFree {
                scale: settings.guidance_scale,
                rescale: settings.guidance_rescale,
            },
            false => Guidance::Off,
        };
        let copies = guidance.copies() + usize::from(run.perturbed.is_some());
        let [first, second] = run.texts.batch(if run.perturbed.is_some() { 2 } else { 1 });
        self.check_memory(copies, shape)?;
        let device = self.transformer.device();
        let latents = given_or_noise(run.latents, shape, &mut settings.generator, DType::F32, &device)?;
        let latents = latents.cast(DType::F32) * self.scheduler.init_noise_sigma();
        if settings.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &latents)?;
        }

        let places = self.places(run.size);
        let batch = copies * settings.images;
        let sizes = vec![settings.sizes.condition(run.size); batch];
        let styles = vec![0; batch];
        let Self { transformer, scheduler, text_encoder, text_encoder_2, .. } = self;
        let mut encoders: Vec<(&'static str, &dyn Suspect)> = Vec::new();
        encoders.extend(text_encoder.iter().map(|model| ("text_encoder", model as _)));
        encoders.extend(text_encoder_2.iter().map(|model| ("text_encoder_2", model as _)));
        let denoising = Denoising {
            timesteps: &timesteps,
            steps,
            order: scheduler.order(),
            watch: Watch {
                helpers: run.control.as_ref().map(Control::models).unwrap_or_default(),
                condition: Some(Condition { encoders, values: first.tokens.clone() }),
                ..Watch::of(index, ("transformer", transformer), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        denoising.run(latents, |step, latents| {
            let timestep = [step.timestep];
            let inputs = HunyuanDiTInputs {
                hidden_states: scheduler
                    .scale_model_input(latents.clone().repeat_dim(0, copies), step.timestep)?,
                timestep: &timestep,
                encoder_hidden_states: first.tokens.clone(),
                text_embedding_mask: first.mask.clone(),
                encoder_hidden_states_t5: second.tokens.clone(),
                text_embedding_mask_t5: second.mask.clone(),
                image_meta_size: Some(&sizes),
                style: Some(&styles),
                image_rotary_emb: Some(&places),
            };
            let samples = match &run.control {
                Some(control) => control.samples(&inputs)?,
                None => Vec::new(),
            };
            let perturbed = PerturbedGuidance::in_run(run.perturbed.as_ref(), settings.images);
            let predicted = transformer.forward_perturbed(&inputs, &samples, perturbed)?;
            // The other half of the channels is the variance.
            let predicted = predicted.narrow(1, 0, channels).cast(DType::F32);
            let prediction = match &run.perturbed {
                Some(perturbed) => perturbed.combine(predicted, guidance, step.timestep),
                None => guidance.combine(predicted),
            };
            let options = StepOptions {
                eta: Some(settings.eta),
                generator: Some(&mut settings.generator),
                ..Default::default()
            };
            let sample = scheduler.step(prediction.clone(), step.timestep, latents, options)?.prev_sample;
            Ok(Stepped { prediction: Some(prediction), sample })
        })
    }

    /// Checks that calling the model on latents of this shape, as often as there are copies, fits into the available memory.
    fn check_memory(&self, copies: usize, [images, _, height, width]: [usize; 4]) -> Result<()> {
        let patch = self.transformer.config().patch_size;
        let batch = copies * images;
        let tokens = batch.saturating_mul((height / patch).saturating_mul(width / patch));
        let work = format!("denoising {batch} x {height}x{width} latents");
        let device = self.transformer.device();
        memory::check_call(&self.transformer, &work, self.transformer.least_memory(tokens), &device)
    }

    /// Converts the latents at the end of a run to the requested output. Images that the safety checker flags are black.
    fn decode(
        &self,
        latents: Tensor<4>,
        output_type: OutputType,
        index: &ModelIndex,
    ) -> Result<ImagePipelineOutput> {
        if output_type == OutputType::Latent {
            return Ok(ImagePipelineOutput { images: Images::Latent(latents), nsfw_content_detected: None });
        }
        tracing::debug!("decoding");
        self.transformer.release_memory();
        let latents = latents.cast(self.vae.dtype()) / self.vae.scaling_factor();
        let decoded = decoding::decode(&*self.vae, latents, index)?;
        let (decoded, nsfw_content_detected) =
            self.safety().check_images(decoded, self.transformer.dtype())?;
        Ok(ImagePipelineOutput { images: postprocess(decoded, output_type)?, nsfw_content_detected })
    }
}
