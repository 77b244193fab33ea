//! The steps of SANA-Sprint: a flow model as a consistency model along a circle (section 3.1).

use burn::tensor::{DType, Tensor};

use crate::error::{Error, Result};
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::transformers::SanaInputs;
use crate::pipelines::common::denoising::{Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::text::masked::MaskedTexts;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::sana::arguments::Settings;
use crate::pipelines::sana::components::SanaComponents;
use crate::schedulers::{INTERMEDIATE_TIMESTEPS, MAX_TIMESTEPS, ModelKind, StepOptions, TimestepOptions};

/// The timesteps that a call asks for.
pub(in crate::pipelines::sana) struct Timesteps {
    pub steps: usize,
    pub given: Option<Vec<f32>>,
    pub max: Option<f64>,
    pub intermediate: Option<f64>,
}

impl SanaComponents {
    /// Sets the timesteps of a run, and returns the number of steps.
    ///
    /// # Errors
    /// When the scheduler is for other models, or does not take the timesteps.
    pub(super) fn set_angles(&mut self, asked: &Timesteps) -> Result<usize> {
        if self.scheduler.role().model != ModelKind::TrigFlow {
            let class_name = self.scheduler.config().class_name().unwrap_or_default().to_owned();
            let message = "SANA-Sprint was distilled for the steps of an `SCMScheduler`";
            return Err(Error::unsupported(format!("{class_name} in this pipeline"), message));
        }
        let usual = asked.given.is_none() && asked.steps == 2;
        let options = match &asked.given {
            Some(given) => TimestepOptions {
                timesteps: Some(given),
                max_timesteps: asked.max,
                intermediate_timesteps: asked.intermediate,
                ..Default::default()
            },
            None => TimestepOptions {
                num_inference_steps: Some(asked.steps),
                max_timesteps: asked.max.or(Some(MAX_TIMESTEPS)),
                intermediate_timesteps: asked.intermediate.or(usual.then_some(INTERMEDIATE_TIMESTEPS)),
                ..Default::default()
            },
        };
        self.scheduler.set_timesteps_with(options)?;
        self.scheduler.set_begin_index(0);
        Ok(self.scheduler.timesteps().len() - 1)
    }

    /// The standard deviation of the data in the scheduler's configuration.
    ///
    /// # Errors
    /// When the configuration has none.
    pub(super) fn sigma_data(&self) -> Result<f64> {
        let config = self.scheduler.config();
        config
            .get("sigma_data")
            .and_then(serde_json::Value::as_f64)
            .ok_or_else(|| Error::config(config.origin(), "sigma_data", "must be a number"))
    }

    /// Denoises latents `[images, channels, height, width]` through these timesteps, and returns the last estimate of the data, with a
    /// variance of 1.
    ///
    /// # Errors
    /// When the model cannot work with its inputs, or a value is not finite.
    pub(super) fn sprint(
        &mut self,
        latents: Tensor<4>,
        texts: &MaskedTexts,
        timesteps: &[f32],
        settings: &mut Settings,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<Tensor<4>> {
        self.check_memory(latents.dims(), latents.dims()[0], settings.output_type)?;
        let sigma_data = self.sigma_data()?;
        let Self { transformer, scheduler, text_encoder, .. } = self;
        let encoder = text_encoder.as_ref().map(|encoder| ("text_encoder", encoder as &dyn Suspect));
        let denoising = Denoising {
            timesteps,
            steps: timesteps.len(),
            order: 1,
            watch: Watch {
                condition: Some(Condition {
                    encoders: encoder.into_iter().collect(),
                    values: texts.tokens.clone(),
                }),
                ..Watch::of(index, ("transformer", transformer), &**scheduler)
            },
            callback: settings.callback.take(),
            progress_bar,
        };
        let guidance = [(settings.guidance_scale * transformer.config().guidance_embeds_scale) as f32];
        let mut estimate = latents.clone();
        denoising.run(latents, |step, latents| {
            let (sin, cos) = step.timestep.sin_cos();
            // The time of the flow that is as noisy, and the length of its circle's point.
            let time = sin / (cos + sin);
            let flow = f64::from(time);
            let length = (flow * flow + (1.0 - flow) * (1.0 - flow)).sqrt();
            let input = latents.clone() / sigma_data * length;
            let velocity = transformer.forward(&SanaInputs {
                hidden_states: input.clone().cast(transformer.dtype()),
                encoder_hidden_states: texts.tokens.clone(),
                encoder_attention_mask: Some(texts.mask.clone()),
                timestep: &[time],
                guidance: Some(&guidance),
                controlnet_block_samples: &[],
            })?;
            let velocity = velocity.cast(DType::F32);
            let prediction =
                (input * (1.0 - 2.0 * flow) + velocity * (1.0 - 2.0 * flow + 2.0 * flow * flow)) / length;
            let prediction = prediction * sigma_data;
            let options = StepOptions { generator: Some(&mut settings.generator), ..Default::default() };
            let stepped = scheduler.step(prediction.clone(), step.timestep, latents, options)?;
            if let Some(original) = stepped.pred_original_sample {
                estimate = original;
            }
            Ok(Stepped { prediction: Some(prediction), sample: stepped.prev_sample })
        })?;
        Ok(estimate / sigma_data)
    }
}
