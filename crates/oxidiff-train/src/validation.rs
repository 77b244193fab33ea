//! The images that show the progress of a training.

use std::ops::ControlFlow;

use oxidiff::image::RgbImage;
use oxidiff::{
    Generator, ImagePipelineOutput, Pipeline, StableDiffusionPipeline, StableDiffusionXLPipeline,
    StableDiffusionXLTextToImage, StepCallback, TextToImage,
};

use crate::error::Result;
use crate::stop::Stop;
use crate::task::SampleImages;

/// The seed of a generator of torch that nobody seeded.
const UNSEEDED: u64 = 67_280_421_310_721;

/// Images to make of prompts.
#[derive(Clone, Debug)]
pub(crate) struct Validation<'a> {
    pub prompts: &'a [String],
    /// How many images to make of each prompt.
    pub images: u32,
    /// Denoising steps, or those of the pipeline.
    pub steps: Option<usize>,
    /// The seed of the training.
    pub seed: Option<u32>,
}

impl Validation<'_> {
    /// The images, one after the other from one generator; `None` when `stop` came first.
    ///
    /// # Errors
    /// When the pipeline cannot be called.
    pub fn samples(&self, pipeline: &mut impl Prompted, stop: &Stop) -> Result<Option<SampleImages>> {
        let mut calls = Calls::new(self.seed);
        let mut images = Vec::new();
        for prompt in self.prompts {
            for _ in 0..self.images {
                let made = calls.one(stop, |generator, callback| {
                    pipeline.images_of(vec![prompt.clone()], self.steps, generator, callback)
                })?;
                match made {
                    Some(made) => images.extend(made),
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(SampleImages { images, prompts: self.prompts.to_vec(), tag: "validation" }))
    }
}

/// A pipeline that makes images of prompts.
pub(crate) trait Prompted {
    /// Whether calls show how far they are.
    fn set_progress_bar(&mut self, is_shown: bool);

    /// An image of each prompt, after this many steps, or the pipeline's default.
    ///
    /// # Errors
    /// When the pipeline cannot be called.
    fn images_of(
        &mut self,
        prompts: Vec<String>,
        steps: Option<usize>,
        generator: Generator,
        callback: StepCallback,
    ) -> oxidiff::Result<ImagePipelineOutput>;
}

impl Prompted for StableDiffusionPipeline {
    fn set_progress_bar(&mut self, is_shown: bool) {
        Pipeline::set_progress_bar(self, is_shown);
    }

    fn images_of(
        &mut self,
        prompt: Vec<String>,
        steps: Option<usize>,
        generator: Generator,
        callback: StepCallback,
    ) -> oxidiff::Result<ImagePipelineOutput> {
        let defaults = TextToImage::default();
        self.call(TextToImage {
            prompt,
            num_inference_steps: steps.unwrap_or(defaults.num_inference_steps),
            generator: Some(generator.into()),
            callback_on_step_end: Some(callback),
            ..defaults
        })
    }
}

impl Prompted for StableDiffusionXLPipeline {
    fn set_progress_bar(&mut self, is_shown: bool) {
        Pipeline::set_progress_bar(self, is_shown);
    }

    fn images_of(
        &mut self,
        prompt: Vec<String>,
        steps: Option<usize>,
        generator: Generator,
        callback: StepCallback,
    ) -> oxidiff::Result<ImagePipelineOutput> {
        let defaults = StableDiffusionXLTextToImage::default();
        self.call(StableDiffusionXLTextToImage {
            prompt,
            num_inference_steps: steps.unwrap_or(defaults.num_inference_steps),
            generator: Some(generator.into()),
            callback_on_step_end: Some(callback),
            ..defaults
        })
    }
}

/// Calls of a pipeline that share a generator.
pub(crate) struct Calls(Option<Generator>);

impl Calls {
    /// Calls with the seed of a training.
    pub fn new(seed: Option<u32>) -> Self {
        Self::of(Generator::manual_seed(seed.map_or(UNSEEDED, u64::from)))
    }

    /// Calls that draw from a generator.
    pub fn of(generator: Generator) -> Self {
        Self(Some(generator))
    }

    /// The generator after the calls.
    pub fn into_generator(self) -> Generator {
        self.0.expect("returned after each call")
    }

    /// The images of one call; `None` when `stop` came first.
    ///
    /// # Errors
    /// When the pipeline cannot be called.
    pub fn one(
        &mut self,
        stop: &Stop,
        call: impl FnOnce(Generator, StepCallback) -> oxidiff::Result<ImagePipelineOutput>,
    ) -> Result<Option<Vec<RgbImage>>> {
        let (lent, loan) = self.0.take().expect("returned after each call").lend();
        let result = call(lent, stop.as_callback());
        self.0 = loan.returned();
        match result {
            Ok(output) => {
                Ok(Some(output.images.into_images().into_iter().map(|image| image.into_rgb8()).collect()))
            }
            Err(oxidiff::Error::Stopped { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Stop {
    /// Ends a call of a pipeline when someone asked to stop.
    pub(crate) fn as_callback(&self) -> StepCallback {
        let stop = self.clone();
        Box::new(move |step| match stop.is_requested() {
            false => ControlFlow::Continue(step.latents),
            true => ControlFlow::Break(oxidiff::Stop::Fail(oxidiff::Error::Stopped {
                message: "the training stops".to_owned(),
            })),
        })
    }
}
