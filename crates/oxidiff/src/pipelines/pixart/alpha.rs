//! Text to image with PixArt-alpha.

use super::arguments::prompt_arguments;
use super::components::PixArtComponents;
use super::denoising::Run;
use super::pipeline_fields::{constructors, expose_fields, pipeline_methods};
use super::size::alpha_bins;
use crate::error::Result;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts with PixArt-alpha (Chen et al. 2023, <https://arxiv.org/abs/2310.00426>), and with models that were distilled
/// from it: PixArt-LCM and PixArt-DMD.
///
/// Its fields are those of [`PixArtComponents`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{Pipeline, PixArtAlphaPipeline};
///
/// let mut pipeline = PixArtAlphaPipeline::from_pretrained("PixArt-alpha/PixArt-XL-2-1024-MS")?;
/// let images = pipeline.call("A small cactus with a happy face in the Sahara desert.")?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PixArtAlphaPipeline {
    components: PixArtComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `PixArtAlphaPipeline.__call__`.
    pub struct PixArtAlphaTextToImage: "text to image with PixArt-alpha", tokens: 120 {}
}

impl Pipeline for PixArtAlphaPipeline {
    const CLASS_NAME: &'static str = "PixArtAlphaPipeline";

    type Arguments = PixArtAlphaTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<PixArtAlphaTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let components = &mut self.components;
        let run = Run {
            size: components.image_size(&settings, alpha_bins)?,
            texts: components.embed(&arguments.prompts(), arguments.clean_caption)?,
            perturbed: None,
            // Models of one step, such as PixArt-DMD, predict the image itself.
            ends_denoised: true,
        };
        components.run(&run, settings, &self.index, self.progress_bar)
    }

    pipeline_methods!();
}

constructors!(PixArtAlphaPipeline, true);
expose_fields!(PixArtAlphaPipeline);
