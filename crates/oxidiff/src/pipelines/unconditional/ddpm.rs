//! Denoising diffusion probabilistic models (Ho et al. 2020, <https://arxiv.org/abs/2006.11239>).

use super::unconditional_pipeline::{SamplingMethod, UnconditionalPipeline};

/// Makes images from noise in as many steps as the model was trained with.
///
/// ```no_run
/// use oxidiff::{DDPMPipeline, Pipeline, Unconditional};
///
/// let mut pipeline = DDPMPipeline::from_pretrained("google/ddpm-cat-256")?;
/// let images = pipeline.call(Unconditional::default())?.images.into_images();
/// images[0].save("ddpm_generated_image.png").expect("the file can be written");
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub type DDPMPipeline = UnconditionalPipeline<DdpmMethod>;

/// The method of a [`DDPMPipeline`].
#[derive(Clone, Copy, Debug)]
pub struct DdpmMethod;

impl SamplingMethod for DdpmMethod {
    const CLASS_NAME: &'static str = "DDPMPipeline";
    const NUM_INFERENCE_STEPS: usize = 1000;
    const SCALES_NOISE: bool = false;
}
