//! The denoising step of the family, and the decoding of the latents after the last step.

use burn::tensor::{DType, Tensor};

use super::arguments::Settings;
use super::components::QwenImageComponents;
use super::conditioning::{EmbeddedTexts, Texts};
use super::controlnet::Control;
use super::latents::tokens;
use super::norm_of_guidance::guided;
use crate::error::Result;
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
use crate::models::call::SMALLER_CALL;
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::transformers::{QwenImageInputs, QwenImageTransformer2DModel};
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{AfterStep, Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::latents::unscaled;
use crate::pipelines::common::patches::{self, PATCH_SIZE};
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
    pub texts: Texts,
    pub seen: Seen<'a>,
    pub after_step: Option<AfterStep<'a>>,
}

/// What the transformer sees besides the noisy image.
#[derive(Default)]
pub(super) struct Seen<'a> {
    /// The tokens of other images, `[images, tokens, features]`, with height and width of their latents.
    pub images: Vec<(Tensor<3>, [usize; 2])>,
    pub control: Option<Control<'a>>,
}

/// What a step calls the transformer, and a ControlNet, with.
#[derive(Clone, Copy)]
pub(super) struct StepInputs<'a> {
    /// The image's own tokens, `[images, tokens, features]`.
    pub tokens: &'a Tensor<3>,
    /// Frames, rows and columns of the tokens of the image, then of those that are looked at.
    pub shapes: &'a [[usize; 3]],
    pub text: &'a EmbeddedTexts,
    /// The time from 1 (noise) to 0.
    pub time: &'a [f32],
    /// The parts of the run that are over before and after the step.
    pub window: [f64; 2],
}

impl<'a> StepInputs<'a> {
    /// The inputs of a call on these tokens, which are those of as many images.
    pub fn inputs(&self, hidden_states: Tensor<3>, images: usize, dtype: DType) -> QwenImageInputs<'a> {
        QwenImageInputs {
            hidden_states: hidden_states.cast(dtype),
            encoder_hidden_states: self.text.tokens.clone(),
            encoder_hidden_states_mask: self.text.mask.as_deref(),
            timestep: self.time,
            img_shapes: &self.shapes[..images],
            guidance: None,
            additional_t_cond: None,
        }
    }
}

impl QwenImageComponents {
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
        let why = "no model of this kind was trained to be told how strongly to follow the prompt";
        warn_of_ignored("guidance_scale", settings.guidance_scale.is_some(), why);
        let latents = self.denoise(latents, run, settings, index, progress_bar)?;
        let images = match output_type {
            OutputType::Latent => Images::Latent(latents),
            output_type => {
                tracing::debug!("decoding");
                self.transformer.release_memory();
                let latents = unscaled(&*self.vae, latents.cast(self.vae.dtype()))?;
                postprocess(decoding::decode(&*self.vae, latents, index)?, output_type)?
            }
        };
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
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
        let Texts { positive, negative } = &run.texts;
        let Self { transformer, scheduler, text_encoder, .. } = self;
        let encoders = text_encoder.as_ref().map(|encoder| ("text_encoder", encoder as &dyn Suspect));
        let denoising = Denoising {
            timesteps: &run.timesteps,
            steps: run.steps,
            order: scheduler.order(),
            watch: Watch {
                helpers: run.seen.control.as_ref().map(Control::models).unwrap_or_default(),
                condition: Some(Condition {
                    encoders: encoders.into_iter().collect(),
                    values: positive.tokens.clone(),
                }),
                ..Watch::of(index, ("transformer", transformer), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        let shapes: Vec<[usize; 3]> = [[height, width]]
            .into_iter()
            .chain(run.seen.images.iter().map(|(_, size)| *size))
            .map(|[height, width]| [1, height / PATCH_SIZE, width / PATCH_SIZE])
            .collect();
        let count = run.timesteps.len() as f64;
        let grid = [height, width].map(|side| side / PATCH_SIZE);
        denoising.run(latents, |step, latents| {
            let latents = tokens(latents);
            let inputs = StepInputs {
                tokens: &latents,
                shapes: &shapes,
                text: positive,
                time: &[step.timestep / NOISE_TIMESTEP],
                window: [step.index as f64 / count, (step.index + 1) as f64 / count],
            };
            let samples = match &run.seen.control {
                Some(control) => control.samples(&inputs)?,
                None => Vec::new(),
            };
            let positive = predict(transformer, &inputs, &run.seen, &samples)?;
            let prediction = match negative {
                None => positive,
                Some(text) => {
                    let negative = predict(transformer, &StepInputs { text, ..inputs }, &run.seen, &samples)?;
                    guided(positive, negative, settings.true_cfg_scale)
                }
            };
            // The scheduler draws noise, if it needs any, in the order of tokens.
            let [prediction, latents] = [prediction, latents].map(|tokens| tokens.unsqueeze_dim::<4>(3));
            let options = StepOptions { generator: Some(&mut settings.generator), ..Default::default() };
            let sample = scheduler.step(prediction.clone(), step.timestep, latents, options)?.prev_sample;
            let mut sample = patches::join(patches::from_tokens(sample.squeeze_dim(3), grid));
            if let Some(after_step) = &mut run.after_step {
                sample = after_step(step.index, sample, &**scheduler)?;
            }
            Ok(Stepped { prediction: Some(prediction), sample })
        })
    }

    /// Checks that calling the model for latents of this shape fits into the available memory.
    fn check_memory(&self, run: &Run<'_>, [images, _, height, width]: [usize; 4]) -> Result<()> {
        let text = |texts: &EmbeddedTexts| texts.tokens.dims()[1];
        let texts = text(&run.texts.positive).max(run.texts.negative.as_ref().map_or(0, text));
        let seen: usize = run.seen.images.iter().map(|(tokens, _)| tokens.dims()[1]).sum();
        let tokens = (height / PATCH_SIZE) * (width / PATCH_SIZE) + seen + texts;
        let work = format!("denoising {images} x {height}x{width} latents");
        let needed = self.transformer.least_memory(images.saturating_mul(tokens));
        memory::check(&work, needed, &self.transformer.device(), SMALLER_CALL)
    }
}

/// The prediction for an image's own tokens, in `f32`.
fn predict(
    transformer: &QwenImageTransformer2DModel,
    step: &StepInputs<'_>,
    seen: &Seen<'_>,
    samples: &[Tensor<3>],
) -> Result<Tensor<3>> {
    let own = step.tokens.dims()[1];
    let after = seen.images.iter().map(|(tokens, _)| tokens);
    let hidden_states = Tensor::cat([step.tokens].into_iter().chain(after).cloned().collect(), 1);
    let inputs = step.inputs(hidden_states, step.shapes.len(), transformer.dtype());
    let predicted = transformer.forward_with(&inputs, samples)?;
    Ok(predicted.narrow(1, 0, own).cast(DType::F32))
}
