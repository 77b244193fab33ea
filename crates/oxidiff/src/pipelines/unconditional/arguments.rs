//! The arguments of a call.

use burn::tensor::Tensor;

use crate::call_arguments;
use crate::error::{Error, Result};
use crate::image_processor::OutputType;
use crate::pipelines::CallDefaults;
use crate::pipelines::common::arguments::{check_images, check_steps};
use crate::pipelines::common::callback::StepCallback;
use crate::random::Generators;

call_arguments! {
    /// The arguments of a call of a pipeline without text; names and defaults are those of Python. Pipelines refuse
    /// arguments that only others take.
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
    pub struct Unconditional: "unconditional generation" {
        /// Number of images.
        pub batch_size: usize = 1,
        /// Number of denoising steps; by default 1000 for DDPM, 50 for DDIM and PNDM, 2000 for score models,
        /// and 1 for consistency models.
        pub num_inference_steps: Option<usize> = None,
        /// The timesteps of the denoising loop, instead of the scheduler's own (consistency models).
        pub timesteps: Option<Vec<f32>> = None,
        /// The class of each image; by default random, if the model has classes (consistency models).
        pub class_labels: Option<Vec<usize>> = None,
        /// Noise of each step, from 0 (none) to 1 (as much as DDPM) (DDIM).
        pub eta: f64 = 0.0,
        /// Whether to recompute the predicted noise from the clipped sample (DDIM).
        pub use_clipped_model_output: bool = false,
        /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
        pub generator: Option<Generators> = None,
        /// The noise to start from, `[images, channels, height, width]`, instead of drawing it (consistency models).
        pub latents: Option<Tensor<4>> = None,
        /// The type of the returned images.
        pub output_type: OutputType = OutputType::default(),
        /// Called after each step.
        pub callback_on_step_end: Option<StepCallback> = None,
    }
}

impl CallDefaults for Unconditional {
    fn set_num_inference_steps(&mut self, steps: usize) {
        self.num_inference_steps = Some(steps);
    }

    fn set_guidance_scale(&mut self, _: f64) {}
}

/// The arguments that only some of the pipelines take.
pub(super) const SPECIAL: [&str; 5] =
    ["timesteps", "class_labels", "eta", "use_clipped_model_output", "latents"];

impl Unconditional {
    /// Checks the arguments of every pipeline, and refuses the [`SPECIAL`] ones that `class_name` does not take.
    pub(super) fn check(&self, taken: &[&str], class_name: &str) -> Result<()> {
        check_images("batch_size", self.batch_size)?;
        if let Some(steps) = self.num_inference_steps {
            check_steps(steps)?;
        }
        if self.output_type == OutputType::Latent {
            return Err(Error::argument("output_type", "this pipeline works on pixels: it has no latents"));
        }
        let given = [
            self.timesteps.is_some(),
            self.class_labels.is_some(),
            self.eta != 0.0,
            self.use_clipped_model_output,
            self.latents.is_some(),
        ];
        for (argument, given) in SPECIAL.into_iter().zip(given) {
            if given && !taken.contains(&argument) {
                return Err(Error::argument(argument, format!("{class_name} does not take it")));
            }
        }
        Ok(())
    }

    /// Refuses several generators if there is not one for each image.
    pub(super) fn check_generators(&self) -> Result<()> {
        self.generator.as_ref().map_or(Ok(()), |generator| generator.check(self.batch_size))
    }
}
