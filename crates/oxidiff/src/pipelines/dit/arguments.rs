//! The arguments of a call.

use crate::call_arguments;
use crate::error::Result;
use crate::image_processor::OutputType;
use crate::pipelines::CallDefaults;
use crate::pipelines::common::arguments::{check_finite, check_images, check_steps};
use crate::pipelines::common::callback::StepCallback;
use crate::random::Generators;

call_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `DiTPipeline.__call__`.
    pub struct ClassConditional: "class-conditional generation" {
        /// The class of each image.
        pub class_labels: Vec<usize> = Vec::new(),
        /// How strongly to follow the class; 1 or less turns guidance off.
        pub guidance_scale: f64 = 4.0,
        /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
        pub generator: Option<Generators> = None,
        /// Number of denoising steps.
        pub num_inference_steps: usize = 50,
        /// The type of the returned images.
        pub output_type: OutputType = OutputType::default(),
        /// Called after each step.
        pub callback_on_step_end: Option<StepCallback> = None,
    }
}

impl CallDefaults for ClassConditional {
    fn set_num_inference_steps(&mut self, steps: usize) {
        self.num_inference_steps = steps;
    }

    fn set_guidance_scale(&mut self, scale: f64) {
        self.guidance_scale = scale;
    }
}

impl ClassConditional {
    /// Arguments with these classes and the defaults.
    pub fn new(class_labels: impl Into<Vec<usize>>) -> Self {
        Self { class_labels: class_labels.into(), ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<()> {
        check_images("class_labels", self.class_labels.len())?;
        check_finite("guidance_scale", self.guidance_scale)?;
        check_steps(self.num_inference_steps)
    }
}

impl From<Vec<usize>> for ClassConditional {
    fn from(class_labels: Vec<usize>) -> Self {
        Self::new(class_labels)
    }
}
