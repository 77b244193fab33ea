//! The denoising step of the family, and the decoding of the latents after the last step.

use burn::tensor::{DType, Tensor};

use super::arguments::Settings;
use super::components::Flux2Components;
use super::conditioning::Texts;
use super::places::{Place, image_places, text_places};
use super::prompt_encoder::PromptEncoder;
use super::reference_images::ReferenceTokens;
use crate::error::Result;
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
use crate::models::model::Model;
use crate::models::transformers::{Flux2Inputs, Flux2KVCache, Flux2Transformer2DModel};
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{AfterStep, Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::patches::{self, from_tokens, to_tokens};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::schedulers::StepOptions;

/// The scheduler's timestep at which there is nothing but noise.
const NOISE_TIMESTEP: f32 = 1000.0;
/// The time of reference images whose keys and values are kept.
const REFERENCE_TIME: f32 = 0.0;

/// A run of a call.
pub(super) struct Run<'a> {
    /// The timesteps, from noisy to clean.
    pub timesteps: Vec<f32>,
    /// The number of steps.
    pub steps: usize,
    pub texts: Texts,
    pub references: Option<ReferenceTokens>,
    /// Whether the reference images are only looked at in the first step, which keeps what later ones need of them.
    pub keeps_references: bool,
    /// How strongly to follow the prompt, for a model that is told so.
    pub guidance: Option<f32>,
    pub after_step: Option<AfterStep<'a>>,
}

/// What predicts in each step.
struct Predictor<'a> {
    transformer: &'a Flux2Transformer2DModel,
    references: Option<ReferenceTokens>,
    keeps_references: bool,
    kept: Option<Flux2KVCache>,
    guidance: Option<[f32; 1]>,
    /// The places of the image's own tokens.
    places: Vec<Place>,
}

impl<E: PromptEncoder> Flux2Components<E> {
    /// Makes images from latents in patches, `[images, features, rows, columns]`: denoises them step by step and decodes the
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
        let latents = self.unpatched(latents)?;
        let images = match output_type {
            OutputType::Latent => Images::Latent(latents),
            output_type => {
                tracing::debug!("decoding");
                self.transformer.release_memory();
                let decoded = decoding::decode(&*self.vae, latents.cast(self.vae.dtype()), index)?;
                postprocess(decoded, output_type)?
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
        let [_, _, rows, columns] = latents.dims();
        self.check_memory(&run, latents.dims())?;
        if settings.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &patches::join(latents.clone()))?;
        }
        let Self { transformer, scheduler, text_encoder, .. } = self;
        let negative = run.texts.negative.iter().map(|(text, _)| text.clone());
        let denoising = Denoising {
            timesteps: &run.timesteps,
            steps: run.steps,
            order: scheduler.order(),
            watch: Watch {
                condition: Some(Condition {
                    encoders: vec![("text_encoder", text_encoder)],
                    values: Tensor::cat(
                        [run.texts.positive.clone()].into_iter().chain(negative).collect(),
                        1,
                    ),
                }),
                ..Watch::of(index, ("transformer", transformer), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        let mut predictor = Predictor {
            transformer,
            references: run.references.take(),
            keeps_references: run.keeps_references,
            kept: None,
            guidance: run.guidance.map(|scale| [scale]),
            places: image_places(0.0, [rows, columns]).collect(),
        };
        denoising.run(latents, |step, latents| {
            let (tokens, time) = (to_tokens(latents), step.timestep / NOISE_TIMESTEP);
            let positive = predictor.predict(&tokens, &run.texts.positive, time)?;
            let prediction = match &run.texts.negative {
                None => positive,
                Some((text, scale)) => {
                    let negative = predictor.predict(&tokens, text, time)?;
                    negative.clone() + (positive - negative) * *scale
                }
            };
            // The scheduler draws noise, if it needs any, in the order of tokens.
            let [prediction, tokens] = [prediction, tokens].map(|tokens| tokens.unsqueeze_dim::<4>(3));
            let options = StepOptions { generator: Some(&mut settings.generator), ..Default::default() };
            let sample = scheduler.step(prediction.clone(), step.timestep, tokens, options)?.prev_sample;
            let mut sample = from_tokens(sample.squeeze_dim(3), [rows, columns]);
            if let Some(after_step) = &mut run.after_step {
                sample = after_step(step.index, sample, &**scheduler)?;
            }
            Ok(Stepped { prediction: Some(prediction), sample })
        })
    }

    /// Checks that calling the model for latents in patches of this shape fits into the available memory.
    fn check_memory(&self, run: &Run<'_>, [images, _, rows, columns]: [usize; 4]) -> Result<()> {
        let references = run.references.as_ref().map_or(0, |references| references.places.len());
        let negative = run.texts.negative.as_ref().map_or(0, |(text, _)| text.dims()[1]);
        let tokens = rows * columns + references + run.texts.positive.dims()[1].max(negative);
        let work = format!("denoising {images} images of {rows}x{columns} patches");
        let needed = self.transformer.least_memory(images.saturating_mul(tokens));
        memory::check_call(&self.transformer, &work, needed, &self.transformer.device())
    }
}

impl Predictor<'_> {
    /// The prediction for an image's tokens `[images, tokens, features]`, of the same shape, in `f32`.
    fn predict(&mut self, tokens: &Tensor<3>, text: &Tensor<3>, time: f32) -> Result<Tensor<3>> {
        let dtype = self.transformer.dtype();
        let times = [time];
        let txt_ids = text_places(text.dims()[1]);
        let inputs = |hidden_states: Tensor<3>, img_ids| Flux2Inputs {
            hidden_states: hidden_states.cast(dtype),
            encoder_hidden_states: text.clone(),
            timestep: &times,
            img_ids,
            txt_ids: &txt_ids,
            guidance: self.guidance.as_ref().map(<[f32; 1]>::as_slice),
        };
        let own = tokens.dims()[1];
        let alone = |tokens: &Tensor<3>| inputs(tokens.clone(), &self.places);
        let prediction = match (&self.references, &self.kept) {
            (None, _) => self.transformer.forward(&alone(tokens))?,
            (Some(_), Some(kept)) => self.transformer.forward_cached(&alone(tokens), kept)?,
            (Some(references), None) if self.keeps_references => {
                let places = [references.places.as_slice(), &self.places].concat();
                let joined = Tensor::cat(vec![references.tokens.clone(), tokens.clone()], 1);
                let (prediction, kept) = self.transformer.forward_extracting(
                    &inputs(joined, &places),
                    references.places.len(),
                    REFERENCE_TIME,
                )?;
                self.kept = Some(kept);
                prediction
            }
            (Some(references), None) => {
                let places = [self.places.as_slice(), &references.places].concat();
                let joined = Tensor::cat(vec![tokens.clone(), references.tokens.clone()], 1);
                self.transformer.forward(&inputs(joined, &places))?.narrow(1, 0, own)
            }
        };
        Ok(prediction.cast(DType::F32))
    }
}
