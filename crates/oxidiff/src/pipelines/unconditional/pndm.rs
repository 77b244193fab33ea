//! Pseudo numerical methods (Liu et al. 2022, <https://arxiv.org/abs/2202.09778>).

use super::arguments::Unconditional;
use super::unconditional_pipeline::{SamplingMethod, UnconditionalPipeline};
use crate::error::Result;
use crate::schedulers::{PNDMScheduler, Scheduler};

/// Makes images from noise in fewer steps than the model was trained with; each step uses the predictions of earlier
/// ones. A [`PNDMScheduler`] replaces the scheduler of the checkpoint, whatever its class.
///
/// ```no_run
/// use oxidiff::{PNDMPipeline, Pipeline, Unconditional};
///
/// let mut pipeline = PNDMPipeline::from_pretrained("google/ddpm-cifar10-32")?;
/// let images = pipeline.call(Unconditional::default())?.images.into_images();
/// images[0].save("pndm_generated_image.png").expect("the file can be written");
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub type PNDMPipeline = UnconditionalPipeline<PndmMethod>;

/// The method of a [`PNDMPipeline`].
#[derive(Clone, Copy, Debug)]
pub struct PndmMethod;

impl SamplingMethod for PndmMethod {
    const CLASS_NAME: &'static str = "PNDMPipeline";
    const NUM_INFERENCE_STEPS: usize = 50;
    const SCALES_NOISE: bool = false;

    fn take_over(scheduler: Box<dyn Scheduler>) -> Result<Box<dyn Scheduler>> {
        Ok(PNDMScheduler::from_config(scheduler.config())?.into())
    }

    fn check(arguments: &Unconditional) -> Result<()> {
        arguments.check_generators()
    }
}
