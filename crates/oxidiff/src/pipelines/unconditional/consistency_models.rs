//! Consistency models (Song et al. 2023, <https://arxiv.org/abs/2303.01469>).

use super::arguments::Unconditional;
use super::unconditional_pipeline::{SamplingMethod, UnconditionalPipeline};
use crate::error::Result;

/// Makes images from noise in one or a few steps.
///
/// ```no_run
/// use oxidiff::{ConsistencyModelPipeline, Pipeline, Unconditional};
///
/// let mut pipeline = ConsistencyModelPipeline::from_pretrained("openai/diffusers-cd_imagenet64_l2")?;
/// // Class 145 of ImageNet is the king penguin.
/// let arguments = Unconditional {
///     class_labels: Some(vec![145]),
///     timesteps: Some(vec![22.0, 0.0]),
///     ..Default::default()
/// };
/// let images = pipeline.call(arguments)?.images.into_images();
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub type ConsistencyModelPipeline = UnconditionalPipeline<ConsistencyMethod>;

/// The method of a [`ConsistencyModelPipeline`].
#[derive(Clone, Copy, Debug)]
pub struct ConsistencyMethod;

impl SamplingMethod for ConsistencyMethod {
    const CLASS_NAME: &'static str = "ConsistencyModelPipeline";
    const NUM_INFERENCE_STEPS: usize = 1;
    const SCALES_NOISE: bool = true;
    const OWN_ARGUMENTS: &'static [&'static str] = &["timesteps", "class_labels", "latents"];

    fn check(arguments: &Unconditional) -> Result<()> {
        if arguments.timesteps.is_some() && arguments.num_inference_steps.is_some() {
            tracing::warn!("`num_inference_steps` is not used, since `timesteps` are given");
        }
        arguments.check_generators()
    }
}
