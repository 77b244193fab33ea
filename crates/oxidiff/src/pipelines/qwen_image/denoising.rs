//! The denoising step of the family, and the decoding of the latents after the last step.

use burn::tensor::{DType, Tensor};

use super::arguments::Settings;
use super::components::QwenImageComponents;
use super::conditioning::{EmbeddedTexts, Texts};
use super::controlnet::Control;
use super::latents::tokens;
use super::layered::Layering;
use super::norm_of_guidance::guided;
use crate::error::Result;
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
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
/// What a transformer that is told what to make is told, as in Python.
const AN_IMAGE: [usize; 1] = [0];

/// A run of a call.
pub(super) struct Run<'a> {
    /// The timesteps, from noisy to clean.
    pub timesteps: Vec<f32>,
    /// The number of steps.
    pub steps: usize,
    pub texts: Texts,
    pub seen: Seen<'a>,
    /// For images that are taken apart.
    pub layering: Option<Layering>,
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
    /// What to make, for a transformer that is told.
    pub kinds: Option<&'a [usize]>,
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
            additional_t_cond: self.kinds,
        }
    }
}

impl QwenImageComponents {
    /// Makes images from `latents`, `[images, channels, height, width]`: denoises them step by step and decodes the result. For images that
    /// are taken apart, they are the frames of each.
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
        let (output_type, layering) = (settings.output_type, run.layering);
        let why = "no model of this kind was trained to be told how strongly to follow the prompt";
        warn_of_ignored("guidance_scale", settings.guidance_scale.is_some(), why);
        let latents = self.denoise(latents, run, settings, index, progress_bar)?;
        let images = match output_type {
            OutputType::Latent => Images::Latent(latents),
            output_type => {
                tracing::debug!("decoding");
                self.transformer.release_memory();
                let latents = decoded_frames(layering, latents);
                let latents = unscaled(&*self.vae, latents.cast(self.vae.dtype()))?;
                let images = postprocess(decoding::decode(&*self.vae, latents, index)?, output_type)?;
                match layering {
                    Some(layering) => layering.group(images),
                    None => images,
                }
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
            decoding::check_size(&*self.vae, &decoded_frames(run.layering, latents.clone()))?;
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
        let frames = run.frames();
        let is_told = run.layering.is_some() && transformer.config().use_additional_t_cond;
        let shapes: Vec<[usize; 3]> = std::iter::repeat_n([height, width], frames)
            .chain(run.seen.images.iter().map(|(_, size)| *size))
            .map(|[height, width]| [1, height / PATCH_SIZE, width / PATCH_SIZE])
            .collect();
        let count = run.timesteps.len() as f64;
        let grid = [height, width].map(|side| side / PATCH_SIZE);
        denoising.run(latents, |step, latents| {
            let latents = side_by_side(tokens(latents), frames);
            let inputs = StepInputs {
                tokens: &latents,
                shapes: &shapes,
                text: positive,
                kinds: is_told.then_some(&AN_IMAGE),
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
                    let scale = settings.true_cfg_scale;
                    match run.layering {
                        Some(Layering { cfg_normalize: false, .. }) => {
                            negative.clone() + (positive - negative) * scale
                        }
                        _ => guided(positive, negative, scale),
                    }
                }
            };
            // The scheduler draws noise, if it needs any, in the order of tokens.
            let [prediction, latents] = [prediction, latents].map(|tokens| tokens.unsqueeze_dim::<4>(3));
            let options = StepOptions { generator: Some(&mut settings.generator), ..Default::default() };
            let sample = scheduler.step(prediction.clone(), step.timestep, latents, options)?.prev_sample;
            let mut sample =
                patches::join(patches::from_tokens(frame_by_frame(sample.squeeze_dim(3), frames), grid));
            if let Some(after_step) = &mut run.after_step {
                sample = after_step(step.index, sample, &**scheduler)?;
            }
            Ok(Stepped { prediction: Some(prediction), sample })
        })
    }

    /// Checks that calling the model for latents of this shape fits into the available memory.
    fn check_memory(&self, run: &Run<'_>, [items, _, height, width]: [usize; 4]) -> Result<()> {
        let images = items / run.frames();
        let text = |texts: &EmbeddedTexts| texts.tokens.dims()[1];
        let texts = text(&run.texts.positive).max(run.texts.negative.as_ref().map_or(0, text));
        let seen: usize = run.seen.images.iter().map(|(tokens, _)| tokens.dims()[1]).sum();
        let own = run.frames() * (height / PATCH_SIZE) * (width / PATCH_SIZE);
        let tokens = own + seen + texts;
        let work = format!("denoising {items} x {height}x{width} latents");
        let needed = self.transformer.least_memory(images.saturating_mul(tokens));
        memory::check_call(&self.transformer, &work, needed, &self.transformer.device())
    }
}

impl Run<'_> {
    /// How many items of the latents belong to an image.
    fn frames(&self) -> usize {
        self.layering.map_or(1, Layering::frames)
    }
}

/// The latents to decode.
fn decoded_frames(layering: Option<Layering>, latents: Tensor<4>) -> Tensor<4> {
    match layering {
        Some(layering) => layering.without_wholes(latents),
        None => latents,
    }
}

/// The tokens of so many frames, `[images * frames, tokens, features]`, as those of one image.
fn side_by_side(tokens: Tensor<3>, frames: usize) -> Tensor<3> {
    let [items, count, features] = tokens.dims();
    tokens.reshape([items / frames, frames * count, features])
}

/// The inverse of [`side_by_side`].
fn frame_by_frame(tokens: Tensor<3>, frames: usize) -> Tensor<3> {
    let [images, count, features] = tokens.dims();
    tokens.reshape([images * frames, count / frames, features])
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
