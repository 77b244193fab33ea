//! RePaint (Lugmayr et al. 2022, <https://arxiv.org/abs/2201.09865>): inpainting with a model that was only trained to
//! make images.

use burn::tensor::Tensor;

use super::parts;
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::image_processor::{
    OutputType, PipelineImageInput, PreprocessOptions, Resample, VaeImageProcessor, postprocess,
};
use crate::models::unets::UNet2DModel;
use crate::pipelines::CallDefaults;
use crate::pipelines::common::callback::StepCallback;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::denoising::{Denoising, Stepped};
use crate::pipelines::common::finite::Watch;
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::{display_index, field_methods};
use crate::random::Generators;
use crate::schedulers::{RePaintScheduler, Scheduler, StepOptions};

call_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `RePaintPipeline.__call__`.
    pub struct RePaint: "inpainting without a text" {
        /// The images to repaint in part. Their size is rounded down to a multiple of 8; a tensor
        /// `[images, channels, height, width]` in [-1, 1] is used as it is.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The mask, white where to keep the image and black where to repaint it: one for all images. Its size is rounded
        /// down to a multiple of 32; a tensor `[1 or images, 1 or channels, height, width]` of 1 and 0 is used as it is.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Number of denoising steps, not counting repeated ones.
        pub num_inference_steps: usize = 250,
        /// Noise of each step, from 0 (none) to 1 (as much as DDPM).
        pub eta: f64 = 0.0,
        /// Number of steps to go before they are undone.
        pub jump_length: usize = 10,
        /// How many times these steps are gone through.
        pub jump_n_sample: usize = 10,
        /// Where the noise comes from: one generator, or one for each image, of which the first is used for all steps. By
        /// default a freshly seeded one.
        pub generator: Option<Generators> = None,
        /// The type of the returned images.
        pub output_type: OutputType = OutputType::default(),
        /// Called after each step, also after undoing a step.
        pub callback_on_step_end: Option<StepCallback> = None,
    }
}

impl CallDefaults for RePaint {
    fn set_num_inference_steps(&mut self, steps: usize) {
        self.num_inference_steps = steps;
    }

    fn set_guidance_scale(&mut self, _: f64) {}
}

impl RePaint {
    /// Arguments with images, masks, and the defaults.
    pub fn new(image: impl Into<PipelineImageInput>, mask_image: impl Into<PipelineImageInput>) -> Self {
        Self { image: image.into(), mask_image: mask_image.into(), ..Self::default() }
    }
}

/// Repaints the part of an image that is black in a mask, with a model of [`DDPMPipeline`](crate::DDPMPipeline).
///
/// ```no_run
/// use oxidiff::{Pipeline, RePaint, RePaintPipeline, RePaintScheduler, Scheduler, load_image};
///
/// let mut pipeline = RePaintPipeline::from_pretrained("google/ddpm-ema-celebahq-256")?;
/// pipeline.set_scheduler(RePaintScheduler::from_config(pipeline.scheduler().config())?);
/// let arguments = RePaint::new(load_image("face.png")?, load_image("mask.png")?);
/// let images = pipeline.call(arguments)?.images.into_images();
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RePaintPipeline {
    /// Predicts the noise in a sample.
    pub unet: UNet2DModel,
    /// A [`RePaintScheduler`]. The checkpoints of other pipelines do not name one, so it must be set.
    pub scheduler: Box<dyn Scheduler>,
    index: ModelIndex,
    progress_bar: bool,
}

impl RePaintPipeline {
    /// A pipeline with the given parts.
    pub fn new(unet: UNet2DModel, scheduler: RePaintScheduler) -> Self {
        let index = ModelIndex::of_class(Self::CLASS_NAME);
        Self { unet, scheduler: scheduler.into(), index, progress_bar: true }
    }

    /// The scheduler as a [`RePaintScheduler`], with the `eta` of the call.
    fn own_scheduler(&self, eta: f64) -> Result<RePaintScheduler> {
        match self.scheduler.config().class_name() {
            Some("RePaintScheduler") => {
                RePaintScheduler::from_config(&self.scheduler.config().clone().with("eta", eta))
            }
            other => Err(Error::unsupported(
                format!("a {} with the {}", Self::CLASS_NAME, other.unwrap_or("scheduler that is set")),
                "set the RePaintScheduler made from its configuration",
            )),
        }
    }

    /// The images, in [-1, 1], and their masks, 1 where the image is known and 0 elsewhere:
    /// `[images, channels, height, width]` and `[1 or images, 1 or channels, height, width]`.
    fn known(&self, arguments: &RePaint) -> Result<[Tensor<4>; 2]> {
        let images = VaeImageProcessor::default();
        let masks = VaeImageProcessor { resample: Resample::Nearest, ..VaeImageProcessor::of_masks(32) };
        let prepare = |argument, processor: VaeImageProcessor, given: &PipelineImageInput| {
            let values = match given {
                PipelineImageInput::Images(images) | PipelineImageInput::Unfiltered(images) => {
                    if images.is_empty() {
                        return Err(Error::argument(argument, "there are no images"));
                    }
                    processor.preprocess(given, PreprocessOptions::default())?
                }
                PipelineImageInput::Tensor(values) => values.clone(),
                PipelineImageInput::Array(_) => {
                    return Err(Error::argument(argument, "must be images or a tensor, not an array"));
                }
            };
            Ok(values.to_device(&self.unet.device()).cast(self.unet.dtype()))
        };
        let image = prepare("image", images, &arguments.image)?;
        // Python mistakes the masks of several images for masks of the channels.
        if arguments.mask_image.images().is_some_and(|masks| masks.len() > 1) {
            return Err(Error::argument(
                "mask_image",
                "must be one for all images; give a tensor to use one for each",
            ));
        }
        let mask = prepare("mask_image", masks, &arguments.mask_image)?;
        let (shape, given) = (image.dims(), mask.dims());
        let fits = given[2..] == shape[2..] && (0..2).all(|dim| given[dim] == 1 || given[dim] == shape[dim]);
        if !fits {
            let message = format!(
                "has shape {given:?}, `image` {shape:?}: sides are rounded down to multiples of 8 for an image, of 32 \
                 for a mask"
            );
            return Err(Error::argument("mask_image", message));
        }
        Ok([image, mask])
    }
}

impl Pipeline for RePaintPipeline {
    const CLASS_NAME: &'static str = "RePaintPipeline";

    type Arguments = RePaint;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let (unet, scheduler) = parts::load(loader)?;
        Ok(Self { unet, scheduler, index: loader.index().clone(), progress_bar: true })
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let (unet, scheduler) = parts::of(components)?;
        let index = index.for_class(Self::CLASS_NAME, &parts::INDEX_NAMES);
        Ok(Self { unet, scheduler, index, progress_bar: true })
    }

    fn call(&mut self, arguments: impl Into<RePaint>) -> Result<ImagePipelineOutput> {
        let arguments = arguments.into();
        if !(0.0..).contains(&arguments.eta) || arguments.eta.is_infinite() {
            return Err(Error::argument("eta", format!("cannot be {}", arguments.eta)));
        }
        if arguments.output_type == OutputType::Latent {
            return Err(Error::argument("output_type", "this pipeline works on pixels: it has no latents"));
        }
        let mut scheduler = self.own_scheduler(arguments.eta)?;
        let [original_image, mask] = self.known(&arguments)?;
        let shape = original_image.dims();

        let mut generator = arguments.generator.unwrap_or_else(Generators::from_entropy);
        generator.check(shape[0])?;
        let sample = generator.randn(shape, self.unet.dtype(), &self.unet.device())?;
        // As in Python, one generator is used for the steps of all images.
        let mut generator = generator.into_first()?;

        let RePaint { num_inference_steps, jump_length, jump_n_sample, .. } = arguments;
        scheduler.set_timesteps_with_jumps(num_inference_steps, jump_length, jump_n_sample)?;
        let timesteps = scheduler.timesteps().to_vec();
        let denoising = Denoising {
            timesteps: &timesteps,
            steps: timesteps.len(),
            order: 1,
            watch: Watch::of(&self.index, ("unet", &self.unet), &scheduler),
            callback: arguments.callback_on_step_end,
            progress_bar: self.progress_bar,
        };
        let mut last = f32::INFINITY;
        let sample = denoising.run(sample, |step, sample| {
            let options = StepOptions { generator: Some(&mut generator), ..Default::default() };
            let is_back = step.timestep >= last;
            let before = std::mem::replace(&mut last, step.timestep);
            if is_back {
                return Ok(Stepped {
                    prediction: None,
                    sample: scheduler.undo_step(sample, before, options)?,
                });
            }
            let prediction = self.unet.forward(sample.clone(), &[step.timestep])?;
            let options = StepOptions {
                original_image: Some(original_image.clone()),
                mask: Some(mask.clone()),
                ..options
            };
            let sample = scheduler.step(prediction.clone(), step.timestep, sample, options)?.prev_sample;
            Ok(Stepped { prediction: Some(prediction), sample })
        })?;
        let images = postprocess(sample, arguments.output_type)?;
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
    }

    fn components(&self) -> Components<'_> {
        parts::list(&self.unet, &self.scheduler)
    }

    field_methods!();
}

display_index!(RePaintPipeline);
