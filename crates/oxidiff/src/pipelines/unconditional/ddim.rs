//! Denoising diffusion implicit models (Song et al. 2020, <https://arxiv.org/abs/2010.02502>).

use super::arguments::Unconditional;
use super::unconditional_pipeline::{SamplingMethod, UnconditionalPipeline};
use crate::error::{Error, Result};
use crate::schedulers::{DDIMScheduler, Scheduler};

/// Makes images from noise in fewer steps than the model was trained with. A [`DDIMScheduler`] replaces the scheduler
/// of the checkpoint, whatever its class.
///
/// ```no_run
/// use oxidiff::{DDIMPipeline, Pipeline, Unconditional};
///
/// let mut pipeline = DDIMPipeline::from_pretrained("google/ddpm-cat-256")?;
/// let arguments = Unconditional { eta: 0.5, num_inference_steps: Some(20), ..Default::default() };
/// let images = pipeline.call(arguments)?.images.into_images();
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub type DDIMPipeline = UnconditionalPipeline<DdimMethod>;

/// The method of a [`DDIMPipeline`].
#[derive(Clone, Copy, Debug)]
pub struct DdimMethod;

impl SamplingMethod for DdimMethod {
    const CLASS_NAME: &'static str = "DDIMPipeline";
    const NUM_INFERENCE_STEPS: usize = 50;
    const SCALES_NOISE: bool = false;
    const OWN_ARGUMENTS: &'static [&'static str] = &["eta", "use_clipped_model_output"];

    fn take_over(scheduler: Box<dyn Scheduler>) -> Result<Box<dyn Scheduler>> {
        Ok(DDIMScheduler::from_config(scheduler.config())?.into())
    }

    fn check(arguments: &Unconditional) -> Result<()> {
        let eta = arguments.eta;
        if !eta.is_finite() {
            return Err(Error::argument("eta", format!("cannot be {eta}")));
        }
        if !(0.0..=1.0).contains(&eta) {
            tracing::warn!(
                "`eta` is {eta}: 0 is DDIM and 1 is DDPM; other values make sense only between them"
            );
        }
        arguments.check_generators()
    }
}
