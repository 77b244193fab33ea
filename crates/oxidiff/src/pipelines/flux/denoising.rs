//! The denoising step of the family, and the decoding of the latents after the last step.

use burn::tensor::{DType, Tensor};

use super::arguments::Settings;
use super::components::FluxComponents;
use super::conditioning::FluxConditions;
use super::shown::{Place, Seen, places};
use crate::error::Result;
use crate::image_processor::OutputType;
use crate::memory;
use crate::models::finite::{Suspect, is_finite};
use crate::models::model::Model;
use crate::models::transformers::{FluxControlSamples, FluxInputs, FluxTransformer2DModel};
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{AfterStep, Denoising};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::packed_flow::{NOISE_TIMESTEP, Stepper};
use crate::pipelines::common::patches::PATCH_SIZE;
use crate::pipelines::common::text::{PromptEncoding, TextEncoding};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;

/// A run of a call.
pub(super) struct Run<'a> {
    /// The timesteps, from noisy to clean.
    pub timesteps: Vec<f32>,
    /// The number of steps.
    pub steps: usize,
    pub conditions: FluxConditions,
    pub seen: Seen<'a>,
    pub after_step: Option<AfterStep<'a>>,
}

/// What a step calls the transformer, and a ControlNet, with.
pub(super) struct StepInputs<'a> {
    /// The image's own tokens, `[images, tokens, features]`.
    pub tokens: &'a Tensor<3>,
    pub places: &'a [Place],
    pub text: &'a TextEncoding,
    /// The tokens of the pictures of each IP-Adapter.
    pub pictures: &'a [Tensor<4>],
    /// The time from 1 (noise) to 0.
    pub time: &'a [f32],
    /// How strongly to follow the prompt.
    pub guidance: &'a [f32],
    /// The parts of the run that are over before and after the step.
    pub window: [f64; 2],
}

impl FluxComponents {
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
        mut run: Run<'_>,
        mut settings: Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<Tensor<4>> {
        let [_, _, height, width] = latents.dims();
        self.check_memory(&run, latents.dims())?;
        if settings.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &latents)?;
        }
        let FluxConditions { texts: PromptEncoding { positive, negative }, pictures } = &run.conditions;
        let Self { transformer, scheduler, text_encoder, text_encoder_2, .. } = self;
        let clip = text_encoder.as_ref().map(|encoder| ("text_encoder", encoder as &dyn Suspect));
        let t5 = text_encoder_2.as_ref().map(|encoder| ("text_encoder_2", encoder as &dyn Suspect));
        // CLIP only makes the pooled prompts.
        let (encoders, values) = match positive.pooled.as_ref().filter(|pooled| !is_finite(pooled)) {
            Some(pooled) => (clip, pooled.clone().unsqueeze_dim(1)),
            None => (t5, positive.tokens.clone()),
        };
        let denoising = Denoising {
            timesteps: &run.timesteps,
            steps: run.steps,
            order: scheduler.order(),
            watch: Watch {
                helpers: run.seen.control.as_ref().map(|control| control.models()).unwrap_or_default(),
                condition: Some(Condition { encoders: encoders.into_iter().collect(), values }),
                ..Watch::of(index, ("transformer", transformer), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        let places = places(0.0, [height, width]);
        let guidance = [settings.guidance_scale as f32];
        let count = run.timesteps.len() as f64;
        let true_cfg_scale = settings.true_cfg_scale;
        let mut stepper = Stepper {
            scheduler: &mut **scheduler,
            generator: &mut settings.generator,
            after_step: run.after_step.take(),
        };
        denoising.run(latents, |step, latents| {
            stepper.step(step, latents, |latents| {
                let inputs = StepInputs {
                    tokens: latents,
                    places: &places,
                    text: positive,
                    pictures: &pictures.positive,
                    time: &[step.timestep / NOISE_TIMESTEP],
                    guidance: &guidance,
                    window: [step.index as f64 / count, (step.index + 1) as f64 / count],
                };
                let samples = match &run.seen.control {
                    Some(control) => control.samples(&inputs)?,
                    None => FluxControlSamples::default(),
                };
                let positive = predict(transformer, &inputs, &run.seen, &samples)?;
                let Some(text) = negative else { return Ok(positive) };
                let inputs = StepInputs { text, pictures: &pictures.negative, ..inputs };
                let negative = predict(transformer, &inputs, &run.seen, &samples)?;
                Ok(negative.clone() + (positive - negative) * true_cfg_scale)
            })
        })
    }

    /// Checks that calling the model for latents of this shape fits into the available memory.
    fn check_memory(&self, run: &Run<'_>, [images, _, height, width]: [usize; 4]) -> Result<()> {
        let text = |encoding: &TextEncoding| encoding.tokens.dims()[1];
        let texts = &run.conditions.texts;
        let texts = text(&texts.positive).max(texts.negative.as_ref().map_or(0, text));
        let after = run.seen.after.as_ref().map_or(0, |(_, places)| places.len());
        let tokens = (height / PATCH_SIZE) * (width / PATCH_SIZE) + after + texts;
        let work = format!("denoising {images} x {height}x{width} latents");
        let needed = self.transformer.least_memory(images.saturating_mul(tokens));
        memory::check_call(&self.transformer, &work, needed, &self.transformer.device())
    }
}

/// The prediction for an image's own tokens, in `f32`.
fn predict(
    transformer: &FluxTransformer2DModel,
    step: &StepInputs<'_>,
    seen: &Seen<'_>,
    samples: &FluxControlSamples,
) -> Result<Tensor<3>> {
    let own = step.tokens.dims()[1];
    let mut hidden_states = step.tokens.clone();
    let mut img_ids = step.places.to_vec();
    if let Some(beside) = &seen.beside {
        hidden_states = Tensor::cat(vec![hidden_states, beside.clone()], 2);
    }
    if let Some((after, places)) = &seen.after {
        hidden_states = Tensor::cat(vec![hidden_states, after.clone()], 1);
        img_ids.extend(places);
    }
    let guidance = transformer.config().guidance_embeds.then_some(step.guidance);
    let inputs = step.inputs(hidden_states, &img_ids, guidance, transformer.dtype());
    let text = vec![[0.0; 3]; step.text.tokens.dims()[1]];
    let inputs = FluxInputs { txt_ids: &text, ..inputs };
    let predicted = transformer.forward_with_pictures(&inputs, samples, step.pictures)?;
    Ok(predicted.narrow(1, 0, own).cast(DType::F32))
}

impl StepInputs<'_> {
    /// The inputs of a call on these tokens, but for the places of the text.
    pub fn inputs<'a>(
        &'a self,
        hidden_states: Tensor<3>,
        img_ids: &'a [Place],
        guidance: Option<&'a [f32]>,
        dtype: DType,
    ) -> FluxInputs<'a> {
        FluxInputs {
            hidden_states: hidden_states.cast(dtype),
            encoder_hidden_states: self.text.tokens.clone(),
            pooled_projections: self.text.pooled.clone().expect("prompts of this family are pooled"),
            timestep: self.time,
            img_ids,
            txt_ids: &[],
            guidance,
        }
    }
}
