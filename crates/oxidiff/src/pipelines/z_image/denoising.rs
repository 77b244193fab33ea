//! The denoising step of the family, and the decoding of the latents after the last step.

use burn::tensor::{DType, Tensor};

use super::arguments::Settings;
use super::components::{PATCH_SIZE, ZImageComponents};
use super::conditioning::{Caption, Captions};
use super::control::Control;
use super::references::References;
use crate::error::Result;
use crate::image_processor::OutputType;
use crate::memory;
use crate::models::model::Model;
use crate::models::transformers::ZImageInputs;
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{AfterStep, Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::schedulers::StepOptions;

/// The scheduler's timestep at which there is nothing but noise.
const NOISE_TIMESTEP: f32 = 1000.0;

/// A run of a call.
pub(super) struct Run<'a> {
    /// The timesteps, from noisy to clean.
    pub timesteps: Vec<f32>,
    /// The number of steps.
    pub steps: usize,
    pub captions: Captions,
    /// A ControlNet and what it follows.
    pub control: Option<Control<'a>>,
    /// The images that are part of the prompts, none or more, for a model that such prompts are for.
    pub references: Option<References>,
    pub after_step: Option<AfterStep<'a>>,
}

impl ZImageComponents {
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
        if output_type != OutputType::Latent {
            self.transformer.release_memory();
        }
        decoding::decode_flow(&*self.vae, latents, output_type, index)
    }

    fn denoise(
        &mut self,
        latents: Tensor<4>,
        mut run: Run<'_>,
        mut settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<Tensor<4>> {
        let [images, _, height, width] = latents.dims();
        let guidance = settings.guidance;
        self.check_memory(&run.captions, run.references.as_ref(), [height, width])?;
        if settings.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &latents)?;
        }
        let Self { transformer, scheduler, text_encoder, .. } = self;
        let texts = run.captions.parts().map(|text| text.clone().unsqueeze_dim(0));
        let denoising = Denoising {
            timesteps: &run.timesteps,
            steps: run.steps,
            order: scheduler.order(),
            watch: Watch {
                helpers: run.control.as_ref().map(|control| control.model()).into_iter().collect(),
                condition: Some(Condition {
                    encoders: vec![("text_encoder", text_encoder)],
                    values: Tensor::cat(texts.collect(), 1),
                }),
                ..Watch::of(index, ("transformer", transformer), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        let Captions { positive, negative } = run.captions;
        denoising.run(latents, |step, latents| {
            let time = (NOISE_TIMESTEP - step.timestep) / NOISE_TIMESTEP;
            let scale = if guidance.is_on() { guidance.scale_at(time) } else { 0.0 };
            // A frame of each image, twice with guidance.
            let frame = |image: usize| {
                let latents = latents.clone().narrow(0, image, 1).swap_dims(0, 1);
                latents.cast(transformer.dtype())
            };
            let mut input: Vec<Tensor<4>> = (0..images).map(frame).collect();
            let mut captions = positive.clone();
            if scale > 0.0 {
                input.extend(input.clone());
                captions.extend(negative.iter().cloned());
            }
            let predictions = match &run.references {
                Some(references) => references.predict(transformer, &input, time, &captions)?,
                None => {
                    let captions: Vec<Tensor<2>> = captions.into_iter().flatten().collect();
                    let mut inputs = ZImageInputs::default();
                    if let Some(control) = &run.control {
                        inputs.controlnet_block_samples =
                            control.samples(transformer, &input, time, &captions)?;
                    }
                    transformer.forward_with(&input, &[time], &captions, &inputs)?
                }
            };
            let mut predictions = predictions.into_iter().map(|prediction| prediction.cast(DType::F32));
            let positive: Vec<Tensor<4>> = predictions.by_ref().take(images).collect();
            let guided: Vec<Tensor<4>> = match scale > 0.0 {
                false => positive,
                true => positive
                    .into_iter()
                    .zip(predictions)
                    .map(|(positive, negative)| {
                        let guided = positive.clone() + (positive.clone() - negative) * scale;
                        guidance.normalization.apply(guided, positive)
                    })
                    .collect(),
            };
            // The model predicts the direction to the image, the scheduler expects that to the noise.
            let prediction = Tensor::cat(guided, 1).swap_dims(0, 1).neg();
            let options = StepOptions { generator: Some(&mut settings.generator), ..Default::default() };
            let mut sample = scheduler.step(prediction.clone(), step.timestep, latents, options)?.prev_sample;
            if let Some(after_step) = &mut run.after_step {
                sample = after_step(step.index, sample, &**scheduler)?;
            }
            Ok(Stepped { prediction: Some(prediction), sample })
        })
    }

    /// Checks that calling the model on latents of this height and width fits into the available memory.
    fn check_memory(
        &self,
        captions: &Captions,
        references: Option<&References>,
        [height, width]: [usize; 2],
    ) -> Result<()> {
        let patches = (height / PATCH_SIZE).saturating_mul(width / PATCH_SIZE);
        let seen = references.map_or(0, References::tokens);
        let of_text = |caption: &Caption| caption.iter().map(|part| part.dims()[0]).sum::<usize>();
        let texts = captions.positive.iter().chain(&captions.negative);
        let batch = texts.clone().count();
        let tokens = texts
            .map(|caption| of_text(caption).saturating_add(patches).saturating_add(seen))
            .fold(0, usize::saturating_add);
        let work = format!("denoising {batch} x {height}x{width} latents");
        let device = self.transformer.device();
        memory::check_call(&self.transformer, &work, self.transformer.least_memory(tokens), &device)
    }
}
