//! Score-based models (Song et al. 2020, <https://arxiv.org/abs/2011.13456>), by the variance exploding equation.

use std::ops::ControlFlow;

use super::arguments::Unconditional;
use super::parts;
use crate::error::{Error, Result};
use crate::image_processor::VaeImageProcessor;
use crate::loading::LoadOptions;
use crate::loading::folder::Folder;
use crate::models::unets::UNet2DModel;
use crate::pipelines::finite::{Watch, WatchedStep};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::{Component, Pipeline};
use crate::pipelines::pipeline_fields::{display_index, field_methods};
use crate::pipelines::progress::denoising_bar;
use crate::pipelines::stable_diffusion::StepEnd;
use crate::random::Generators;
use crate::schedulers::{Scheduler, ScoreSdeVeScheduler, StepOptions};

/// Number of steps where the call does not say.
const NUM_INFERENCE_STEPS: usize = 2000;

/// Makes images from noise with a model that was given the noise level of a sample, not the number of a timestep. Each
/// step corrects the sample at its level, as often as the scheduler's `correct_steps` says, and then goes to the next.
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
    /// A pipeline of the given parts.
    pub fn new(unet: UNet2DModel, scheduler: ScoreSdeVeScheduler) -> Self {
        let index = ModelIndex::of_class(Self::CLASS_NAME);
        Self { unet, scheduler: scheduler.into(), index, progress_bar: true }
    }

    /// The scheduler as what it must be. A call begins a new run, to which nothing but the configuration matters.
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

    fn load(folder: &Folder, index: ModelIndex, options: &LoadOptions) -> Result<Self> {
        let (unet, scheduler) = parts::load(folder, &index, options)?;
        Ok(Self { unet, scheduler, index, progress_bar: true })
    }

    fn from_components(components: &[(&'static str, Component<'_>)], index: ModelIndex) -> Result<Self> {
        let (unet, scheduler) = parts::of(components)?;
        let index = index.for_class(Self::CLASS_NAME, &parts::INDEX_NAMES);
        Ok(Self { unet, scheduler, index, progress_bar: true })
    }

    fn call(&mut self, arguments: impl Into<Unconditional>) -> Result<ImagePipelineOutput> {
        let arguments = arguments.into();
        arguments.check()?;
        arguments.refuse_ddim_options(Self::CLASS_NAME)?;
        arguments.refuse_consistency_options(Self::CLASS_NAME)?;
        arguments.check_generators()?;
        let mut scheduler = self.own_scheduler()?;
        let corrections = scheduler.correct_steps();
        let mut callback = arguments.callback_on_step_end;
        let mut generator = arguments.generator.unwrap_or_else(Generators::from_entropy);

        let shape = parts::image_shape(&self.unet, arguments.batch_size)?;
        let noise = generator.randn(shape, self.unet.dtype(), &self.unet.device())?;
        let mut sample = noise * scheduler.init_noise_sigma();

        let steps = arguments.num_inference_steps.unwrap_or(NUM_INFERENCE_STEPS);
        scheduler.set_timesteps(steps)?;
        scheduler.set_sigmas(steps, None, None, None)?;
        let timesteps = scheduler.timesteps().to_vec();
        let levels = scheduler.sigmas().unwrap_or_default().to_vec();
        let watch = Watch { index: &self.index, denoiser: ("unet", &self.unet), condition: None };
        let bar = denoising_bar(timesteps.len(), self.progress_bar);
        for (index, (&timestep, level)) in timesteps.iter().zip(levels).enumerate() {
            tracing::debug!(index, timestep, level, "denoising");
            for _ in 0..corrections {
                let score = self.unet.forward(sample.clone(), &[level])?;
                let options = StepOptions { generator: Some(&mut generator), ..Default::default() };
                sample = scheduler.step_correct(score, sample, options)?;
            }
            let score = self.unet.forward(sample.clone(), &[level])?;
            let options = StepOptions { generator: Some(&mut generator), ..Default::default() };
            let output = scheduler.step_pred(score.clone(), timestep, sample, options)?;
            // Nothing takes away the noise that the last step adds.
            let last = index + 1 == timesteps.len();
            sample = if last { output.prev_sample_mean } else { output.prev_sample };
            watch.check_step(&WatchedStep {
                index,
                timestep,
                scheduler: &scheduler,
                prediction: &score,
                sample: &sample,
            })?;

            if let Some(callback) = &mut callback {
                match callback(StepEnd { index, timestep, latents: sample }) {
                    ControlFlow::Continue(next) => sample = next,
                    ControlFlow::Break(last) => {
                        sample = last;
                        break;
                    }
                }
            }
            bar.inc(1);
        }
        bar.finish();
        self.scheduler = scheduler.into();
        // These models work on values in [0, 1].
        let processor = VaeImageProcessor { do_normalize: false, ..Default::default() };
        let images = processor.postprocess(sample.clamp(0.0, 1.0), arguments.output_type)?;
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
    }

    fn components(&self) -> Vec<(&'static str, Component<'_>)> {
        parts::list(&self.unet, &*self.scheduler)
    }

    field_methods!();
}

display_index!(ScoreSdeVePipeline);
