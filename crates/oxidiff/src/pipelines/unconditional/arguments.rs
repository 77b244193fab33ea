//! The arguments of a call.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::image_processor::OutputType;
use crate::pipelines::CallDefaults;
use crate::pipelines::output::MOST_IMAGES;
use crate::pipelines::stable_diffusion::StepCallback;
use crate::random::Generators;

/// The arguments of a call of a pipeline that is given no text; names and defaults are those of Python. What only some of
/// the pipelines take is refused by the others.
///
/// ```
/// use oxidiff::{Generator, Unconditional};
///
/// let arguments = Unconditional {
///     batch_size: 4,
///     generator: Some(Generator::manual_seed(0).into()),
///     ..Default::default()
/// };
/// assert_eq!(arguments.num_inference_steps, None);
/// ```
pub struct Unconditional {
    /// Number of images.
    pub batch_size: usize,
    /// Number of denoising steps; by default 1000 for DDPM, 50 for DDIM and PNDM, 2000 for score models,
    /// and 1 for consistency models.
    pub num_inference_steps: Option<usize>,
    /// The timesteps of the denoising loop, where the scheduler shall not choose them (consistency models).
    pub timesteps: Option<Vec<f32>>,
    /// What class to show, one for each image; for models that know classes a random one by default (consistency models).
    pub class_labels: Option<Vec<usize>>,
    /// Noise of each step, from 0 (none) to 1 (as much as DDPM) (DDIM).
    pub eta: f64,
    /// Recompute the predicted noise from the clipped sample (DDIM).
    pub use_clipped_model_output: bool,
    /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
    pub generator: Option<Generators>,
    /// The noise to start from, `[images, channels, height, width]`, instead of drawing it (consistency models).
    pub latents: Option<Tensor<4>>,
    /// What to return the images as.
    pub output_type: OutputType,
    /// Called after each step.
    pub callback_on_step_end: Option<StepCallback>,
}

impl Default for Unconditional {
    fn default() -> Self {
        Self {
            batch_size: 1,
            num_inference_steps: None,
            timesteps: None,
            class_labels: None,
            eta: 0.0,
            use_clipped_model_output: false,
            generator: None,
            latents: None,
            output_type: OutputType::default(),
            callback_on_step_end: None,
        }
    }
}

impl CallDefaults for Unconditional {
    fn set_num_inference_steps(&mut self, steps: usize) {
        self.num_inference_steps = Some(steps);
    }

    fn set_guidance_scale(&mut self, _: f64) {}
}

impl Unconditional {
    /// Checks what every pipeline wants.
    pub(super) fn check(&self) -> Result<()> {
        if self.batch_size == 0 || self.batch_size > MOST_IMAGES {
            let message = format!("must be between 1 and {MOST_IMAGES}, is {}", self.batch_size);
            return Err(Error::argument("batch_size", message));
        }
        if self.num_inference_steps == Some(0) {
            return Err(Error::argument("num_inference_steps", "must be at least 1"));
        }
        if self.output_type == OutputType::Latent {
            return Err(Error::argument("output_type", "this pipeline works on pixels: it has no latents"));
        }
        Ok(())
    }

    /// Refuses several generators that are not as many as images.
    pub(super) fn check_generators(&self) -> Result<()> {
        match &self.generator {
            Some(Generators::PerItem(generators)) if generators.len() != self.batch_size => {
                let message = format!("{} generators for {} images", generators.len(), self.batch_size);
                Err(Error::argument("generator", message))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what only DDIM takes.
    pub(super) fn refuse_ddim_options(&self, class_name: &str) -> Result<()> {
        if self.eta != 0.0 {
            return Err(Error::argument("eta", format!("{class_name} does not take it")));
        }
        if self.use_clipped_model_output {
            return Err(Error::argument(
                "use_clipped_model_output",
                format!("{class_name} does not take it"),
            ));
        }
        Ok(())
    }

    /// Refuses what only consistency models take.
    pub(super) fn refuse_consistency_options(&self, class_name: &str) -> Result<()> {
        for (argument, given) in [
            ("timesteps", self.timesteps.is_some()),
            ("class_labels", self.class_labels.is_some()),
            ("latents", self.latents.is_some()),
        ] {
            if given {
                return Err(Error::argument(argument, format!("{class_name} does not take it")));
            }
        }
        Ok(())
    }
}
