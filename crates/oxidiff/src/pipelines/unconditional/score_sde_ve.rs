//! Score-based models (Song et al. 2020, <https://arxiv.org/abs/2011.13456>), with the variance exploding equation.

use super::arguments::{SPECIAL, Unconditional};
use super::parts;
use crate::error::{Error, Result};
use crate::image_processor::VaeImageProcessor;
use crate::models::unets::UNet2DModel;
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
use crate::schedulers::{Scheduler, ScoreSdeVeScheduler, StepOptions};

/// Number of steps, if the call does not give one.
const NUM_INFERENCE_STEPS: usize = 2000;

/// Makes images from noise with a model that takes the noise level of a sample, not the number of a timestep. Each step
/// first corrects the sample at its level, as many times as the scheduler's `correct_steps` says, and then goes to the
/// next level.
///
/// ```no_run
/// use oxidiff::{Pipeline, ScoreSdeVePipeline, Unconditional};
///
/// let mut pipeline = ScoreSdeVePipeline::from_pretrained("google/ncsnpp-church-256")?;
/// let images = pipeline.call(Unconditional::default())?.images.into_images();
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ScoreSdeVePipeline {
    /// Predicts the score of a sample.
    pub unet: UNet2DModel,
    /// A [`ScoreSdeVeScheduler`].
    pub scheduler: Box<dyn Scheduler>,
    index: ModelIndex,
    progress_bar: bool,
}

impl ScoreSdeVePipeline {
    /// A pipeline with the given parts.
    pub fn new(unet: UNet2DModel, scheduler: ScoreSdeVeScheduler) -> Self {
        let index = ModelIndex::of_class(Self::CLASS_NAME);
        Self { unet, scheduler: scheduler.into(), index, progress_bar: true }
    }

    /// The scheduler as a [`ScoreSdeVeScheduler`]. A call begins a new run, so only the configuration matters.
    fn own_scheduler(&self) -> Result<ScoreSdeVeScheduler> {
        match self.scheduler.config().class_name() {
            Some("ScoreSdeVeScheduler") => ScoreSdeVeScheduler::from_config(self.scheduler.config()),
            other => Err(Error::unsupported(
                format!("a {} with the {}", Self::CLASS_NAME, other.unwrap_or("scheduler that is set")),
                "only the ScoreSdeVeScheduler corrects samples",
            )),
        }
    }
}

impl Pipeline for ScoreSdeVePipeline {
    const CLASS_NAME: &'static str = "ScoreSdeVePipeline";

    type Arguments = Unconditional;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let (unet, scheduler) = parts::load(loader)?;
        Ok(Self { unet, scheduler, index: loader.index().clone(), progress_bar: true })
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let (unet, scheduler) = parts::of(components)?;
        let index = index.for_class(Self::CLASS_NAME, &parts::INDEX_NAMES);
        Ok(Self { unet, scheduler, index, progress_bar: true })
    }

    fn call(&mut self, arguments: impl Into<Unconditional>) -> Result<ImagePipelineOutput> {
        let arguments = arguments.into();
        arguments.check(&[], Self::CLASS_NAME)?;
        arguments.check_generators()?;
        let mut scheduler = self.own_scheduler()?;
        let corrections = scheduler.correct_steps();
        let mut generator = arguments.generator.unwrap_or_else(Generators::from_entropy);

        let shape = parts::image_shape(&self.unet, arguments.batch_size)?;
        let noise = generator.randn(shape, self.unet.dtype(), &self.unet.device())?;
        let sample = noise * scheduler.init_noise_sigma();

        let steps = arguments.num_inference_steps.unwrap_or(NUM_INFERENCE_STEPS);
        scheduler.set_timesteps(steps)?;
        scheduler.set_sigmas(steps, None, None, None)?;
        let timesteps = scheduler.timesteps().to_vec();
        let levels = scheduler.sigmas().unwrap_or_default().to_vec();
        let denoising = Denoising {
            timesteps: &timesteps,
            steps: timesteps.len(),
            order: 1,
            watch: Watch::of(&self.index, ("unet", &self.unet), &scheduler),
            callback: arguments.callback_on_step_end,
            progress_bar: self.progress_bar,
        };
        let sample = denoising.run(sample, |step, mut sample| {
            let level = levels[step.index];
            for _ in 0..corrections {
                let score = self.unet.forward(sample.clone(), &[level])?;
                let options = StepOptions { generator: Some(&mut generator), ..Default::default() };
                sample = scheduler.step_correct(score, sample, options)?;
            }
            let score = self.unet.forward(sample.clone(), &[level])?;
            let options = StepOptions { generator: Some(&mut generator), ..Default::default() };
            let output = scheduler.step_pred(score.clone(), step.timestep, sample, options)?;
            // Nothing removes the noise that the last step adds.
            let is_last = step.index + 1 == timesteps.len();
            let sample = if is_last { output.prev_sample_mean } else { output.prev_sample };
            Ok(Stepped { prediction: Some(score), sample })
        })?;
        self.scheduler = scheduler.into();
        // These models work on values in [0, 1].
        let processor = VaeImageProcessor { do_normalize: false, ..Default::default() };
        let images = processor.postprocess(sample.clamp(0.0, 1.0), arguments.output_type)?;
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
    }

    fn takes(argument: &str) -> bool {
        !SPECIAL.contains(&argument) && Unconditional::ALL.iter().any(|info| info.name == argument)
    }

    fn components(&self) -> Components<'_> {
        parts::list(&self.unet, &self.scheduler)
    }

    field_methods!();
}

display_index!(ScoreSdeVePipeline);
