//! The code that these pipelines share, which is nearly all of it.

use burn::tensor::Tensor;
use std::fmt;
use std::marker::PhantomData;

use super::arguments::{SPECIAL, Unconditional};
use super::parts;
use crate::error::{Error, Result};
use crate::image_processor::postprocess;
use crate::memory;
use crate::models::model::Model;
use crate::models::unets::{ClassLabels, UNet2DModel};
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::denoising::{Denoising, Stepped};
use crate::pipelines::common::finite::Watch;
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::{display_index, field_methods};
use crate::pipelines::request::CallArguments;
use crate::random::Generators;
use crate::schedulers::{Scheduler, StepOptions, zero_terminal_snr};

/// What differs between the pipelines.
pub trait SamplingMethod: fmt::Debug + Clone + Send + 'static {
    /// The name of the pipeline's class.
    const CLASS_NAME: &'static str;

    /// Number of steps, if the call does not give one.
    const NUM_INFERENCE_STEPS: usize;

    /// Whether noise and samples are scaled as the scheduler says, or used as they are.
    const SCALES_NOISE: bool;

    /// The arguments that this pipeline takes, but not all of these pipelines.
    const OWN_ARGUMENTS: &'static [&'static str] = &[];

    /// The scheduler of a new pipeline, given that of the checkpoint.
    ///
    /// # Errors
    /// When a field of its configuration has a value that the new scheduler does not know.
    fn take_over(scheduler: Box<dyn Scheduler>) -> Result<Box<dyn Scheduler>> {
        Ok(scheduler)
    }

    /// Checks the arguments that this pipeline restricts more than the others.
    ///
    /// # Errors
    /// When an argument has a value that the pipeline cannot work with.
    fn check(arguments: &Unconditional) -> Result<()> {
        let _ = arguments;
        Ok(())
    }
}

/// Makes images from noise: a model on pixels predicts the noise in a sample, and a scheduler removes it, step by step.
#[derive(Clone, Debug)]
pub struct UnconditionalPipeline<M> {
    /// Predicts the noise in a sample.
    pub unet: UNet2DModel,
    /// Removes predicted noise.
    pub scheduler: Box<dyn Scheduler>,
    index: ModelIndex,
    progress_bar: bool,
    method: PhantomData<M>,
}

impl<M: SamplingMethod> UnconditionalPipeline<M> {
    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the scheduler's configuration has a value that the pipeline's scheduler does not know.
    pub fn new(unet: UNet2DModel, scheduler: impl Into<Box<dyn Scheduler>>) -> Result<Self> {
        Self::assemble(unet, scheduler.into(), ModelIndex::of_class(M::CLASS_NAME))
    }

    fn assemble(unet: UNet2DModel, scheduler: Box<dyn Scheduler>, index: ModelIndex) -> Result<Self> {
        let scheduler = M::take_over(scheduler)?;
        zero_terminal_snr::check_configuration(&*scheduler)?;
        Ok(Self { unet, scheduler, index, progress_bar: true, method: PhantomData })
    }

    /// The class of each image, if the model has classes: the given one, or one that the generator draws.
    fn class_labels(
        &self,
        given: Option<Vec<usize>>,
        batch_size: usize,
        generator: &mut Generators,
    ) -> Result<Option<ClassLabels>> {
        let Some(classes) = self.unet.config().num_class_embeds else {
            if given.is_some() {
                tracing::warn!("`class_labels` are ignored: the model has no classes");
            }
            return Ok(None);
        };
        let labels = match given {
            Some(labels) if labels.len() != batch_size => {
                let message = format!("{} labels for {batch_size} images", labels.len());
                return Err(Error::argument("class_labels", message));
            }
            Some(labels) => labels.into_iter().map(|label| label as f32).collect(),
            None => {
                let random = generator.of_item(0)?.randint_vec(0, classes as i64, batch_size)?;
                random.into_iter().map(|label| label as f32).collect()
            }
        };
        Ok(Some(ClassLabels::Numbers(labels)))
    }

    /// The given noise, or newly drawn noise.
    fn initial_sample(
        &self,
        given: Option<Tensor<4>>,
        shape: [usize; 4],
        generator: &mut Generators,
    ) -> Result<Tensor<4>> {
        let sample = match given {
            Some(latents) if latents.dims() != shape => {
                let message = format!("have shape {:?}, this call needs {shape:?}", latents.dims());
                return Err(Error::argument("latents", message));
            }
            Some(latents) => latents.to_device(&self.unet.device()).cast(self.unet.dtype()),
            None => generator.randn(shape, self.unet.dtype(), &self.unet.device())?,
        };
        Ok(if M::SCALES_NOISE { sample * self.scheduler.init_noise_sigma() } else { sample })
    }
}

impl<M: SamplingMethod> Pipeline for UnconditionalPipeline<M> {
    const CLASS_NAME: &'static str = M::CLASS_NAME;

    type Arguments = Unconditional;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let (unet, scheduler) = parts::load(loader)?;
        Self::assemble(unet, scheduler, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let (unet, scheduler) = parts::of(components)?;
        Self::assemble(unet, scheduler, index.for_class(M::CLASS_NAME, &parts::INDEX_NAMES))
    }

    fn call(&mut self, arguments: impl Into<Unconditional>) -> Result<ImagePipelineOutput> {
        let arguments = arguments.into();
        arguments.check(M::OWN_ARGUMENTS, M::CLASS_NAME)?;
        M::check(&arguments)?;
        let mut generator = arguments.generator.unwrap_or_else(Generators::from_entropy);
        let shape = parts::image_shape(&self.unet, arguments.batch_size)?;
        let [batch, _, height, width] = shape;
        let work = format!("denoising {batch} x {height}x{width} pixels");
        let needed = self.unet.least_memory(batch, height, width);
        memory::check_call(&self.unet, &work, needed, &self.unet.device())?;
        let sample = self.initial_sample(arguments.latents, shape, &mut generator)?;
        let class_labels = self.class_labels(arguments.class_labels, arguments.batch_size, &mut generator)?;

        match &arguments.timesteps {
            Some(timesteps) => self.scheduler.set_custom_timesteps(timesteps)?,
            None => {
                let steps = arguments.num_inference_steps.unwrap_or(M::NUM_INFERENCE_STEPS);
                self.scheduler.set_timesteps(steps)?;
            }
        }
        zero_terminal_snr::check_timesteps(&*self.scheduler, self.scheduler.timesteps())?;
        let timesteps = self.scheduler.timesteps().to_vec();
        let Self { unet, scheduler, .. } = self;
        let denoising = Denoising {
            timesteps: &timesteps,
            steps: timesteps.len(),
            order: 1,
            watch: Watch::of(&self.index, ("unet", unet), &**scheduler),
            callback: arguments.callback_on_step_end,
            progress_bar: self.progress_bar,
        };
        let sample = denoising.run(sample, |step, sample| {
            let input = if M::SCALES_NOISE {
                scheduler.scale_model_input(sample.clone(), step.timestep)?
            } else {
                sample.clone()
            };
            let prediction = unet.forward_with(input, &[step.timestep], class_labels.clone())?;
            let options = StepOptions {
                eta: M::OWN_ARGUMENTS.contains(&"eta").then_some(arguments.eta),
                use_clipped_model_output: arguments.use_clipped_model_output,
                generator: Some(&mut generator),
                ..Default::default()
            };
            let sample = scheduler.step(prediction.clone(), step.timestep, sample, options)?.prev_sample;
            Ok(Stepped { prediction: Some(prediction), sample })
        })?;
        let images = postprocess(sample, arguments.output_type)?;
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
    }

    fn takes(argument: &str) -> bool {
        let is_special = SPECIAL.contains(&argument) && !M::OWN_ARGUMENTS.contains(&argument);
        !is_special && Unconditional::ALL.iter().any(|info| info.name == argument)
    }

    fn components(&self) -> Components<'_> {
        parts::list(&self.unet, &self.scheduler)
    }

    field_methods!();
}

display_index!(UnconditionalPipeline<M>, M: SamplingMethod);
