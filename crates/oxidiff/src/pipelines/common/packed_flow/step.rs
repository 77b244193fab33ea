//! The end of a step.

use burn::tensor::Tensor;

use super::tokens;
use crate::error::Result;
use crate::pipelines::common::denoising::{AfterStep, Step, Stepped};
use crate::pipelines::common::patches::{self, PATCH_SIZE};
use crate::random::Generators;
use crate::schedulers::{Scheduler, StepOptions};

/// Goes from a prediction for tokens to the latents after a step.
pub(crate) struct Stepper<'a, 'b> {
    pub scheduler: &'a mut dyn Scheduler,
    pub generator: &'a mut Generators,
    pub after_step: Option<AfterStep<'b>>,
}

impl Stepper<'_, '_> {
    /// Takes a step from `latents`, `[images, channels, height, width]`; `predict` is called with their tokens.
    ///
    /// # Errors
    /// Those of `predict` and of what is done after the step, and when the scheduler cannot work with its inputs.
    pub fn step(
        &mut self,
        step: Step,
        latents: Tensor<4>,
        predict: impl FnOnce(&Tensor<3>) -> Result<Tensor<3>>,
    ) -> Result<Stepped> {
        let [_, _, height, width] = latents.dims();
        let grid = [height, width].map(|side| side / PATCH_SIZE);
        let latents = tokens(latents);
        let prediction = predict(&latents)?;
        // The scheduler draws noise, if it needs any, in the order of tokens.
        let [prediction, latents] = [prediction, latents].map(|tokens| tokens.unsqueeze_dim::<4>(3));
        let options = StepOptions { generator: Some(&mut *self.generator), ..Default::default() };
        let sample = self.scheduler.step(prediction.clone(), step.timestep, latents, options)?.prev_sample;
        let mut sample = patches::join(patches::from_tokens(sample.squeeze_dim(3), grid));
        if let Some(after_step) = &mut self.after_step {
            sample = after_step(step.index, sample, &*self.scheduler)?;
        }
        Ok(Stepped { prediction: Some(prediction), sample })
    }
}
