//! Text to image with PixArt-Sigma.

use super::arguments::prompt_arguments;
use super::components::PixArtComponents;
use super::denoising::Run;
use super::pipeline_fields::{constructors, expose_fields, pipeline_methods};
use super::size::sigma_bins;
use crate::error::Result;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts with PixArt-Sigma (Chen et al. 2024, <https://arxiv.org/abs/2403.04692>).
///
/// Its fields are those of [`PixArtComponents`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{Pipeline, PixArtSigmaPipeline};
///
/// let mut pipeline = PixArtSigmaPipeline::from_pretrained("PixArt-alpha/PixArt-Sigma-XL-2-1024-MS")?;
/// let images = pipeline.call("A small cactus with a happy face in the Sahara desert.")?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PixArtSigmaPipeline {
    components: PixArtComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `PixArtSigmaPipeline.__call__`.
    pub struct PixArtSigmaTextToImage: "text to image with PixArt-Sigma", tokens: 300 {}
}

impl Pipeline for PixArtSigmaPipeline {
    const CLASS_NAME: &'static str = "PixArtSigmaPipeline";

    type Arguments = PixArtSigmaTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<PixArtSigmaTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let components = &mut self.components;
        let run = Run {
            size: components.image_size(&settings, sigma_bins)?,
            texts: components.embed(&arguments.prompts(), arguments.clean_caption)?,
            perturbed: None,
            ends_denoised: false,
        };
        components.run(&run, settings, &self.index, self.progress_bar)
    }

    pipeline_methods!();
}

constructors!(PixArtSigmaPipeline, false);
expose_fields!(PixArtSigmaPipeline);
