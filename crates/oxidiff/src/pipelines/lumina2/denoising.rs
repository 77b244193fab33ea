//! The denoising step, and the decoding of the latents after the last step.

use burn::tensor::{DType, Tensor};

use super::components::Lumina2Components;
use super::guidance::Guidance;
use crate::error::{Error, Result};
use crate::image_processor::OutputType;
use crate::memory;
use crate::models::model::Model;
use crate::models::transformers::{Lumina2Inputs, Lumina2Transformer2DModel};
use crate::pipelines::common::callback::StepCallback;
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::text::masked::MaskedTexts;
use crate::pipelines::common::text::masked_prompts::GuidedTexts;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::random::Generators;
use crate::schedulers::{Scheduler, StepOptions};

/// A run of a call.
pub(super) struct Run {
    /// The number of steps.
    pub steps: usize,
    pub texts: GuidedTexts,
    pub guidance: Guidance,
    pub generator: Generators,
    pub output_type: OutputType,
    pub callback: Option<StepCallback>,
}

impl Lumina2Components {
    /// Makes images from `latents`, `[images, channels, height, width]`: denoises them step by step and decodes the result.
    ///
    /// # Errors
    /// When the model or the scheduler cannot work with its inputs, or a value is not finite.
    pub(super) fn run(
        &mut self,
        latents: Tensor<4>,
        run: Run,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let output_type = run.output_type;
        let latents = self.denoise(latents, run, index, progress_bar)?;
        if output_type != OutputType::Latent {
            self.transformer.release_memory();
        }
        decoding::decode_flow(&*self.vae, latents, output_type, index)
    }

    fn denoise(
        &mut self,
        latents: Tensor<4>,
        mut run: Run,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<Tensor<4>> {
        self.check_memory(&run.texts, latents.dims())?;
        if run.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &latents)?;
        }
        let Self { transformer, scheduler, text_encoder, .. } = self;
        let GuidedTexts { positive, negative } = &run.texts;
        let noise_timestep = noise_timestep(&**scheduler)?;
        let timesteps = scheduler.timesteps().to_vec();
        let denoising = Denoising {
            timesteps: &timesteps,
            steps: run.steps,
            order: scheduler.order(),
            watch: Watch {
                condition: Some(Condition {
                    encoders: vec![("text_encoder", text_encoder)],
                    values: positive.tokens.clone(),
                }),
                ..Watch::of(index, ("transformer", transformer), &**scheduler)
            },
            callback: run.callback.take(),
            progress_bar,
        };
        denoising.run(latents, |step, latents| {
            let time = 1.0 - step.timestep / noise_timestep;
            let positive = predict(transformer, &latents, time, positive)?;
            let prediction = match negative {
                Some(negative) if run.guidance.is_on_at(step.index, run.steps) => {
                    run.guidance.apply(positive, predict(transformer, &latents, time, negative)?)
                }
                _ => positive,
            };
            // The model predicts the direction to the image, the scheduler expects that to the noise.
            let prediction = prediction.neg();
            let options = StepOptions { generator: Some(&mut run.generator), ..Default::default() };
            let sample = scheduler.step(prediction.clone(), step.timestep, latents, options)?.prev_sample;
            Ok(Stepped { prediction: Some(prediction), sample })
        })
    }

    /// Checks that calling the model for latents of this shape fits into the available memory.
    fn check_memory(&self, texts: &GuidedTexts, [images, _, height, width]: [usize; 4]) -> Result<()> {
        let size = self.transformer.config().patch_size;
        let text = |texts: &MaskedTexts| texts.tokens.dims()[1];
        let texts = text(&texts.positive).max(texts.negative.as_ref().map_or(0, text));
        let tokens = (height / size) * (width / size) + texts;
        let work = format!("denoising {images} x {height}x{width} latents");
        let needed = self.transformer.least_memory(images.saturating_mul(tokens));
        memory::check_call(&self.transformer, &work, needed, &self.transformer.device())
    }
}

/// The scheduler's timestep at which there is nothing but noise.
///
/// # Errors
/// When its configuration has no such number.
fn noise_timestep(scheduler: &dyn Scheduler) -> Result<f32> {
    const FIELD: &str = "num_train_timesteps";
    let config = scheduler.config();
    let count = config.get(FIELD).and_then(serde_json::Value::as_f64).filter(|count| *count > 0.0);
    let count = count.ok_or_else(|| Error::config(config.origin(), FIELD, "must be a positive number"))?;
    Ok(count as f32)
}

/// The prediction for latents, in `f32`.
fn predict(
    transformer: &Lumina2Transformer2DModel,
    latents: &Tensor<4>,
    time: f32,
    text: &MaskedTexts,
) -> Result<Tensor<4>> {
    let predicted = transformer.forward(&Lumina2Inputs {
        hidden_states: latents.clone().cast(transformer.dtype()),
        timestep: &[time],
        encoder_hidden_states: text.tokens.clone(),
        encoder_attention_mask: &text.mask,
    })?;
    Ok(predicted.cast(DType::F32))
}
