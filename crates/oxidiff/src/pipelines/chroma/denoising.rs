//! The denoising step of the family.

use burn::tensor::{DType, Tensor};

use super::components::ChromaComponents;
use crate::error::Result;
use crate::image_processor::OutputType;
use crate::memory;
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::transformers::{ChromaInputs, ChromaTransformer2DModel};
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{AfterStep, Denoising};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::packed_flow::{NOISE_TIMESTEP, Place, Settings, Stepper, places};
use crate::pipelines::common::patches::PATCH_SIZE;
use crate::pipelines::common::text::masked::MaskedTexts;
use crate::pipelines::common::text::masked_prompts::GuidedTexts;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;

/// A run of a call.
pub(super) struct Run<'a> {
    /// The timesteps, from noisy to clean.
    pub timesteps: Vec<f32>,
    /// The number of steps.
    pub steps: usize,
    pub texts: GuidedTexts,
    pub after_step: Option<AfterStep<'a>>,
}

impl ChromaComponents {
    /// Makes images from `latents`, `[images, channels, height, width]`: denoises them step by step and decodes the result.
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
        run: Run<'_>,
        mut settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<Tensor<4>> {
        let [_, _, height, width] = latents.dims();
        self.check_memory(&run.texts, latents.dims())?;
        if settings.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &latents)?;
        }
        let GuidedTexts { positive, negative } = &run.texts;
        let Self { transformer, scheduler, text_encoder, .. } = self;
        let encoder = text_encoder.as_ref().map(|encoder| ("text_encoder", encoder as &dyn Suspect));
        let denoising = Denoising {
            timesteps: &run.timesteps,
            steps: run.steps,
            order: scheduler.order(),
            watch: Watch {
                condition: Some(Condition {
                    encoders: encoder.into_iter().collect(),
                    values: positive.tokens.clone(),
                }),
                ..Watch::of(index, ("transformer", transformer), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        let places = places(0.0, [height, width]);
        let guidance_scale = settings.true_cfg_scale;
        let mut stepper = Stepper {
            scheduler: &mut **scheduler,
            generator: &mut settings.generator,
            after_step: run.after_step,
        };
        denoising.run(latents, |step, latents| {
            stepper.step(step, latents, |tokens| {
                let time = step.timestep / NOISE_TIMESTEP;
                let positive = predict(transformer, tokens, &places, time, positive)?;
                let Some(negative) = negative else { return Ok(positive) };
                let negative = predict(transformer, tokens, &places, time, negative)?;
                Ok(negative.clone() + (positive - negative) * guidance_scale)
            })
        })
    }

    /// Checks that calling the model for latents of this shape fits into the available memory.
    fn check_memory(&self, texts: &GuidedTexts, [images, _, height, width]: [usize; 4]) -> Result<()> {
        let text = |texts: &MaskedTexts| texts.tokens.dims()[1];
        let texts = text(&texts.positive).max(texts.negative.as_ref().map_or(0, text));
        let tokens = (height / PATCH_SIZE) * (width / PATCH_SIZE) + texts;
        let work = format!("denoising {images} x {height}x{width} latents");
        let needed = self.transformer.least_memory(images.saturating_mul(tokens));
        memory::check_call(&self.transformer, &work, needed, &self.transformer.device())
    }
}

/// The prediction for an image's tokens, in `f32`. All of them count.
fn predict(
    transformer: &ChromaTransformer2DModel,
    tokens: &Tensor<3>,
    places: &[Place],
    time: f32,
    text: &MaskedTexts,
) -> Result<Tensor<3>> {
    let [images, count, _] = tokens.dims();
    let of_image = Tensor::ones([images, count], (&text.mask.device(), text.mask.dtype()));
    let predicted = transformer.forward(&ChromaInputs {
        hidden_states: tokens.clone().cast(transformer.dtype()),
        encoder_hidden_states: text.tokens.clone(),
        timestep: &[time],
        img_ids: places,
        txt_ids: &vec![[0.0; 3]; text.tokens.dims()[1]],
        attention_mask: Some(Tensor::cat(vec![text.mask.clone(), of_image], 1)),
    })?;
    Ok(predicted.cast(DType::F32))
}
